"""The decision: every guard by itself, worked by hand, and what it does to hundreds of simulated candidates."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from nightschool.records import VerdictKind
from nightschool.said import Said
from tests.exams import GOOD, STEADY, simulated_exam
from tests.training_fixtures import random_answers
from training.exam import ExamResult
from training.guards import guards_of
from training.judgements import PairJudgement, Preferred
from training.reward_fit import HeldOut
from training.reward_metrics import TO_EXAMINE_WITH, RewardMetrics, gate, measure
from training.split import Side
from training.verdict import Decision, decide

UNTRUSTED = Said("the examiner predicts 50% of 40 pairs", "考官模型在 40 个对比中预测正确 50%")


def _decide(exam: ExamResult, fault: Said | None = None, *, practice: bool = False) -> Decision:
    return decide(exam, fault, practice=practice, promotion="exam")


def _broken(exam: ExamResult) -> list[str]:
    return [guard.name for guard in guards_of(exam) if not guard.holds]


def test_a_candidate_that_wins_clearly_is_promoted_and_the_reason_names_the_numbers_in_both_languages() -> None:
    decision = _decide(GOOD)
    assert decision.verdict is VerdictKind.PROMOTED
    for text in (decision.reason.en, decision.reason.zh):
        assert "65%" in text
        assert "58%" in text
    assert "It is better" in decision.reason.en
    assert "新版本更好" in decision.reason.zh


def test_where_people_promote_a_better_candidate_waits_for_them() -> None:
    decision = decide(GOOD, None, practice=False, promotion="manual")
    assert decision.verdict is VerdictKind.HELD
    assert "by hand" in decision.reason.en
    assert "人工" in decision.reason.zh
    watched = decide(GOOD, None, practice=False, promotion="probation")
    assert watched.verdict is VerdictKind.PROBATION
    assert "confirm it in duels" in watched.reason.en
    assert "对决中确认" in watched.reason.zh
    worse = replace(GOOD, kl=20.0)
    assert decide(worse, None, practice=False, promotion="manual").verdict is VerdictKind.REJECTED


@pytest.mark.parametrize(
    ("changes", "fault", "practice", "words"),
    [
        ({"win_rate_low": 0.5}, None, False, "that lower bound must be above 50%"),
        ({"win_rate": 0.525, "win_rate_low": 0.51}, None, False, "and 53% are needed"),
        ({"sign_p": 0.051, "sign_wins": 12, "sign_losses": 5}, None, False, "wins 12 and loses 5"),
        ({"gain_low": -0.01}, None, False, "weighs as much"),
        ({"win_rate_low": float("nan")}, None, False, "not shown"),
        ({}, UNTRUSTED, False, "predicts 50% of 40 pairs"),
        ({}, None, True, "Practice never promotes"),
    ],
)
def test_what_is_not_shown_to_be_better_is_held(
    changes: dict[str, float], fault: Said | None, practice: bool, words: str
) -> None:
    decision = _decide(replace(GOOD, **changes), fault, practice=practice)  # type: ignore[arg-type]
    assert decision.verdict is VerdictKind.HELD
    assert words in decision.reason.en
    assert decision.reason.zh.endswith("继续由现任版本回答。")


def test_what_surely_loses_is_rejected_unless_the_examiner_cannot_be_trusted() -> None:
    loser = replace(GOOD, win_rate=0.3, win_rate_low=0.2, win_rate_high=0.4, gain=-1.0, gain_low=-1.2, gain_high=-0.8)
    assert _decide(loser).verdict is VerdictKind.REJECTED
    assert "It is worse" in _decide(loser).reason.en
    assert _decide(loser, UNTRUSTED).verdict is VerdictKind.HELD


def test_what_loses_by_one_test_only_is_held() -> None:
    # It loses often and little, and wins rarely and much: the share falls below one half, the score does not.
    assert _decide(replace(GOOD, win_rate=0.3, win_rate_low=0.2, win_rate_high=0.4)).verdict is VerdictKind.HELD


def test_an_exam_of_fewer_than_128_prompts_promotes_nothing_and_says_so() -> None:
    decision = _decide(replace(GOOD, prompts=127))
    assert decision.verdict is VerdictKind.HELD
    assert "It is better" in decision.reason.en
    assert "127 prompts, where 128 are needed" in decision.reason.en
    assert "127 道题" in decision.reason.zh
    assert "needed" not in _decide(GOOD).reason.en


NAN = float("nan")


@pytest.mark.parametrize(
    ("guard", "changes", "complaint"),
    [
        ("base", {"base_untouched": False}, "not the one it was made on"),
        ("drift", {"kl": 12.5}, "drifted 12.5 nats"),
        ("drift", {"kl": NAN}, "drifted nan nats"),
        ("entropy", {"entropy": 0.99}, "0.99 nats of choice"),
        ("perplexity", {"perplexity": 1.11}, "1.11 times"),
        ("perplexity", {"perplexity": NAN}, "nan times"),
        ("length", {"length": 10}, "10 tokens where the champion's have 40"),
        ("length", {"length": 90}, "90 tokens"),
        ("finished", {"finished": 0.4}, "only 40%"),
        ("empty", {"empty": 0.05}, "5% of its replies are empty"),
        ("looping", {"looping": 0.2}, "20% of its replies repeat"),
        ("variety", {"variety": 0.67}, "67% of its word pairs"),
        ("script", {"in_script": 0.85}, "85% of its replies are in the script"),
        ("copies", {"copies": 0.15}, "15% of its replies begin like"),
        ("doubt", {"doubt_after": 0.76, "heads_for": 4}, "4 of them find"),
    ],
)
def test_each_guard_rejects_by_itself_whatever_was_won(guard: str, changes: dict[str, Any], complaint: str) -> None:
    of_conduct = set(changes) <= set(vars(STEADY))
    exam = replace(GOOD, candidate=replace(STEADY, **changes)) if of_conduct else replace(GOOD, **changes)
    decision = _decide(replace(exam, win_rate=0.99))
    assert decision.verdict is VerdictKind.REJECTED
    assert _broken(exam) == [guard]
    assert complaint in decision.reason.en
    assert decision.reason.zh.startswith("候选版本未通过：")
    assert [name for name, row in decision.as_dict()["guards"].items() if not row["holds"]] == [guard]  # type: ignore[attr-defined]


def test_heads_that_disagree_but_all_find_it_better_reject_nothing() -> None:
    assert _broken(replace(GOOD, doubt_after=5.0, heads_for=5)) == []
    without_heads = replace(GOOD, doubt_before=None, doubt_after=None, heads=0, heads_for=0)
    assert "doubt" not in [guard.name for guard in guards_of(without_heads)]


def test_guards_forgive_what_sampling_alone_does() -> None:
    # Shares near .55 over 128 prompts: one standard error of their difference is 6.2 points, 1.645 of them 10.2; with
    # the 3 that are allowed, 13 points may be lost and 14 may not.
    assert _broken(replace(GOOD, candidate=replace(STEADY, finished=0.47))) == []
    assert _broken(replace(GOOD, candidate=replace(STEADY, finished=0.46))) == ["finished"]
    # 4 of 128 replies empty where none was: 1 % and 1.645 sqrt(2 * .0156 * .984 / 128) = 2.5 % are allowed.
    assert _broken(replace(GOOD, candidate=replace(STEADY, empty=4 / 128))) == []
    assert _broken(replace(GOOD, candidate=replace(STEADY, empty=6 / 128))) == ["empty"]


def test_copies_that_the_champion_has_too_are_not_held_against_the_candidate() -> None:
    # Where the champion has 10 %, 11 % and 1.645 sqrt(2 x .14 x .86 / 128) = 7.1 % are allowed: 17 % may be, 19 % not.
    copying = replace(STEADY, copies=0.10)
    assert _broken(replace(GOOD, champion=copying, candidate=replace(STEADY, copies=0.17))) == []
    assert _broken(replace(GOOD, champion=copying, candidate=replace(STEADY, copies=0.19))) == ["copies"]


@pytest.mark.parametrize(
    "kind",
    [
        {},
        {"replies": 2},
        {"largest_component": 12},
        {"largest_component": 12, "replies": 2, "heavy": True},
        {"prompts": 64, "heavy": True},
    ],
)
def test_of_a_thousand_candidates_that_are_no_better_at_most_5_percent_are_promoted(kind: dict[str, Any]) -> None:
    generator = torch.Generator().manual_seed(7)
    exams = [simulated_exam(generator, **kind) for _ in range(1000)]
    promoted = sum(_decide(exam).verdict is VerdictKind.PROMOTED for exam in exams)
    assert promoted <= 50
    assert sum(bool(_broken(exam)) for exam in exams) <= 50  # nor are many thrown out for what chance does


def test_of_candidates_that_are_clearly_better_nearly_all_are_promoted() -> None:
    # An advantage of .55 in margins of variance 2 wins 65 % of the prompts: 128 of them have a power of 96 %.
    generator = torch.Generator().manual_seed(8)
    verdicts = [_decide(simulated_exam(generator, advantage=0.55)).verdict for _ in range(200)]
    assert verdicts.count(VerdictKind.PROMOTED) >= 170


@pytest.mark.parametrize(
    "sabotage",
    [
        {"length": 96.0, "finished": 0.02},  # always long
        {"length": 1.0, "finished": 1.0, "empty": 1.0, "variety": 1.0},
        {"length": 64.0, "finished": 0.0, "looping": 0.9, "variety": 0.1},
        {"length": 20.0, "copies": 1.0, "variety": 0.05},  # the same answer to everything
        {"in_script": 0.1},
        {"kl": 90.0, "perplexity": 8.0, "entropy": 5.0},  # made on another base
        {"base_untouched": False},
        {"entropy": 0.1, "variety": 0.4},
    ],
)
def test_a_sabotaged_candidate_is_rejected_each_time_even_when_it_fools_the_examiner(sabotage: dict[str, Any]) -> None:
    generator = torch.Generator().manual_seed(9)
    for _ in range(100):
        exam = simulated_exam(generator, advantage=3.0)
        own = {name: value for name, value in sabotage.items() if name in vars(STEADY)}
        others = {name: value for name, value in sabotage.items() if name not in own}
        broken = replace(exam, candidate=replace(exam.candidate, **own), **others)
        assert _decide(broken).verdict is VerdictKind.REJECTED


@pytest.mark.parametrize(("held_out", "most"), [(60, 10), (190, 4)])
def test_nights_with_shuffled_labels_are_hardly_ever_promoted(held_out: int, most: int) -> None:
    # Reward model and examiner were fitted to coin tosses, each to its own: what they predict of held-out ones is a
    # coin toss too. The margins are of all sizes, and what the examiner thinks of the candidate, which
    # moved one way, is one more coin toss, clear as the way is.
    generator = torch.Generator().manual_seed(10)

    def coin() -> bool:
        return bool(torch.rand((), generator=generator) < 0.5)

    def tossed() -> RewardMetrics:
        left, right = random_answers(2)
        held = []
        for number in range(held_out):
            preferred = Preferred.LEFT if coin() else Preferred.RIGHT
            margin = 0.28 * float(torch.randn((), generator=generator))
            pair = PairJudgement(left, right, preferred, 1.0, str(number), Side.EXAM, ("duel", str(number)))
            told = margin if preferred is Preferred.LEFT else -margin
            held.append(HeldOut(pair, margin, math.log1p(math.exp(-told))))
        return measure(held)

    began, promoted = 0, 0
    for _ in range(400):
        if gate(tossed()) is not None:
            continue
        began += 1
        fault = gate(tossed(), TO_EXAMINE_WITH)
        exam = simulated_exam(generator, advantage=3.0 if coin() else -3.0)
        promoted += _decide(exam, fault).verdict is VerdictKind.PROMOTED
    assert 0 < began < 80
    assert promoted <= most
