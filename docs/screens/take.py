"""Take the screenshots: every page, both languages, light and dark, wide and phone: `python -m docs.screens.take`.

The site is the one of the browser tests, with the people and answers of `scene.py` in it; no model is needed. Words as
arguments (`rank zh dark phone`) take only the pictures whose names hold all of them.
"""

import io
import sys
import tempfile
from contextlib import nullcontext
from itertools import product
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from demo.catalogue import LANGUAGES, Language
from demo.doors import PAGES
from demo.identity import COOKIE
from demo.languages import HTML_LANG, PREFIX
from docs.screens.scene import Scene, at_work, open_school
from nightschool.feedback import FeedbackStore
from tests.find_chromium import find_chromium
from tests.served import Site, served

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
COLOURS = 256
"""Of a picture: screens have few, and the folder stays small."""


def main(wanted: list[str]) -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        served(Path(folder)) as site,
        sync_playwright() as playwright,
    ):
        open_school(site.database)
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=FLAGS)
        for language, theme, size in product(LANGUAGES, ("light", "dark"), SIZES):
            shots = [name for name in SHOTS if all(word in f"{name}-{language}-{theme}-{size}" for word in wanted)]
            if shots:
                _visit(browser, site, language, theme, size, shots)
        browser.close()


def _visit(browser: Browser, site: Site, language: Language, theme: Any, size: str, shots: list[str]) -> None:
    """A new person plays their scene, then looks at the pages."""
    cookie = site.visitors.issue()
    person = site.visitors.read({COOKIE: cookie})
    assert person is not None
    Scene(FeedbackStore(site.database), site.database, person, language).play()
    context = browser.new_context(locale=HTML_LANG[language], color_scheme=theme, **SIZES[size])
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
    place, clicked, ready = SHOTS[name]
    page.goto(f"{site.url}{PREFIX[language]}{PAGES[place]}")
    if clicked:
        page.locator(clicked).first.wait_for(state="attached")
        page.locator(clicked).first.dispatch_event("click")  # also where the list is folded away
    page.locator(ready).first.wait_for()
    if name in SHOWN:
        page.locator(SHOWN[name]).evaluate("(part) => window.scrollTo(0, part.getBoundingClientRect().top - 70)")
    page.wait_for_timeout(1200)


if __name__ == "__main__":
    main(sys.argv[1:])
