"""Take the screenshots: every page, both languages, light and dark, wide and phone: `python -m docs.screens.take`.

The site is the one of the browser tests, with the people and answers of `scene.py` in it; no model is needed. Versions
are shown of a second site, with the five nights of `tests/lineage.py`. Words as arguments (`rank zh dark phone`) take
only the pictures whose names hold all of them.
"""

import io
import json
import sys
import tempfile
from contextlib import nullcontext
from itertools import product
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from demo.accounts import Role, add
from demo.catalogue import LANGUAGES, Language
from demo.doors import PAGES
from demo.identity import COOKIE
from demo.languages import HTML_LANG, PREFIX
from docs.screens.scene import TEXTS, Scene, at_work, open_school
from nightschool.feedback import FeedbackStore
from tests.find_chromium import find_chromium
from tests.lineage import PEOPLE, V3, add_lineage
from tests.served import SCRIPTS, Site, served

HERE = Path(__file__).parent
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
SIZES: dict[str, dict[str, Any]] = {
    "wide": {"viewport": {"width": 1280, "height": 860}},
    "phone": {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True},
}
SHOTS = {
    "chat": ("chat", "#conversations .open >> nth=0", "#talk .turn.assistant"),
    "duel": ("chat", "#conversations .open >> nth=1", "#vote-left:enabled"),
    "rank": ("rank", "", "#rank-board [data-phase=ready]"),
    "feedback": ("feedback", "", "#feedback-page .item"),
    "school": ("school", "", ".outlook:not(.waits)"),
    "school-report": ("school", "#report summary >> nth=1", "#report details[open]"),
    "school-night": ("school", "", "#night-curves figure"),
}
"""Name -> the page, what is clicked on it, and what is there when it is ready."""
AT_WORK = {"school-night"}
"""Taken while a night runs."""
SHOWN = {"school-report": "#report"}
"""Pictures that begin further down the page, and with what."""
VERSION_SHOTS = {
    "versions": ("versions", "", "#versions-board .matrix"),
    "leaderboard": ("versions", "", "#versions-board .matrix"),
    "coevolution": ("versions", "", "#coevolution table"),
    "receipts": ("versions", "[data-act=receipts] >> nth=0", "#versions-sheet .receipts li"),
    "promote": ("versions", f"[data-act=promote][data-version={V3}]", "#versions-sheet [data-act=do-promote]"),
    "trial": ("versions", f"[data-act=try][data-version={V3}]", "#trial-end"),
}
"""The same, of the site with five nights."""
SCROLLED = {"leaderboard": "#versions-board", "coevolution": "#coevolution"}
LOGIN_SHOTS = {"login": ("login", "", "#password")}
"""Of a site with accounts."""
COLOURS = 256
"""Of a picture: screens have few, and the folder stays small."""


def main(wanted: list[str]) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=FLAGS)
        for shown in (SHOTS, VERSION_SHOTS, LOGIN_SHOTS):
            pictures = [
                (language, theme, size, shots)
                for language, theme, size in product(LANGUAGES, ("light", "dark"), SIZES)
                if (shots := [name for name in shown if _is_wanted(f"{name}-{language}-{theme}-{size}", wanted)])
            ]
            if pictures:
                with tempfile.TemporaryDirectory() as folder:
                    _take(browser, Path(folder), pictures, has_nights=shown is VERSION_SHOTS)
        browser.close()


def _is_wanted(picture: str, words: list[str]) -> bool:
    return all(word in picture for word in words)


def _take(browser: Browser, folder: Path, pictures: list[Any], *, has_nights: bool) -> None:
    """Pictures of one site."""
    answers = dict.fromkeys((V3, "v5"), TEXTS["en"]["duel"][1])
    (folder / SCRIPTS).write_text(json.dumps(answers if has_nights else {}), encoding="utf-8")
    if pictures[0][3][0] in LOGIN_SHOTS:
        add(folder / "accounts", "anna", "a long enough password", Role.OWNER)
    with served(folder) as site:
        if has_nights:
            add_lineage(site.database, folder / "versions", 2 * len(PEOPLE), TEXTS["en"]["duel"][1:])
        else:
            open_school(site.database)
        for language, theme, size, shots in pictures:
            _visit(browser, site, language, theme, size, shots)


def _visit(browser: Browser, site: Site, language: Language, theme: Any, size: str, shots: list[str]) -> None:
    """A new person looks at the pages; where these show what people do, they play their scene first."""
    cookie = site.visitors.issue()
    person = site.visitors.read({COOKIE: cookie})
    assert person is not None
    if shots[0] in SHOTS:
        Scene(FeedbackStore(site.database), site.database, person, language).play()
    context = browser.new_context(locale=HTML_LANG[language], color_scheme=theme, **SIZES[size])
    if shots[0] not in LOGIN_SHOTS:
        context.add_cookies([{"name": COOKIE, "value": cookie, "url": site.url}])
    page = context.new_page()
    page.set_default_timeout(60_000)
    for name in shots:
        with at_work(site.database) if name in AT_WORK else nullcontext():
            _open(page, site, language, name)
            taken = page.screenshot()
        picture = Image.open(io.BytesIO(taken)).convert("RGB")
        small = picture.quantize(COLOURS, dither=Image.Dither.NONE)
        small.save(HERE / f"{name}-{language}-{theme}-{size}.png", optimize=True)
    context.close()


def _open(page: Page, site: Site, language: Language, name: str) -> None:
    place, clicked, ready = (SHOTS | VERSION_SHOTS | LOGIN_SHOTS)[name]
    page.goto(f"{site.url}{PREFIX[language]}{PAGES.get(place, f'/{place}')}")
    if clicked:
        page.locator(clicked).first.wait_for(state="attached")
        page.locator(clicked).first.dispatch_event("click")  # also where the list is folded away
    page.locator(ready).first.wait_for()
    if name in SHOWN:
        page.locator(SHOWN[name]).evaluate("(part) => window.scrollTo(0, part.getBoundingClientRect().top - 70)")
    if name in SCROLLED:
        page.locator(SCROLLED[name]).evaluate("(part) => part.scrollIntoView({ block: 'start' })")
    if name == "trial":
        page.locator("#box textarea").fill(TEXTS[language]["duel"][0])
        page.locator("#box textarea").press("Enter")
        page.locator("#talk .turn.assistant").wait_for()
    page.wait_for_timeout(1200)


if __name__ == "__main__":
    main(sys.argv[1:])
