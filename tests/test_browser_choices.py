"""The chat page in Chromium: another conversation counts from the click on, and what was judged is what is shown.

Answers of the server are held back or come late, as on a slow machine.
"""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from nightschool.records import VerdictKind
from tests.served import SLOW, Site, served
from tests.test_browser_chat import (
    SECOND,
    add_version,
    ask,
    ask_for_duel,
    button,
    champion,
    opened,
    pressed,
    reload,
    rows,
    send,
    written,
)
from tests.watched import watched

pytestmark = pytest.mark.browser

HOLD_BACK = """
  const plain = window.fetch;
  window.held = 0; // milliseconds by which the next event is heard late
  window.fetch = async (...call) => {
    if (window.held && /(run.predict|queue.join)/.test(call[0]?.url ?? call[0])) {
      const wait = window.held;
      window.held = 0;
      await new Promise((go) => setTimeout(go, wait));
      window.wasHeld = true;
    }
    return plain(...call);
  };
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with served(tmp_path_factory.mktemp("site")) as running:
        add_version(running, SLOW, VerdictKind.REJECTED)
        add_version(running, SECOND)
        yield running


@pytest.fixture
def chat(page: Page, site: Site) -> Iterator[Page]:
    page.add_init_script(HOLD_BACK)
    with watched(page):
        yield opened(page, site)


def questions(site: Site, title: str) -> list[str]:
    sql = """SELECT m.text FROM messages m JOIN conversations c ON c.id = m.conversation_id
             WHERE c.title = ? AND m.role = 'user' ORDER BY m.id"""
    return [text for (text,) in rows(site, sql, title)]


# ---- another conversation --------------------------------------------------------------------------------------------


def test_what_is_sent_before_a_new_conversation_is_answered_starts_it(chat: Page, site: Site) -> None:
    ask(chat, "the old talk")
    chat.evaluate("window.held = 1500")
    button(chat, "New conversation").click()
    expect(chat.locator(".welcome")).to_be_visible()
    send(chat, "the new talk")
    expect(chat.get_by_test_id("user")).to_have_text(["the new talk"])
    chat.wait_for_function("window.wasHeld")
    written(chat)
    chat.wait_for_timeout(500)
    expect(chat.get_by_test_id("user")).to_have_text(["the new talk"])
    ask(chat, "and on")
    assert questions(site, "the old talk") == ["the old talk"]
    assert questions(site, "the new talk") == ["the new talk", "and on"]


def test_a_new_conversation_takes_what_was_in_the_box_and_nothing_typed_since(chat: Page) -> None:
    ask(chat, "talk before typing")
    chat.locator("#box textarea").fill("left over")
    chat.evaluate("window.held = 800")
    button(chat, "New conversation").click()
    chat.locator("#box textarea").press_sequentially("typed since")
    chat.wait_for_function("window.wasHeld")
    chat.wait_for_timeout(500)
    expect(chat.locator("#box textarea")).to_have_value("typed since")


def test_another_conversation_chosen_during_an_answer_stays_chosen(chat: Page, site: Site) -> None:
    ask(chat, "chosen talk")
    [(chosen,)] = rows(site, "SELECT id FROM conversations WHERE title = 'chosen talk'")
    for place in range(3):
        title = f"cut talk {place}"
        with champion(site, SLOW):
            button(chat, "New conversation").click()
            send(chat, title)
            expect(chat.get_by_test_id("bot")).to_contain_text("0 1 2 3")
            chat.wait_for_timeout(40 * place)
            button(chat, "chosen talk").click()
            expect(chat.get_by_test_id("user").first).to_have_text("chosen talk")
            chat.wait_for_timeout(1000)
            expect(chat.get_by_test_id("user").first).to_have_text("chosen talk")
        assert chat.evaluate("sessionStorage.getItem('nightschool-conversation')") == chosen
        ask(chat, f"next {place}")
        assert questions(site, title) == [title]
    assert questions(site, "chosen talk") == ["chosen talk", "next 0", "next 1", "next 2"]
    button(chat, "cut talk 2").click()
    expect(chat.get_by_test_id("bot")).to_contain_text("0 1 2 3")
    expect(chat.locator(".turn.assistant .turn-mark")).to_have_text("Stopped.")


def test_what_is_sent_at_once_goes_to_the_chosen_conversation_with_its_own_settings(chat: Page, site: Site) -> None:
    button(chat, "Conversation settings").click()
    chat.get_by_role("textbox", name="System prompt").fill("Sing.")
    ask(chat, "a singing talk")
    button(chat, "New conversation").click()
    expect(chat.get_by_role("textbox", name="System prompt")).to_have_value("")
    with champion(site, SLOW):
        send(chat, "a plain talk")
        expect(chat.get_by_test_id("bot")).to_contain_text("0 1 2 3")
    chat.evaluate("window.held = 1500")
    button(chat, "a singing talk").click()
    send(chat, "at once")
    chat.wait_for_function("window.wasHeld")
    written(chat)
    assert questions(site, "a singing talk") == ["a singing talk", "at once"]
    assert questions(site, "a plain talk") == ["a plain talk"]
    assert rows(site, "SELECT system_prompt FROM conversations WHERE title = 'a singing talk'") == [("Sing.",)]


def test_a_new_conversation_during_an_answer_is_new(chat: Page, site: Site) -> None:
    with champion(site, SLOW):
        send(chat, "a talk to leave")
        expect(chat.get_by_test_id("bot")).to_contain_text("0 1 2 3")
        button(chat, "New conversation").click()
    ask(chat, "a talk instead")
    chat.wait_for_timeout(1000)
    expect(chat.get_by_test_id("user")).to_have_text(["a talk instead"])
    assert questions(site, "a talk to leave") == ["a talk to leave"]
    assert questions(site, "a talk instead") == ["a talk instead"]


# ---- duels -----------------------------------------------------------------------------------------------------------


def test_a_second_vote_in_another_tab_is_refused_in_words_with_the_versions(chat: Page, site: Site) -> None:
    ask_for_duel(chat, "two tabs")
    with watched(chat.context.new_page()) as other:
        opened(other, site)
        button(other, "two tabs").click()
        expect(other.locator("#vote-right")).to_be_enabled()
        chat.locator("#vote-left").click()
        expect(chat.locator("#status")).to_contain_text("Saved. Left was")
        other.locator("#vote-right").click()
        expect(other.locator("#status")).to_contain_text("This duel was already decided")
        expect(other.locator("#status")).to_contain_text("Left was")
        expect(other.locator("#duel")).to_be_hidden()
    sql = "SELECT d.outcome FROM duels d JOIN messages q ON q.id = d.question_id WHERE q.text = 'two tabs'"
    assert rows(site, sql) == [("left",)]


def test_a_side_that_was_stopped_is_marked_before_the_vote(chat: Page, site: Site) -> None:
    with champion(site, SLOW):
        chat.locator("#box textarea").fill("a duel cut short")
        button(chat, "Compare two answers").click()
        expect(chat.locator("#duel-cards")).to_contain_text("0 1 2 3")
        reload(chat)
        expect(chat.locator("#vote-left")).to_be_enabled()
    stopped = rows(
        site,
        """SELECT r.status = 'stopped' FROM duels d JOIN messages q ON q.id = d.question_id
           JOIN replies r ON r.id IN (d.left_reply, d.right_reply) WHERE q.text = 'a duel cut short'""",
    )
    marks = chat.locator("#duel-cards .turn-mark:visible")
    expect(marks).to_have_text(["Stopped."] * sum(one for (one,) in stopped))
    expect(chat.locator(".duel-card", has_text="0 1 2 3").locator(".turn-mark")).to_be_visible()


# ---- thumbs ----------------------------------------------------------------------------------------------------------

THUMB = """SELECT t.value, t.reasons, t.comment FROM thumbs t JOIN messages m ON m.id = t.reply_id
           JOIN messages q ON q.id = m.parent_id WHERE q.text = ? AND t.replaced_at IS NULL"""


@pytest.mark.parametrize("height", [720, 560])
def test_a_double_click_on_a_thumb_gives_no_reason(chat: Page, site: Site, height: int) -> None:
    chat.set_viewport_size({"width": 1280, "height": height})
    for number in range(4):
        ask(chat, f"{height} clicked twice {number}")
    box = button(chat, "Bad answer").last.bounding_box()
    assert box
    x, y = box["x"] + 5, box["y"] + 5
    chat.mouse.move(x, y)
    chat.mouse.down()
    chat.mouse.up()
    expect(chat.locator(".why-panel:visible")).to_have_count(1)
    under = chat.evaluate("([x, y]) => Boolean(document.elementFromPoint(x, y).closest('.why-panel'))", [x, y])
    assert under  # where the second half of a double click lands
    chip = chat.locator(".why-panel .chip").first
    chat.evaluate(
        "([chip, x, y]) => Object.assign(chip.style, { position: 'fixed', left: `${x - 20}px`, top: `${y - 10}px` })",
        [chip.element_handle(), x, y],
    )
    chat.mouse.down(click_count=2)
    chat.mouse.up(click_count=2)
    expect(chat.locator(".why-panel .told")).to_have_text("Saved")
    assert rows(site, THUMB, f"{height} clicked twice 3") == [("down", "[]", "")]
    chat.wait_for_timeout(600)
    chip.click()
    expect(chip).to_have_attribute("aria-pressed", "true")


def test_two_quick_clicks_on_a_thumb_that_stays_in_its_place_are_one(chat: Page, site: Site) -> None:
    ask(chat, "twice in one place")
    button(chat, "Good answer").dblclick()
    expect(chat.locator(".why-panel .told")).to_have_text("Saved")
    assert rows(site, THUMB, "twice in one place") == [("up", "[]", "")]


def test_the_comment_shown_is_the_one_that_is_stored(chat: Page, site: Site) -> None:
    ask(chat, "changed my mind")
    button(chat, "Good answer").click()
    comment, told = chat.get_by_label("Comment"), chat.locator(".why-panel .told")
    comment.fill("lovely")
    expect(told).to_have_text("")
    button(chat, "Save").click()
    expect(told).to_have_text("Saved")
    button(chat, "Close").click()
    button(chat, "Bad answer").click()
    expect(chat.locator("#status")).to_have_text("Saved: a bad answer.")
    expect(told).to_have_text("Saved")
    expect(comment).to_have_value("")
    assert rows(site, THUMB, "changed my mind") == [("down", "[]", "")]
    comment.press_sequentially("no")
    expect(told).to_have_text("")


def test_closing_the_panel_keeps_what_was_typed(chat: Page, site: Site) -> None:
    ask(chat, "closed too early")
    button(chat, "Bad answer").click()
    expect(chat.locator(".why-panel .told")).to_have_text("Saved")
    button(chat, "Close").click()
    button(chat, "Add a reason").click()
    chat.get_by_label("Comment").fill("kept anyway")
    button(chat, "Close").click()
    button(chat, "kept anyway").click()
    expect(chat.locator(".why-panel .told")).to_have_text("Saved")
    assert rows(site, THUMB, "closed too early") == [("down", "[]", "kept anyway")]
    chat.route("**/run/predict*", lambda route: route.abort())
    chat.get_by_label("Comment").fill("not heard")
    chat.get_by_label("Comment").press("Escape")
    expect(chat.locator(".why-panel .told")).to_contain_text("Not saved")
    expect(chat.get_by_label("Comment")).to_have_value("not heard")
    chat.get_by_label("Comment").fill("not heard either")
    button(chat, "Close").click()
    expect(chat.locator(".why-panel")).to_be_hidden()
    chat.unroute("**/run/predict*")
    chat.locator(".why-summary").click()
    expect(chat.get_by_label("Comment")).to_have_value("not heard either")
    button(chat, "Save").click()
    expect(chat.locator(".why-panel .told")).to_have_text("Saved")
    assert rows(site, THUMB, "closed too early") == [("down", "[]", "not heard either")]


def test_thumbs_are_offered_with_the_text_they_judge(chat: Page) -> None:
    ask(chat, "judged and corrected")
    button(chat, "Good answer").click()
    expect(chat.locator(".why-panel .told")).to_have_text("Saved")
    button(chat, "Close").click()
    button(chat, "Improve this answer").click()
    chat.get_by_label("How would you have answered?").fill("better words")
    button(chat, "Save").click()
    expect(chat.get_by_test_id("bot")).to_have_text("better words")
    expect(button(chat, "Good answer")).to_be_hidden()
    expect(button(chat, "Add a reason")).to_be_hidden()
    button(chat, "Show the original").click()
    expect(pressed(chat, "Good answer")).to_be_visible()
    button(chat, "Show your version").click()
    expect(button(chat, "Bad answer")).to_be_hidden()


def test_the_link_to_reasons_is_in_the_language_of_the_page(browser: Browser, site: Site) -> None:
    context = browser.new_context(locale="zh-CN")
    with watched(context.new_page()) as page:
        page.goto(site.url)
        page.locator("#box textarea").fill("说点什么")
        page.locator("#box textarea").press("Enter")
        button(page, "回答得好").click()
        expect(page.locator(".why-panel .told")).to_have_text("已保存")
        button(page, "关闭").click()
        expect(button(page, "添加理由")).to_be_visible()
    context.close()
