"""People and languages in Chromium: logging in and out, the switch of languages, and that no page asks another host."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from demo.accounts import Accounts, Role, add, refuse_bad_name
from demo.catalogue import LANGUAGES, Language
from demo.doors import PAGES
from demo.identity import Visitors
from demo.languages import HTML_LANG, PREFIX
from nightschool.errors import BadInput
from nightschool.feedback import FeedbackStore
from nightschool.records import ThumbValue
from tests.payloads import PAYLOADS
from tests.served import SECRET, Site, served
from tests.talks import start_talk

pytestmark = pytest.mark.browser

PATIENCE = 20_000
OWNER, USER = "Anna", "<img src=x onerror=window.ran=1>${window.ran=2}{{value}}"
PASSWORD = "a long enough password"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("guarded")
    add(folder / "accounts", OWNER, PASSWORD, Role.OWNER)
    # A name that is a script is a name. (A colon could not stand in the file; this one has none.)
    add(folder / "accounts", USER, PASSWORD, Role.USER)
    return folder


@pytest.fixture(scope="module")
def guarded(folder: Path) -> Iterator[Site]:
    with served(folder) as site:
        yield site


@pytest.fixture(scope="module")
def anonymous(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with served(tmp_path_factory.mktemp("anonymous")) as site:
        yield site


@contextmanager
def browsing(browser: Browser, site: Site, *, locale: str = "en-US", phone: bool = False) -> Iterator[BrowserContext]:
    """A browser of somebody; a broken script or a request to another host fails the test."""
    size = {"width": 390, "height": 844} if phone else {"width": 1280, "height": 860}
    context = browser.new_context(locale=locale, viewport=size, has_touch=phone, is_mobile=phone)  # type: ignore[arg-type]
    faults: list[str] = []
    context.on("weberror", lambda found: faults.append(str(found.error)))
    context.on(
        "request",
        lambda request: (
            faults.append(request.url) if not request.url.startswith((f"{site.url}/", "data:", "blob:")) else None
        ),
    )
    yield context
    context.close()
    assert faults == []


def log_in(page: Page, site: Site, name: str, path: str = "/school") -> None:
    page.goto(f"{site.url}{path}")
    page.locator("#name").fill(name)
    page.locator("#password").fill(PASSWORD)
    page.locator("#password").press("Enter")
    expect(page.locator("#site-header .person")).to_be_visible(timeout=PATIENCE)


def evil_names() -> list[str]:
    """Payloads that an account can be called by."""
    found = []
    for payload in PAYLOADS:
        with suppress(BadInput):
            refuse_bad_name(payload)
            found.append(payload)
    return found


# ---- people ----------------------------------------------------------------------------------------------------------


def test_a_person_logs_in_is_named_and_logs_out(browser: Browser, guarded: Site) -> None:
    with browsing(browser, guarded) as context:
        page = context.new_page()
        page.goto(f"{guarded.url}/school")
        page.locator("#name").fill(OWNER)
        page.locator("#password").fill("wrong")
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_role("alert")).to_contain_text("not right")
        expect(page.locator("#name")).to_have_value(OWNER)
        page.locator("#password").fill(PASSWORD)
        page.get_by_role("button", name="Log in").click()
        expect(page.locator("#site-header .initial")).to_have_text("A", timeout=PATIENCE)
        assert page.url == f"{guarded.url}/school"  # what was asked for at first
        expect(page.locator("#train")).to_be_enabled(timeout=PATIENCE)
        page.locator("#site-header summary").click()
        expect(page.locator("#site-header .menu")).to_contain_text("Annaowner")
        page.keyboard.press("Escape")
        expect(page.locator("#site-header .menu")).to_be_hidden()
        page.locator("#site-header summary").press("Enter")
        page.get_by_role("button", name="Log out").click()
        expect(page.locator("#password")).to_be_visible(timeout=PATIENCE)
        page.go_back()
        page.reload()
        expect(page.locator("#password")).to_be_visible(timeout=PATIENCE)


def test_a_user_sees_the_school_but_may_not_start_a_night_and_a_name_stays_text(
    browser: Browser, guarded: Site
) -> None:
    with browsing(browser, guarded) as context:
        page = context.new_page()
        log_in(page, guarded, USER)
        expect(page.locator("#start-hint")).to_contain_text(
            "Only the owner may start, stop, resume or time nights", timeout=PATIENCE
        )
        expect(page.locator("#train")).to_be_disabled()
        page.locator("#site-header summary").click()
        expect(page.locator("#site-header .name")).to_have_text(USER)
        assert page.evaluate("window.ran") is None


def test_names_of_people_stay_text_where_the_owner_sees_everybodys_feedback(
    browser: Browser, guarded: Site, folder: Path
) -> None:
    store, names = FeedbackStore(guarded.database), evil_names()
    assert len(names) > 5
    for name in names:
        add(folder / "accounts", name, PASSWORD, Role.USER)
        person = Visitors(SECRET, Accounts(folder / "accounts")).person_of_name(name)
        store.set_thumb(start_talk(store, "Who am I?", person).answer("Somebody."), person, ThumbValue.UP)
    with browsing(browser, guarded) as context:
        page = context.new_page()
        log_in(page, guarded, OWNER, "/feedback")
        page.locator("#feedback-filter .field.scope .control").select_option("all")
        expect(page.locator("#feedback-list li.item")).to_have_count(len(names))
        expect(page.locator("#feedback-filter .field.person option")).to_have_count(len(names) + 1)
        shown = page.locator("#feedback-filter .field.person option").all_inner_texts()
        assert [name for name in names if not any(name in text for text in shown)] == []
        assert set(page.locator("#feedback-list .whose").all_inner_texts()) <= set(names)
        assert page.evaluate("window.ran") is None


def test_a_page_left_open_leads_to_the_log_in_once_its_person_is_gone(
    browser: Browser, guarded: Site, folder: Path
) -> None:
    add(folder / "accounts", "Carl", PASSWORD, Role.USER)
    with browsing(browser, guarded) as context:
        page = context.new_page()
        log_in(page, guarded, "Carl")
        expect(page.locator("#start-hint")).to_be_visible(timeout=PATIENCE)
        add(folder / "accounts", "Carl", "quite another password", Role.USER)
        expect(page.locator("#password")).to_be_visible(timeout=PATIENCE)  # the page's own clock finds out


def test_a_page_is_loaded_again_when_somebody_else_has_logged_in_at_the_same_browser(
    browser: Browser, guarded: Site
) -> None:
    with browsing(browser, guarded) as context, browsing(browser, guarded) as elsewhere:
        page, other = context.new_page(), elsewhere.new_page()
        log_in(page, guarded, OWNER)
        log_in(other, guarded, USER)
        context.add_cookies(elsewhere.cookies())  # type: ignore[arg-type]
        expect(page.locator("#site-header .name")).to_have_text(USER, timeout=PATIENCE)  # by the page's own clock
        expect(page.locator("#train")).to_be_disabled(timeout=PATIENCE)


# ---- languages -------------------------------------------------------------------------------------------------------


def test_the_language_is_the_browsers_until_the_person_chooses_and_then_stays(
    browser: Browser, anonymous: Site
) -> None:
    with browsing(browser, anonymous, locale="zh-CN") as context:
        page = context.new_page()
        page.goto(f"{anonymous.url}/school")
        expect(page.locator("#train")).to_have_text("立即训练", timeout=PATIENCE)
        assert page.url == f"{anonymous.url}/zh/school"
        page.get_by_role("link", name="EN", exact=True).click()
        expect(page.locator("#train")).to_have_text("Train now", timeout=PATIENCE)
        assert page.evaluate("document.documentElement.lang") == "en"
        page.reload()
        expect(page.locator("#train")).to_have_text("Train now", timeout=PATIENCE)
        page.get_by_role("link", name="Chat", exact=True).click()
        page.wait_for_url(f"{anonymous.url}/")
        another = context.new_page()
        another.goto(f"{anonymous.url}/school")
        expect(another.locator("#train")).to_have_text("Train now", timeout=PATIENCE)
        another.get_by_role("link", name="中文", exact=True).click()
        expect(another.locator("#train")).to_have_text("立即训练", timeout=PATIENCE)
        assert another.evaluate("document.documentElement.lang") == "zh-CN"


def test_the_same_person_is_known_in_both_languages(browser: Browser, anonymous: Site) -> None:
    with browsing(browser, anonymous) as context:
        page = context.new_page()
        page.goto(anonymous.url)
        page.locator("#box textarea").fill("one person")
        page.locator("#box textarea").press("Enter")
        expect(page.locator("#conversations button").first).to_contain_text("one person", timeout=PATIENCE)
        page.get_by_role("link", name="中文", exact=True).click()
        page.wait_for_url(f"{anonymous.url}/zh/")
        expect(page.locator("#conversations button").first).to_contain_text("one person", timeout=PATIENCE)


# ---- every page ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("phone", [False, True], ids=["wide", "phone"])
def test_every_page_leads_to_every_other_asks_no_other_host_and_fits(
    browser: Browser, anonymous: Site, language: Language, phone: bool
) -> None:
    with browsing(browser, anonymous, locale=HTML_LANG[language], phone=phone) as context:
        page = context.new_page()
        page.goto(f"{anonymous.url}{PREFIX[language]}/")
        for path in [*PAGES.values(), "/"]:
            page.locator(f'#site-header .pages a[href="{PREFIX[language]}{path}"]').click()
            page.wait_for_url(f"{anonymous.url}{PREFIX[language]}{path}")
            current = page.locator("#site-header .pages a[aria-current=page]")
            expect(current).to_have_attribute("href", f"{PREFIX[language]}{path}", timeout=PATIENCE)
            page.wait_for_timeout(1500)
            assert not page.evaluate("document.documentElement.scrollWidth > window.innerWidth"), path
            box = page.locator("#site-header .languages").bounding_box()
            assert box is not None
            assert box["x"] + box["width"] <= page.evaluate("window.innerWidth")


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_log_in_fits_a_phone_and_asks_no_other_host(browser: Browser, guarded: Site, language: Language) -> None:
    with browsing(browser, guarded, locale=HTML_LANG[language], phone=True) as context:
        page = context.new_page()
        page.goto(guarded.url)
        expect(page.locator("#password")).to_be_visible(timeout=PATIENCE)
        assert not page.evaluate("document.documentElement.scrollWidth > window.innerWidth")
