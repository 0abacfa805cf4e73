"""The exam's figures and the decision: every guard by itself, worked by hand."""

from dataclasses import replace

import pytest
import torch

from nightschool.records import VerdictKind
from training.conduct import Conduct, conduct
from training.exam import ExamResult, bootstrap_low
from training.judgements import Answer
from training.verdict import broken_guards, decide

STEADY = Conduct(length=40, finished=0.6, empty=0.0, looping=0.02)
GOOD = ExamResult(
    prompts=128,
    win_rate=0.65,
    win_rate_low=0.58,
    reward_before=0.0,
    reward_after=0.8,
    examiner_before=0.0,
    examiner_after=0.5,
    kl=4.0,
    champion=STEADY,
    candidate=STEADY,
)


def test_a_candidate_that_wins_clearly_is_promoted_and_the_reason_names_the_numbers() -> None:
    verdict, reason = decide(GOOD, None, practice=False)
    assert verdict is VerdictKind.PROMOTED
    assert "65%" in reason
    assert "58%" in reason


@pytest.mark.parametrize(
    ("changes", "fault", "practice"),
    [
        ({"win_rate_low": 0.5}, None, False),
        ({"win_rate": 0.525, "win_rate_low": 0.51}, None, False),
        ({}, "the examiner predicts 50% of 40 pairs", False),
        ({}, None, True),
    ],
)
def test_what_is_not_shown_to_be_better_is_held(changes: dict[str, float], fault: str | None, practice: bool) -> None:
    assert decide(replace(GOOD, **changes), fault, practice=practice)[0] is VerdictKind.HELD


@pytest.mark.parametrize(
    ("candidate", "kl", "complaint"),
    [
        (STEADY, 12.5, "drifted 12.5 nats"),
        (replace(STEADY, length=10), 4.0, "10 tokens where the champion's have 40"),
        (replace(STEADY, length=90), 4.0, "90 tokens"),
        (replace(STEADY, finished=0.4), 4.0, "only 40%"),
        (replace(STEADY, empty=0.05), 4.0, "5% of its replies are empty"),
        (replace(STEADY, looping=0.2), 4.0, "20% of its replies repeat"),
    ],
)
def test_each_guard_rejects_by_itself_whatever_was_won(candidate: Conduct, kl: float, complaint: str) -> None:
    verdict, reason = decide(replace(GOOD, candidate=candidate, kl=kl, win_rate=0.99), None, practice=False)
    assert verdict is VerdictKind.REJECTED
    assert complaint in reason


def test_guards_forgive_what_sampling_alone_does() -> None:
    # One standard error of two shares of .6 over 128 prompts is 6.1 points; 3 more are allowed.
    assert broken_guards(replace(GOOD, candidate=replace(STEADY, finished=0.52))) == []
    # Two of 128 replies are 1 % in whole replies.
    assert broken_guards(replace(GOOD, candidate=replace(STEADY, empty=2 / 128))) == []


def test_the_bootstrap_bound_of_a_clear_win_is_above_half_and_of_a_draw_below() -> None:
    # 74 of 128 is the least that a one-sided 5 % sign test accepts.
    wins = torch.cat([torch.ones(74), torch.zeros(54)]).double()
    assert bootstrap_low(wins, 0) == pytest.approx(74 / 128 - 1.645 * (0.578 * 0.422 / 128) ** 0.5, abs=0.01)
    assert bootstrap_low(torch.tensor([1.0, 0.0] * 64).double(), 0) < 0.5


def test_conduct_counts_ends_empties_and_loops() -> None:
    answers = [
        Answer((1,), (5, 6, 7, 2)),  # ended
        Answer((1,), (2,)),  # empty
        Answer((1,), (5, 6, 7, 8) * 4),  # the same four tokens four times, not ended
        Answer((1,), (5, 6, 7, 8) * 3),
    ]
    found = conduct(answers, frozenset({2}))
    assert found == Conduct(length=(4 + 1 + 16 + 12) / 4, finished=0.5, empty=0.25, looping=0.25)
