"""The chat page in Chromium, on a site with a scripted engine: what a person does with answers and conversations.

Every page of these tests fails on a script error and on any request to another host.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from nightschool.feedback import FeedbackStore
from nightschool.ids import utc_now
from nightschool.records import INITIAL, Message, ReplyStatus, Sampling, VerdictKind, Version
from nightschool.registry import VersionRegistry
from tests.payloads import CALLED, PAYLOADS
from tests.served import EVIL, LONG, SLOW, Site, served
from tests.watched import watched as watched_everywhere

pytestmark = pytest.mark.browser
expect.set_options(timeout=20_000)  # the machine may be busy: what is slow is not broken

SECOND = "second-version"
WIDE = "document.documentElement.scrollWidth > window.innerWidth"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One site for the tests of this module; every test is a new person on it."""
    with served(tmp_path_factory.mktemp("site")) as running:
        for name in (EVIL, LONG, SLOW):
            add_version(running, name, VerdictKind.REJECTED)  # such a version is drawn for no duel
        add_version(running, SECOND)
        yield running


def add_version(site: Site, name: str, verdict: VerdictKind = VerdictKind.PROMOTED) -> None:
    VersionRegistry(site.database).add(Version(name, INITIAL, utc_now(), None, "base", "sha", verdict), [])


@contextmanager
def champion(site: Site, name: str) -> Iterator[None]:
    """Another version answers until the block ends."""
    registry = VersionRegistry(site.database)
    registry.promote(name, "a test")
    try:
        yield
    finally:
        registry.promote(INITIAL, "the test is over")


@contextmanager
def watched(page: Page) -> Iterator[Page]:
    """As everywhere; and what a payload would ask for is never asked."""
    calls: list[str] = []
    page.on("request", lambda asked: calls.append(asked.url) if asked.url.startswith(CALLED) else None)
    with watched_everywhere(page):
        yield page
    assert calls == []


@pytest.fixture
def chat(page: Page, site: Site) -> Iterator[Page]:
    with watched(page):
        yield opened(page, site)


def opened(page: Page, site: Site) -> Page:
    page.goto(site.url)
    expect(page.locator("#note")).to_contain_text("answers")
    return page


def rows(site: Site, sql: str, *parameters: object) -> list[Any]:
    return list(site.database.read().execute(sql, list(parameters)).fetchall())


def button(page: Page | Locator, name: str) -> Locator:
    return page.get_by_role("button", name=name, exact=True)


def pressed(page: Page, name: str) -> Locator:
    return page.get_by_role("button", name=name, exact=True, pressed=True)


def send(page: Page, text: str) -> None:
    page.locator("#box textarea").fill(text)
    page.locator("#box textarea").press("Enter")
    expect(page.get_by_test_id("user").last).to_have_text(text)


def written(page: Page) -> None:
    expect(page.locator(".talk-scroll")).to_have_attribute("aria-busy", "false")
    expect(button(page, "Send")).to_be_visible()


def ask(page: Page, text: str) -> None:
    send(page, text)
    written(page)


def ask_for_duel(page: Page, text: str) -> None:
    page.locator("#box textarea").fill(text)
    button(page, "Compare two answers").click()
    expect(page.locator("#vote-left")).to_be_enabled()


def reload(page: Page) -> None:
    page.reload()
    expect(page.get_by_test_id("user").first).to_be_visible()


# ---- thumbs ----------------------------------------------------------------------------------------------------------


