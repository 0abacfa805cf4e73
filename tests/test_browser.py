"""What a person sees and does, in Chromium, on the real `python -m demo` with a tiny model.

Every page of these tests fails on a script error and on any request to another host.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from demo import training_child
from nightschool.ids import utc_now
from nightschool.model import load_base
from nightschool.records import INITIAL, VerdictKind, Version
from nightschool.registry import VersionRegistry
from nightschool.schema import FeedbackDatabase
from tests.seeding import seed_taste
from tests.served import SLOW, served
from tests.tiny import make_tiny_model
from tests.tiny_version import add_tiny_version
from tests.watched import RECORD_ANSWERS, watched

pytestmark = pytest.mark.browser

CHAMPION = "plum-sentinel"
"""A version name that stands nowhere in Gradio's own files."""
PATIENCE = 20_000
expect.set_options(timeout=PATIENCE)  # the machine may be busy: what is slow is not broken
A_NIGHT = 240_000
"""Longest wait for a night on the tiny model, in milliseconds; on two idle cores it takes about a minute."""
A_CHILD = 1000 * training_child.PATIENCE
"""Longest wait for what a child of the server computes, in milliseconds: the server waits no longer for it."""
SEEDED = 120


@dataclass(frozen=True)
class Demo:
    url: str
    database: FeedbackDatabase
    versions: Path

    def rows(self, sql: str) -> list[Any]:
        return list(self.database.read().execute(sql).fetchall())


