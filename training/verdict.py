"""The decision, as a pure function of the exam's numbers: promoted, on probation, held or rejected, and why, in words.

Promoted is only what the exam shows to be better three times over: the win rate's bound above one half, the gain's
bound above 0, and the sign test, which alone lets through at most 5 % of candidates that are no better than the
champion, whatever their prompts have in common. `promotion` says what follows: the exam decides, or people do.
"""

from dataclasses import dataclass
from typing import Literal

from nightschool.records import VerdictKind
from nightschool.said import Said, listed
from training.exam import ExamResult
from training.guards import Guard, guards_of

LEAST_WIN_RATE = 0.53
LEAST_PROMPTS = 128
"""With fewer nothing is promoted, and a real gain is easily missed: of 60 % wins, 73 % are seen at 128 prompts and 39 %
at 64."""
SIGN_LEVEL = 0.05
CHANGED_BY_HAND = Said(
    "The champion was changed by hand during the night; it stays.", "训练期间有人手动更换了现任版本；保持不变。"
)
STAYS = Said("The champion stays.", "继续由现任版本回答。")

Promotion = Literal["exam", "probation", "manual"]


@dataclass(frozen=True)
class Decision:
    """A verdict with its reason, and every guard that was looked at."""

    verdict: VerdictKind
    reason: Said
    guards: tuple[Guard, ...]

    def as_dict(self) -> dict[str, object]:
        """Guards for the report: name -> figure, limit, whether it holds."""
        rows = {guard.name: {"value": guard.value, "limit": guard.limit, "holds": guard.holds} for guard in self.guards}
        return {"guards": rows}


def decide(exam: ExamResult, examiner_fault: Said | None, *, practice: bool, promotion: Promotion) -> Decision:
    """Guards first (a broken candidate is rejected whatever it won), then whether it is shown to be better."""
    guards = tuple(guards_of(exam))
    verdict, reason = _decide([guard.complaint for guard in guards if not guard.holds], exam, examiner_fault, practice)
    if verdict is VerdictKind.PROMOTED and exam.prompts < LEAST_PROMPTS:
        verdict, reason = VerdictKind.HELD, reason + STAYS
    elif verdict is VerdictKind.PROMOTED and promotion == "probation":
        confirm = Said(
            "People must confirm it in duels. The champion stays until then.",
            "须由大家在对决中确认；在此之前继续由现任版本回答。",
        )
        verdict, reason = VerdictKind.PROBATION, reason + confirm
    elif verdict is VerdictKind.PROMOTED and promotion == "manual":
        by_hand = Said(
            "Promotion is by hand: it waits for `python -m training promote`. The champion stays.",
            "上线须由人工决定：请用 `python -m training promote` 上线。继续由现任版本回答。",
        )
        verdict, reason = VerdictKind.HELD, reason + by_hand
    return Decision(verdict, reason + _shortness(exam), guards)


def _decide(
    faults: list[Said], exam: ExamResult, examiner_fault: Said | None, practice: bool
) -> tuple[VerdictKind, Said]:
    wins = _wins(exam)
    if faults:
        said = listed(faults)
        reason = Said(f"The candidate fails: {said.en}.", f"候选版本未通过：{said.zh}。") + STAYS
        return VerdictKind.REJECTED, reason
    if practice:
        return VerdictKind.HELD, Said(
            f"Practice never promotes; {wins.en}.", f"演练不会上线新版本；{wins.zh}。"
        ) + STAYS
    if examiner_fault is not None:
        reason = Said(f"The exam cannot be trusted: {examiner_fault.en}.", f"考试结果不可信：{examiner_fault.zh}。")
        return VerdictKind.HELD, reason + STAYS
    if is_worse(exam):
        return VerdictKind.REJECTED, Said(f"It is worse: {wins.en}.", f"新版本更差：{wins.zh}。") + STAYS
    if not is_better(exam):
        return VerdictKind.HELD, _not_better(exam, wins) + STAYS
    return VerdictKind.PROMOTED, Said(f"It is better: {wins.en}.", f"新版本更好：{wins.zh}。")


def is_better(exam: ExamResult) -> bool:
    """Whether chance cannot explain what the candidate won."""
    return (
        exam.win_rate_low > 0.5 and exam.win_rate >= LEAST_WIN_RATE and exam.gain_low > 0 and exam.sign_p <= SIGN_LEVEL
    )


def is_worse(exam: ExamResult) -> bool:
    """Whether chance cannot explain what the candidate lost."""
    return exam.win_rate_high < 0.5 and exam.gain_high < 0


def _wins(exam: ExamResult) -> Said:
    return Said(
        f"the candidate wins {exam.win_rate:.0%} of {exam.prompts} exam prompts (with 95 % confidence at least "
        f"{exam.win_rate_low:.0%})",
        f"候选版本赢得 {exam.prompts} 道考题中的 {exam.win_rate:.0%}（95% 置信下限为 {exam.win_rate_low:.0%}）",
    )


def _not_better(exam: ExamResult, wins: Said) -> Said:
    """Which of the tests does not let it pass."""
    if not exam.win_rate_low > 0.5:
        return Said(
            f"It is not shown to be better: {wins.en}, and that lower bound must be above 50%.",
            f"未能证明新版本更好：{wins.zh}，而该下限须高于 50%。",
        )
    if not exam.win_rate >= LEAST_WIN_RATE:
        return Said(
            f"It is not shown to be better: {wins.en}, and {LEAST_WIN_RATE:.0%} are needed.",
            f"未能证明新版本更好：{wins.zh}，而胜率须达到 {LEAST_WIN_RATE:.0%}。",
        )
    shown = Said(f"It is not shown to be better: {wins.en}.", f"未能证明新版本更好：{wins.zh}。")
    if not exam.sign_p <= SIGN_LEVEL:
        return shown + Said(
            f"Counted by groups of questions it wins {exam.sign_wins} and loses {exam.sign_losses}, which chance "
            "explains.",
            f"按题组计算，它赢 {exam.sign_wins} 组、输 {exam.sign_losses} 组，可能只是偶然。",
        )
    return shown + Said(
        f"What it loses weighs as much as what it wins: the examiner's score changes by {exam.gain:+.2f} (at least "
        f"{exam.gain_low:+.2f}).",
        f"输掉的题与赢得的题分量相当：考官评分变化 {exam.gain:+.2f}（下限 {exam.gain_low:+.2f}）。",
    )


def _shortness(exam: ExamResult) -> Said:
    if exam.prompts >= LEAST_PROMPTS:
        return Said("", "")
    return Said(
        f"The exam was short: {exam.prompts} prompts, where {LEAST_PROMPTS} are needed to promote.",
        f"这次考试较短：{exam.prompts} 道题，上线至少需要 {LEAST_PROMPTS} 道。",
    )
