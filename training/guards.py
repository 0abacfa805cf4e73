"""The guards of an exam: what a candidate may not do, however many prompts it wins.

A guard on a share forgives what sampling alone would do to two equal versions (one-sided 95 %); one on a mean over
thousands of tokens forgives nothing. A figure that is not a number breaks its guard. Limits with their reasons:
`docs/decisions/0011-what-an-exam-decides.md`.
"""

import math
from dataclasses import dataclass

from nightschool.said import Said
from training.exam import ExamResult

KL_LIMIT = 12.0
"""Twice the training target, in nats per reply."""
LENGTH_LOW, LENGTH_HIGH = 0.33, 2.0
"""Wider than 0.67 to 1.5, which would reject every candidate of people who like brevity (measured: half the length)."""
FINISHED_LOST = 0.03
EMPTY_LIMIT = 0.01
LOOPING_ADDED = 0.01
VARIETY_KEPT = 0.85
ENTROPY_KEPT = 0.5
PERPLEXITY_LIMIT = 1.10
SCRIPT_KEPT = 0.97
COPIES_LIMIT = 0.05
COPIES_ADDED = 0.01
DOUBT_LIMIT = 1.5
CHANCE = 1.645
"""Standard errors."""


@dataclass(frozen=True)
class Guard:
    """One guard, looked at."""

    name: str
    value: float
    limit: float
    holds: bool
    complaint: Said


def guards_of(exam: ExamResult) -> list[Guard]:
    """Every guard with its figure and the limit it was held against; those without a figure are left out."""
    looks = (_of_the_policy, _of_ends, _of_repetition, _of_script, _of_doubt)
    return [guard for look in looks for guard in look(exam)]


def _of_the_policy(exam: ExamResult) -> list[Guard]:
    least_entropy = ENTROPY_KEPT * exam.entropy_initial
    return [
        Guard(
            "base",
            float(exam.base_untouched),
            1.0,
            exam.base_untouched,
            Said("the model it was examined on is not the one it was made on", "考试所用的模型不是训练它的那个模型"),
        ),
        Guard(
            "drift",
            exam.kl,
            KL_LIMIT,
            exam.kl <= KL_LIMIT,
            Said(
                f"it drifted {exam.kl:.1f} nats from the initial model (limit {KL_LIMIT:.0f})",
                f"它偏离初始模型 {exam.kl:.1f} 奈特（上限 {KL_LIMIT:.0f}）",
            ),
        ),
        Guard(
            "entropy",
            exam.entropy,
            least_entropy,
            exam.entropy >= least_entropy,
            Said(
                f"its words come from {exam.entropy:.2f} nats of choice, the initial model's from "
                f"{exam.entropy_initial:.2f} (at least {least_entropy:.2f})",
                f"它选词的熵只有 {exam.entropy:.2f} 奈特，初始模型为 {exam.entropy_initial:.2f}"
                f"（至少 {least_entropy:.2f}）",
            ),
        ),
        Guard(
            "perplexity",
            exam.perplexity,
            PERPLEXITY_LIMIT,
            exam.perplexity <= PERPLEXITY_LIMIT,
            Said(
                f"plain texts surprise it {exam.perplexity:.2f} times as much as the initial model (limit "
                f"{PERPLEXITY_LIMIT:.2f})",
                f"它在普通文本上的困惑度是初始模型的 {exam.perplexity:.2f} 倍（上限 {PERPLEXITY_LIMIT:.2f}）",
            ),
        ),
    ]