@contextmanager
def demo_running(folder: Path, model: Path, **settings: str) -> Iterator[Demo]:
    """`python -m demo` as its owner starts it, on a free port."""
    db, versions = folder / "feedback.db", folder / "versions"
    command = [sys.executable, "-m", "demo", "--port", "0", "--db", str(db), "--versions", str(versions)]
    environment = {**os.environ, "NIGHTSCHOOL_MAX_NEW_TOKENS": "40", "OMP_NUM_THREADS": "1"}
    environment |= {f"NIGHTSCHOOL_{name.upper()}": value for name, value in settings.items()}
    with (
        closing(FeedbackDatabase(db)) as database,
        subprocess.Popen(
            [*command, "--model", str(model), "--duel-share", "0"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as server,
    ):
        try:
            assert server.stdout is not None
            said, lines = None, []
            while said is None and (line := server.stdout.readline()):
                lines.append(line)
                said = re.search(r"NightSchool answers on (http://\S+)", line)
            assert said, f"the demo did not say where it answers, but: {lines}"
            yield Demo(said[1], database, versions)
        finally:
            server.terminate()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("model") / "tiny", layers=2)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Iterator[Demo]:
    """One demo for the tests of this module; every test is a new person in it. Its champion is a trained version."""
    folder = tmp_path_factory.mktemp("demo")
    with closing(FeedbackDatabase(folder / "feedback.db")) as database:
        add_tiny_version(database, folder / "versions", model, CHAMPION)
    with demo_running(folder, model) as running:
        yield running


@pytest.fixture
def chat(page: Page, demo: Demo) -> Iterator[Page]:
    with watched(page):
        yield opened(page, demo.url)


def opened(page: Page, url: str) -> Page:
    """The chat page once its first event was answered."""
    page.goto(url)
    expect(page.locator("#note")).to_contain_text(re.compile("answer"), timeout=PATIENCE)
    return page


def button(page: Page, name: str) -> Locator:
    return page.get_by_role("button", name=name, exact=True)


def pressed(page: Page, name: str) -> Locator:
    return page.get_by_role("button", name=name, exact=True, pressed=True)


def send(page: Page, text: str) -> None:
    page.locator("#box textarea").fill(text)
    page.locator("#box textarea").press("Enter")
    expect(page.get_by_test_id("user").last).to_have_text(text, timeout=PATIENCE)


def ask(page: Page, text: str) -> None:
    send(page, text)
    expect(button(page, "Send")).to_be_visible(timeout=PATIENCE)


def ask_for_duel(page: Page, text: str) -> None:
    """Compare until both answers have words: a random model may end its turn at once."""
    page.locator("#box textarea").fill(text)
    for _ in range(10):
        button(page, "Compare two answers").click()
        expect(page.get_by_test_id("user").last).to_have_text(text, timeout=PATIENCE)
        expect(button(page, "Send")).to_be_visible(timeout=PATIENCE)
        if page.locator("#vote-left").is_visible():
            expect(page.locator("#vote-left")).to_be_enabled()
            return
    raise AssertionError("ten times in a row one of the answers was empty")


# ---- chatting ------------------------------------------------------------------------------------------------------


def test_a_conversation_and_its_thumb_are_there_after_a_reload(chat: Page, demo: Demo) -> None:
    ask(chat, "What is bread?")
    ask(chat, "And what is butter?")
    answers = chat.get_by_test_id("bot").all_inner_texts()
    assert len(answers) == 2
    button(chat, "Good answer").last.click()
    expect(chat.locator("#status")).to_have_text("Saved: a good answer.")
    expect(pressed(chat, "Good answer")).to_have_count(1)
    assert demo.rows("SELECT value FROM thumbs ORDER BY id DESC LIMIT 1") == [("up",)]
    chat.reload()
    expect(pressed(chat, "Good answer")).to_have_count(1, timeout=PATIENCE)
    assert chat.get_by_test_id("bot").all_inner_texts() == answers
    pressed(chat, "Good answer").click()
    expect(pressed(chat, "Good answer")).to_have_count(0)


def test_a_thumb_stays_when_the_next_answer_streams(chat: Page) -> None:
    ask(chat, "one")
    button(chat, "Bad answer").click()
    expect(chat.locator("#status")).to_have_text("Saved: a bad answer.")
    ask(chat, "two")
    expect(pressed(chat, "Bad answer")).to_have_count(1)


def test_regenerate_shows_another_answer_and_keeps_the_first(chat: Page, demo: Demo) -> None:
    ask(chat, "regenerate this")
    button(chat, "Regenerate").click()
    sql = """SELECT count(*) FROM replies r JOIN messages m ON m.id = r.id JOIN messages q ON q.id = m.parent_id
             WHERE q.text = 'regenerate this' AND r.status = 'done'"""
    expect(button(chat, "Regenerate")).to_be_enabled(timeout=PATIENCE)
    for _ in range(100):
        if demo.rows(sql) == [(2,)]:
            break
        chat.wait_for_timeout(50)
    assert demo.rows(sql) == [(2,)]
    expect(chat.get_by_test_id("bot")).to_have_count(1)


def test_an_earlier_conversation_can_be_opened_again(chat: Page) -> None:
    ask(chat, "the first conversation")
    button(chat, "New conversation").click()
    expect(chat.get_by_test_id("user")).to_have_count(0)
    ask(chat, "the second conversation")
    button(chat, "the first conversation").click()
    expect(chat.get_by_test_id("user")).to_have_text(["the first conversation"])


def test_an_example_question_is_asked_by_a_click(chat: Page) -> None:
    chat.get_by_role("button", name=re.compile("lighthouse")).click()
    expect(chat.get_by_test_id("user")).to_have_text("Tell me a short story about a lighthouse keeper and a fox.")
    expect(chat.get_by_test_id("bot")).to_have_count(1, timeout=PATIENCE)


def test_an_empty_message_is_refused_in_a_sentence(chat: Page) -> None:
    chat.locator("#box textarea").fill("   ")
    chat.locator("#box textarea").press("Enter")
    expect(chat.get_by_test_id("toast-body")).to_contain_text("The message was empty")
    expect(button(chat, "Send")).to_be_visible()


def test_what_people_type_stays_text(chat: Page, demo: Demo) -> None:
    evil = "<img src=x onerror='window.ran=1'> ${window.ran=2} {{value}} <script>window.ran=3</script>"
    chat.locator("#box textarea").fill(evil)
    chat.locator("#box textarea").press("Enter")
    expect(chat.locator("#conversations .open")).to_contain_text("<img src=x", timeout=PATIENCE)
    expect(button(chat, "Send")).to_be_visible(timeout=PATIENCE)
    chat.reload()
    expect(chat.locator("#conversations .open")).to_contain_text("<img src=x", timeout=PATIENCE)
    assert chat.evaluate("window.ran") is None


def test_stop_ends_the_answer_within_a_second_and_keeps_what_was_written(page: Page, tmp_path: Path) -> None:
    with served(tmp_path) as site, watched(page):
        registry = VersionRegistry(site.database)
        registry.add(Version(SLOW, INITIAL, utc_now(), None, "base", "sha", VerdictKind.PROMOTED), [])
        registry.promote(SLOW, "a test")
        opened(page, site.url)
        send(page, "count")
        expect(page.get_by_test_id("bot")).to_contain_text("0 1 2 3", timeout=PATIENCE)
        button(page, "Stop").click()
        expect(button(page, "Send")).to_be_visible(timeout=PATIENCE)
        [(status, text, seconds)] = site.database.read().execute(
            "SELECT r.status, m.text, r.seconds FROM replies r JOIN messages m ON m.id = r.id"
        )
        assert status == "stopped"
        assert text.startswith("0 1 2 3")
        assert seconds < 10
        expect(page.get_by_test_id("bot")).to_have_text(text)


def test_two_people_at_once_see_only_their_own_conversation(browser: Browser, demo: Demo) -> None:
    contexts = [browser.new_context(), browser.new_context()]
    pages = [opened(context.new_page(), demo.url) for context in contexts]
    for page, name in zip(pages, ("Anna", "Ben"), strict=True):
        page.locator("#box textarea").fill(f"I am {name}")
        page.locator("#box textarea").press("Enter")
    for page, name in zip(pages, ("Anna", "Ben"), strict=True):
        expect(button(page, "Send")).to_be_visible(timeout=PATIENCE)
        expect(page.get_by_test_id("user")).to_have_text([f"I am {name}"])
        expect(page.locator("#conversations .open")).to_have_text([f"I am {name}"])
    for context in contexts:
        context.close()


# ---- duels ---------------------------------------------------------------------------------------------------------


def test_a_duel_is_decided_by_a_button_and_its_versions_are_revealed(chat: Page, demo: Demo) -> None:
    ask_for_duel(chat, "compare this")
    left = chat.locator("#answer-left").inner_text()
    chat.locator("#vote-left").click()
    expect(chat.locator("#status")).to_contain_text("Saved. Left was")
    expect(chat.locator("#status")).to_contain_text(CHAMPION)
    expect(chat.locator("#duel")).to_be_hidden()
    expect(chat.get_by_test_id("bot").last).to_have_text(left)
    assert demo.rows("SELECT outcome FROM duels ORDER BY id DESC LIMIT 1") == [("left",)]


@pytest.mark.parametrize(("key", "outcome"), [("1", "left"), ("2", "right"), ("0", "tie"), ("-", "both_bad")])
def test_a_duel_is_decided_by_a_key_but_not_while_typing(chat: Page, demo: Demo, key: str, outcome: str) -> None:
    ask_for_duel(chat, f"judge by {outcome}")
    chat.locator("#box textarea").press(key)
    expect(chat.locator("#box textarea")).to_have_value(key)
    expect(chat.locator("#duel")).to_be_visible()
    chat.locator("#box textarea").blur()
    chat.keyboard.press(key)
    expect(chat.locator("#status")).to_contain_text("Saved.")
    assert demo.rows("SELECT outcome FROM duels ORDER BY id DESC LIMIT 1") == [(outcome,)]


def test_no_version_is_named_before_the_vote(chat: Page) -> None:
    chat.add_init_script(RECORD_ANSWERS)
    chat.reload()
    expect(chat.locator("#note")).to_contain_text(CHAMPION, timeout=PATIENCE)
    chat.evaluate("window.answers.length = 0")
    ask_for_duel(chat, "who writes this?")
    assert_nameless(chat)
    chat.reload()
    expect(chat.locator("#vote-left")).to_be_enabled(timeout=PATIENCE)
    assert_nameless(chat)
    chat.locator("#vote-right").click()
    expect(chat.locator("#status")).to_contain_text(CHAMPION)


def assert_nameless(page: Page) -> None:
    """No version name in what the page shows, holds, or was sent since the recording began."""
    words = re.findall(r"[A-Za-z]{3,}", page.locator("#answer-left").inner_text())
    # Any of them: what was sent comes in parts, which may cut a word in two.
    page.wait_for_function("(words) => words.some((word) => window.answers.join('').includes(word))", arg=words)
    sent = "".join(page.evaluate("window.answers"))
    assert CHAMPION not in sent
    assert CHAMPION not in page.content()
    assert not re.search(r"\binitial\b", page.locator("body").inner_text())


def test_an_open_duel_is_there_after_a_reload_and_a_new_question_waits_for_it(chat: Page) -> None:
    ask_for_duel(chat, "reload this duel")
    texts = [chat.locator("#answer-left").inner_text(), chat.locator("#answer-right").inner_text()]
    chat.reload()
    expect(chat.locator("#vote-left")).to_be_enabled(timeout=PATIENCE)
    assert [chat.locator("#answer-left").inner_text(), chat.locator("#answer-right").inner_text()] == texts
    chat.locator("#box textarea").fill("and another question")
    chat.locator("#box textarea").press("Enter")
    expect(chat.get_by_test_id("toast-body")).to_contain_text("waiting for your judgement")
    expect(chat.locator("#box textarea")).to_have_value("and another question")
    chat.locator("#vote-tie").click()
    expect(chat.locator("#status")).to_contain_text("Saved.")
    chat.reload()
    expect(chat.get_by_test_id("bot")).to_have_count(1, timeout=PATIENCE)
    expect(chat.locator("#duel")).to_be_hidden()


# ---- the rest ------------------------------------------------------------------------------------------------------


def test_a_phone_needs_no_sideways_scroll(browser: Browser, demo: Demo) -> None:
    context: BrowserContext = browser.new_context(
        viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True
    )
    with watched(context.new_page()) as page:
        opened(page, demo.url)
        wide = "document.documentElement.scrollWidth > window.innerWidth"
        assert not page.evaluate(wide)
        ask(page, "a question from a phone")
        ask_for_duel(page, "a duel on a phone")
        assert not page.evaluate(wide)
        left, right = page.locator("#answer-left").bounding_box(), page.locator("#answer-right").bounding_box()
        assert left is not None
        assert right is not None
        assert right["y"] > left["y"]
        page.goto(f"{demo.url}/school")
        expect(page.locator("#counts")).to_contain_text("answers now", timeout=PATIENCE)
        assert not page.evaluate(wide)
    context.close()


def test_the_school_page_counts_judgements_and_names_who_answers(page: Page, demo: Demo) -> None:
    with watched(page):
        page.goto(f"{demo.url}/school")
        expect(page.locator("#counts")).to_contain_text(CHAMPION, timeout=PATIENCE)
        expect(page.locator("#night")).to_contain_text("No night yet")
        expect(button(page, "Train now")).to_be_enabled()


def test_seven_tabs_of_one_person_all_load(browser: Browser, demo: Demo) -> None:
    # A browser keeps six connections per host: with a heartbeat per tab the seventh would hang.
    context = browser.new_context()
    for _ in range(7):
        opened(context.new_page(), demo.url)
    context.close()


def test_a_night_is_watched_cancelled_resumed_and_reported_and_the_new_version_answers(
    page: Page, tmp_path: Path, model: Path
) -> None:
    seed_taste(tmp_path / "feedback.db", load_base(str(model), tmp_path), SEEDED)
    # A type of numbers and a seed with which this night's version is promoted, stopped in between or not.
    with demo_running(tmp_path, model, max_new_tokens="24", dtype="float32", seed="1") as demo, watched(page):
        page.goto(f"{demo.url}/school")
        expect(page.locator("#counts")).to_contain_text(f"{SEEDED}duels decided", timeout=3 * PATIENCE)
        expect(page.locator("#outlook")).to_contain_text("Worth running")
        page.get_by_role("radio", name="normal").check()
        expect(page.locator("#outlook")).to_contain_text("A normal night usually takes")
        button(page, "Train now").click()
        expect(page.locator("#night")).to_contain_text("The night is", timeout=PATIENCE)
        expect(button(page, "Train now")).to_be_disabled()
        expect(page.locator("#night-curves")).to_contain_text("KL to the initial model", timeout=A_NIGHT)
        cancel_the_night(page)
        expect(page.locator("#night-card")).to_contain_text("The night was stopped by hand.", timeout=A_NIGHT)
        button(page, "Resume this night").click()
        expect(page.locator("#night-stages")).to_contain_text("judgements", timeout=A_NIGHT)
        page.reload()
        expect(page.locator("#night-curves")).to_contain_text("Reward model: loss", timeout=PATIENCE)
        expect(button(page, "Train now")).to_be_enabled(timeout=A_NIGHT)
        [(champion,)] = demo.rows("SELECT version_id FROM champion")
        expect(page.locator("#night")).to_contain_text("Promoted")
        expect(page.locator("#history")).to_contain_text("promoted")
        read_the_report(page)
        assert champion != INITIAL
        expect(page.locator("#counts")).to_contain_text(champion)
        opened(page, demo.url)
        expect(page.locator("#note")).to_contain_text(champion)
        ask(page, "Who answers now?")
        assert demo.rows("SELECT r.version FROM replies r WHERE r.seed IS NOT NULL") == [(champion,)]
        button(page, "Why this answer?").click()
        expect(page.locator("#why-card")).to_contain_text("nats from the untouched model", timeout=A_CHILD)
        expect(page.locator("#why-card")).to_contain_text(f"by the reward model of {champion}")
        roll_back(page, demo, champion)


def roll_back(page: Page, demo: Demo, champion: str) -> None:
    """The version of the night is taken back on the Versions page; the one before it answers again."""
    page.goto(f"{demo.url}/versions")
    page.locator('#versions-page button[data-act="rollback"]').first.click(timeout=PATIENCE)
    expect(page.locator("#versions-sheet dialog")).to_contain_text(f"Roll back to {INITIAL}?")
    page.locator('#versions-page button[data-act="do-rollback"]').first.click()
    expect(page.locator("#versions-now .now b")).to_have_text(INITIAL, timeout=PATIENCE)
    assert demo.rows("SELECT version_id FROM champion") == [(INITIAL,)] != [(champion,)]


def cancel_the_night(page: Page) -> None:
    """Thinking it over once."""
    button(page, "Cancel this night").click()
    expect(page.locator("#cancel-sure")).to_contain_text("it can be resumed")
    button(page, "No, go on").click()
    expect(page.locator("#cancel-sure")).to_be_hidden()
    button(page, "Cancel this night").click()
    button(page, "Yes, stop it").click()


def read_the_report(page: Page) -> None:
    expect(page.locator("#report")).to_contain_text(re.compile("Guards: (all 12 hold|[0-9]+)"))
    page.get_by_text("Ten fixed prompts, before and after").click()
    expect(page.locator("#report .fixed li")).to_have_count(10)
    expect(page.locator("#report .fixed li .asked").first).to_be_visible()
    page.wait_for_timeout(2500)  # some ticks: nothing changes, so what was unfolded stays so
    expect(page.locator("#report .fixed li .asked").first).to_be_visible()
