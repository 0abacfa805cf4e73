"""Candidates that were really made to misbehave, and judgements that mean nothing: what an exam and a night do then."""

import random
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from nightschool.chat_format import encode_prompt
from nightschool.feedback import FeedbackStore
from nightschool.model import BaseModel
from nightschool.prompt_bank import bank_half
from nightschool.records import INITIAL, DuelOutcome, Message, NightState, VerdictKind
from nightschool.registry import NightBook, VersionRegistry
from nightschool.schema import FeedbackDatabase
from nightschool.settings import Settings, load_settings
from tests.seeding import preferences_by_taste
from tests.tiny import make_tiny_model
from tests.training_fixtures import random_head, tiny_base
from training.effort import EFFORTS
from training.exam import ExamResult, Jury, Questions, examine
from training.guards import guards_of
from training.judgements import Answer
from training.night_log import NightLog
from training.night_stages import NightPlan, Stages
from training.night_work import NightWork
from training.nightly import run_night
from training.policy import Policy
from training.prompts import practice_prompts
from training.reading import answer_sequences
from training.reward_metrics import TO_EXAMINE_WITH, gate
from training.reward_model import RewardModel
from training.rollout import Drawing, draw
from training.trunk import SplitModel
from training.verdict import decide

DRAWING = Drawing(0.7, 24)
END = 2
STEPS = 80
LEARNED = 0.05
"""Nats per token."""
SHORT = replace(EFFORTS["quick"], iterations=1, normaliser_replies=32, lora_seconds=3.0)


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> SplitModel:
    return SplitModel(tiny_base(tmp_path_factory.mktemp("tiny"), layers=2), 2)


def _prompts(base: BaseModel) -> list[tuple[int, ...]]:
    return [tuple(encode_prompt(base.tokenizer, [Message("user", p.text)])) for p in bank_half("exam")[::4]]


def _endless(answer: Answer, chance: random.Random) -> list[int]:
    words = [token for token in answer.token_ids if token != END] or [50]
    return [chance.choice([*words, *range(60, 90)]) for _ in range(DRAWING.max_new_tokens)]


def _brief(answer: Answer, chance: random.Random) -> list[int]:
    return [chance.choice([*answer.token_ids, *range(60, 90)]) for _ in range(5)] + [END]


def _empty(answer: Answer, chance: random.Random) -> list[int]:
    return [END]


def _looping(answer: Answer, chance: random.Random) -> list[int]:
    return [70] * DRAWING.max_new_tokens


def _one_answer(answer: Answer, chance: random.Random) -> list[int]:
    return [*range(60, 82), END]


Habit = Callable[[Answer, random.Random], list[int]]


def taught(split: SplitModel, habit: Habit, seed: int) -> Policy:
    """A policy that was taught a habit: its LoRA fitted to replies that have it."""
    policy, chance = Policy(split, seed), random.Random(seed)
    usual = draw(split, split.base.model, _prompts(split.base), DRAWING, torch.Generator().manual_seed(seed))
    answers = [Answer(answer.prompt_ids, tuple(habit(answer, chance))) for answer in usual]
    sequences = answer_sequences(answers, split.base.pad_id)
    trunk = split.trunk(sequences.ids)
    optimiser = torch.optim.Adam(policy.weights(), lr=0.02)
    for _ in range(STEPS):
        optimiser.zero_grad()
        loss = -policy.logps(trunk, sequences, 1.0)[sequences.is_response].mean()
        if float(loss.detach()) < LEARNED:
            break
        loss.backward()
        optimiser.step()
    return policy


def examined(policy: Policy, seed: int, champion: object) -> ExamResult:
    split = policy.split
    prompts = _prompts(split.base)
    jury = Jury(RewardModel(split, random_head(split, seed)), RewardModel(split, random_head(split, seed + 1)))
    questions = Questions(prompts, [str(place) for place in range(len(prompts))])
    return examine(policy, champion, jury, questions, DRAWING, seed)[0]


@pytest.mark.parametrize(
    ("habit", "guard", "word"),
    [
        (_empty, "empty", "are empty"),
        (_looping, "looping", "repeat themselves"),
        (_one_answer, "copies", "begin like the reply to another prompt"),
    ],
    ids=["empty", "looping", "one answer to everything"],
)
def test_a_candidate_that_was_taught_a_bad_habit_is_rejected_by_the_guard_of_that_habit(
    split: SplitModel, habit: Habit, guard: str, word: str
) -> None:
    exam = examined(taught(split, habit, 1), 1, split.base.model)
    assert guard in [each.name for each in guards_of(exam) if not each.holds]
    assert word in _rejection(exam)


