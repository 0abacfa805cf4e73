"""What the Feedback page shows, as plain values and HTML text. What people wrote goes to the browser as values only."""

import html
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from demo.catalogue import Words, catalogue
from demo.feedback_room import Shelf, Visitor
from nightschool.browsing import FeedbackCounts, FeedbackItem, FeedbackKind

FEWEST_BARS, MOST_BARS = 7, 62
PARTS = ("thumbs_up", "thumbs_down", "duels", "rankings", "corrections")
"""What a bar is made of, from the bottom up; each has its colour in feedback.css."""

Bar = tuple[date, FeedbackCounts]


def script_words(words: Words) -> dict[str, str]:
    """The words that the page's scripts put on screen, and the language they format dates in."""
    own = {key.removeprefix("feedback.js_"): words(key) for key in catalogue() if key.startswith("feedback.js_")}
    return {**own, "locale": {"en": "en", "zh": "zh-CN"}[words.language]}


def reason_words(words: Words) -> dict[str, str]:
    """Key of a reason -> its words."""
    return {key.removeprefix("reasons."): words(key) for key in catalogue() if key.startswith("reasons.")}


def parts_of(counts: FeedbackCounts) -> dict[str, int]:
    """How much of each part of a bar."""
    return {
        "thumbs_up": counts.thumbs_up,
        "thumbs_down": counts.thumbs_down,
        "duels": counts.by_kind.get(FeedbackKind.DUEL, 0),
        "rankings": counts.by_kind.get(FeedbackKind.RANKING, 0),
        "corrections": counts.by_kind.get(FeedbackKind.CORRECTION, 0),
    }


def tiles(counts: FeedbackCounts, words: Words) -> str:
    """How much there is of what the filter finds."""
    cells = {"total": counts.total, **parts_of(counts)}
    return "".join(
        f'<div class="tile"><b>{count}</b><span>{html.escape(words(f"feedback.{name}"))}</span></div>'
        for name, count in cells.items()
    )


# ---- the plot ------------------------------------------------------------------------------------------------------


