"""No word outside the catalogue: what the source of the pages says, and what a browser shows of every page.

The browser looks at every page in both languages: visible text, titles, labels, placeholders. Each must be a text of
the catalogue (or a part of one: a sentence may hold values and tags), a figure or a name; of Gradio's own words, none.
"""

import ast
import html
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from demo.accounts import Role, add
from demo.catalogue import LANGUAGES, Language, catalogue
from demo.doors import PAGES
from demo.languages import HTML_LANG, PREFIX
from nightschool.prompt_bank import prompt_bank
from tests.served import Site, served

HOME = Path(__file__).parent.parent
PATIENCE = 20_000
NAME = "Anna-Lena"
QUESTION = "zxq"
ANSWERS = re.compile(r"(another|a) reply by \w+( \d+)?")
SCREENS = [*sorted((HOME / "demo" / "pages").glob("*.py")), HOME / "demo" / "app.py"]

# ---- in the source -------------------------------------------------------------------------------------------------

TWO_WORDS = re.compile(r"[A-Za-z]{2,}[,.!?:;…]* +[A-Za-z]{2,}")
A_NAME_OR_SENTENCE = re.compile(r"^[A-Z][a-z]{2,}")
CHINESE = re.compile("[\u4e00-\u9fff]")
SPOKEN_ATTRIBUTE = re.compile(r"(?:aria-label|title|placeholder|alt)=[\"']([^\"'{}$]*[A-Za-z]{2,}[^\"'{}$]*)[\"']")
IN_A_SCRIPT = re.compile(r"=>|\bfunction\b|\bconst \w")
SPOKEN_IN_A_SCRIPT = re.compile(
    r"(?:textContent|title|placeholder|innerText|ariaLabel|alert)\s*=\s*['\"]([^'\"]*[A-Za-z][^'\"]*)"
)
UNSPOKEN_KEYWORDS = {
    "elem_id",
    "elem_classes",
    "js",
    "css",
    "concurrency_id",
    "api_name",
    "show_progress",
    "key",
    "pattern",
    "font",
    "font_mono",
}
SPOKEN_KEYWORDS = {"label", "placeholder", "info", "title", "submit_btn", "stop_btn", "x_title", "y_title"}
LOGGING = {"debug", "info", "warning", "error", "exception"}


def strays_in(source: str) -> list[str]:
    """Texts of a module that a person would read and that stand in no catalogue."""
    tree = ast.parse(source)
    raised = {name.id for node in ast.walk(tree) if isinstance(node, ast.Raise) for name in _names_in(node)}
    unspoken = {id(part) for node in ast.walk(tree) for part in _unspoken(node, raised)}
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg in SPOKEN_KEYWORDS and _is_word(node.value):
            found.append(ast.unparse(node.value))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in unspoken:
            found += [text for text in _spoken(node.value) if text]
    return found


def _names_in(node: ast.AST) -> Iterator[ast.Name]:
    return (part for part in ast.walk(node) if isinstance(part, ast.Name))