def test_a_thumb_takes_reasons_and_a_comment_and_can_be_changed_and_taken_back(chat: Page, site: Site) -> None:
    ask(chat, "thumbs with reasons")
    button(chat, "Bad answer").click()
    expect(chat.locator(".why-panel")).to_contain_text("What was wrong with it?")
    button(chat, "Too long").click()
    chat.get_by_label("Comment").fill("it goes on and on")
    button(chat, "Save").click()
    expect(chat.locator(".why-panel .told")).to_have_text("Saved")
    active = """SELECT t.value, t.reasons, t.comment FROM thumbs t JOIN messages m ON m.id = t.reply_id
                JOIN messages q ON q.id = m.parent_id WHERE q.text = 'thumbs with reasons' AND t.replaced_at IS NULL"""
    expect(pressed(chat, "Too long")).to_be_visible()
    assert rows(site, active) == [("down", '["too_long"]', "it goes on and on")]

    reload(chat)
    expect(pressed(chat, "Bad answer")).to_have_count(1)
    summary = button(chat, "Too long · it goes on and on")
    summary.click()
    expect(chat.get_by_label("Comment")).to_have_value("it goes on and on")

    button(chat, "Good answer").click()
    expect(chat.locator(".why-panel")).to_contain_text("What was good about it?")
    expect(chat.locator("#status")).to_have_text("Saved: a good answer.")
    assert rows(site, active) == [("up", "[]", "it goes on and on")]
    button(chat, "Take back").click()
    expect(chat.locator("#status")).to_have_text("Your thumb was taken back.")
    expect(chat.locator(".why-panel")).to_be_hidden()
    assert rows(site, active) == []
    assert len(rows(site, active.replace("IS NULL", "IS NOT NULL"))) >= 3


def test_a_save_that_fails_says_so_and_keeps_the_words_and_can_be_tried_again(chat: Page, site: Site) -> None:
    ask(chat, "a save that fails")
    button(chat, "Good answer").click()
    expect(chat.locator(".why-panel .told")).to_have_text("Saved")
    chat.route("**/run/predict*", lambda route: route.abort())
    chat.get_by_label("Comment").fill("precious words")
    button(chat, "Save").click()
    expect(chat.locator(".why-panel .told")).to_contain_text("Not saved")
    expect(chat.get_by_label("Comment")).to_have_value("precious words")
    chat.unroute("**/run/predict*")
    button(chat, "Save").click()
    expect(chat.locator(".why-panel .told")).to_have_text("Saved")
    assert rows(site, "SELECT count(*) FROM thumbs WHERE comment = 'precious words'") == [(1,)]


def test_a_thumb_can_be_given_while_the_answer_is_being_written(chat: Page, site: Site) -> None:
    with champion(site, SLOW):
        send(chat, "judge me early")
        expect(chat.get_by_test_id("bot")).to_contain_text("0 1 2 3")
        button(chat, "Good answer").click()
        expect(chat.locator("#status")).to_have_text("Saved: a good answer.")
        expect(chat.get_by_test_id("bot")).to_contain_text("20 21 22")
        button(chat, "Stop").click()
        written(chat)
    expect(pressed(chat, "Good answer")).to_have_count(1)
    expect(chat.locator(".turn .turn-mark")).to_contain_text("Stopped.")


# ---- corrections -----------------------------------------------------------------------------------------------------


def test_a_correction_becomes_the_text_of_the_conversation(chat: Page, site: Site) -> None:
    ask(chat, "please be corrected")
    original = chat.get_by_test_id("bot").inner_text()
    button(chat, "Improve this answer").click()
    editor = chat.get_by_label("How would you have answered?")
    expect(editor).to_have_value(original)
    editor.fill("It was **12 letters**")
    button(chat, "Save").click()
    expect(chat.get_by_test_id("bot")).to_have_text("It was 12 letters")
    expect(chat.locator(".turn .turn-mark")).to_contain_text("Improved by you")
    button(chat, "Show the original").click()
    expect(chat.get_by_test_id("bot")).to_have_text(original)
    button(chat, "Show your version").click()
    reload(chat)
    expect(chat.get_by_test_id("bot")).to_have_text("It was 12 letters")
    ask(chat, "go on")
    [(prompt,)] = rows(
        site,
        """SELECT r.prompt_ids FROM replies r JOIN messages m ON m.id = r.id JOIN messages q ON q.id = m.parent_id
           WHERE q.text = 'go on'""",
    )
    # the scripted engine counts letters: "please be corrected", the correction, "go on"
    assert prompt == "[19, 21, 5]"
    button(chat, "Go back to the original").click()
    expect(chat.get_by_test_id("bot").first).to_have_text(original)
    assert rows(site, "SELECT count(*) FROM corrections WHERE replaced_at IS NULL") == [(0,)]


