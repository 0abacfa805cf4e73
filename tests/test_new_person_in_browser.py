"""One visit of a new person in Chromium, from the first question to the deletion of everything, with a scripted engine.

Each step has tests of its own elsewhere; here they follow each other, as they do when somebody tries the site.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from nightschool.ids import utc_now
from nightschool.records import INITIAL, VerdictKind, Version
from nightschool.registry import VersionRegistry
from tests.served import SCRIPTS, Site, served
from tests.watched import watched

pytestmark = pytest.mark.browser

PATIENCE = 20_000
expect.set_options(timeout=PATIENCE)
TEXTS = {
    INITIAL: "Rain fell on the harbour all night long.",
    "plum-sentinel": "The keeper lit the lamp.",
    "fig-warden": "A fox came by. " * 60,
    "pear-guard": "Nobody slept that night. " * 60,
}
EVERYTHING = ("conversations", "messages", "replies", "thumbs", "duels", "rankings", "corrections")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Two short and two long winded versions: while a round is ordered, the next one is still written ahead."""
    (tmp_path / SCRIPTS).write_text(json.dumps(TEXTS), encoding="utf-8")
    with served(tmp_path) as running:
        registry = VersionRegistry(running.database)
        for name in list(TEXTS)[1:]:
            registry.add(Version(name, INITIAL, utc_now(), None, "base", name, VerdictKind.PROMOTED), [])
        yield running


def rows(site: Site, sql: str) -> list[Any]:
    return list(site.database.read().execute(sql).fetchall())


def button(page: Page | Locator, name: str) -> Locator:
    return page.get_by_role("button", name=name, exact=True)


def ask(page: Page, text: str) -> None:
    page.locator("#box textarea").fill(text)
    page.locator("#box textarea").press("Enter")
    expect(page.get_by_test_id("user").last).to_have_text(text)
    expect(page.locator(".talk-scroll")).to_have_attribute("aria-busy", "false")
    expect(button(page, "Send")).to_be_visible()


def test_a_new_person_asks_judges_ranks_finds_changes_and_leaves_nothing_behind(page: Page, site: Site) -> None:
    with watched(page):
        page.goto(site.url)
        expect(page.locator("#note")).to_contain_text("answers")
        _ask_and_vote_with_a_reason(page, site)
        _ask_for_a_duel_and_decide_it(page, site)
        _correct_an_answer(page, site)
        _rank_four_replies(page, site)
        _find_the_old_conversation_and_change_the_vote(page, site)
        _delete_everything(page, site)


def _ask_and_vote_with_a_reason(page: Page, site: Site) -> None:
    ask(page, "What do lighthouses do?")
    button(page, "Good answer").click()
    page.locator(".why-panel button[aria-pressed]").first.click()
    page.get_by_label("Comment").fill("short and true")
    button(page, "Save").click()
    expect(page.locator(".why-panel .told")).to_have_text("Saved")
    [(value, reasons, comment)] = rows(site, "SELECT value, reasons, comment FROM thumbs WHERE replaced_at IS NULL")
    assert (value, len(json.loads(reasons)), comment) == ("up", 1, "short and true")


def _ask_for_a_duel_and_decide_it(page: Page, site: Site) -> None:
    page.locator("#box textarea").fill("And in a storm?")
    button(page, "Compare two answers").click()
    expect(page.locator("#vote-left")).to_be_enabled()
    page.locator("#vote-left").click()
    expect(page.locator("#status")).to_contain_text("Saved. Left was")
    assert rows(site, "SELECT outcome FROM duels") == [("left",)]


def _correct_an_answer(page: Page, site: Site) -> None:
    button(page, "Improve this answer").last.click()
    page.get_by_label("How would you have answered?").fill("They warn ships of rocks.")
    button(page, "Save").last.click()
    expect(page.get_by_test_id("bot").last).to_have_text("They warn ships of rocks.")
    assert rows(site, "SELECT text FROM corrections") == [("They warn ships of rocks.",)]


def _rank_four_replies(page: Page, site: Site) -> None:
    page.get_by_role("link", name="Rank").first.click()
    expect(page.locator("#rank-board [data-phase=ready]")).to_be_visible()
    expect(page.locator(".rank-card")).to_have_count(4)
    button(page, "Save this order").click()
    expect(page.locator(".rank-line")).to_have_text("Saved.")
    assert rows(site, "SELECT count(*) FROM ranked_replies") == [(4,)]


def _find_the_old_conversation_and_change_the_vote(page: Page, site: Site) -> None:
    page.get_by_role("link", name="Chat").first.click()
    button(page, "New conversation").click()
    ask(page, "What is a harbour?")
    page.locator("#search").fill("lighthouses")
    expect(page.locator("#conversations .open")).to_have_count(1)
    page.locator("#conversations .open").click()
    expect(page.get_by_test_id("user").first).to_have_text("What do lighthouses do?")
    button(page, "Bad answer").first.click()
    expect(page.locator("#status")).to_have_text("Saved: a bad answer.")
    assert rows(site, "SELECT value FROM thumbs WHERE replaced_at IS NULL") == [("down",)]
    assert len(rows(site, "SELECT 1 FROM thumbs")) > 1  # the history is kept


def _delete_everything(page: Page, site: Site) -> None:
    page.get_by_role("link", name="Rank").first.click()
    expect(page.locator("#rank-board [data-phase=ready]")).to_be_visible()  # and the next round is begun
    page.get_by_role("link", name="Feedback").first.click()
    expect(page.locator("#feedback-list li.item")).to_have_count(4)
    button(page, "Delete everything of mine").click()
    expect(page.locator("#erase-line")).to_contain_text("judgements: 4")
    button(page, "Yes, delete everything").click()
    expect(page.locator("#feedback-status")).to_contain_text("Deleted for good (judgements: 4")
    left = {table: rows(site, f"SELECT count(*) FROM {table}")[0][0] for table in EVERYTHING}
    assert left == dict.fromkeys(EVERYTHING, 0)