def _unspoken(node: ast.AST, raised: set[str]) -> Iterator[ast.AST]:
    """Parts that nobody reads: docstrings, errors (their English is a message id), logs, ids of elements, fonts."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        yield node.value
    is_log = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LOGGING
    is_id = isinstance(node, ast.keyword) and node.arg in UNSPOKEN_KEYWORDS
    is_error = isinstance(node, ast.Raise) or (
        isinstance(node, ast.Assign) and any(name.id in raised for target in node.targets for name in _names_in(target))
    )
    if is_log or is_id or is_error:
        yield from ast.walk(node)


def _spoken(text: str) -> list[str]:
    if IN_A_SCRIPT.search(text):
        return [*SPOKEN_IN_A_SCRIPT.findall(text), *SPOKEN_ATTRIBUTE.findall(text)]
    shown = html.unescape(re.sub(r"<[^>]*>?|^[^<>]*>", " ", text) if "<" in text or ">" in text else text).strip()
    is_spoken = TWO_WORDS.search(shown) or A_NAME_OR_SENTENCE.search(shown) or CHINESE.search(text)
    return [*([shown] if is_spoken else []), *SPOKEN_ATTRIBUTE.findall(text)]


def _is_word(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and bool(re.search("[A-Za-z]", node.value))


NOT_WORDS = {
    "NightSchool",  # its name
    "Like", "Dislike",  # Gradio's own values of a thumb, which it translates
    "Content-Disposition", "Cache-Control", "application/jsonl; charset=utf-8", 'attachment; filename="',  # of HTTP
}  # fmt: skip


@pytest.mark.parametrize("path", SCREENS, ids=lambda path: path.stem)
def test_the_source_of_a_page_holds_no_word_outside_the_catalogue(path: Path) -> None:
    assert [text for text in strays_in(path.read_text(encoding="utf-8")) if text not in NOT_WORDS] == []


@pytest.mark.parametrize(
    "source",
    [
        'gr.Button("Train now")',
        'gr.Button("Send")',
        'gr.Radio(choices, label="effort")',
        'x = f"<h2>Nights so far</h2>"',
        'x = "<b>Saved</b>"',
        'x = "left is better"',
        "x = '<nav aria-label=\"your conversations\">'",
        "DRAW = \"const draw = () => { button.title = 'rename'; }\"",
        'x = {"up": "Saved: a good answer."}',
        'x = "保存"',
    ],
)
def test_a_stray_in_the_source_is_seen(source: str) -> None:
    assert strays_in(source)


@pytest.mark.parametrize(
    "source",
    [
        '"""A docstring with words."""',
        'raise BadInput("There is no answer yet.")',
        'REFUSED = "There is no answer yet."\nraise BadInput(REFUSED)',
        'log.warning("The version %s", x)',
        'gr.Button(words("chat.send"), elem_id="Send now", variant="primary")',
        "x = '<div class=\"tile wide\"><b>'",
        'DRAW = "const draw = () => { button.title = props.words.rename; }"',
        "x = f'<p aria-label=\"{words(key)}\">'",
        'words("common.please_reload")',
    ],
)
def test_what_nobody_reads_is_no_stray(source: str) -> None:
    assert strays_in(source) == []


# ---- in the browser ------------------------------------------------------------------------------------------------

COLLECT = """() => {
  const found = document.title.split(' · ').map((part) => ['title', part]);
  const isSeen = (element) => {  // what waits at opacity 0 for a pointer counts; Gradio's progress is at 0 for good
    const checkOpacity = element.closest('[data-testid=status-tracker]') !== null;
    return element.checkVisibility({ checkOpacity, checkVisibilityCSS: true });
  };
  const skipped = 'script, style, noscript, .users-own, [data-testid=user], [data-testid=bot]';
  const isSkipped = (element) => element.closest(skipped);
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!isSkipped(element) && isSeen(element)) found.push(['text', walker.currentNode.data]);
  }
  for (const element of document.body.querySelectorAll('*')) {
    if (isSkipped(element) || !isSeen(element)) continue;
    for (const name of ['aria-label', 'aria-description', 'title', 'placeholder', 'alt', 'data-label']) {
      if (element.hasAttribute(name)) found.push([name, element.getAttribute(name)]);
    }
    if (element.matches('input[type=button], input[type=submit]')) found.push(['value', element.value]);
  }
  return found;
}"""

BANK = {prompt.text for language in LANGUAGES for prompt in prompt_bank(language)}
"""What the Rank page asks and the Chat page gives as examples."""
NAMES = {NAME, NAME[0], "initial", "scripted", "slow", QUESTION, "NightSchool"}
NAMES |= {"s"}  # the key that skips a duel


@cache
def patterns(language: Language) -> list[re.Pattern[str]]:
    """The texts of a language as patterns, whole and cut at their tags and values, as a browser shows them."""
    found = set()
    for texts in catalogue().values():
        cut_at_tags = re.split(r"<[^>]*>", texts[language])
        cut_at_values = re.split(r"<[^>]*>|\{\w+\}", texts[language])
        for part in [texts[language], *cut_at_tags, *cut_at_values]:
            shown = " ".join(html.unescape(re.sub(r"<[^>]*>", "", part)).split())
            if re.search(r"\w", re.sub(r"\{\w+\}", "", shown)):
                found.add(re.sub(r"\\\{\w+\\\}", ".+", re.escape(shown)))
    return [re.compile(pattern) for pattern in found]


def is_from_the_catalogue(text: str, language: Language) -> bool:
    """Whether a text that a page shows is one of the catalogue, a figure or a name."""
    shown = " ".join(text.split()).strip(" .。·,，:：()（）–-")
    return (
        not re.search(r"[^\W\d_]", shown)
        or shown in NAMES
        or text.strip() in BANK
        or ANSWERS.fullmatch(shown) is not None
        or any(pattern.fullmatch(" ".join(text.split())) or pattern.fullmatch(shown) for pattern in patterns(language))
    )


def strays_on(page: Page, language: Language) -> list[tuple[str, str]]:
    """What a page shows that is not from the catalogue."""
    found = [(kind, text) for kind, text in page.evaluate(COLLECT) if not is_from_the_catalogue(text, language)]
    return sorted(set(found))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site with accounts, because a log-in and a menu belong to every page."""
    folder = tmp_path_factory.mktemp("site")
    add(folder / "accounts", NAME, "a long enough password", Role.OWNER)
    with served(folder) as running:
        yield running


