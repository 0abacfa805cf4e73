"""How the replies of a rollout are put together, and that it changes no figure."""

from pathlib import Path

import pytest
import torch

from tests.training_fixtures import random_answers, random_head, tiny_base
from training.judgements import Answer
from training.policy import Policy
from training.reward_model import RewardModel
from training.rollout import Drawing, Rollout, evaluate, groups_by_prompt
from training.trunk import SplitModel


def _answer(prompt: int, tokens: int, length: int = 3) -> Answer:
    return Answer((prompt,) * length, (1,) * tokens)


def test_replies_to_a_prompt_stay_together_and_each_stands_in_one_group() -> None:
    answers = [_answer(1, 9), _answer(1, 2), _answer(2, 3), _answer(2, 3), _answer(3, 1), _answer(3, 5)]
    assert groups_by_prompt(answers, 2) == [[2, 3, 4, 5, 0, 1]]
    assert groups_by_prompt(answers * 2, 4) == [[8, 9, 10, 11, 0, 1, 2, 3], [4, 5, 6, 7]]
    assert groups_by_prompt(answers, 1) == [[4, 1, 2, 3, 5, 0]]


def test_more_than_eight_replies_to_a_prompt_are_parted_by_length() -> None:
    answers = [_answer(1, length) for length in (5, 1, 12, 3, 9, 2, 8, 4, 11, 7, 6, 10)]
    assert groups_by_prompt(answers, 12) == [[1, 5, 3, 7, 0, 10, 9, 6], [4, 11, 8, 2]]


def test_answers_that_cannot_be_so_many_to_each_prompt_are_refused() -> None:
    with pytest.raises(ValueError, match="5 answers cannot be 4 replies to each prompt"):
        groups_by_prompt([_answer(1, 2)] * 5, 4)


def test_a_rollout_has_the_same_figures_whether_prompts_go_up_once_or_with_every_reply(tmp_path: Path) -> None:
    split = SplitModel(tiny_base(tmp_path), top_layers=2)
    policy, scorer = Policy(split, 0), RewardModel(split, random_head(split))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in policy.weights():
            weight.copy_(0.1 * torch.randn(weight.shape, generator=generator))
    drawn = random_answers(12)
    answers = [Answer(drawn[row - row % 4].prompt_ids, drawn[row].token_ids) for row in range(12)]
    drawing = Drawing(0.7, 16)
    shared, whole = evaluate(policy, scorer, answers, drawing, replies=4), evaluate(policy, scorer, answers, drawing)
    assert [len(group.rows) for group in shared.groups] == [8, 4]

    def figures(rollout: Rollout) -> list[torch.Tensor]:
        told = ("old", "reference", "reference_ends", "scores", "finished")
        found = [rollout.episodes(lambda group, name=name: getattr(group, name)).float() for name in told]  # type: ignore[misc]
        mask = rollout.is_response
        features = torch.where(mask, rollout.episodes(lambda group: group.features.sum(-1)), 0.0)
        return [*found, features, mask.float(), torch.tensor(rollout.mean_entropy())]

    for one, other in zip(figures(shared), figures(whole), strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=0)
    assert float(shared.kl().abs().min()) > 0.01
