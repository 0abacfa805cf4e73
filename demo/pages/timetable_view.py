"""When the next night begins by itself, as a line of the School page."""

import html
from datetime import time

from demo.catalogue import Words
from demo.timetable import GIVEN, OFF, Timetable, Told
from demo.translation import translated
from nightschool.nightly_dates import Outcome

HALF_HOURS = [f"{hour:02d}:{minute:02d}" for hour in range(24) for minute in (0, 30)]
"""Times that the page offers; another one may be typed."""


def nightly_choices(timetable: Timetable | None, words: Words) -> list[tuple[str, str]]:
    """What the page offers: (text, value)."""
    offered = [(words("timetable.none"), OFF), *((clock, clock) for clock in HALF_HOURS)]
    if timetable is None:
        return offered
    key = "timetable.given_none" if timetable.given is None else "timetable.given"
    return [(words(key, time=_clock_text(timetable.given)), GIVEN), *offered]


def nightly_value(timetable: Timetable) -> str:
    """The value of what holds."""
    return GIVEN if timetable.choice is None else _clock_text(timetable.choice.clock)


def _clock_text(clock: time | None) -> str:
    return OFF if clock is None else clock.strftime("%H:%M")


def timetable_line(told: Told | None, words: Words) -> str:
    """When the next night begins by itself, if one does, and what became of the last."""
    if told is None:
        return f'<p class="quiet" id="timetable">{html.escape(words("timetable.no_night"))}</p>'
    following = words(
        "timetable.next", date=told.next.date().isoformat(), time=told.next.strftime("%H:%M"), zone=told.zone
    )
    sentences = [following, *_last(told, words)]
    return f'<p class="quiet" id="timetable">{"<br>".join(map(html.escape, sentences))}</p>'


def _last(told: Told, words: Words) -> list[str]:
    if told.last is None or told.last.outcome in {Outcome.SET, Outcome.TAKEN}:
        return []
    day = told.last.local_date.isoformat()
    if told.last.outcome == Outcome.STARTED:
        return [words("timetable.last_started", date=day)]
    return [words("timetable.last_reason", date=day, reason=translated(told.last.outcome, words))]