def test_a_thumb_that_was_saved_stays_when_the_message_is_drawn_from_what_was_read_before(chat: Page) -> None:
    ask(chat, "please be corrected and judged")
    button(chat, "Improve this answer").click()
    chat.get_by_label("How would you have answered?").fill("In other words")
    button(chat, "Save").click()
    button(chat, "Show the original").click()
    button(chat, "Good answer").click()
    expect(chat.locator(".why-panel .told")).to_have_text("Saved")
    button(chat, "Show your version").click()  # both draw the message that the page was told before the thumb
    button(chat, "Show the original").click()
    expect(button(chat, "Good answer")).to_have_attribute("aria-pressed", "true")
    expect(chat.locator(".why-panel .told")).to_have_text("Saved")


def test_an_empty_correction_is_refused_in_its_place_and_escape_gives_up(chat: Page) -> None:
    ask(chat, "an empty correction")
    button(chat, "Improve this answer").click()
    chat.get_by_label("How would you have answered?").fill("  ")
    button(chat, "Save").click()
    expect(chat.locator(".editor .told")).to_contain_text("The correction is empty")
    chat.get_by_label("How would you have answered?").press("Escape")
    expect(chat.locator(".editor")).to_have_count(0)
    expect(chat.get_by_test_id("bot")).to_be_visible()


# ---- branches --------------------------------------------------------------------------------------------------------


def test_an_edited_question_makes_a_branch_and_the_earlier_one_stays_reachable(chat: Page) -> None:
    ask(chat, "first wording")
    ask(chat, "a follow-up")
    chat.get_by_test_id("user").first.hover()
    button(chat, "Edit the question").first.click()
    chat.get_by_label("Your question").fill("second wording")
    chat.get_by_label("Your question").press("Enter")
    expect(chat.get_by_test_id("user")).to_have_text(["second wording"])
    written(chat)
    expect(chat.locator(".turn.user .place")).to_have_text("2/2")
    button(chat, "Earlier version").first.click()
    expect(chat.get_by_test_id("user")).to_have_text(["first wording", "a follow-up"])
    reload(chat)
    expect(chat.get_by_test_id("user")).to_have_text(["first wording", "a follow-up"])
    button(chat, "Later version").first.click()
    expect(chat.get_by_test_id("user")).to_have_text(["second wording"])


def test_a_regenerated_answer_leaves_the_earlier_one_reachable(chat: Page) -> None:
    ask(chat, "regenerate me")
    first = chat.get_by_test_id("bot").inner_text()
    button(chat, "Regenerate").click()
    expect(chat.locator(".turn.assistant .place")).to_have_text("2/2")
    written(chat)
    second = chat.get_by_test_id("bot").inner_text()
    assert second != first
    button(chat, "Earlier version").last.click()
    expect(chat.get_by_test_id("bot")).to_have_text(first)
    button(chat, "Later version").last.click()
    expect(chat.get_by_test_id("bot")).to_have_text(second)


# ---- conversations ---------------------------------------------------------------------------------------------------