@pytest.fixture(params=LANGUAGES)
def language(request: pytest.FixtureRequest) -> Language:
    chosen: Language = request.param
    return chosen


@pytest.fixture
def page(browser: Browser, site: Site, language: Language) -> Iterator[Page]:
    """A browser that speaks the language; every request to another host and every broken script fails its test."""
    context = browser.new_context(locale=HTML_LANG[language], viewport={"width": 1280, "height": 900})
    faults: list[str] = []
    opened = context.new_page()
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.on(
        "request",
        lambda request: (
            faults.append(request.url) if not request.url.startswith((f"{site.url}/", "data:", "blob:")) else None
        ),
    )
    opened.goto(site.url)
    yield opened
    context.close()
    assert faults == []


def log_in(page: Page) -> None:
    page.locator("#name").fill(NAME)
    page.locator("#password").fill("a long enough password")
    page.locator("main button").click()
    expect(page.locator("#site-header .person")).to_be_visible(timeout=PATIENCE)


@pytest.mark.browser
def test_the_log_in_page_shows_only_words_of_its_language(page: Page, site: Site, language: Language) -> None:
    assert page.url == f"{site.url}{PREFIX[language]}/login?next=/"
    assert strays_on(page, language) == []
    page.locator("#name").fill(NAME)
    page.locator("#password").fill("wrong")
    page.locator("main button").click()
    expect(page.get_by_role("alert")).to_be_visible(timeout=PATIENCE)
    assert strays_on(page, language) == []


@pytest.mark.browser
@pytest.mark.parametrize("name", PAGES)
def test_a_page_shows_only_words_of_its_language(page: Page, site: Site, language: Language, name: str) -> None:
    log_in(page)
    page.goto(f"{site.url}{PREFIX[language]}{PAGES[name]}")
    expect(page.locator("#site-header .person")).to_be_visible(timeout=PATIENCE)
    page.locator("#site-header summary").click()
    page.wait_for_timeout(2500)  # the page's own first event
    assert page.evaluate("document.documentElement.lang") == HTML_LANG[language]
    assert strays_on(page, language) == []


@pytest.mark.browser
@pytest.mark.parametrize("name", PAGES)
def test_a_language_that_was_chosen_holds_for_gradios_words_too(
    page: Page, site: Site, language: Language, name: str
) -> None:
    log_in(page)
    [other] = [found for found in LANGUAGES if found != language]
    page.goto(f"{site.url}{PREFIX[language]}{PAGES[name]}?language={other}")
    expect(page.locator("#site-header .person")).to_be_visible(timeout=PATIENCE)
    page.wait_for_timeout(2500)
    assert page.evaluate("document.documentElement.lang") == HTML_LANG[other]
    assert strays_on(page, other) == []


