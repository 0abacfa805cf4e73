"""Putting answers in order as people do: by mouse, finger and keys, in Chromium, with a scripted engine."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from demo.catalogue import Language
from demo.languages import PREFIX
from nightschool.ids import utc_now
from nightschool.records import INITIAL, VerdictKind, Version
from nightschool.registry import VersionRegistry
from tests.served import SCRIPTS, SLOW, Site, served
from tests.watched import RECORD_ANSWERS, watched

pytestmark = pytest.mark.browser

TEXTS = {
    INITIAL: "Rain fell on the harbour.",
    "plum-sentinel": "The keeper **lit** the lamp.",
    "fig-warden": "A fox came by.\n\n```python\nprint('fox')\n```\n\nIt `stayed`.",
    "pear-guard": "Nobody slept that night.",
}
"""What each version says. Their names stand nowhere in Gradio's own files."""
WIDE = "document.documentElement.scrollWidth > window.innerWidth"


@contextmanager
def school(folder: Path, texts: dict[str, str] | None = None) -> Iterator[Site]:
    """A site with a version for each text; the second one answers."""
    texts = texts or TEXTS
    (folder / SCRIPTS).write_text(json.dumps(texts), encoding="utf-8")
    with served(folder) as site:
        registry = VersionRegistry(site.database)
        for name in list(texts)[1:]:
            registry.add(Version(name, INITIAL, utc_now(), None, "base", name, VerdictKind.PROMOTED), [])
        registry.promote(list(texts)[1], "a test")
        yield site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One site for the tests of this module; every test is a new person in it."""
    with school(tmp_path_factory.mktemp("site")) as running:
        yield running


def opened(page: Page, site: Site, language: Language = "en") -> Page:
    """The page with a round that can be ordered."""
    page.goto(f"{site.url}{PREFIX[language]}/rank")
    return ready(page)


def ready(page: Page) -> Page:
    expect(page.locator("#rank-board [data-phase=ready]")).to_be_visible()
    return page


@pytest.fixture
def rank(page: Page, site: Site) -> Iterator[Page]:
    with watched(page):
        yield opened(page, site)


def texts_of(page: Page) -> list[str]:
    return [" ".join(text.split()) for text in page.locator(".rank-text").all_inner_texts()]


def places_of(page: Page) -> list[str]:
    return page.locator(".rank-place").all_inner_texts()


def button(page: Page, name: str) -> Locator:
    return page.get_by_role("button", name=name, exact=True)


def save(page: Page) -> None:
    button(page, "Save this order").click()
    expect(page.locator(".rank-line")).to_have_text("Saved.")


def stored(site: Site) -> list[tuple[str, int]]:
    """(text, rank) of the newest ranking that counts, best first."""
    rows = site.database.read().execute(
        """SELECT m.text, k.rank FROM ranked_replies k JOIN messages m ON m.id = k.reply_id WHERE k.ranking_id = (
               SELECT max(id) FROM rankings WHERE undone_at IS NULL
           ) ORDER BY k.rowid"""
    )
    return [(_plain(text), rank) for text, rank in rows]


def _plain(text: str) -> str:
    """As the page shows it: without the marks of bold and code."""
    return " ".join(re.sub(r"```(python)?|[`*]", "", text).split())


def count(site: Site, table: str) -> int:
    return int(site.database.read().execute(f"SELECT count(*) FROM {table}").fetchone()[0])


# ---- putting in order ------------------------------------------------------------------------------------------------


def test_a_mouse_drags_an_answer_to_the_top(rank: Page, site: Site) -> None:
    before = texts_of(rank)
    last, top = rank.locator(".rank-card").last, rank.locator(".rank-card").first.bounding_box()
    last.hover(position={"x": 300, "y": 20})
    assert top is not None
    rank.mouse.down()
    rank.mouse.move(top["x"] + 300, top["y"] + 4, steps=8)
    rank.mouse.up()
    assert texts_of(rank) == [before[3], *before[:3]]
    assert rank.locator(".rank-card.is-dragged").count() == 0
    save(rank)
    assert stored(site) == [(text, place) for place, text in enumerate([before[3], *before[:3]], start=1)]


def test_buttons_move_an_answer_by_one_place(rank: Page, site: Site) -> None:
    before = texts_of(rank)
    expect(rank.locator(".rank-up").first).to_be_disabled()
    expect(rank.locator(".rank-down").last).to_be_disabled()
    rank.locator(".rank-down").first.click()
    assert texts_of(rank) == [before[1], before[0], *before[2:]]
    rank.locator(".rank-up").last.click()
    assert texts_of(rank) == [before[1], before[0], before[3], before[2]]


def test_keys_choose_move_tie_and_save(rank: Page, site: Site) -> None:
    a, b, c, d = texts_of(rank)
    rank.locator(".rank-card").first.focus()
    rank.keyboard.press("ArrowDown")
    rank.keyboard.press("Alt+ArrowDown")
    assert texts_of(rank) == [a, c, b, d]
    expect(rank.locator(".rank-told")).to_have_text("Moved to place 3 of 4")
    rank.keyboard.press("1")
    assert texts_of(rank) == [b, a, c, d]
    rank.keyboard.press("=")  # the first has nothing above it
    assert places_of(rank) == ["1", "2", "3", "4"]
    rank.keyboard.press("ArrowDown")
    rank.keyboard.press("=")
    assert places_of(rank) == ["1", "1", "3", "4"]
    expect(rank.locator(":focus")).to_have_attribute("aria-label", "Answer in place 1 of 4, tied")
    rank.keyboard.press("Control+Enter")
    expect(rank.locator(".rank-line")).to_have_text("Saved.")
    assert stored(site) == [(b, 1), (a, 1), (c, 3), (d, 4)]
    rank.keyboard.press("Control+Enter")  # the next one
    ready(rank)
    expect(rank.locator(".rank-card").first).to_be_focused()


def test_the_next_question_is_in_view_after_a_click_far_below_it(rank: Page) -> None:
    rank.set_viewport_size({"width": 1000, "height": 500})
    save(rank)
    rank.locator(".rank-save").scroll_into_view_if_needed()
    rank.wait_for_function("scrollY > 100")
    rank.locator(".rank-save").click()
    ready(rank)
    expect(rank.locator(".rank-question")).to_be_in_viewport(ratio=1)


def test_a_tie_is_made_and_undone_by_its_button_and_what_moves_away_is_not_tied(rank: Page) -> None:
    tie = rank.get_by_role("button", name="= as good as above")
    tie.nth(0).click()
    tie.nth(1).click()
    assert places_of(rank) == ["1", "1", "1", "4"]
    tie.nth(0).click()
    assert places_of(rank) == ["1", "2", "2", "4"]
    rank.locator(".rank-down").nth(2).click()  # the third, tied to the second, goes last
    assert places_of(rank) == ["1", "2", "3", "4"]
    tie.nth(0).click()
    rank.locator(".rank-up").nth(2).click()  # put between two equals it is one of them
    assert places_of(rank) == ["1", "1", "1", "4"]


def test_the_answers_code_and_bold_words_are_shown_as_such(rank: Page) -> None:
    expect(rank.locator(".rank-text pre")).to_have_text("print('fox')")
    expect(rank.locator(".rank-text code")).to_have_text("stayed")
    expect(rank.locator(".rank-text strong")).to_have_text("lit")


# ---- deciding --------------------------------------------------------------------------------------------------------


def test_saving_reveals_who_wrote_each_answer_and_counts(rank: Page, site: Site) -> None:
    expect(rank.locator("#rank-standing")).to_contain_text("You have not ranked anything yet.")
    save(rank)
    by_text = dict(zip(texts_of(rank), rank.locator(".rank-version").all_inner_texts(), strict=True))
    assert by_text == {_plain(text): f"Written by {version}" for version, text in TEXTS.items()}
    expect(rank.locator("#rank-standing")).to_contain_text("You have ranked 1 prompt.")
    question = rank.locator(".rank-question").inner_text()
    button(rank, "Next").click()
    ready(rank)
    assert rank.locator(".rank-question").inner_text() != question
    expect(rank.locator(".rank-version").first).to_be_empty()


def test_no_version_is_named_before_the_order_is_saved(page: Page, site: Site) -> None:
    with watched(page):
        page.add_init_script(RECORD_ANSWERS)
        opened(page, site)
        page.wait_for_function("window.answers.join('').includes('Rain fell on the harbour.')")
        sent = "".join(page.evaluate("window.answers"))
        for version in list(TEXTS)[1:]:
            assert version not in sent
            assert version not in page.content()
        for (reply_id,) in site.database.read().execute("SELECT id FROM replies"):
            assert reply_id not in sent
        save(page)
        assert "plum-sentinel" in page.content()


def test_a_double_click_makes_one_ranking(rank: Page, site: Site) -> None:
    before = count(site, "rankings")
    button(rank, "Save this order").dblclick(delay=5)
    expect(rank.locator("#rank-standing")).to_contain_text("You have ranked 1 prompt.")
    assert count(site, "rankings") == before + 1


def test_a_skip_brings_another_prompt_and_undo_brings_it_back(rank: Page, site: Site) -> None:
    question = rank.locator(".rank-question").inner_text()
    expect(button(rank, "Undo last")).to_be_disabled()
    before = count(site, "rankings")
    button(rank, "Skip").click()
    expect(rank.locator(".rank-line")).to_have_text("Skipped. Here is another one.")
    expect(rank.locator(".rank-question")).not_to_have_text(question)
    ready(rank)
    button(rank, "Undo last").click()
    expect(rank.locator(".rank-line")).to_have_text("Taken back: you can order these again.")
    expect(rank.locator(".rank-question")).to_have_text(question)
    assert count(site, "rankings") == before


def test_undo_brings_the_order_back_as_it_was_saved(rank: Page, site: Site) -> None:
    rank.locator(".rank-down").first.click()
    rank.get_by_role("button", name="= as good as above").nth(1).click()
    order, places = texts_of(rank), places_of(rank)
    save(rank)
    button(rank, "Undo last").click()
    expect(rank.locator(".rank-line")).to_have_text("Taken back: you can order these again.")
    ready(rank)
    assert (texts_of(rank), places_of(rank)) == (order, places)
    expect(rank.locator("#rank-standing")).to_contain_text("You have not ranked anything yet.")
    expect(rank.locator(".rank-version").first).to_be_empty()
    save(rank)
    expect(rank.locator("#rank-standing")).to_contain_text("You have ranked 1 prompt.")


def test_an_order_that_is_not_saved_says_so_and_stays_on_screen(rank: Page, site: Site) -> None:
    before = count(site, "rankings")
    rank.locator(".rank-down").first.click()
    rank.get_by_role("button", name="= as good as above").last.click()
    order, places = texts_of(rank), places_of(rank)
    rank.route("**/gradio_api/queue/join*", lambda route: route.abort(), times=1)  # the line is cut for a moment
    button(rank, "Save this order").click()
    expect(rank.get_by_test_id("toast-body").first).to_be_visible()
    expect(button(rank, "Save this order")).to_be_enabled()
    assert (texts_of(rank), places_of(rank)) == (order, places)
    assert count(site, "rankings") == before
    save(rank)
    assert [text for text, _ in stored(site)] == order


# ---- coming back -----------------------------------------------------------------------------------------------------


def test_a_reload_shows_the_same_round_in_the_order_it_was_left_in(rank: Page) -> None:
    rank.locator(".rank-down").first.click()
    shown = rank.locator(".rank-question").inner_text(), texts_of(rank)
    rank.reload()
    ready(rank)
    assert (rank.locator(".rank-question").inner_text(), texts_of(rank)) == shown


def test_a_reload_while_answers_are_written_goes_on_with_them(page: Page, tmp_path: Path) -> None:
    with school(tmp_path, {INITIAL: "short words", SLOW: ""}) as site, watched(page):
        page.goto(f"{site.url}/rank")
        expect(page.locator("#rank-board [data-phase=writing]")).to_contain_text("0 1 2 3")
        expect(button(page, "Save this order")).to_be_disabled()
        question = page.locator(".rank-question").inner_text()
        page.reload()
        expect(page.locator("#rank-board [data-phase=writing]")).to_contain_text("0 1 2 3 4 5")
        assert page.locator(".rank-question").inner_text() == question
        assert count(site, "ranking_rounds") == 1
        ready(page)
        # the champion and the initial version wrote two each: what came out the same is shown once
        assert sorted(texts_of(page))[1] == "short words"
        save(page)


def test_what_nobody_wants_to_wait_for_is_skipped(page: Page, tmp_path: Path) -> None:
    with school(tmp_path, {INITIAL: "short words", SLOW: ""}) as site, watched(page):
        page.goto(f"{site.url}/rank")
        expect(page.locator("#rank-board [data-phase=writing]")).to_contain_text("0 1 2 3")
        question = page.locator(".rank-question").inner_text()
        button(page, "Skip").click()
        expect(page.locator(".rank-line")).to_have_text("Skipped. Here is another one.")
        expect(page.locator(".rank-question")).not_to_have_text(question)
        expect(page.locator("#rank-board [data-phase=writing]")).to_contain_text("0 1 2 3")
        again = page.locator(".rank-question").inner_text()
        page.wait_for_timeout(500)
        assert page.locator(".rank-question").inner_text() == again != question  # the first one does not come back


def test_a_page_goes_on_where_it_was_after_its_server_was_restarted(page: Page, tmp_path: Path) -> None:
    with school(tmp_path) as site:
        opened(page, site)
        page.locator(".rank-down").first.click()
        question, order = page.locator(".rank-question").inner_text(), texts_of(page)
    with served(tmp_path, int(site.url.rsplit(":", 1)[1])) as site:
        button(page, "Save this order").click()
        settled = page.locator("#rank-board [data-phase=ready], #rank-board [data-phase=revealed]")
        expect(settled).to_be_visible()
        if settled.get_attribute("data-phase") == "ready":  # the lost connection was told, and the page came back
            assert (page.locator(".rank-question").inner_text(), texts_of(page)) == (question, order)
            save(page)
        assert [text for text, _ in stored(site)] == order


def test_two_people_at_once_rank_rounds_of_their_own(browser: Browser, site: Site) -> None:
    before = count(site, "rankings")
    pages = [opened(browser.new_context().new_page(), site) for _ in range(2)]
    for page in pages:
        button(page, "Save this order").click()
    for page in pages:
        expect(page.locator(".rank-line")).to_have_text("Saved.")
        expect(page.locator("#rank-standing")).to_contain_text("You have ranked 1 prompt.")
        page.context.close()
    assert count(site, "rankings") == before + 2


# ---- what must not happen --------------------------------------------------------------------------------------------

EVIL = [
    "<img src=x onerror='window.ran=1'>",
    "<script>window.ran=2</script>",
    "${window.ran=3}",
    "{{value}} {{#each value}}${window.ran=4}{{/each}}",
    "![x](https://evil.example/x.png) [y](javascript:window.ran=5)",
    "<svg onload=window.ran=6><a href='javascript:window.ran=7'>z</a>",
    "```html\n<iframe srcdoc='<script>parent.ran=8</script>'></iframe>\n```",
    "`</code><img src=//evil.example onerror=window.ran=9>` **</strong><b onmouseover=window.ran=10>**",
]


def test_what_models_write_stays_text(page: Page, tmp_path: Path) -> None:
    texts = {name: " ".join(EVIL[place::4]) for place, name in enumerate(TEXTS)}
    with school(tmp_path, texts) as site, watched(page):
        opened(page, site)
        assert page.locator(".rank-text").locator("img, script, svg, iframe, a").count() == 0
        expect(page.locator("#rank-board")).to_contain_text("<img src=x onerror=")
        expect(page.locator("#rank-board")).to_contain_text("${window.ran=3}")
        page.locator(".rank-card").first.hover()
        save(page)
        page.wait_for_timeout(300)
        assert page.evaluate("window.ran") is None


# ---- a phone, and Chinese --------------------------------------------------------------------------------------------


@pytest.fixture
def phone(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    with watched(context.new_page()) as page:
        yield page
    context.close()


def test_a_finger_drags_an_answer_by_its_rail(phone: Page, site: Site) -> None:
    opened(phone, site)
    assert not phone.evaluate(WIDE)
    a, b, c, d = texts_of(phone)
    phone.locator(".rank-rail").nth(1).scroll_into_view_if_needed()
    fingers = phone.context.new_cdp_session(phone)
    rail, above = phone.locator(".rank-rail").nth(1).bounding_box(), phone.locator(".rank-card").first.bounding_box()
    assert rail is not None
    assert above is not None
    x, start, end = rail["x"] + 20, rail["y"] + 30, above["y"] + 6

    def touch(kind: str, *points: dict[str, float]) -> None:
        fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": list(points)})

    touch("touchStart", {"x": x, "y": start})
    for step in range(1, 11):
        touch("touchMove", {"x": x, "y": start + (end - start) * step / 10})
        phone.wait_for_timeout(30)
    touch("touchEnd")
    assert texts_of(phone) == [b, a, c, d]
    save(phone)
    assert [text for text, _ in stored(site)] == [b, a, c, d]


def test_buttons_are_large_enough_for_a_finger(phone: Page, site: Site) -> None:
    opened(phone, site)
    for one in phone.locator(".rank-moves button, .rank-actions button").all():
        box = one.bounding_box()
        assert box is not None
        assert min(box["width"], box["height"]) >= 40
    phone.locator(".rank-down").first.tap()
    phone.get_by_role("button", name="Save this order").tap()
    expect(phone.locator(".rank-line")).to_have_text("Saved.")


def test_the_page_speaks_chinese_and_asks_in_chinese(page: Page, site: Site) -> None:
    with watched(page):
        opened(page, site, "zh")
        assert re.search("[\u4e00-\u9fff]", page.locator(".rank-question").inner_text())
        expect(page.locator("#rank-standing")).to_contain_text("您还没有排过。")
        page.locator(".rank-down").first.click()
        page.get_by_role("button", name="保存排序").click()
        expect(page.locator(".rank-line")).to_have_text("已保存。")
        for words in page.locator("#rank-intro, #rank-standing, .rank-hint, .rank-actions").all_inner_texts():
            assert not re.search("[A-Za-z]{2,}", words)
        assert page.locator(".rank-version").first.inner_text().startswith("由 ")