def test_an_old_conversation_is_found_by_a_word_in_an_answer_or_question(chat: Page) -> None:
    for question in ("Where do otters sleep?", "我的花为什么枯萎了？", "What is 50% of 8?"):
        button(chat, "New conversation").click()
        expect(chat.get_by_test_id("user")).to_have_count(0)
        ask(chat, question)
    titles = chat.locator("#conversations .entry-title")
    expect(titles).to_have_text(["What is 50% of 8?", "我的花为什么枯萎了？", "Where do otters sleep?"])
    for query, found in (
        ("OTTER", "Where do otters sleep?"),
        ("枯萎", "我的花为什么枯萎了？"),
        ("50%", "What is 50% of 8?"),
    ):
        chat.locator("#search").fill(query)
        expect(titles).to_have_text([found])
    chat.locator("#search").fill("zebra")
    expect(chat.locator("#conversations .quiet")).to_have_text("Nothing found for “zebra”.")
    chat.locator("#search").fill("otters")
    chat.locator("#conversations .open").click()
    expect(chat.get_by_test_id("user")).to_have_text("Where do otters sleep?")
    expect(titles).to_have_count(1)
    chat.locator("#search").press("Escape")
    expect(titles).to_have_count(3)


def test_a_conversation_is_renamed_deleted_and_had_back(chat: Page) -> None:
    ask(chat, "rename this")
    chat.locator("#conversations li").hover()
    button(chat, "Rename “rename this”").click()
    chat.get_by_label("Title", exact=True).fill("renamed <b>so</b>")
    chat.get_by_label("Title", exact=True).press("Enter")
    expect(chat.locator("#conversations .entry-title")).to_have_text("renamed <b>so</b>")
    reload(chat)
    expect(chat.locator("#conversations .entry-title")).to_have_text("renamed <b>so</b>")
    chat.locator("#conversations li").hover()
    button(chat, "Delete “renamed <b>so</b>”").click()
    expect(chat.locator("#conversations .open")).to_have_count(0)
    expect(chat.get_by_test_id("user")).to_have_count(0)
    button(chat, "Undo").click()
    expect(chat.locator("#conversations .entry-title")).to_have_text("renamed <b>so</b>")
    expect(chat.get_by_test_id("user")).to_have_text("rename this")


def test_how_a_conversation_is_answered_stays_with_it(chat: Page, site: Site) -> None:
    button(chat, "Conversation settings").click()
    chat.get_by_role("textbox", name="System prompt").fill("Answer like a pirate.")
    chat.get_by_role("slider", name="Temperature").fill("1.3")
    chat.get_by_role("slider", name="Longest answer").fill("2")
    ask(chat, "who goes there?")
    expect(chat.get_by_test_id("bot")).to_have_text("a reply")  # two words
    expect(chat.locator(".turn .turn-mark")).to_have_text("As long as an answer may be here; it may be cut off.")
    drawn = "SELECT r.temperature, r.max_new_tokens, r.prompt_ids FROM replies r ORDER BY r.id DESC LIMIT 1"
    assert rows(site, drawn) == [(1.3, 2, "[21, 15]")]  # the letters of the system prompt, then of the question
    chat.get_by_role("slider", name="Longest answer").fill("3")
    chat.get_by_role("slider", name="Longest answer").blur()
    expect(chat.locator("#style .shown").last).to_have_text("3")
    for _ in range(100):
        if rows(site, "SELECT max_new_tokens FROM conversations WHERE title = 'who goes there?'") == [(3,)]:
            break
        chat.wait_for_timeout(50)
    reload(chat)
    button(chat, "Conversation settings").click()
    expect(chat.get_by_role("textbox", name="System prompt")).to_have_value("Answer like a pirate.")
    expect(chat.get_by_role("slider", name="Longest answer")).to_have_value("3")
    button(chat, "New conversation").click()
    expect(chat.get_by_role("textbox", name="System prompt")).to_have_value("")


# ---- writing ---------------------------------------------------------------------------------------------------------


