"""A night looks back over the nights before it: does training please the reward model and nobody else?"""

from collections.abc import Callable
from typing import Any

from nightschool.alarm import alarm_of, figures_of, history_of
from nightschool.feedback import FeedbackStore
from nightschool.registry import NightBook


def look_over(
    report: dict[str, Any], book: NightBook, feedback: FeedbackStore, say: Callable[[str], None]
) -> dict[str, str | None]:
    """The alarm for the report of a night that has just held its exam, in both languages; said in the log."""
    votes = feedback.votes_between
    before = history_of([night for night in book.nights() if night.id != report["night"]], votes)
    alarm = alarm_of([*before, figures_of(report["night"], report["snapshot"], report, None, votes)])
    if alarm is None:
        return {"alarm": None, "alarm_zh": None}
    say(alarm.en)
    return {"alarm": alarm.en, "alarm_zh": alarm.zh}
