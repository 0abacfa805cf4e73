"""The textbook PPO that ours is measured against is a PPO: if it were wrong, the comparison would be unfair."""

from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.textbook_ppo import ActorCritic, Replies, draw, evaluate, train
from tests.training_fixtures import critic_settings, random_answers, random_head, tiny_base
from training.judgements import Answer
from training.policy import reference_logps
from training.reading import answer_sequences
from training.reward_model import RewardHead, RewardModel, zero_head
from training.rollout import SCORE_LIMIT, Drawing
from training.rollout import draw as draw_replies
from training.trunk import SplitModel

DRAWING = Drawing(0.7, 12)


@pytest.fixture
def base(tmp_path: Path) -> Any:
    return tiny_base(tmp_path)


def _replies(answers: list[Answer], pad: int) -> Replies:
    """The same texts in the textbook's layout."""
    context = max(len(answer.prompt_ids) for answer in answers)
    steps = max(len(answer.token_ids) for answer in answers)
    ids = torch.full((len(answers), context + steps), pad)
    is_token = torch.zeros_like(ids, dtype=torch.bool)
    for row, answer in enumerate(answers):
        start, stop = context - len(answer.prompt_ids), context + len(answer.token_ids)
        ids[row, start:stop] = torch.tensor([*answer.prompt_ids, *answer.token_ids])
        is_token[row, start:stop] = True
    return Replies(ids, is_token, context)


def test_it_gives_replies_the_log_probabilities_and_scores_that_ours_gives_them(base: Any) -> None:
    answers = random_answers(8)
    split = SplitModel(base, top_layers=2)
    sequences = answer_sequences(answers, base.pad_id)
    states = split.top(split.reference, split.trunk(sequences.ids))
    wanted = reference_logps(split, states, sequences, DRAWING.temperature)
    head = random_head(split, last_states_alone=True)  # what a textbook reads
    scores = RewardModel(split, head).scores(answers).clamp(-SCORE_LIMIT, SCORE_LIMIT)
    replies = _replies(answers, base.pad_id)
    evaluation = evaluate(ActorCritic(base, seed=0), head, replies, DRAWING.temperature)
    for found in (evaluation.reference, evaluation.old):
        assert torch.allclose(found[replies.is_response], wanted[sequences.is_response], atol=1e-4)
    assert torch.allclose(evaluation.scores, scores.float(), atol=1e-4)


def test_drawn_replies_end_with_their_end_of_turn_token_and_begin_in_one_column(base: Any) -> None:
    torch.manual_seed(0)
    replies = draw(ActorCritic(base, seed=0), [[3, 4, 5], [6, 7, 8, 9, 10]] * 8, DRAWING)
    assert replies.context == 5
    assert replies.is_token[:2, :5].tolist() == [[False, False, True, True, True], [True] * 5]
    lengths = replies.is_response.sum(1)
    assert lengths.min() < lengths.max()  # some ended early
    for ids, mask in zip(replies.ids[:, 5:], replies.is_response, strict=True):
        assert 2 not in ids[mask][:-1].tolist()
        assert int(ids[mask][-1]) == 2 or bool(mask.all())


def test_its_first_ratio_is_1_and_its_first_kl_0_and_adapters_and_value_head_learn_but_not_the_base(base: Any) -> None:
    before = {name: weight.clone() for name, weight in base.model.named_parameters()}
    head, actor = _head(base), ActorCritic(base, seed=0)
    weights = {name: weight.clone() for name, weight in actor.model.named_parameters() if "lora_B" in name}
    settings = critic_settings(2, DRAWING, episodes=16, epochs=2, minibatches=2)
    history = train(actor, head, _prompts(16), settings, seed=0, record=_nowhere)
    assert history[0]["first_ratio_error"] < 1e-5
    assert abs(history[0]["kl"]) < 1e-5
    assert history[0]["k3_to_old"] > 0.0
    assert history[1]["kl"] != 0.0
    now = dict(actor.model.named_parameters())
    assert {name.split(".")[-2] for name in weights} == {"policy", "critic"}
    assert all(not torch.equal(weight, now[name]) for name, weight in weights.items())
    assert bool(actor.value_head.weight.any())
    frozen = {name.replace(".base_layer", ""): weight for name, weight in base.model.named_parameters()}
    assert all(torch.equal(weight, frozen[name]) for name, weight in before.items())


def test_it_learns_to_end_its_replies_when_only_that_is_paid_for(base: Any) -> None:
    head = zero_head(base.model.config.hidden_size)
    settings = critic_settings(8, DRAWING, episodes=32, learning_rate=5e-3, beta=0.03)
    history = train(ActorCritic(base, seed=0), head, _prompts(32), settings, seed=0, record=_nowhere)
    assert history[0]["finished"] < 0.5
    assert history[-1]["finished"] > 0.9


def _head(base: Any) -> RewardHead:
    """A random taste, normalised on the base's replies; must be made before PEFT puts adapters into the base."""
    split = SplitModel(base, top_layers=2)
    model = RewardModel(split, random_head(split, last_states_alone=True))
    replies = draw_replies(split, base.model, _prompts(64), DRAWING, torch.Generator().manual_seed(1))
    return model.normalised(replies).head


def _prompts(count: int) -> list[list[int]]:
    return [list(answer.prompt_ids) for answer in random_answers(count)]


def _nowhere(iteration: int, figures: dict[str, float]) -> None:
    pass