def test_enter_sends_shift_enter_breaks_the_line_and_escape_stops(chat: Page, site: Site) -> None:
    box = chat.locator("#box textarea")
    with champion(site, SLOW):
        box.fill("two")
        box.press("Shift+Enter")
        box.press_sequentially("lines")
        expect(box).to_have_value("two\nlines")
        box.press("Enter")
        expect(chat.get_by_test_id("user")).to_have_text("two lines")
        expect(chat.get_by_test_id("bot")).to_contain_text("0 1 2")
        box.fill("too early")
        box.press("Enter")
        expect(box).to_have_value("too early")
        box.press("Escape")
        written(chat)
    expect(box).to_have_value("too early")
    expect(chat.get_by_test_id("user")).to_have_count(1)
    [(status,)] = rows(site, "SELECT status FROM replies ORDER BY id DESC LIMIT 1")
    assert status == "stopped"


def test_a_long_answer_does_not_move_what_is_being_read(chat: Page, site: Site) -> None:
    scroll = "{ scrollHeight, clientHeight, scrollTop }"
    top = "document.querySelector('.talk-scroll').scrollTop"
    left = f"(({scroll}) => scrollHeight - clientHeight - scrollTop)(document.querySelector('.talk-scroll'))"
    with champion(site, LONG):
        send(chat, "at length, please")
        expect(chat.get_by_test_id("bot")).to_contain_text("Paragraph 30.")
        assert chat.evaluate(left) < 60  # it goes along
        chat.locator(".talk-scroll").hover()
        chat.mouse.wheel(0, -600)
        chat.wait_for_timeout(300)
        before = chat.evaluate(top)
        expect(chat.get_by_test_id("bot")).to_contain_text("Paragraph 79.", timeout=60_000)
        written(chat)
    assert chat.evaluate(top) == before
    assert chat.evaluate("window.scrollY") == 0
    button(chat, "Go to the newest message").click()
    chat.wait_for_function(f"{left} < 60")


def test_code_is_coloured_and_copied_as_it_is(chat: Page, site: Site) -> None:
    chat.context.grant_permissions(["clipboard-read", "clipboard-write"])
    ask(chat, "show code")
    store = FeedbackStore(site.database)
    [(reply, person)] = rows(site, "SELECT c.leaf_id, c.person_id FROM conversations c WHERE c.title = 'show code'")
    store.correct(reply, person, "Look:\n\n```python\ndef f():\n    return '<b>'\n```", [1, 2])
    reload(chat)
    expect(chat.locator(".code .hl-k").first).to_have_text("def")
    button(chat, "Copy code").click()
    expect(button(chat, "Copied")).to_be_visible()
    assert chat.evaluate("navigator.clipboard.readText()") == "def f():\n    return '<b>'\n"
    chat.get_by_test_id("user").hover()
    button(chat, "Copy").first.click()
    chat.wait_for_function("async () => (await navigator.clipboard.readText()) === 'show code'")


def test_a_reload_in_the_middle_of_an_answer_shows_what_was_written(chat: Page, site: Site) -> None:
    with champion(site, SLOW):
        send(chat, "reload in the middle")
        expect(chat.get_by_test_id("bot")).to_contain_text("0 1 2 3")
        reload(chat)
        expect(chat.get_by_test_id("bot")).to_contain_text("0 1 2 3")
        expect(chat.locator(".turn .turn-mark")).to_contain_text("Stopped.")
    ask(chat, "and on")
    expect(chat.get_by_test_id("bot")).to_have_count(2)


def test_two_people_at_once_get_only_their_own_answers(browser: Browser, site: Site) -> None:
    contexts = [browser.new_context(), browser.new_context()]
    pages = [opened(context.new_page(), site) for context in contexts]
    with champion(site, SLOW):
        for page, name in zip(pages, ("Anna", "Ben"), strict=True):
            send(page, f"I am {name}")
        for page in pages:
            expect(page.get_by_test_id("bot")).to_contain_text("0 1 2 3")
        button(pages[0], "Stop").click()
        written(pages[0])
        expect(pages[1].get_by_test_id("bot")).to_contain_text("20 21 22")
        button(pages[1], "Stop").click()
        written(pages[1])
    for page, name in zip(pages, ("Anna", "Ben"), strict=True):
        expect(page.get_by_test_id("user")).to_have_text([f"I am {name}"])
        expect(page.locator("#conversations .entry-title")).to_have_text([f"I am {name}"])
    for context in contexts:
        context.close()


