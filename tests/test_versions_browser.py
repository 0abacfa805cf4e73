"""What the owner does on the Versions page, in Chromium: promote, roll back, try an old version in the chat.

Every page of these tests fails on a script error and on any request to another host.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from nightschool.registry import VersionRegistry
from tests.lineage import V1, V2, V3, V5, add_lineage
from tests.served import Site, served
from tests.watched import watched

pytestmark = pytest.mark.browser

SIZE = {"width": 1280, "height": 900}


@dataclass(frozen=True)
class Owner:
    """The owner's browser."""

    page: Page
    site: Site
    folder: Path

    def open(self, path: str = "/versions") -> None:
        self.page.goto(self.site.url + path)
        if path.endswith("/versions"):
            expect(self.page.locator(f"#version-{V5}")).to_be_visible()

    def press(self, act: str, version: str = "") -> None:
        named = f'[data-version="{version}"]' if version else ""
        self.page.locator(f'#versions-page button[data-act="{act}"]{named}').first.click()

    @property
    def sheet(self) -> Locator:
        return self.page.locator("#versions-sheet dialog")

    def champion(self) -> str:
        return VersionRegistry(self.site.database).champion().id

    def ask(self, text: str) -> None:
        self.page.locator("#box textarea").fill(text)
        self.page.locator("#box textarea").press("Enter")
        expect(self.page.get_by_test_id("user").last).to_have_text(text)
        expect(self.page.locator(".talk-scroll")).to_have_attribute("aria-busy", "false")


def reply_by(version: str) -> re.Pattern[str]:
    """Its first to a question or a later one: a test that runs again finds what it asked before."""
    return re.compile(rf"^(a|another) reply by {version}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("site")


@pytest.fixture(scope="module")
def site(folder: Path) -> Iterator[Site]:
    with served(folder) as running:
        add_lineage(running.database, folder / "versions", duels=4)
        yield running


@pytest.fixture
def owner(browser: Browser, site: Site, folder: Path) -> Iterator[Owner]:
    context = browser.new_context(locale="en", viewport=SIZE)
    with watched(context.new_page()) as page:
        yield Owner(page, site, folder)
    context.close()


def test_a_version_is_promoted_and_rolled_back_in_two_clicks_each(owner: Owner) -> None:
    owner.open()
    owner.press("promote", V1)
    expect(owner.sheet).to_contain_text(f"{V1} answers from the next reply on, in place of {V5}.")
    expect(owner.sheet).to_contain_text(f"The probation of {V5} ends undecided")
    owner.page.keyboard.press("Escape")
    expect(owner.sheet).to_be_hidden()
    assert owner.champion() == V5
    owner.press("promote", V1)
    owner.press("do-promote")
    expect(owner.page.locator("#versions-now .now b")).to_have_text(V1)
    expect(owner.page.locator("#versions-status")).to_contain_text(f"{V1} answers from the next reply on.")
    expect(owner.sheet).to_be_hidden()
    expect(owner.page.locator(f"#version-{V1} .badge").first).to_have_text("answers now")
    assert owner.champion() == V1
    owner.press("rollback")
    expect(owner.sheet).to_contain_text(f"Let {V5} answer again?")  # it is the later one
    owner.press("do-rollback")
    expect(owner.page.locator("#versions-now .now b")).to_have_text(V5)
    assert owner.champion() == V5


def test_an_old_version_is_tried_in_the_chat_and_is_there_after_a_reload(owner: Owner) -> None:
    owner.open()
    owner.press("try", V3)
    banner, page = owner.page.locator("#trial"), owner.page
    expect(banner).to_contain_text(f"{V3} answers in this conversation, as a trial. Everybody else gets {V5}.")
    owner.ask("who are you?")
    expect(page.get_by_test_id("bot")).to_have_text(reply_by(V3))
    expect(page.locator("#note")).to_contain_text(f"Version {V3} answers")
    page.reload()
    expect(banner).to_contain_text(f"{V3} answers in this conversation")
    expect(page.get_by_test_id("bot")).to_have_text(reply_by(V3))
    owner.ask("and after a reload?")
    expect(page.get_by_test_id("bot").last).to_have_text(reply_by(V3))
    page.locator("#new").click()
    expect(banner).to_be_hidden()  # another conversation is everybody's
    page.locator("#conversations .open").first.click()
    page.locator("#trial-end").click()
    expect(banner).to_be_hidden()
    expect(page.locator("#status")).to_contain_text(f"The trial has ended: {V5} answers")
    owner.ask("and now?")
    expect(page.get_by_test_id("bot").last).to_have_text(reply_by(V5))


def test_the_way_to_the_chat_and_back_is_in_chinese_too(owner: Owner) -> None:
    owner.open("/zh/versions?language=zh")
    expect(owner.page.locator(f"#version-{V5}")).to_be_visible()
    owner.press("try", V1)
    expect(owner.page.locator("#trial")).to_contain_text(f"本对话由 {V1} 试答")
    assert owner.page.url == f"{owner.site.url}/zh/"


def test_receipts_are_read_and_the_training_set_is_rebuilt(owner: Owner) -> None:
    owner.open()
    owner.press("receipts", V5)
    expect(owner.sheet.locator("li")).to_have_count(15)
    owner.page.locator("#versions-sheet .pager button").last.click()
    expect(owner.sheet.locator(".pager")).to_contain_text("2 of")
    owner.press("check", V5)
    expect(owner.sheet.locator(".checked.same")).to_contain_text("the training set is the very same", timeout=60_000)
    owner.page.keyboard.press("Escape")
    owner.press("receipts", V2)
    expect(owner.sheet).to_contain_text("deleted since")
    owner.page.locator("#versions-sheet [data-close]").click()
    expect(owner.sheet).to_be_hidden()


def test_a_damaged_version_is_refused_in_a_sentence_on_the_page(owner: Owner) -> None:
    config = owner.folder / "versions" / V3 / "config.json"
    sound = config.read_bytes()
    config.write_text("{}")
    try:
        owner.open()
        owner.press("promote", V3)
        owner.press("do-promote")
        toast = owner.page.get_by_test_id("toast-body")
        expect(toast).to_contain_text("is damaged (config.json was changed)")
        expect(owner.sheet).to_be_hidden()
        assert owner.champion() == V5
    finally:
        config.write_bytes(sound)


def test_the_leaderboard_comes_by_itself_and_fits_a_phone(owner: Owner) -> None:
    owner.page.set_viewport_size({"width": 390, "height": 844})
    owner.open()
    expect(owner.page.locator("#versions-board .matrix")).to_be_visible(timeout=60_000)
    expect(owner.page.locator("#versions-board .interval-plot")).to_have_count(6)
    assert owner.page.evaluate("document.documentElement.scrollWidth") <= 390