def bars_of(days: Mapping[str, FeedbackCounts]) -> tuple[str, list[Bar]]:
    """("day", "week" or "month", the bars): without a gap, neither very few nor too many."""
    counted = [(date.fromisoformat(day), counts) for day, counts in days.items()]
    if not counted:
        return "day", []
    last = counted[-1][0]
    first = min(counted[0][0], last - timedelta(days=FEWEST_BARS - 1))
    span = (last - first).days + 1
    if span <= MOST_BARS:
        unit, starts = "day", [first + timedelta(days=number) for number in range(span)]
    elif span <= 7 * MOST_BARS:
        monday = first - timedelta(days=first.weekday())
        unit, starts = "week", [monday + timedelta(weeks=number) for number in range(((last - monday).days // 7) + 1)]
    else:
        months = (last.year - first.year) * 12 + last.month - first.month + 1
        unit, starts = "month", [_month(first, number) for number in range(months)]
    bars = {start: FeedbackCounts() for start in starts}
    place = 0
    for day, counts in counted:
        while place + 1 < len(starts) and starts[place + 1] <= day:
            place += 1
        bars[starts[place]] = _sum(bars[starts[place]], counts)
    return unit, list(bars.items())


def _month(first: date, number: int) -> date:
    months = first.year * 12 + first.month - 1 + number
    return date(months // 12, months % 12 + 1, 1)


def _sum(one: FeedbackCounts, other: FeedbackCounts) -> FeedbackCounts:
    kinds = {kind: one.by_kind.get(kind, 0) + other.by_kind.get(kind, 0) for kind in one.by_kind | other.by_kind}
    return FeedbackCounts(kinds, one.thumbs_up + other.thumbs_up)


def plot(days: Mapping[str, FeedbackCounts], words: Words) -> str:
    """Counts over time as stacked bars; nothing where there is nothing."""
    unit, bars = bars_of(days)
    if not bars:
        return ""
    most = max(counts.total for _, counts in bars)
    names = {part: html.escape(words(f"feedback.{part}")) for part in PARTS}
    summary = words(
        "feedback.plot_summary",
        count=sum(counts.total for _, counts in bars),
        first=bars[0][0],
        last=bars[-1][0],
        most=most,
    )
    used = [part for part in PARTS if any(parts_of(counts)[part] for _, counts in bars)]
    legend = "".join(f'<li><i class="{part}"></i>{names[part]}</li>' for part in used)
    title = html.escape(words("feedback.plot"))
    columns = "".join(_column(start, counts, most, names) for start, counts in bars)
    return (
        f'<figure class="plot"><figcaption><b>{title}</b> <span>{html.escape(words(f"feedback.plot_by_{unit}"))}</span>'
        f'<ul class="legend">{legend}</ul></figcaption>'
        f'<div class="frame"><span class="most" aria-hidden="true">{most}</span>'
        f'<div class="bars" role="img" aria-label="{html.escape(summary)}">{columns}</div></div>'
        f'<div class="dates" aria-hidden="true"><span>{bars[0][0]}</span>'
        f"<span>{bars[-1][0] if len(bars) > 1 else ''}</span></div></figure>"
    )


def _column(start: date, counts: FeedbackCounts, most: int, names: Mapping[str, str]) -> str:
    parts = [(part, count) for part, count in parts_of(counts).items() if count]
    told = "".join(f"\n{names[part]}: {count}" for part, count in parts)
    segments = "".join(f'<i class="{part}" style="height:{100 * count / most:.2f}%"></i>' for part, count in parts)
    return f'<div title="{start}{told}">{segments}</div>'


# ---- values for the scripts ----------------------------------------------------------------------------------------


Names = Mapping[str, str]
"""Person -> name of their account; for an owner only, and empty without accounts."""


def choices(shelf: Shelf, visitor: Visitor, names: Names) -> dict[str, Any]:
    """What the filter offers."""
    return {
        "owner": visitor.is_owner,
        "you": visitor.person_id,
        "versions": list(shelf.versions),
        "people": [{"id": person, "count": count, "name": names.get(person, "")} for person, count in shelf.people],
    }


def listing(shelf: Shelf, visitor: Visitor, names: Names, *, is_filtered: bool, is_all: bool) -> dict[str, Any]:
    """One page of the list."""
    return {
        "items": [
            {**_entry(item, visitor, names, is_all=is_all), "learned_by": list(shelf.learned_by.get(item.id, ()))}
            for item in shelf.items
        ],
        "page": shelf.page,
        "pages": shelf.pages,
        "empty": "no_match" if is_filtered else "none_all" if is_all else "none",
    }


def _entry(item: FeedbackItem, visitor: Visitor, names: Names, *, is_all: bool) -> dict[str, Any]:
    return {
        "kind": item.kind,
        "id": item.id,
        "at": item.judged_at,
        "person": item.person_id if is_all else "",
        "name": names.get(item.person_id, ""),
        "mine": item.person_id == visitor.person_id,
        "question": item.question,
        "outcome": item.outcome,
        "answers": [{"text": one.text, "version": one.version, "mark": one.mark} for one in item.answers],
        "corrected": item.corrected,
        "reasons": list(item.reasons),
        "comment": item.comment,
        "imported": item.imported,
    }


def consent_line(may_learn: bool, words: Words) -> str:
    """The state of the switch, in words."""
    state = "on" if may_learn else "off"
    return f'<p class="{state}">{html.escape(words(f"feedback.consent_{state}"))}</p>'


def line(*sentences: str) -> str:
    """A line of status."""
    return html.escape(" ".join(sentences))


def in_a_row(versions: Sequence[str]) -> str:
    """Versions in a sentence."""
    return ", ".join(versions)