def test_an_open_page_goes_on_after_the_server_was_restarted(page: Page, tmp_path: Path) -> None:
    with served(tmp_path) as first:
        opened(page, first)
        ask(page, "before the restart")
    port = int(first.url.rsplit(":", 1)[1])
    page.locator("#box textarea").fill("written while it was down")
    page.locator("#box textarea").press("Enter")
    page.wait_for_timeout(1000)
    expect(page.locator("#box textarea")).to_have_value("written while it was down")
    with served(tmp_path, port):
        page.locator("#box textarea").press("Enter")
        expect(page.get_by_test_id("user")).to_have_text(["before the restart", "written while it was down"])
        written(page)
        button(page, "Good answer").last.click()
        expect(page.locator("#status")).to_have_text("Saved: a good answer.")


def test_a_server_that_dies_in_the_middle_of_an_answer_leaves_a_page_that_recovers(page: Page, tmp_path: Path) -> None:
    with served(tmp_path) as first:
        add_version(first, SLOW)
        VersionRegistry(first.database).promote(SLOW, "a test")
        opened(page, first)
        send(page, "cut off")
        expect(page.get_by_test_id("bot")).to_contain_text("0 1 2 3")
    port = int(first.url.rsplit(":", 1)[1])
    with served(tmp_path, port) as second:
        VersionRegistry(second.database).promote(INITIAL, "quick again")
        expect(button(page, "Send")).to_be_visible()
        expect(page.get_by_test_id("bot")).to_contain_text("0 1 2 3")
        ask(page, "and now?")
        expect(page.get_by_test_id("bot")).to_have_count(2)


# ---- duels -----------------------------------------------------------------------------------------------------------


def test_a_duel_can_be_skipped_and_then_names_its_versions(chat: Page, site: Site) -> None:
    ask_for_duel(chat, "skip this one")
    expect(chat.locator("#note")).to_have_text("Which versions wrote these answers is shown after your vote.")
    button(chat, "Skip").click()
    expect(chat.locator("#status")).to_contain_text("Skipped. Left was")
    expect(chat.locator("#status")).to_contain_text(INITIAL)
    expect(chat.locator("#duel")).to_be_hidden()
    expect(chat.get_by_test_id("bot")).to_have_count(1)
    sql = """SELECT d.outcome, d.closed_at IS NOT NULL FROM duels d JOIN messages q ON q.id = d.question_id
             WHERE q.text = 'skip this one'"""
    assert rows(site, sql) == [(None, 1)]
    expect(chat.locator(".turn.assistant .place")).to_contain_text("/2")  # the other one stays reachable


def test_a_double_click_is_one_vote(chat: Page, site: Site) -> None:
    ask_for_duel(chat, "click twice")
    chat.evaluate("['left', 'left', 'right'].forEach((side) => document.getElementById(`vote-${side}`).click())")
    expect(chat.locator("#status")).to_contain_text("Saved. Left was")
    sql = "SELECT d.outcome FROM duels d JOIN messages q ON q.id = d.question_id WHERE q.text = 'click twice'"
    assert rows(site, sql) == [("left",)]
    expect(chat.get_by_test_id("toast-body")).to_have_count(0)


def test_a_vote_without_an_answer_of_the_server_can_be_repeated(chat: Page, site: Site) -> None:
    ask_for_duel(chat, "vote again")
    chat.route("**/run/predict*", lambda route: route.abort())
    chat.locator("#vote-tie").click()
    expect(chat.locator("#duel-line")).to_contain_text("Not saved yet")
    expect(chat.locator("#vote-tie")).to_be_enabled()
    chat.unroute("**/run/predict*")
    chat.locator("#vote-tie").click()
    expect(chat.locator("#status")).to_contain_text("Saved. Left was")


