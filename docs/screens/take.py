"""Take the README's screenshots from the real program with the embedded model: `python -m docs.screens.take`."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from tests.find_chromium import find_chromium

HERE = Path(__file__).parent


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "demo", "--port", "0", "--db", f"{folder}/feedback.db"]
        environment = {**os.environ, "NIGHTSCHOOL_DUEL_SHARE": "0", "NIGHTSCHOOL_MAX_NEW_TOKENS": "120"}
        command += ["--versions", f"{folder}/versions"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as demo:
            assert demo.stdout is not None
            url = next(found.group() for line in demo.stdout if (found := re.search(r"http://\S+", line)))
            try:
                with sync_playwright() as playwright:
                    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
                    browser = playwright.chromium.launch(executable_path=find_chromium(), args=flags)
                    _take(browser.new_page(viewport={"width": 1280, "height": 860}), url)
                    browser.close()
            finally:
                demo.terminate()


def _take(page: Page, url: str) -> None:
    page.goto(url)
    page.wait_for_timeout(2000)
    _ask(page, "Why is the sky blue?")
    page.get_by_role("button", name="Like", exact=True).first.click()
    page.wait_for_timeout(1000)
    page.screenshot(path=HERE / "chat.png")
    page.locator("#box textarea").fill("How do I boil an egg?")
    page.get_by_role("button", name="Compare two answers").click()
    page.locator("#vote-left:enabled").wait_for(timeout=120_000)
    page.wait_for_timeout(500)
    page.screenshot(path=HERE / "duel.png")
    page.locator("#vote-left").click()
    page.wait_for_timeout(1500)
    page.goto(f"{url}/school")
    page.wait_for_timeout(2500)
    page.screenshot(path=HERE / "school.png")


def _ask(page: Page, question: str) -> None:
    page.locator("#box textarea").fill(question)
    page.locator("#box textarea").press("Enter")
    page.get_by_role("button", name="Stop").wait_for(timeout=30_000)
    page.locator("#box").get_by_role("button", name="Send").wait_for(timeout=120_000)


if __name__ == "__main__":
    main()
