"""The co-evolution section as text: numbers in cells, words of each language, and nothing of rows as HTML."""

import re
from dataclasses import replace

import pytest

from demo.catalogue import LANGUAGES, Language, Words
from demo.pages.coevolution_view import coevolution_section
from nightschool.alarm import NightFigures, Share
from nightschool.coevolution import Cell, Coevolution, Matrix
from nightschool.probation import Vote
from nightschool.records import INITIAL
from nightschool.said import Said

ENGLISH = Words("en")
MATRIX = Matrix(
    judges=("v1", "v2"),
    versions=(INITIAL, "v1", "v2"),
    cells={
        ("v1", INITIAL): Cell(0.0, 0.0),
        ("v1", "v1"): Cell(2.0, 0.1),
        ("v1", "v2"): Cell(-1.0, 0.2),
        ("v2", INITIAL): Cell(0.0, 0.0),
        ("v2", "v2"): Cell(0.5, 0.125),
    },
    prompts=32,
    left_out={},
)
VOTES = tuple(Vote("ann", f"2026-01-{day:02d}", day > 2) for day in range(1, 9))
NIGHT = NightFigures(
    "n1", "2026-01-05T02:30:00Z", "v1", INITIAL, False, Share(0.8, 0.72, 0.88), Share(0.55, 0.47, 0.63), VOTES
)
FOUND = Coevolution(MATRIX, (NIGHT, replace(NIGHT, version="v2", votes=(), alarmed=True)), None)


def cells_of(section: str) -> list[tuple[str, str]]:
    """(class and opacity, number) of each cell of the heat map."""
    found = re.findall(r'<td class="([^"]+)" style="--heat:([^"]+)"[^>]*>([^<]+)<', section)
    return [(f"{kind} {heat}", number) for kind, heat, number in found]


def test_every_cell_shows_its_number_and_a_colour_by_sign_and_size() -> None:
    # The largest gain, 2.0, is the scale: half opacity for it, half of that for 1.0, an eighth of it for 0.5.
    assert cells_of(coevolution_section(FOUND, ENGLISH)) == [
        ("higher own 0.50", "+2.00"),
        ("lower 0.25", "-1.00"),
        ("higher own 0.12", "+0.50"),
    ]


def test_gains_within_noise_stay_pale() -> None:
    small = replace(MATRIX, cells={("v1", "v1"): Cell(0.1, 0.1), ("v1", "v2"): Cell(-0.2, 0.1)})
    assert cells_of(coevolution_section(replace(FOUND, matrix=small), ENGLISH)) == [
        ("higher own 0.05", "+0.10"),
        ("lower 0.10", "-0.20"),
    ]


def test_the_initial_version_has_no_column_own_opinions_are_marked_and_missing_ones_wait() -> None:
    section = coevolution_section(FOUND, ENGLISH)
    assert re.findall(r'<th scope="col">(v\d|initial)</th>', section) == ["v1", "v2"]
    assert re.findall(r' own"[^>]*>([^<]+)<', section) == ["+2.00", "+0.50"]
    assert section.count('class="waiting"') == 1
    assert 'title="The reward model of v1 scores v2 -1.00 (standard error 0.20)"' in section


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_alarm_what_is_left_out_and_the_nights_are_told_in_the_language(language: Language) -> None:
    damaged = "The version v3 has no reward model; versions that nights make have one."
    matrix = replace(MATRIX, left_out={"v3": damaged})
    found = replace(FOUND, matrix=matrix, alarm=Said("Alarm: English.", "警报：中文。"), retired=("v0",))
    section = coevolution_section(found, Words(language))
    alarm, other = ("Alarm: English.", "警报") if language == "en" else ("警报：中文。", "Alarm")
    assert f'role="alert">{alarm}</p>' in section
    assert other not in section.replace("alarm", "")
    assert ("v3: 版本 v3 没有奖励模型" in section) is (language == "zh")
    assert (damaged in section) is (language == "en")
    assert re.search(r"<li>v0: \w+", section)
    if language == "zh":
        text = re.sub(r"<[^>]*>|[vV]\d|initial", " ", section)
        assert re.findall("[A-Za-z]{2,}", text) == ["UTC"]


def test_the_table_and_the_plot_show_proxy_examiner_and_people_with_their_bounds() -> None:
    section = coevolution_section(FOUND, ENGLISH)
    assert "80% (72% to 88%)" in section
    assert "55% (47% to 63%)" in section
    assert "75% (" in section  # 6 of 8 votes
    assert ", 8 votes" in section
    assert '<span class="badge">alarm</span>' in section
    plot = section[section.index('<svg class="nights"') :]
    plot = plot[: plot.index("</svg>")]
    assert [plot.count(mark) for mark in ("<circle", "<rect", "Z")] == [2, 2, 1]  # nobody voted on v2 yet
    assert 'aria-label="Share won by each new version over the nights: reward model 80%, examiner 55%, people' in plot
    # A share of one half lies in the middle of a plot of 164 points from 10 down: at 92; 0.8 at 10 + 164 x .2 = 42.8.
    assert 'class="half" x1="40" x2="628" y1="92.0"' in plot
    assert 'cy="42.8"' in plot


def test_before_the_first_night_the_section_says_so() -> None:
    section = coevolution_section(Coevolution(None, (), None), ENGLISH)
    assert "Nothing to compare yet" in section
    assert "No exam was held yet." in section
    assert "<svg" not in section


def test_what_comes_from_rows_is_escaped() -> None:
    bad = "<script>alert(1)</script>"
    matrix = Matrix((bad,), (INITIAL, bad), {(bad, bad): Cell(1.0, 0.1)}, 32, {bad: bad})
    night = replace(NIGHT, version=bad, started_at=bad)
    found = Coevolution(matrix, (night,), Said(bad, bad), (bad,))
    for language in LANGUAGES:
        assert "<script" not in coevolution_section(found, Words(language))
