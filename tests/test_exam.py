"""A whole exam on a tiny model: an equal candidate, one made on another base, one of the same words for everything."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from nightschool.chat_format import encode_prompt, encode_text
from nightschool.model import BaseModel
from nightschool.prompt_bank import bank_half
from nightschool.records import Message, VerdictKind
from tests.training_fixtures import random_answers, random_head, tiny_base
from training.cross_fit import CrossFit
from training.exam import (
    ExamResult,
    Jury,
    Questions,
    disagreement,
    examine,
    initial_entropy,
    lost_most,
    question_of,
    wins_of,
)
from training.guards import guards_of
from training.judgements import Answer
from training.neutral_texts import neutral_texts, perplexity_ratio
from training.policy import Policy
from training.reward_model import RewardModel
from training.rollout import Drawing, evaluate
from training.trunk import SplitModel
from training.verdict import decide

DRAWING = Drawing(0.7, 12)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> BaseModel:
    return tiny_base(tmp_path_factory.mktemp("tiny"), layers=2)


@pytest.fixture(scope="module")
def split(base: BaseModel) -> SplitModel:
    return SplitModel(base, 1)


def _jury(split: SplitModel) -> Jury:
    examiner = RewardModel(split, random_head(split, 1))
    return Jury(RewardModel(split, random_head(split)), examiner, tuple(random_head(split, seed) for seed in (2, 3, 4)))


def _questions(base: BaseModel, count: int = 24, replies: int = 1) -> Questions:
    prompts = [tuple(encode_prompt(base.tokenizer, [Message("user", p.text)])) for p in bank_half("exam")[:count]]
    return Questions(prompts, [str(place // 2) for place in range(count)], replies)


def _examined(policy: Policy, replies: int = 1) -> tuple[ExamResult, list[Answer], list[Answer]]:
    base = policy.split.base
    return examine(policy, base.model, _jury(policy.split), _questions(base, replies=replies), DRAWING, seed=3)


def test_an_exam_tells_how_far_it_is(split: SplitModel) -> None:
    told: list[tuple[float, str]] = []
    policy, questions = Policy(split, seed=0), _questions(split.base)
    examine(
        policy, split.base.model, _jury(split), questions, DRAWING, seed=3,
        progress=lambda share, what: told.append((share, what)),
    )  # fmt: skip
    shares = [share for share, _ in told]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0.0, 0.85)
    assert list(dict.fromkeys(what for _, what in told)) == ["champion's answers", "candidate's answers", "comparing"]
    assert len({share for share, what in told if what == "candidate's answers"}) > 1


def test_an_untouched_candidate_draws_every_prompt_breaks_no_guard_and_is_held(split: SplitModel) -> None:
    exam, old, new = _examined(Policy(split, seed=0), replies=2)
    assert old == new
    assert len(old) == 48
    assert old[0].prompt_ids == old[1].prompt_ids
    assert old[0].token_ids != old[1].token_ids  # two samples, not one twice
    assert (exam.prompts, exam.replies, exam.components) == (24, 2, 12)
    assert (exam.win_rate, exam.gain, exam.sign_wins, exam.sign_p) == (0.5, 0.0, 0, 1.0)
    assert (exam.kl, exam.perplexity, exam.base_untouched) == (0.0, 1.0, True)
    assert exam.doubt_before == exam.doubt_after
    assert exam.champion == exam.candidate
    assert [guard.name for guard in guards_of(exam) if not guard.holds] == []
    assert decide(exam, None, practice=False, promotion="exam").verdict is VerdictKind.HELD


def test_an_adapter_made_on_another_base_is_rejected(split: SplitModel) -> None:
    policy = Policy(split, seed=0)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for weight in policy.weights():
            weight.copy_(torch.randn(weight.shape, generator=generator))
    exam, _, _ = _examined(policy)
    decision = decide(exam, None, practice=False, promotion="exam")
    assert decision.verdict is VerdictKind.REJECTED
    assert "nats from the initial model" in decision.reason.en


def test_weights_of_the_base_that_changed_are_seen(tmp_path: Path) -> None:
    split = SplitModel(tiny_base(tmp_path, layers=2), 1)
    policy = Policy(split, seed=0)
    with torch.no_grad():
        split.base.model.model.norm.weight.add_(0.1)
    exam, _, _ = _examined(policy)
    assert not exam.base_untouched
    assert decide(exam, None, practice=False, promotion="exam").verdict is VerdictKind.REJECTED


def test_a_judged_prompt_is_scored_without_its_own_labels(split: SplitModel) -> None:
    policy = Policy(split, seed=0)
    generator = torch.Generator().manual_seed(6)
    with torch.no_grad():
        for weight in policy.weights():
            weight.add_(0.05 * torch.randn(weight.shape, generator=generator))
    folds = CrossFit((random_head(split, 7), random_head(split, 8)), {"0": 0, "1": 1})  # two of twelve components
    jury = replace(_jury(split), folds=folds)
    exam, old, new = examine(policy, split.base.model, jury, _questions(split.base, replies=2), DRAWING, seed=3)
    pooled = [jury.examiner.pooled(answers) for answers in (old, new)]
    margins = jury.examiner.head.scores(pooled[1]) - jury.examiner.head.scores(pooled[0])
    for place, head in enumerate(folds.heads):  # two prompts of each component, two replies to each
        own = slice(4 * place, 4 * place + 4)
        margins[own] = (head.scores(pooled[1]) - head.scores(pooled[0]))[own]
    assert exam.gain == pytest.approx(float(margins.mean()))
    assert exam.win_rate == pytest.approx(float(wins_of(margins).mean()))
    assert exam.worst_margins == pytest.approx([float(margins[place]) for place in exam.worst])
    assert exam.prompts_judged == 4


def test_scores_are_the_reward_models_and_the_worst_replies_are_those_with_the_lowest_margins(
    split: SplitModel,
) -> None:
    policy = Policy(split, seed=0)
    generator = torch.Generator().manual_seed(6)
    with torch.no_grad():
        for weight in policy.weights():
            weight.add_(0.05 * torch.randn(weight.shape, generator=generator))
    exam, old, new = _examined(policy)
    jury = _jury(split)
    assert exam.reward_before == pytest.approx(float(jury.reward_model.scores(old).mean()))
    assert exam.reward_after == pytest.approx(float(jury.reward_model.scores(new).mean()))
    margins = jury.examiner.scores(new) - jury.examiner.scores(old)
    assert exam.gain == pytest.approx(float(margins.mean()))
    assert exam.worst_margins == pytest.approx([float(margins[place]) for place in exam.worst])
    proxy = jury.reward_model.scores(new) - jury.reward_model.scores(old)
    assert exam.proxy_win_rate == pytest.approx(float(wins_of(proxy).mean()))
    assert exam.proxy_win_rate_low is not None
    assert exam.proxy_win_rate_high is not None
    assert exam.proxy_win_rate_low < exam.proxy_win_rate < exam.proxy_win_rate_high
    assert exam.proxy_win_rate != exam.win_rate
    assert list(exam.worst) == sorted(range(24), key=lambda place: float(margins[place]))[:3]
    assert exam.entropy == pytest.approx(evaluate(policy, jury.reward_model, new, DRAWING).mean_entropy())
    report = exam.as_dict()
    assert report["candidate_variety"] == exam.candidate.variety
    assert "worst" not in report


def test_entropy_of_the_initial_model_is_that_of_a_fresh_policy(split: SplitModel) -> None:
    answers = random_answers(20)
    rollout = evaluate(Policy(split, seed=0), _jury(split).reward_model, answers, DRAWING)
    assert initial_entropy(split, answers, DRAWING.temperature) == pytest.approx(rollout.mean_entropy(), rel=1e-5)


def test_perplexity_on_neutral_texts_is_that_of_the_merged_model_text_by_text(split: SplitModel) -> None:
    policy = Policy(split, seed=0)
    assert perplexity_ratio(policy) == 1.0
    policy.take_over_({name: torch.randn_like(tensor) / 10 for name, tensor in policy.tensors().items()})

    def surprise(model: Any) -> tuple[float, int]:
        """Nats over all tokens but each text's first, by plain forward passes."""
        total, tokens = 0.0, 0
        for text in neutral_texts():
            ids = torch.tensor([encode_text(split.base.tokenizer, text)])
            with torch.no_grad():
                logits = model(ids).logits[0, :-1].double()
            total += float(torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="sum"))
            tokens += ids.shape[1] - 1
        return total, tokens

    (own, tokens), (initial, _) = surprise(policy.twin()), surprise(split.base.model)
    assert perplexity_ratio(policy) == pytest.approx(math.exp((own - initial) / tokens), rel=0.02)  # bfloat16
    assert abs(perplexity_ratio(policy) - 1.0) > 0.03
    assert len(neutral_texts()) == len(set(neutral_texts())) >= 30
    assert any("一" <= text[0] <= "鿿" for text in neutral_texts())