# ---- safety ----------------------------------------------------------------------------------------------------------


def test_no_payload_runs_or_calls_home_wherever_a_text_is_shown(chat: Page, site: Site) -> None:
    with champion(site, EVIL):
        for payload in PAYLOADS[::2]:
            before = chat.get_by_test_id("bot").count()
            chat.locator("#box textarea").fill(payload)
            chat.locator("#box textarea").press("Enter")
            expect(chat.get_by_test_id("bot")).to_have_count(before + 1)
            written(chat)
        ask_for_duel(chat, PAYLOADS[1])
        chat.locator("#vote-left").click()
        expect(chat.locator("#status")).to_contain_text("Saved.")
    person = rows(site, "SELECT person_id FROM conversations ORDER BY id DESC LIMIT 1")[0][0]
    store = FeedbackStore(site.database)
    [conversation, *_] = store.conversations(person)
    turns = store.branch(conversation.id, conversation.leaf_id, person)
    replies = [turn for turn in turns if turn.role == "assistant"]
    store.correct(replies[0].id, person, "\n\n".join(["Corrected:", *PAYLOADS]), [1])
    store.set_thumb(replies[1].id, person, "down", reasons=["wrong"], comment=" ".join(PAYLOADS))  # type: ignore[arg-type]
    for payload in PAYLOADS:
        store.rename(store.start_conversation(person, payload), person, payload)
    halves = PAYLOADS[::2], PAYLOADS[1::2]
    for payloads, kept in zip(halves, store.conversations(person), strict=False):  # as questions, and in one title each
        leaf = None
        for payload in payloads:
            leaf = store.add_message(kept.id, leaf, Message("user", payload))
        store.show_branch(kept.id, str(leaf))
    reload(chat)
    expect(chat.locator("#conversations .open")).to_have_count(len(PAYLOADS) + 1)
    chat.locator(".why-summary:visible").click()
    button(chat, "Show the original").click()
    chat.locator("#search").fill("<img")
    expect(chat.locator("#conversations .excerpt").first).to_be_visible()
    chat.wait_for_timeout(500)
    chat.locator("#search").fill("")
    expect(chat.locator("#conversations .open")).to_have_count(len(PAYLOADS) + 1)
    for place, payloads in enumerate(halves):
        assert chat.evaluate("window.ran") is None
        assert chat.locator("#talk :is(img, iframe, object, embed, script, style, link, form, video)").count() == 0
        chat.locator("#conversations .open").nth(place).click()
        expect(chat.get_by_test_id("user")).to_have_count(len(payloads))
    assert chat.evaluate("window.ran") is None
    assert chat.locator("#talk :is(img, iframe, object, embed, script, style, link, form, video)").count() == 0
    assert chat.locator("#conversations :is(img, iframe, script)").count() == 0


# ---- a phone ---------------------------------------------------------------------------------------------------------


def test_everything_fits_a_phone(browser: Browser, site: Site) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    with watched(context.new_page()) as page:
        opened(page, site)
        assert not page.evaluate(WIDE)
        ask(page, "from a phone")
        button(page, "Bad answer").tap()
        button(page, "Wrong").tap()
        expect(page.locator(".why-panel .told")).to_have_text("Saved")
        assert not page.evaluate(WIDE)
        ask_for_duel(page, "a duel on a phone")
        assert not page.evaluate(WIDE)
        expect(page.locator("#vote-skip")).to_be_in_viewport()
        page.locator("#vote-right").tap()
        expect(page.locator("#status")).to_contain_text("Saved.")
        page.locator("#sidebar .toggle-button").tap()
        page.locator("#search").fill("phone")
        expect(page.locator("#conversations .open")).to_have_count(1)
        assert not page.evaluate(WIDE)
    context.close()


