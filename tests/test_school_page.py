"""The School page on the real site: what a tick sends, who may decide, and the reports of earlier nights."""

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from filelock import FileLock
from playwright.sync_api import Page, expect

from nightschool.nightly_clock import NightlyClock
from nightschool.records import NightState, VerdictKind
from nightschool.registry import NightBook
from tests.served import Site, Visitor, served
from tests.watched import PATIENCE, watched

PARTS = [
    "seen", "chosen", "counts", "outlook", "night-card", "night-stages", "night-curves", "report", "night-log",
    "history", "train", "start-hint", "cancel", "resume", "cancel-sure", "nightly", "nightly-row", "set-nightly",
]  # fmt: skip
"""What a tick can change, in the order of its outputs."""
COUNTED = "duels decided"
"""What the counts say once they are there: a server's first count takes seconds."""
UNCHANGED = {"__type__": "update"}
SKIPPED = (UNCHANGED, {"props": UNCHANGED, **UNCHANGED})
"""What Gradio sends for a part that stays as it is; the second for HTML."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with served(tmp_path_factory.mktemp("site")) as running:
        yield running


@pytest.fixture(scope="module")
def nights(site: Site) -> tuple[str, str]:
    """Two nights that ended, the older one held, the newer one stopped by hand."""
    book = NightBook(site.database)
    older = book.start("quick", 1, practice=False)
    report = {"win_rate": 0.5, "samples": [{"prompt": "What is rain?", "before": "Wet.", "after": "Water."}]}
    book.finish(older, NightState.DONE, VerdictKind.HELD, "It is held.", version_id=None, report=report)
    newer = book.start("quick", 2, practice=False)
    stopped = "The night was stopped by hand."
    book.finish(newer, NightState.INTERRUPTED, None, stopped, version_id=None, report={})
    return older, newer


@pytest.fixture
def client(site: Site) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=site.url, timeout=60, follow_redirects=True) as opened:
        opened.get("/school")
        yield opened


def look(client: httpx.Client, seen: str, chosen: str = "") -> dict[str, Any]:
    """What a tick sends to a page that shows `seen`, by part; the others are left out."""
    told = Visitor(client).fire("effort", "change", seen, "quick", chosen)["output"]["data"]
    return {name: value for name, value in zip(PARTS, told, strict=True) if value not in SKIPPED}


def settled(client: httpx.Client, chosen: str = "") -> str:
    """The state on screen once the judgements are counted and nothing changes any more."""
    deadline, seen, counts = time.monotonic() + 60, "", ""
    while (changed := look(client, seen, chosen)) or COUNTED not in counts:
        assert time.monotonic() < deadline, changed
        seen, counts = changed.get("seen", seen), changed.get("counts", counts)
        time.sleep(0.5)
    return seen


@pytest.mark.usefixtures("nights")
def test_a_tick_sends_everything_once_then_only_what_changed(site: Site, client: httpx.Client) -> None:
    first = look(client, "")
    assert set(first) == set(PARTS) - {"chosen"}
    seen = settled(client)
    last = NightBook(site.database).last()
    assert last is not None
    NightBook(site.database).log(last.id, "a line more")
    changed = look(client, seen)
    assert set(changed) == {"seen", "night-log"}
    assert "a line more" in changed["night-log"]
    assert look(client, changed["seen"]) == {}
    assert set(look(client, "what no page of ours says")) == set(first)


def test_the_report_of_an_earlier_night_is_sent_to_who_chose_it(client: httpx.Client, nights: tuple[str, str]) -> None:
    older, newer = nights
    assert "What is rain?" in look(client, "", older)["report"]
    assert "What is rain?" not in look(client, "", newer).get("report", "")
    unknown = look(client, "", "<img src=x onerror=alert(1)>")["report"]
    assert "There is no such night." in unknown
    assert "<img" not in unknown


@pytest.mark.usefixtures("nights")
@pytest.mark.parametrize(
    ("button", "event", "data"),
    [
        ("train", "click", ["quick", False]),
        ("cancel-yes", "click", []),
        ("resume", "click", []),
        ("set-nightly", "click", ["quick", "03:30", ""]),
    ],
)
def test_only_the_owner_decides_about_nights(client: httpx.Client, button: str, event: str, data: list[Any]) -> None:
    client.headers["X-Forwarded-For"] = "192.0.2.7"
    seen = look(client, "")
    assert seen["train"]["interactive"] is False
    assert seen["resume"]["visible"] is seen["cancel"]["visible"] is False
    assert seen["nightly"]["interactive"] is False
    told = Visitor(client).fire(button, event, *data)
    assert told["success"] is False
    assert "Only the owner may start, stop, resume or time nights" in told["output"]["error"]


@pytest.mark.usefixtures("nights")
def test_there_is_nothing_to_cancel_where_no_night_runs(client: httpx.Client) -> None:
    told = Visitor(client).fire("cancel-yes", "click")
    assert told["success"] is False
    assert "No night is running" in told["output"]["error"]


@pytest.fixture
def unset(site: Site) -> None:
    """No nightly time was chosen on the page."""
    NightlyClock(site.database).choose(None)


@pytest.mark.usefixtures("unset")
def test_the_owner_sets_the_nightly_time_and_no_time(client: httpx.Client, nights: tuple[str, str]) -> None:
    def choose(text: object, report: str = "") -> dict[str, Any]:
        return Visitor(client).fire("set-nightly", "click", "quick", text, report)

    seen = look(client, "")
    assert seen["nightly"]["value"] == "given"
    assert seen["nightly"]["choices"][:2] == [
        ["as the server was started: no time", "given"],
        ["no time: only when I start one", "off"],
    ]
    assert "No night begins by itself." in seen["outlook"]
    assert choose("03:30")["success"]
    seen = look(client, "")
    assert seen["nightly"]["value"] == "03:30"
    assert "at 03:30 (UTC)" in seen["outlook"]
    for bad in ("25:00", "soon <b>", "12:3", "", None, 7):
        told = choose(bad)
        assert told["success"] is False
        assert "give a time of day as 02:30, or choose none" in told["output"]["error"]
    assert look(client, "")["nightly"]["value"] == "03:30"
    told = choose("off", nights[0])
    assert told["success"]
    assert told["output"]["data"][PARTS.index("chosen")] == nights[0]  # the report that is open stays
    seen = look(client, "")
    assert seen["nightly"]["value"] == "off"
    assert "No night begins by itself." in seen["outlook"]
    assert choose("given")["success"]
    assert look(client, "")["nightly"]["value"] == "given"


@pytest.mark.browser
@pytest.mark.usefixtures("unset")
def test_the_nightly_time_is_chosen_or_typed_and_there_after_a_reload(page: Page, site: Site) -> None:
    chooser, outlook = page.locator("#nightly input"), page.locator("#outlook")
    with watched(page):
        page.goto(f"{site.url}/school")
        expect(chooser).to_have_value("as the server was started: no time")
        expect(outlook).to_contain_text("No night begins by itself.")
        chooser.click()
        page.get_by_role("option", name="02:30").click()
        page.wait_for_timeout(1500)
        expect(outlook).to_contain_text("No night begins by itself.")  # it was not set yet
        set_it = page.get_by_role("button", name="Set", exact=True)
        set_it.click()
        expect(outlook).to_contain_text("at 02:30 (UTC)")
        page.reload()
        expect(chooser).to_have_value("02:30")
        chooser.fill("04:17")
        set_it.click()
        expect(outlook).to_contain_text("at 04:17 (UTC)")
        for refused, told in (("noon", "'noon'"), ("", "''")):
            chooser.fill(refused)
            set_it.click()
            expect(page.locator(".toast-body").last).to_contain_text(
                f"The time was given as {told}; give a time of day"
            )
        page.goto(f"{site.url}/zh/school")
        expect(chooser).to_have_value("04:17")
        chooser.click()
        page.get_by_role("option", name="不自动：仅手动开始").click()
        page.get_by_role("button", name="设定", exact=True).click()
        expect(outlook).to_contain_text("不会自动开始夜间训练。")


@pytest.mark.browser
def test_a_night_of_the_list_leads_to_its_report_and_back(page: Page, site: Site, nights: tuple[str, str]) -> None:
    older, _ = nights
    with watched(page):
        page.goto(f"{site.url}/school")
        expect(page.locator("#night-card")).to_contain_text("interrupted", timeout=PATIENCE)
        expect(page.get_by_role("button", name="Resume this night")).to_be_visible()
        page.locator(f"#history a[href='/school?night={older}']").click()
        expect(page.locator("#report")).to_contain_text("Report of the night of", timeout=PATIENCE)
        expect(page.locator("#report")).to_contain_text("It is held.")
        expect(page.locator("#night-card")).to_contain_text("interrupted")
        expect(page.locator("#history tr.shown")).to_have_count(1)
        page.wait_for_timeout(1500)  # a tick keeps what the address chose
        expect(page.locator("#report")).to_contain_text("It is held.")
        page.locator("#report a").click()
        expect(page.locator("#night-card")).to_contain_text("interrupted", timeout=PATIENCE)
        expect(page.locator("#report")).not_to_contain_text("It is held.")


@pytest.fixture
def thorough(site: Site) -> Iterator[str]:
    """A thorough night at work, whose process this is; afterwards there was none."""
    book = NightBook(site.database)
    with FileLock(f"{site.database.path}.night.lock"):
        night_id = book.start("thorough", 3, practice=False)
        yield night_id
    with site.database.write() as db:
        db.table("nights").delete(night_id)


@pytest.mark.browser
@pytest.mark.usefixtures("thorough")
def test_a_page_that_is_opened_during_a_night_shows_that_nights_effort(page: Page, site: Site) -> None:
    with watched(page):
        page.goto(f"{site.url}/school")
        expect(page.locator("#effort").get_by_label("thorough")).to_be_checked()
        expect(page.locator("#train")).to_be_disabled()
        page.reload()
        expect(page.locator("#effort").get_by_label("thorough")).to_be_checked()


@pytest.mark.browser
def test_an_interrupted_night_is_resumed_from_a_phone_in_chinese(
    page: Page, site: Site, nights: tuple[str, str]
) -> None:
    _, newer = nights
    page.set_viewport_size({"width": 390, "height": 844})
    with watched(page):
        page.goto(f"{site.url}/zh/school")
        page.get_by_role("button", name="继续这次训练").click(timeout=PATIENCE)
        expect(page.locator("#night-card")).to_contain_text("已跳过", timeout=PATIENCE)
        assert not page.evaluate("document.documentElement.scrollWidth > window.innerWidth")
    last = NightBook(site.database).last()
    assert last is not None
    assert (last.id, last.state) == (newer, NightState.DONE)
