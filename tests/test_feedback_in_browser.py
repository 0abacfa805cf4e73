"""What a person does on the Feedback page, in Chromium, with a scripted engine behind it.

Every page of these tests fails on a script error, on any request to another host, and when text of people runs.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from demo.identity import COOKIE
from nightschool.browsing import FeedbackFilter, FeedbackKind
from nightschool.examples import TrainerFormat
from nightschool.feedback import FeedbackStore
from nightschool.records import DuelOutcome, ThumbValue
from nightschool.trainer_files import file_of
from tests.judged import judge_everything
from tests.served import Site, served
from tests.talks import start_talk

pytestmark = pytest.mark.browser

expect.set_options(timeout=20_000)  # the machine may be busy: what is slow is not broken
PAYLOADS = (
    "<img src=x onerror=window.pwned=1>",
    "<script>window.pwned=1</script>",
    "${window.pwned=1}",
    "{{constructor.constructor('window.pwned=1')()}}",
    "<svg/onload=window.pwned=1>",
    '"><iframe srcdoc="<script>parent.pwned=1</script>">',
    "<a href='javascript:window.pwned=1'>x</a>",
    "![x](http://192.0.2.1/beacon.png)",
    "<style>@import 'http://192.0.2.1/x.css'</style>",
    "`${alert(1)}`",
)


@dataclass(frozen=True)
class Visit:
    """Somebody on the Feedback page."""

    page: Page
    person: str
    store: FeedbackStore
    site: Site

    def open(self) -> "Visit":
        self.page.goto(f"{self.site.url}/feedback")
        expect(self.page.locator("#feedback-list li.item, #feedback-list .empty").first).to_be_visible()
        return self

    @property
    def items(self) -> Locator:
        return self.page.locator("#feedback-list li.item")

    def field(self, name: str) -> Locator:
        return self.page.locator(f"#feedback-filter .field.{name} .control")

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    def kinds(self) -> list[str]:
        return self.items.locator(".kind").all_inner_texts()

    def mine(self) -> int:
        return self.store.count_feedback(FeedbackFilter(person_id=self.person)).total


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with served(tmp_path_factory.mktemp("site")) as running:
        yield running


def visit(context: BrowserContext, site: Site) -> Visit:
    cookie = site.visitors.issue()
    context.add_cookies([{"name": COOKIE, "value": cookie, "url": site.url}])
    return Visit(context.new_page(), site.visitors.read({COOKIE: cookie}) or "", FeedbackStore(site.database), site)


@pytest.fixture
def visitor(context: BrowserContext, site: Site) -> Iterator[Visit]:
    """A new person, who judged one thing of every kind."""
    found = visit(context, site)
    faults: list[str] = []
    found.page.on("pageerror", lambda error: faults.append(str(error)))
    found.page.on(
        "console", lambda said: faults.append(said.text) if "Error executing js_on_load" in said.text else None
    )
    found.page.on(
        "request",
        lambda asked: faults.append(asked.url) if not asked.url.startswith((site.url, "data:", "blob:")) else None,
    )
    judge_everything(found.store, found.person)
    yield found
    assert found.page.evaluate("window.pwned === undefined")
    assert faults == []


def test_a_person_sees_what_they_judged_and_finds_it_by_kind_word_version_and_day(visitor: Visit) -> None:
    visitor.open()
    expect(visitor.items).to_have_count(6)
    assert visitor.kinds() == ["Correction", "Ranking", "Duel", "Duel", "Thumb down", "Thumb up"]
    expect(visitor.items.nth(3)).to_contain_text("Left was better")
    expect(visitor.items.nth(4).locator(".reasons")).to_have_text("Wrong")
    expect(visitor.items.nth(4).locator(".comment")).to_contain_text("Not so.")
    expect(visitor.page.locator("#feedback-tiles .tile").first).to_have_text("6In all")
    expect(visitor.page.locator(".plot .bars")).to_have_attribute("aria-label", re.compile("6; the most"))
    visitor.field("kind").select_option("duel")
    expect(visitor.items).to_have_count(2)
    expect(visitor.page.locator("#feedback-tiles .tile").first).to_have_text("2In all")
    visitor.button("Clear").click()
    expect(visitor.items).to_have_count(6)
    visitor.field("search").fill("also sec")
    expect(visitor.items).to_have_count(1)
    assert visitor.kinds() == ["Ranking"]
    visitor.field("search").fill("")
    expect(visitor.items).to_have_count(6)
    visitor.field("version").select_option("initial")
    expect(visitor.items).to_have_count(6)
    tomorrow = f"{datetime.now() + timedelta(days=1):%Y-%m-%d}"
    visitor.field("since").fill(tomorrow)
    expect(visitor.page.locator("#feedback-list .empty")).to_contain_text("Nothing matches")
    visitor.button("Clear").click()
    visitor.field("until").fill(f"{datetime.now():%Y-%m-%d}")
    expect(visitor.items).to_have_count(6)


def test_an_item_is_deleted_in_two_steps_and_may_be_kept(visitor: Visit) -> None:
    visitor.open()
    item = visitor.items.filter(has_text="Thumb up")
    item.locator(".delete").click()
    expect(item).to_contain_text("Delete it for good?")
    item.locator(".deletion").get_by_role("button", name="Keep").click()
    expect(item.locator(".delete")).to_be_focused()
    assert visitor.mine() == 6
    item.locator(".delete").press("Enter")
    item.locator(".deletion .yes").click()
    expect(visitor.page.locator("#feedback-status")).to_contain_text("Deleted for good.")
    expect(visitor.items).to_have_count(5)
    assert visitor.mine() == 5
    visitor.page.reload()
    expect(visitor.items).to_have_count(5)


def test_what_was_deleted_elsewhere_is_said_and_the_list_drawn_anew(visitor: Visit) -> None:
    visitor.open()
    [item] = visitor.store.feedback(FeedbackFilter(person_id=visitor.person, kind=FeedbackKind.CORRECTION))
    visitor.store.erase_feedback(item.kind, item.id, visitor.person)
    card = visitor.items.first
    card.locator(".delete").click()
    card.locator(".yes").click()
    expect(visitor.page.get_by_test_id("toast-body")).to_contain_text("does not exist any more")
    expect(visitor.items).to_have_count(5)


def test_the_switch_says_its_state_and_keeps_it(visitor: Visit) -> None:
    visitor.open()
    switch = visitor.page.locator("#consent-switch input")
    expect(switch).to_be_checked()
    expect(visitor.page.locator("#consent-line")).to_contain_text("On: nights learn")
    switch.click()
    expect(visitor.page.locator("#feedback-status")).to_contain_text("no longer used for training")
    expect(visitor.page.locator("#consent-line")).to_contain_text("Off: no night learns")
    assert not visitor.store.consent(visitor.person)
    visitor.open()
    expect(switch).not_to_be_checked()
    expect(visitor.page.locator("#consent-line")).to_contain_text("Off: no night learns")


def test_the_list_and_the_files_for_trainers_are_downloaded(visitor: Visit) -> None:
    visitor.open()
    visitor.field("kind").select_option("thumb")
    expect(visitor.items).to_have_count(2)
    files = visitor.page.locator("#feedback-files")
    with visitor.page.expect_download() as download:
        files.get_by_role("button", name="Download").click()
    assert download.value.suggested_filename == "nightschool-list.jsonl"
    lines = [json.loads(line) for line in Path(download.value.path()).read_text().splitlines()]
    assert [line["outcome"] for line in lines] == ["down", "up"]
    files.locator("select").first.select_option("trl-preference")
    files.locator("select").last.select_option(".parquet")
    with visitor.page.expect_download() as download:
        files.get_by_role("button", name="Download").click()
    assert download.value.suggested_filename == "nightschool-trl-preference.parquet"
    assert Path(download.value.path()).read_bytes().startswith(b"PAR1")
    expect(files.locator(".said")).to_have_text("Downloaded: nightschool-trl-preference.parquet")
    visitor.page.locator("#consent-switch input").click()
    expect(visitor.page.locator("#consent-line")).to_contain_text("Off")
    files.get_by_role("button", name="Download").click()
    expect(files.locator(".said.failed")).to_contain_text("nothing to export as trl-preference")


def test_the_owner_imports_a_file_and_is_told_the_line_of_a_bad_one(visitor: Visit, tmp_path: Path) -> None:
    content = file_of(visitor.store.examples(TrainerFormat.SFT, visitor.person), TrainerFormat.SFT, ".jsonl")
    good, bad = tmp_path / "good.jsonl", tmp_path / "bad.jsonl"
    unique = content.replace(b"liked", visitor.person.encode())
    good.write_bytes(unique)
    bad.write_bytes(unique + b"{}\n")
    visitor.open()
    files, before = visitor.page.locator("#feedback-files"), visitor.store.count_feedback(FeedbackFilter()).total
    files.locator("input[type=file]").set_input_files(bad)
    expect(files.locator(".said.failed")).to_contain_text("Line 3 of bad.jsonl cannot be used (prompt is missing")
    assert visitor.store.count_feedback(FeedbackFilter()).total == before
    files.locator("input[type=file]").set_input_files(good)
    expect(files.locator(".said")).to_contain_text("imported,")
    assert visitor.store.count_feedback(FeedbackFilter()).total > before
    visitor.field("scope").select_option("all")
    visitor.field("person").select_option("importer")
    expect(visitor.items.first).to_contain_text("imported")
    visitor.field("search").fill(visitor.person)
    expect(visitor.items).to_have_count(1)


def test_after_an_answer_that_came_late_the_page_asks_again_for_what_was_asked_last(visitor: Visit) -> None:
    """Answers overtake each other, so the page numbers what it asks: here one to what it asked first comes last."""
    visitor.open()
    visitor.field("kind").select_option("ranking")
    expect(visitor.items).to_have_count(1)
    judge_everything(visitor.store, visitor.person)
    come = "asked => window.dispatchEvent(new CustomEvent('feedback-choices', { detail: { asked } }))"
    visitor.page.evaluate(come, 1)
    visitor.page.wait_for_timeout(500)
    expect(visitor.items).to_have_count(1)
    visitor.page.evaluate(come, 0)
    expect(visitor.items).to_have_count(2)
    visitor.page.reload()
    expect(visitor.items).to_have_count(10)
    with visitor.page.expect_response(lambda response: "/queue/join" in response.url) as told:
        visitor.field("kind").select_option("ranking")
    assert '"asked":1' in (told.value.request.post_data or "")
    expect(visitor.items).to_have_count(2)


def test_the_owner_sees_everybody_and_a_guest_only_themselves(visitor: Visit, browser: Browser, site: Site) -> None:
    context = browser.new_context(extra_http_headers={"X-Forwarded-For": "192.0.2.7"})
    guest = visit(context, site)
    judge_everything(guest.store, guest.person, "A question of a guest?")
    guest.open()
    expect(guest.items).to_have_count(6)
    for hidden in (guest.field("scope"), guest.field("person"), guest.page.locator("#feedback-files .import")):
        expect(hidden).to_be_hidden()
    visitor.open()
    expect(visitor.items).to_have_count(6)
    visitor.field("scope").select_option("all")
    visitor.field("person").select_option(guest.person)
    expect(visitor.items).to_have_count(6)
    expect(visitor.items.first).to_contain_text("A question of a guest?")
    context.close()


def test_everything_of_a_person_is_deleted_in_two_steps(visitor: Visit) -> None:
    visitor.open()
    visitor.button("Delete everything of mine").click()
    expect(visitor.page.locator("#erase-line")).to_contain_text("judgements: 6, conversations: 1")
    visitor.button("Keep it").click()
    expect(visitor.page.locator("#erase-line")).to_be_hidden()
    assert visitor.mine() == 6
    visitor.button("Delete everything of mine").click()
    visitor.button("Yes, delete everything").click()
    expect(visitor.page.locator("#feedback-status")).to_contain_text("Deleted for good (judgements: 6")
    expect(visitor.page.locator("#feedback-list .empty")).to_contain_text("You have judged nothing yet")
    assert visitor.mine() == 0
    assert visitor.store.conversations(visitor.person) == []
    files = [file.read_bytes() for file in visitor.site.database.path.parent.iterdir()]
    assert not any(visitor.person.encode() in content for content in files)


def test_a_long_list_has_pages(visitor: Visit) -> None:
    talk = start_talk(visitor.store, "Many?", visitor.person)
    for number in range(20):
        visitor.store.set_thumb(talk.answer(f"answer {number}"), visitor.person, ThumbValue.UP)
    visitor.open()
    expect(visitor.items).to_have_count(10)
    visitor.button("Older").click()
    expect(visitor.page.locator(".pager")).to_contain_text("Page 2 of 3")
    visitor.button("Older").click()
    expect(visitor.page.locator(".pager")).to_contain_text("Page 3 of 3")
    expect(visitor.items).to_have_count(6)
    expect(visitor.button("Older")).to_be_disabled()
    visitor.items.last.locator(".delete").click()
    visitor.items.last.locator(".yes").click()
    expect(visitor.items).to_have_count(5)
    expect(visitor.page.locator(".pager")).to_contain_text("Page 3 of 3")


def test_what_people_and_models_wrote_is_shown_and_never_run(visitor: Visit) -> None:
    for payload in PAYLOADS:
        talk = start_talk(visitor.store, f"asked {payload}", visitor.person)
        left, right = talk.answer(f"left {payload}", show=False), talk.answer(f"right {payload}", show=False)
        duel = visitor.store.start_duel(talk.id, talk.question, visitor.person, left, right)
        visitor.store.decide_duel(duel, visitor.person, DuelOutcome.TIE)
        visitor.store.correct(left, visitor.person, f"corrected {payload}", [1])
        visitor.store.set_thumb(right, visitor.person, ThumbValue.DOWN, reasons=[payload], comment=f"said {payload}")
    visitor.open()
    for page in range(4):
        if page:
            visitor.button("Older").click()
        expect(visitor.page.locator(".pager")).to_contain_text(f"Page {page + 1} of 4")
        assert visitor.page.locator("#feedback-list :is(img, script, svg, iframe, style, a)").count() == 0
    for payload in PAYLOADS:
        visitor.field("search").fill(f"corrected {payload}")
        expect(visitor.items).to_have_count(1)
        expect(visitor.items).to_contain_text(f"corrected {payload}")
    answer = visitor.page.request.get(f"{visitor.site.url}/feedback/file")
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_needs_no_sideways_scrolling(visitor: Visit, scheme: str) -> None:
    talk = start_talk(visitor.store, "long" * 60, visitor.person)
    visitor.store.set_thumb(talk.answer("wide" * 200), visitor.person, ThumbValue.UP)
    visitor.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    visitor.page.set_viewport_size({"width": 390, "height": 844})
    visitor.open()
    visitor.items.first.locator(".delete").click()
    visitor.button("Delete everything of mine").click()
    expect(visitor.page.locator("#erase-line")).to_be_visible()
    assert visitor.page.evaluate("document.documentElement.scrollWidth") == 390
    heights = [
        box["height"] for button in visitor.items.first.locator("button").all() if (box := button.bounding_box())
    ]
    assert min(heights) >= 32


def test_long_texts_are_folded_and_open(visitor: Visit) -> None:
    talk = start_talk(visitor.store, "How long?", visitor.person)
    visitor.store.set_thumb(talk.answer("a line\n" * 30 + "the end"), visitor.person, ThumbValue.UP)
    visitor.open()
    first = visitor.items.first
    folded = first.locator(".text.folded")
    before = folded.bounding_box()
    first.get_by_role("button", name="Show all").click()
    expect(first.get_by_role("button", name="Show less")).to_have_attribute("aria-expanded", "true")
    after = first.locator(".answer .text").bounding_box()
    assert before is not None
    assert after is not None
    assert after["height"] > 3 * before["height"]
