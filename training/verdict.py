"""The decision, as a pure function of the exam's numbers: promoted, held or rejected, and why, in words."""

import math

from nightschool.records import VerdictKind
from training.exam import ExamResult

LEAST_WIN_RATE = 0.53
KL_LIMIT = 12.0
"""Twice the training target, in nats per reply."""
LENGTH_LOW, LENGTH_HIGH = 0.33, 2.0
"""Wider than 0.67 to 1.5, which would reject every candidate of people who like brevity (measured: half the length)."""


def decide(exam: ExamResult, examiner_fault: str | None, *, practice: bool) -> tuple[VerdictKind, str]:
    """Guards first (a broken candidate is rejected whatever it won), then whether it is shown to be better."""
    faults = broken_guards(exam)
    if faults:
        return VerdictKind.REJECTED, f"The candidate fails: {'; '.join(faults)}. The champion stays."
    wins = (
        f"the candidate wins {exam.win_rate:.0%} of {exam.prompts} exam prompts (with 95 % confidence at least "
        f"{exam.win_rate_low:.0%})"
    )
    if practice:
        return VerdictKind.HELD, f"Practice never promotes; {wins}. The champion stays."
    if examiner_fault is not None:
        return VerdictKind.HELD, f"The exam cannot be trusted: {examiner_fault}. The champion stays."
    if exam.win_rate_low <= 0.5 or exam.win_rate < LEAST_WIN_RATE:
        reason = f"It is not shown to be better: {wins}, and more than half is needed. The champion stays."
        return VerdictKind.HELD, reason
    return VerdictKind.PROMOTED, f"It is better: {wins}."


def broken_guards(exam: ExamResult) -> list[str]:
    """What is wrong with the candidate's conduct, each in a few words with its numbers."""
    old, new = exam.champion, exam.candidate
    one_percent = math.ceil(0.01 * exam.prompts) / exam.prompts  # whole replies: one of 64 is not more than 1 %
    checks = [
        (exam.kl <= KL_LIMIT, f"it drifted {exam.kl:.1f} nats from the initial model (limit {KL_LIMIT:.0f})"),
        (
            LENGTH_LOW * old.length <= new.length <= LENGTH_HIGH * old.length,
            f"its replies have {new.length:.0f} tokens where the champion's have {old.length:.0f}",
        ),
        (
            new.finished >= old.finished - 0.03 - chance(old.finished, exam.prompts),
            f"only {new.finished:.0%} of its replies end by themselves (the champion's: {old.finished:.0%})",
        ),
        (
            new.empty <= one_percent + 1e-9,
            f"{new.empty:.0%} of its replies are empty",
        ),
        (
            new.looping <= old.looping + one_percent + 1e-9 + chance(old.looping, exam.prompts),
            f"{new.looping:.0%} of its replies repeat themselves (the champion's: {old.looping:.0%})",
        ),
    ]
    return [complaint for holds, complaint in checks if not holds]


def chance(share: float, prompts: int) -> float:
    """One standard error of the difference of two shares near `share`: what sampling alone does to a guard."""
    return math.sqrt(2 * share * (1 - share) / prompts)