@pytest.mark.browser
def test_the_chat_in_use_shows_only_words_of_its_language(page: Page, language: Language) -> None:
    def say(name: str) -> str:
        return catalogue()[f"chat.{name}"][language]

    def click(name: str) -> None:
        page.get_by_role("button", name=say(name), exact=True).first.click()

    log_in(page)
    page.locator("#box textarea").fill(QUESTION)
    page.locator("#box textarea").press("Enter")
    expect(page.locator(".talk-scroll")).to_have_attribute("aria-busy", "false", timeout=PATIENCE)
    expect(page.get_by_test_id("bot")).to_have_text(ANSWERS, timeout=PATIENCE)
    click("bad")
    expect(page.locator(".why-panel .told")).to_have_text(say("saved"), timeout=PATIENCE)
    assert strays_on(page, language) == []
    click("close")
    click("improve")
    page.locator(".editor textarea").fill(QUESTION)
    assert strays_on(page, language) == []
    page.locator(".editor .primary").click()
    expect(page.locator(".turn .turn-mark")).to_contain_text(say("corrected"), timeout=PATIENCE)
    page.locator("#settings").click()
    page.locator("#box textarea").fill(QUESTION)
    page.locator("#compare").click()
    expect(page.locator("#vote-skip")).to_be_enabled(timeout=PATIENCE)
    assert strays_on(page, language) == []
    page.locator("#vote-skip").click()
    expect(page.locator("#duel")).to_be_hidden(timeout=PATIENCE)
    page.locator("#conversations li").first.hover()
    page.locator("#conversations .entry-tools .tool").last.click()
    expect(page.locator("#conversations .undo")).to_have_text(say("undo"), timeout=PATIENCE)
    page.locator("#search").fill(QUESTION * 2)
    expect(page.locator("#conversations .quiet")).to_contain_text(QUESTION * 2, timeout=PATIENCE)
    assert strays_on(page, language) == []


@pytest.mark.browser
def test_an_error_is_told_in_the_language_of_the_page(page: Page, language: Language) -> None:
    log_in(page)
    page.locator("#box textarea").fill("   ")
    page.locator("#box textarea").press("Enter")
    toast = page.get_by_test_id("toast-body")
    expect(toast).to_contain_text(catalogue()["errors.message_empty"][language], timeout=PATIENCE)
    expect(toast).to_contain_text(catalogue()["gradio.error"][language])
    expect(toast.get_by_test_id("toast-close")).to_have_attribute("aria-label", catalogue()["gradio.close"][language])


@pytest.fixture
def no_night_after(site: Site) -> Iterator[None]:
    """The other tests share the site, in any order: what the stand-in of a night prints is in no catalogue."""
    yield
    with site.database.write() as db:
        for table in ("night_log", "night_metrics", "night_stages", "nights"):
            db.table(table).delete_where()


@pytest.mark.browser
@pytest.mark.usefixtures("no_night_after")
def test_a_night_is_told_in_the_language_of_the_page(page: Page, site: Site, language: Language) -> None:
    log_in(page)
    page.goto(f"{site.url}{PREFIX[language]}/school")
    button = page.locator("#train")
    expect(button).to_be_enabled(timeout=PATIENCE)
    button.click()
    expect(page.locator("#history tbody tr").first).to_be_visible(timeout=PATIENCE)
    expect(button).to_be_enabled(timeout=PATIENCE)
    skipped = catalogue()["school.skipped"][language]
    expect(page.locator("#night h3")).to_have_text(skipped, timeout=PATIENCE)
    stand_in = re.compile(
        r"half of it|all of it|snapshot|There were 3 judgements.*|.*\"pid\".*"
    )  # said by the stand-in
    assert [stray for stray in strays_on(page, language) if not stand_in.fullmatch(stray[1].strip())] == []


@pytest.mark.browser
def test_a_server_that_is_gone_is_told_in_the_language_of_the_page(
    browser: Browser, language: Language, tmp_path: Path
) -> None:
    context = browser.new_context(locale=HTML_LANG[language])
    page = context.new_page()
    with served(tmp_path) as running:
        page.goto(f"{running.url}{PREFIX[language]}/school")  # it asks the server every second
        expect(page.locator("#night-card section")).to_be_visible(timeout=PATIENCE)
    toast = page.get_by_test_id("toast-body")
    expect(toast).to_contain_text(catalogue()["gradio.reconnecting"][language], timeout=PATIENCE)
    context.close()