def _of_ends(exam: ExamResult) -> list[Guard]:
    """How long replies are and how they end."""
    old, new = exam.champion, exam.candidate
    length_limit = (LENGTH_LOW if new.length < old.length else LENGTH_HIGH) * old.length
    least_finished = old.finished - FINISHED_LOST - _forgiven(exam, old.finished, new.finished)
    most_empty = EMPTY_LIMIT + _forgiven(exam, old.empty, new.empty)
    return [
        Guard(
            "length",
            new.length,
            length_limit,
            LENGTH_LOW * old.length <= new.length <= LENGTH_HIGH * old.length,
            Said(
                f"its replies have {new.length:.0f} tokens where the champion's have {old.length:.0f}",
                f"它的回答平均 {new.length:.0f} 个词元，现任版本为 {old.length:.0f} 个",
            ),
        ),
        Guard(
            "finished",
            new.finished,
            least_finished,
            new.finished >= least_finished,
            Said(
                f"only {new.finished:.0%} of its replies end by themselves (the champion's: {old.finished:.0%})",
                f"它只有 {new.finished:.0%} 的回答能自行结束（现任版本：{old.finished:.0%}）",
            ),
        ),
        Guard(
            "empty",
            new.empty,
            most_empty,
            new.empty <= most_empty,
            Said(f"{new.empty:.0%} of its replies are empty", f"它有 {new.empty:.0%} 的回答是空的"),
        ),
    ]


def _of_repetition(exam: ExamResult) -> list[Guard]:
    """Whether a reply repeats itself, words, or other replies."""
    old, new = exam.champion, exam.candidate
    most_looping = old.looping + LOOPING_ADDED + _forgiven(exam, old.looping, new.looping)
    least_variety = VARIETY_KEPT * old.variety
    most_copies = max(COPIES_LIMIT, old.copies + COPIES_ADDED) + _forgiven(exam, old.copies, new.copies)
    return [
        Guard(
            "looping",
            new.looping,
            most_looping,
            new.looping <= most_looping,
            Said(
                f"{new.looping:.0%} of its replies repeat themselves (the champion's: {old.looping:.0%})",
                f"它有 {new.looping:.0%} 的回答自我重复（现任版本：{old.looping:.0%}）",
            ),
        ),
        Guard(
            "variety",
            new.variety,
            least_variety,
            new.variety >= least_variety,
            Said(
                f"only {new.variety:.0%} of its word pairs differ (the champion's: {old.variety:.0%})",
                f"它只有 {new.variety:.0%} 的相邻词对互不相同（现任版本：{old.variety:.0%}）",
            ),
        ),
        Guard(
            "copies",
            new.copies,
            most_copies,
            new.copies <= most_copies,
            Said(
                f"{new.copies:.0%} of its replies begin like the reply to another prompt (the champion's: "
                f"{old.copies:.0%})",
                f"它有 {new.copies:.0%} 的回答与另一道题的回答开头相同（现任版本：{old.copies:.0%}）",
            ),
        ),
    ]


def _of_script(exam: ExamResult) -> list[Guard]:
    """Whether questions are answered in their own script."""
    old, new = exam.champion.in_script, exam.candidate.in_script
    least = SCRIPT_KEPT * old - _forgiven(exam, old, new)
    said = Said(
        f"only {new:.0%} of its replies are in the script of their question (the champion's: {old:.0%})",
        f"它只有 {new:.0%} 的回答与问题使用同一种文字（现任版本：{old:.0%}）",
    )
    return [Guard("script", new, least, new >= least, said)]


def _of_doubt(exam: ExamResult) -> list[Guard]:
    """The heads disagree far more than on the champion's replies, and not even all of them find the new ones better."""
    if exam.doubt_before is None or exam.doubt_after is None:
        return []
    limit = DOUBT_LIMIT * exam.doubt_before
    said = Said(
        f"the reward model knows too little about its replies: {exam.heads} heads fitted to the same judgements differ "
        f"by {exam.doubt_after:.2f} (on the champion's: {exam.doubt_before:.2f}), and {exam.heads_for} of them find "
        "it better",
        f"奖励模型对它的回答了解太少：用同样的评判拟合的 {exam.heads} 个头相差 {exam.doubt_after:.2f}"
        f"（对现任版本：{exam.doubt_before:.2f}），其中只有 {exam.heads_for} 个认为它更好",
    )
    holds = exam.doubt_after <= limit or exam.heads_for == exam.heads
    return [Guard("doubt", exam.doubt_after, limit, holds, said)]


def _forgiven(exam: ExamResult, before: float, after: float) -> float:
    return chance((before + after) / 2, exam.prompts)


def chance(share: float, prompts: int) -> float:
    """How much more one share of two may be by sampling alone, both being near `share` (one-sided 95 %)."""
    return CHANCE * math.sqrt(2 * share * (1 - share) / prompts)
