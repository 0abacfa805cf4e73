"""The Rank page over HTTP: what it gives out, and what a forged event can do (nothing)."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from demo.catalogue import Words
from demo.identity import COOKIE
from demo.pages.rank_view import ballot_value, revealed_value, standing_line
from demo.rank_room import Ballot, Standing
from nightschool.ids import utc_now
from nightschool.records import INITIAL, VerdictKind, Version
from nightschool.registry import VersionRegistry
from tests.served import Site, Visitor, served

BALLOT = Ballot("r", "Begin a story.", "story", {"0": "a", "1": "b"}, True, (("1",), ("0",)))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with served(tmp_path_factory.mktemp("site")) as running:
        registry = VersionRegistry(running.database)
        registry.add(Version("v1", INITIAL, utc_now(), None, "base", "sha", VerdictKind.PROMOTED), [])
        yield running


@pytest.fixture
def visitor(site: Site) -> Iterator[Visitor]:
    with httpx.Client(base_url=site.url, timeout=20) as client:
        client.get("/rank")
        yield Visitor(client)


def rows(site: Site, sql: str) -> list[Any]:
    return list(site.database.read().execute(sql).fetchall())


def shown(visitor: Visitor, site: Site) -> str:
    """Open the page; the round it shows."""
    assert visitor.fire("rank-board", "continued", given={})["success"]
    person_id = site.visitors.read(dict(visitor.client.cookies))
    sql = f"SELECT id FROM ranking_rounds WHERE person_id = '{person_id}' AND outcome IS NULL ORDER BY id LIMIT 1"
    [(round_id,)] = rows(site, sql)
    return str(round_id)


def test_the_page_gives_a_new_visitor_a_cookie(site: Site) -> None:
    assert site.visitors.read({COOKIE: httpx.get(f"{site.url}/rank").cookies[COOKIE]})


def test_an_order_of_the_page_is_stored(visitor: Visitor, site: Site) -> None:
    round_id = shown(visitor, site)
    answer = visitor.fire("rank-board", "ranked", given={"round": round_id, "groups": [["3"], ["0", "1"], ["2"]]})
    assert answer["success"]
    assert "Written by v1" in str(answer)
    sql = f"""SELECT k.rank FROM ranking_rounds g JOIN seated_replies s ON s.round_id = g.id
              JOIN ranked_replies k ON k.reply_id = s.reply_id AND k.ranking_id = g.ranking_id
              WHERE g.id = '{round_id}' ORDER BY s.position"""
    assert rows(site, sql) == [(2,), (2,), (4,), (1,)]


@pytest.mark.parametrize(
    "groups",
    [None, "0123", {}, [], ["0", "1", "2", "3"], [[]], [["0"], ["1"], ["2"]], [[0, 1, 2, 3]], [["0", "1", "2", "9"]]],
)
def test_a_forged_order_is_refused_in_a_sentence(visitor: Visitor, site: Site, groups: object) -> None:
    round_id = shown(visitor, site)
    answer = visitor.fire("rank-board", "ranked", given={"round": round_id, "groups": groups})
    assert answer["success"] is False
    assert "answers" in answer["output"]["error"]
    assert "Traceback" not in str(answer)
    assert rows(site, f"SELECT outcome, ranking_id FROM ranking_rounds WHERE id = '{round_id}'") == [(None, None)]


@pytest.mark.parametrize("event", ["ranked", "skipped"])
@pytest.mark.parametrize(
    "told", [None, {}, {"round": None}, {"round": ["x"]}, {"round": "<img src=x>", "groups": [["0"]]}]
)
def test_a_round_that_does_not_exist_is_refused(visitor: Visitor, event: str, told: dict[str, Any] | None) -> None:
    answer = visitor.fire("rank-board", event, given=told)
    assert answer["success"] is False
    assert "<" not in str(answer["output"]["error"])


def test_somebody_else_can_neither_rank_nor_skip_it(visitor: Visitor, site: Site) -> None:
    round_id = shown(visitor, site)
    with httpx.Client(base_url=site.url, timeout=20) as other:
        other.get("/rank")
        stranger = Visitor(other)
        for event in ("ranked", "skipped"):
            told = {"round": round_id, "groups": [["0"], ["1"], ["2"], ["3"]]}
            assert "not yours" in stranger.fire("rank-board", event, given=told)["output"]["error"]
    assert rows(site, f"SELECT outcome FROM ranking_rounds WHERE id = '{round_id}'") == [(None,)]


def test_without_a_cookie_nothing_is_shown_or_stored(site: Site) -> None:
    before = rows(site, "SELECT count(*) FROM ranking_rounds")
    with httpx.Client(base_url=site.url, timeout=20) as nobody:
        visitor = Visitor(nobody)
        for event in ("continued", "ranked", "skipped", "undone"):
            assert "does not know you" in visitor.fire("rank-board", event, given={"round": "r"})["output"]["error"]
    assert rows(site, "SELECT count(*) FROM ranking_rounds") == before


# ---- what is shown ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("standing", "percent", "words"),
    [
        (Standing(0, 0, 67, False), 0, ["not ranked anything yet", "so far: 0. About 67 more"]),
        (Standing(1, 3, 64, True), 4, ["ranked 1 prompt.", "About 64 more"]),  # 3 / 67
        (Standing(12, 50, 17, True), 75, ["ranked 12 prompts.", "About 17 more"]),  # 50 / 67
        (Standing(12, 90, 0, True), 100, ["so far: 90, enough for the next night"]),
    ],
)
def test_the_standing_is_told_in_words_and_as_a_bar(standing: Standing, percent: int, words: list[str]) -> None:
    line = standing_line(standing, Words("en"))
    assert f'aria-valuenow="{percent}"' in line
    for sentence in words:
        assert sentence in line
    assert standing_line(standing, Words("zh")) != line


def test_before_a_ranking_no_version_is_among_the_values_and_after_it_there_is() -> None:
    standing = Standing(0, 0, 67, False)
    before = ballot_value(BALLOT, standing, Words("en"), "")
    assert set(before) == {
        "mark", "line", "can_undo", "round", "phase", "question", "slice", "answers", "groups",
    }  # fmt: skip
    after = revealed_value("r", {"0": "v1", "1": INITIAL}, standing, Words("en"), "Saved.")
    assert after["versions"] == {"0": "Written by v1", "1": "Written by initial"}


def test_the_same_round_is_drawn_again_after_a_failure() -> None:
    first, again = (ballot_value(BALLOT, Standing(0, 0, 67, False), Words("en"), "") for _ in range(2))
    assert first != again  # a browser draws only what differs