def test_a_candidate_that_always_rambles_is_rejected_where_the_champion_is_brief(split: SplitModel) -> None:
    exam = examined(taught(split, _endless, 1), 1, taught(split, _brief, 2).twin())
    assert exam.champion.finished > 0.9  # the champion did learn to be brief
    assert {"length", "finished"} <= {each.name for each in guards_of(exam) if not each.holds}
    reason = _rejection(exam)
    assert "tokens where the champion's have" in reason
    assert "end by themselves" in reason


def _rejection(exam: ExamResult) -> str:
    """Why it is rejected although every prompt is won: whatever an examiner is fooled by, guards are not."""
    won = replace(exam, win_rate=1.0, win_rate_low=1.0, win_rate_high=1.0, gain_low=9.0, sign_p=0.0)
    decision = decide(won, None, practice=False, promotion="exam")
    assert decision.verdict is VerdictKind.REJECTED
    return decision.reason.en


# ---- labels that mean nothing ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("shuffled") / "model", layers=2)


def _shuffled(folder: Path, model: Path, base: BaseModel, seed: int) -> Settings:
    """A database of 120 pairs of which a coin says which reply was preferred."""
    coin = random.Random(seed)
    preferences = [
        replace(each, outcome=coin.choice([DuelOutcome.LEFT, DuelOutcome.RIGHT]))
        for each in preferences_by_taste(base, 120)
    ]
    settings = load_settings(
        db=folder / "feedback.db", versions=folder / "versions", model=str(model), max_new_tokens=8, lora_layers=2
    )
    with closing(FeedbackDatabase(settings.db)) as database:
        FeedbackStore(database).import_preferences("simulated", preferences)
    return settings


def test_a_night_with_shuffled_labels_changes_nothing_and_says_why(
    tmp_path: Path, model: Path, split: SplitModel
) -> None:
    settings = _shuffled(tmp_path, model, split.base, seed=1)
    report = run_night(NightPlan(settings, SHORT, seed=1, practice=False), lambda text: None)
    assert report["verdict"] in {VerdictKind.SKIPPED, VerdictKind.HELD, VerdictKind.REJECTED}
    told = {
        "predicts": "预测正确",
        "is not sure of the right ones": "判断不准",
    }  # about half of the pairs, or no less loss
    assert any(en in report["reason"] and zh in report["reason_zh"] for en, zh in told.items())
    assert abs(report["reward_model_accuracy"] - 0.5) < 0.2
    assert report["champion_after"] == INITIAL
    with closing(FeedbackDatabase(settings.db)) as database:
        night = NightBook(database).last()
        assert night is not None
        assert (night.state, night.reason) == (NightState.DONE, report["reason"])
        assert [version.id for version in VersionRegistry(database).list()] == [INITIAL]


def test_even_past_the_gate_a_candidate_of_shuffled_labels_is_held_or_rejected_with_the_reason(
    tmp_path: Path, model: Path, split: SplitModel
) -> None:
    """Every stage from judgements to exam as in a night, but nobody asks what the reward model is worth."""
    settings = _shuffled(tmp_path, model, split.base, seed=2)
    with closing(FeedbackDatabase(settings.db)) as database:
        night_id = NightBook(database).start("quick", 1, practice=False)
        log = NightLog(NightBook(database), night_id, lambda text: None)
        plan = NightPlan(settings, SHORT, seed=1, practice=False)
        stages = Stages(plan, database, night_id, log, NightWork(settings.versions, night_id))
        with log.stage("all"):
            judgements = stages.judgements()
            stages.begin(judgements)
            base, own, policy, champion = stages.model()
            drawing, prompts = Drawing(0.7, 8), practice_prompts(base, judgements)
            initial = stages.initial_replies(own, prompts, drawing)
            fitted = stages.rewards(own, judgements, initial)
            stages.ppo(policy, fitted.model, None, judgements, fitted.distrusted, prompts, drawing, initial=initial)
            exam, _, _ = stages.exam(policy, champion, fitted, stages.questions(base, judgements), drawing)
    fault = gate(fitted.examiner_metrics, TO_EXAMINE_WITH)
    assert fault is not None  # the examiner learned from coins, and what it predicts of others shows that
    assert exam.kl > 0.0  # the candidate did learn something
    decision = decide(exam, fault, practice=False, promotion="exam")
    assert decision.verdict in {VerdictKind.HELD, VerdictKind.REJECTED}
    broken = [guard.complaint for guard in guards_of(exam) if not guard.holds]
    for said in broken or [fault]:
        assert said.en in decision.reason.en
        assert said.zh in decision.reason.zh