def test_heads_disagree_in_their_own_standard_deviations(split: SplitModel) -> None:
    # Head 1 reads the first feature, head 2 the second; old replies stand at +-1 in both, the same way: no doubt.
    size = 2 * split.size
    old, new = torch.zeros(2, size), torch.zeros(2, size)
    old[:, 0], old[:, 1] = torch.tensor([1.0, -1.0]), torch.tensor([3.0, -3.0])
    new[:, 0], new[:, 1] = 2.0, -3.0  # 2 deviations better by one head, 1 worse by the other: they differ by 1.5 each
    blank = random_head(split)
    zero, one = torch.zeros_like(blank.mean), torch.ones_like(blank.scale)
    heads = [replace(blank, weight=one * (torch.arange(size) == place), mean=zero, scale=one) for place in (0, 1)]
    assert disagreement(heads, old, new) == (0.0, 1.5, 1)
    assert disagreement([], old, new) == (None, None, 0)


def test_the_question_is_the_last_message(base: BaseModel) -> None:
    talk = [
        Message("system", "Be kind."),
        Message("user", "hello"),
        Message("assistant", "yes"),
        Message("user", "why"),
    ]
    text = question_of(base, encode_prompt(base.tokenizer, talk))
    assert "why" in text
    assert "hello" not in text
    assert "Be" not in text


def test_of_each_prompt_only_its_worst_reply_counts_among_the_lost_and_only_what_lost() -> None:
    # four prompts, two replies each: the first lost by 3 and 2, the second won, the third lost by 1, the fourth by 4
    margins = torch.tensor([-2.0, -3.0, 1.0, 0.5, 2.0, -1.0, -4.0, 0.0])
    assert lost_most(margins, 2) == (6, 1, 5)
    assert lost_most(margins[2:4], 2) == ()
