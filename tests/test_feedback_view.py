"""What the Feedback page shows: bars without gaps, words in each language, and nothing of people's as HTML."""

import re

import pytest

from demo.catalogue import LANGUAGES, Words, catalogue
from demo.pages import feedback_view
from demo.pages.feedback_wanted import wanted_of
from nightschool.browsing import FeedbackCounts, FeedbackFilter, FeedbackKind
from nightschool.errors import BadInput

ONE = FeedbackCounts({FeedbackKind.DUEL: 1})


def test_days_without_a_judgement_have_an_empty_bar() -> None:
    unit, bars = feedback_view.bars_of({"2026-03-01": ONE, "2026-03-09": ONE})
    assert unit == "day"
    assert [counts.total for _, counts in bars] == [1, 0, 0, 0, 0, 0, 0, 0, 1]


def test_a_single_day_stands_at_the_end_of_a_week() -> None:
    _, bars = feedback_view.bars_of({"2026-03-09": ONE})
    assert [counts.total for _, counts in bars] == [0, 0, 0, 0, 0, 0, 1]


def test_longer_times_are_told_in_weeks_and_months() -> None:
    unit, bars = feedback_view.bars_of({"2026-01-01": ONE, "2026-01-04": ONE, "2026-01-05": ONE, "2026-06-30": ONE})
    assert unit == "week"
    assert str(bars[0][0]) == "2025-12-29"  # the Monday of that week
    assert [bars[0][1].total, bars[1][1].total, bars[-1][1].total] == [2, 1, 1]
    unit, bars = feedback_view.bars_of({"2024-10-30": ONE, "2026-01-01": ONE, "2026-01-31": ONE})
    assert unit == "month"
    assert [str(start) for start, _ in bars][:3] == ["2024-10-01", "2024-11-01", "2024-12-01"]
    assert bars[-1][1].total == 2
    assert sum(counts.total for _, counts in bars) == 3


@pytest.mark.parametrize("days", [1, 62, 63, 400, 2000])
def test_no_judgement_is_lost_between_bars(days: int) -> None:
    from datetime import date, timedelta

    every = {str(date(2020, 1, 15) + timedelta(days=number)): ONE for number in range(days)}
    _, bars = feedback_view.bars_of(every)
    assert sum(counts.total for _, counts in bars) == days
    assert len(bars) <= max(feedback_view.MOST_BARS + 1, days // 28)


def test_a_bar_is_as_high_as_its_share_of_the_highest() -> None:
    half = FeedbackCounts({FeedbackKind.THUMB: 2}, thumbs_up=1)
    full = FeedbackCounts({FeedbackKind.THUMB: 3, FeedbackKind.RANKING: 1}, thumbs_up=0)
    drawn = feedback_view.plot({"2026-03-08": half, "2026-03-09": full}, Words("en"))
    heights = re.findall(r'<i class="(\w+)" style="height:([\d.]+)%">', drawn)
    assert heights == [
        ("thumbs_up", "25.00"),
        ("thumbs_down", "25.00"),
        ("thumbs_down", "75.00"),
        ("rankings", "25.00"),
    ]
    assert "Judgements from 2026-03-03 to 2026-03-09: 6; the most in one bar: 4." in drawn
    assert feedback_view.plot({}, Words("en")) == ""


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_word_that_a_script_asks_for_is_in_the_catalogue(language: str) -> None:
    from demo.app_assets import ASSETS

    known = feedback_view.script_words(Words(language))  # type: ignore[arg-type]
    asked = set()
    for name in ("filter", "list", "files"):
        asked |= set(re.findall(r"word\('(\w+)'", (ASSETS / f"feedback_{name}.js").read_text(encoding="utf-8")))
    made = {f"kind_{kind}" for kind in FeedbackKind} | {"thumb_up", "thumb_down", "duel", "ranking", "correction"}
    made |= {"left", "right", "tie", "both_bad", "answer_left", "answer_right", "none", "none_all", "no_match"}
    made |= {"more", "less", "corrected", "corrected_theirs"}
    assert asked | made <= set(known)
    named = {"scope", "person", "kind", "version", "since", "until", "search"}  # by the name of their control
    assert set(known) == asked | made | named | {"locale", "newer", "older"}


def test_reasons_are_told_in_words_where_there_are_any() -> None:
    reasons = {key for key in catalogue() if key.startswith("reasons.")}
    assert len(feedback_view.reason_words(Words("en"))) == len(reasons)


def test_what_a_browser_wants_is_read_and_told_back() -> None:
    text = (
        '{"scope": "all", "kind": "duel", "version": "v1", "person": "bob", "since": "2026-03-01T00:00:00+08:00", '
        '"until": "", "search": " words ", "minutes": 480, "asked": 3}'
    )
    wanted = wanted_of(text)
    assert wanted.filter == FeedbackFilter(
        "bob", FeedbackKind.DUEL, "v1", "2026-02-28T16:00:00.000000+00:00", "", "words"
    )
    assert (wanted.scope, wanted.minutes, wanted.asked, wanted.is_filtered) == ("all", 480, 3, True)
    import json

    assert wanted_of(json.dumps(wanted.told())) == wanted
    assert wanted_of("{}").filter == FeedbackFilter()
    assert not wanted_of("{}").is_filtered


@pytest.mark.parametrize(
    "text",
    [
        "no JSON",
        "[1]",
        "3",
        '{"kind": "tea"}',
        '{"scope": "yours"}',
        '{"minutes": 9e9}',
        '{"minutes": 100000}',
        '{"asked": "often"}',
        '{"since": "yesterday"}',
        '{"search": {"a": 1}}',
        '{"search": "\\ud800"}',
        '{"version": 3}',
        "[" * 100_000,
        '{"since": "0001-01-01T00:00:00+23:00"}',
    ],
)
def test_a_wish_that_no_page_of_ours_has_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="cannot be read"):
        wanted_of(text)