def test_a_question_is_on_the_page_at_once_and_gone_when_it_was_refused(chat: Page) -> None:
    chat.route("**/queue/join*", lambda route: route.abort())
    chat.locator("#box textarea").fill("is anybody there?")
    chat.evaluate(
        "window.seen = 0; new MutationObserver(() => { window.seen += document.querySelectorAll('.asked').length })"
        ".observe(document.querySelector('.turns'), { childList: true })"
    )
    chat.locator("#box textarea").press("Enter")
    expect(chat.get_by_test_id("toast-body").first).to_contain_text("The server did not answer")
    assert chat.evaluate("window.seen") > 0
    expect(chat.locator(".asked")).to_have_count(0)
    expect(chat.locator("#box textarea")).to_have_value("is anybody there?")
    expect(chat.locator(".welcome")).to_be_visible()
    chat.unroute("**/queue/join*")
    chat.locator("#box textarea").press("Enter")
    written(chat)
    expect(chat.get_by_test_id("user")).to_have_text(["is anybody there?"])


def test_what_was_being_written_is_there_again_after_a_reload(chat: Page) -> None:
    ask(chat, "reload while writing")
    button(chat, "Bad answer").click()
    expect(chat.locator(".why-panel .told")).to_have_text("Saved")
    chat.get_by_label("Comment").fill("half a comment")
    chat.get_by_test_id("user").hover()
    button(chat, "Edit the question").click()
    chat.get_by_label("Your question").fill("half a question")
    chat.locator("#box textarea").fill("half a message")
    chat.reload()
    expect(chat.get_by_label("Your question")).to_have_value("half a question")
    expect(chat.get_by_label("Comment")).to_have_value("half a comment")
    expect(chat.locator("#box textarea")).to_have_value("half a message")
    expect(chat.locator(".why-panel .told")).to_contain_text("Not saved")
    button(chat, "Save").click()
    expect(chat.locator(".why-panel .told")).to_have_text("Saved")
    chat.reload()
    expect(button(chat, "half a comment")).to_be_visible()
    expect(chat.locator(".editor")).to_have_count(1)  # still not sent


def test_earlier_messages_of_a_long_conversation_are_shown_where_one_looks_back(chat: Page, site: Site) -> None:
    ask(chat, "the long talk")
    [(conversation, leaf)] = rows(site, "SELECT id, leaf_id FROM conversations WHERE title = 'the long talk'")
    store = FeedbackStore(site.database)
    for number in range(30):
        question = store.add_message(conversation, leaf, Message("user", f"old question {number}"))
        leaf = store.start_reply(conversation, question, INITIAL, Sampling(), 1, [1], show=True)
        store.finish_reply(leaf, f"old answer {number}", [1], ReplyStatus.DONE, first_token_seconds=0.1, seconds=0.2)
    chat.reload()
    expect(chat.get_by_test_id("user").first).to_have_text("old question 10")
    expect(chat.locator(".earlier-line")).to_contain_text("22 earlier messages")
    chat.locator(".talk-scroll").evaluate("node => { node.scrollTop = 0; }")
    place = "document.querySelectorAll('[data-testid=user]')[{}].getBoundingClientRect().top"
    before = chat.evaluate(place.format(0))
    button(chat, "Show earlier messages").click()
    expect(chat.get_by_test_id("user").first).to_have_text("the long talk")
    expect(chat.get_by_test_id("user")).to_have_count(31)
    expect(chat.locator(".earlier-line")).to_be_hidden()
    # What was read stays where it was, but for the line above it, which is gone.
    assert abs(chat.evaluate(place.format(11)) - before) < 40
    ask(chat, "one more")
    expect(chat.get_by_test_id("user").first).to_have_text("the long talk")
    expect(chat.get_by_test_id("user")).to_have_count(32)
