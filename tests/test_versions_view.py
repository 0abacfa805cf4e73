"""What the Versions page shows: in both languages, with nothing of anybody's becoming HTML."""

import html
import re
from dataclasses import replace
from pathlib import Path

import pytest

from demo.catalogue import LANGUAGES, Language, Words
from demo.leaderboards import Board
from demo.pages import leaderboard_view, version_sheets, versions_view
from demo.receipt_desk import Check, ReceiptPage, ReceiptRow
from demo.version_room import Album
from demo.version_states import State
from nightschool.feedback import FeedbackStore
from nightschool.records import INITIAL
from nightschool.registry import VersionRegistry
from nightschool.schema import FeedbackDatabase
from nightschool.standings import Leaderboard, Rating, StyleEffect
from tests.lineage import V1, V2, V3, V4, V5
from tests.test_version_room import School
from training.leaderboard import leaderboard

ENGLISH, CHINESE = Words("en"), Words("zh")
EVIL = "<img src=x onerror=alert(1)>"


@pytest.fixture
def school(database: FeedbackDatabase, tmp_path: Path) -> School:
    return School(database, tmp_path)


@pytest.fixture
def album(school: School) -> Album:
    return school.room.album()


def text_of(shown: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", shown)).split())


def row_of(shown: str, version: str) -> str:
    [row] = re.findall(rf'<li class="version [a-z]+" id="version-{version}">.*?</li>', shown, re.DOTALL)
    return str(row)


def test_a_row_tells_parent_state_verdict_exam_drift_and_size(album: Album) -> None:
    shown = versions_view.tree(album, ENGLISH, may_act=True)
    told = text_of(row_of(shown, V4))
    assert told.startswith(f"{V4} quarantined")
    for part in (
        f"Grew from {V3}",
        "Verdict promoted",
        "Exam won 59% 51%–67%",
        "Drift (KL) 4.75",
        "Taken back: People",
    ):
        assert part in told
    assert "answers now on probation" in text_of(row_of(shown, V5))
    assert "tainted" in text_of(row_of(shown, V2))
    assert "the next night retires it for good" in text_of(row_of(shown, V2))
    assert f'href="#version-{V3}"' in row_of(shown, V5)


def test_buttons_are_the_owners_and_only_those_that_can_be_done(album: Album) -> None:
    def acts(version: str) -> list[str]:
        shown = versions_view.tree(album, ENGLISH, may_act=True)
        return re.findall(r'data-act="(\w+)"', row_of(shown, version))

    assert acts(V5) == ["try", "receipts"]  # it answers
    assert acts(V3) == acts(V4) == ["promote", "try", "receipts"]
    assert acts(V2) == ["receipts"]  # what deleted judgements made may not answer
    assert acts(INITIAL) == ["promote", "try"]  # nothing made it
    for shown in (
        versions_view.tree(album, ENGLISH, may_act=False),
        versions_view.now_card(album, ENGLISH, may_act=False),
        versions_view.probation_card(album.watched, ENGLISH, may_act=False),
    ):
        assert "<button" not in shown


def test_many_versions_are_folded_after_the_first_dozen(album: Album) -> None:
    many = replace(
        album,
        versions=tuple(replace(album.versions[0], id=f"v{number}") for number in range(20)),
        rails=album.rails[:1] * 20,
        standings={f"v{number}": album.standings[V5] for number in range(20)},
    )
    first, folded = versions_view.tree(many, ENGLISH, may_act=False).split("<details")
    assert (first.count('class="version'), folded.count('class="version')) == (12, 8)
    assert "8 earlier versions" in folded


def test_a_probation_is_told_with_its_evidence_against_the_limits(album: Album) -> None:
    watched = album.watched
    assert watched is not None
    said = replace(
        watched.said, wins=7, losses=2, for_it=4.5, against_it=0.5, thumbs_against=20.0, failures_against=1.0
    )
    shown = versions_view.probation_card(replace(watched, said=said), ENGLISH, may_act=True)
    told = text_of(shown)
    for part in ("7 votes for it, 2 against it.", "4.5 / 20", "0.5 / 10", "20.0 / 20", "1.0 / 10,000"):
        assert part in told
    # log(4.5) / log(20) is 50.2 %; evidence below 1 is nothing; one that is full is full.
    assert re.findall(r'<i style="width:([\d.]+)%"', shown) == ["50.2", "0.0", "100.0", "0.0"]
    assert re.findall(r'data-act="(\w+)"', shown) == ["confirm", "takeback"]
    waits = versions_view.probation_card(replace(watched, answers=False), ENGLISH, may_act=True)
    assert f"{V3} answers, and most duels show {V5} beside it" in text_of(waits)
    assert versions_view.probation_card(None, ENGLISH, may_act=True) == ""


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("act", version_sheets.ASKS)
def test_a_question_says_what_will_be(album: Album, act: str, language: Language) -> None:
    shown = version_sheets.question(act, V5 if act in {"confirm", "takeback"} else V4, album, Words(language))
    assert re.findall(r'data-act="([\w-]+)"', shown) == [f"do-{act}"]
    assert "data-close" in shown
    if act in {"promote", "rollback"}:
        assert Words(language)("versions.ask_ends_probation", version=V5) in text_of(shown)
        assert Words(language)("versions.ask_quarantined") in text_of(shown)


def test_the_way_back_to_a_later_version_is_not_called_a_way_back(album: Album) -> None:
    """After a roll back, the version before is the one that was rolled back."""
    by_id = {version.id: version for version in album.versions}
    after = replace(album, champion=by_id[V1], before=by_id[V3])
    assert f"Let {V3} answer again" in text_of(versions_view.now_card(after, ENGLISH, may_act=True))
    assert f"Let {V3} answer again?" in text_of(version_sheets.question("rollback", V3, after, ENGLISH))
    earlier = replace(album, champion=by_id[V3], before=by_id[V1])
    assert f"Roll back to {V1}" in text_of(versions_view.now_card(earlier, ENGLISH, may_act=True))
    assert f"Roll back to {V1}?" in text_of(version_sheets.question("rollback", V1, earlier, ENGLISH))


@pytest.mark.parametrize(("version", "is_told"), [(V2, True), (V1, False)])
def test_who_lets_a_version_answer_hears_that_its_night_held_it(album: Album, version: str, is_told: bool) -> None:
    shown = text_of(version_sheets.question("promote", version, album, ENGLISH))
    assert ("The night that made this version held it" in shown) is is_told


def test_receipts_are_shown_with_their_hash_and_what_came_of_the_check(school: School, album: Album) -> None:
    found, figures = school.room.receipts.page(V5, 0), album.figures[V5]
    shown = version_sheets.receipts(V5, found, figures, ENGLISH)
    assert str(figures.training_set) in shown
    assert f"{V5} was made from {sum(found.counts.values())} judgements, given here or imported:" in text_of(shown)
    assert re.findall(r'data-act="receipts" data-version="[\w-]+" data-page="(-?\d+)"( disabled)?', shown) == [
        ("-1", " disabled"),
        ("1", ""),
    ]
    at_work = version_sheets.receipts(V5, found, figures, ENGLISH, check=ENGLISH("versions.checking"))
    assert re.search(r'data-act="check"[^>]* disabled', at_work)
    same = version_sheets.receipts(V5, found, figures, CHINESE, check=Check(True, "abc", ""))
    assert "训练集完全相同" in text_of(same)
    gone = (
        f"The training set of {V2} cannot be rebuilt: 1 of its judgements were deleted; the next night retires it and "
    )
    gone += "makes one without them."
    differs = version_sheets.receipts(V2, found, figures, CHINESE, check=Check(False, "abc", gone))
    assert "其中 1 条评判已被删除" in text_of(differs)


def test_nothing_that_anybody_wrote_becomes_html(album: Album) -> None:
    evil = replace(album.versions[0], id=EVIL, parent_id=EVIL)
    standing = replace(album.standings[V4], taken_back=replace(album.standings[V4].taken_back, reason=EVIL))
    figures = replace(album.figures[V5], reason=EVIL, effort=EVIL, training_set=EVIL)
    bad = replace(
        album,
        versions=(evil,),
        rails=album.rails[:1],
        champion=evil,
        before=evil,
        standings={EVIL: standing},
        figures={EVIL: figures},
    )
    row = ReceiptRow(EVIL, EVIL, EVIL, "", EVIL)
    rating = Rating(EVIL, 1, 1, 0, 0, 1000.0, 900.0, 1100.0, 1)
    board = Leaderboard((rating,), 1, 1, "people", 0.5, (EVIL, "v"), ((None, 1.0), (0.0, None)), ((0, 1), (1, 0)))
    for shown in (
        versions_view.tree(bad, ENGLISH, may_act=True),
        versions_view.now_card(bad, ENGLISH, may_act=True),
        version_sheets.question("promote", EVIL, bad, ENGLISH),
        version_sheets.receipts(EVIL, ReceiptPage((row,), 0, 1, {EVIL: 1}), figures, ENGLISH, check=EVIL),
        leaderboard_view.leaderboard(Board(board, False, EVIL, ""), EVIL, ENGLISH),
    ):
        assert "<img" not in shown
        assert "&lt;img" in shown


# ---- the leaderboard -----------------------------------------------------------------------------------------------


def test_the_leaderboard_shows_ratings_intervals_ranks_and_the_matrix(
    school: School, database: FeedbackDatabase
) -> None:
    found = leaderboard(VersionRegistry(database).list(), FeedbackStore(database).snapshot().duels)
    shown = leaderboard_view.leaderboard(Board(found, True, "", ""), V5, ENGLISH)
    told = text_of(shown)
    assert f"{found.duels} duels decided by {found.people} people." in told
    for rating in found.ratings:
        assert rating.rating is not None
        assert f"{rating.rating:.0f}" in told
    assert shown.count('class="interval-plot"') == 6
    assert shown.count('class="won"') == shown.count('class="lost"')  # each pair is seen from both sides
    assert f"{V3} won" in shown
    assert "answers now" in told


@pytest.mark.parametrize("language", LANGUAGES)
def test_style_aside_stands_beside_the_ratings_where_replies_differed_in_style(language: Language) -> None:
    words = Words(language)
    ratings = (
        Rating("a", 4, 4, 0, 0, 1100.0, 900.0, 1300.0, None, 1044.4, 800.2, 1288.8),
        Rating("b", 4, 0, 0, 4, 1000.0, 900.0, 1100.0, None, 1000.0, 901.0, 1099.0),
        Rating("c", 0, 0, 0, 0, None, None, None, None, None, None, None),
    )
    effects = (StyleEffect("length", 0.61, 0.52, 0.693), StyleEffect("bold", 0.4, 0.1, 0.7))
    shares = ((None, 1.0), (0.0, None))
    board = Leaderboard(ratings, 4, 2, "people", 0.5, ("a", "b"), shares, ((0, 4), (4, 0)), effects)
    shown = leaderboard_view.leaderboard(Board(board, True, "", ""), "a", words)
    assert '<td class="style">1044 (800 – 1289)</td>' in shown
    assert '<td class="style">–</td>' in shown
    told = text_of(shown)
    for part in ("61%", "52%", "69%", "40%", words("versions.column_style"), words("versions.style_told")):
        assert part in told
    assert words("versions.style_lists", share="40%", low="10%", high="70%") not in told
    plain = leaderboard_view.leaderboard(Board(replace(board, styles=()), True, "", ""), "a", words)
    assert words("versions.column_style") not in text_of(plain)
    assert shown.count("<td") - shown.count("</td>") == plain.count("<td") - plain.count("</td>") == 0


def test_an_interval_lies_where_it_belongs_on_the_scale() -> None:
    ratings = [Rating("a", 1, 1, 0, 0, 1100.0, 1010.0, 1190.0, 1), Rating("b", 1, 0, 0, 1, None, None, None, None)]
    lowest, highest, marks = leaderboard_view.scale_of(ratings)
    assert (lowest, highest, marks) == (1000.0, 1200.0, [1000.0, 1050.0, 1100.0, 1150.0, 1200.0])
    wide = [Rating("a", 1, 1, 0, 0, 1000.0, -800.0, 2900.0, 1)]
    assert leaderboard_view.scale_of(wide)[2] == [-800.0, 0.0, 800.0, 1600.0, 2400.0, 3200.0]


def test_cells_are_coloured_by_how_much_was_won() -> None:
    shares = ((None, 1.0, 0.5), (0.0, None, None), (0.5, None, None))
    meetings = ((0, 4, 2), (4, 0, 0), (2, 0, 0))
    ratings = tuple(Rating(name, 4, 4, 0, 0, 1000.0, 900.0, 1100.0, None) for name in "abc")
    board = Leaderboard(ratings, 6, 1, "conversations", 0.5, ("a", "b", "c"), shares, meetings)
    shown = leaderboard_view.leaderboard(Board(board, True, "", ""), "a", ENGLISH)
    cells = re.findall(r'<td class="(won|lost|even|self|unmet)"(?: style="--strength:(\d+)%")?', shown)
    assert cells == [
        ("self", ""), ("won", "62"), ("even", "0"),
        ("lost", "62"), ("self", ""), ("unmet", ""),
        ("even", "0"), ("unmet", ""), ("self", ""),
    ]  # fmt: skip
    assert "decided by 1 person." in text_of(shown)


def test_what_there_is_not_yet_is_said(album: Album) -> None:
    def told(board: Board, words: Words = ENGLISH) -> str:
        return text_of(leaderboard_view.leaderboard(board, V1, words))

    assert told(Board(None, False, "", "")) == "The leaderboard is being made…"
    nothing = Leaderboard((), 0, 0, "people", None, (), (), ())
    assert told(Board(nothing, True, "", "")) == "No duel between two versions is decided yet. Judge some in the chat."
    assert "made anew" in told(Board(nothing, False, "", ""))
    assert "No duel" not in told(Board(nothing, False, "", ""))
    assert told(Board(nothing, True, "The disk is full.", "")) == "The disk is full."
    late = "The leaderboard was not made within 120 seconds; is a night running? Open the page again later."
    assert told(Board(None, True, late, ""), CHINESE).startswith("排行榜未能在 120 秒内生成")
    assert album.standings[V5].state is State.ANSWERS
