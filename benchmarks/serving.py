"""The chat as a person meets it: `python -m benchmarks.serving [--quick] [--seed N] [--json]`.

Starts the real program with the embedded model and its own database, asks short questions in Chromium, and prints
seconds from Enter to the first words on the page, tokens a second (from the rows that the program wrote), and the
program's peak memory.
"""

import argparse
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import sqlite_utils
from playwright.sync_api import Page, sync_playwright

from benchmarks.measuring import PeakMemory, tell
from tests.find_chromium import find_chromium

QUESTIONS = [
    "Why is the sky blue?",
    "How do I boil an egg?",
    "Tell me about cats.",
    "What is a loop in Python?",
    "Why do leaves fall?",
    "How far is the moon?",
    "What is bread made of?",
    "Name a good book.",
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="three questions instead of eight")
    parser.add_argument("--seed", type=int, default=0, help="order of the questions")
    parser.add_argument("--json", action="store_true", help="one flat JSON object")
    words = parser.parse_args()
    questions = random.Random(words.seed).sample(QUESTIONS, 3 if words.quick else len(QUESTIONS))
    with tempfile.TemporaryDirectory() as folder:
        db = Path(folder) / "feedback.db"
        command = [sys.executable, "-m", "demo", "--port", "0", "--db", str(db), "--versions", f"{folder}/versions"]
        environment = {**os.environ, "NIGHTSCHOOL_DUEL_SHARE": "0", "NIGHTSCHOOL_MAX_NEW_TOKENS": "128"}
        began = time.monotonic()
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as demo:
            memory = PeakMemory(demo)
            try:
                url = _wait_for_address(demo)
                start_seconds = time.monotonic() - began
                firsts = _ask_all(url, questions)
                peak = memory.stop()
            finally:
                demo.terminate()
        speeds = _tokens_per_second(db)
    figures = {
        "questions": len(questions),
        "start_seconds": start_seconds,
        "first_words_seconds_median": statistics.median(firsts),
        "first_words_seconds_worst": max(firsts),
        "tokens_per_second_median": statistics.median(speeds),
        "tokens_per_second_worst": min(speeds),
        "peak_memory_gb": peak / 1e9,
    }
    tell(figures, as_json=words.json)


def _wait_for_address(demo: subprocess.Popen[str]) -> str:
    assert demo.stdout is not None
    for line in demo.stdout:
        if found := re.search(r"http://\S+", line):
            return found.group()
    raise SystemExit("The chat ended before it answered; run `make demo` to see why.")


def _ask_all(url: str, questions: list[str]) -> list[float]:
    """Seconds from Enter to the first words of each answer, each question from a new visitor."""
    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=flags)
        firsts = [_ask(browser.new_context().new_page(), url, question) for question in questions]
        browser.close()
    return firsts


def _ask(page: Page, url: str, question: str) -> float:
    page.goto(url)
    box = page.locator("#box textarea")
    box.fill(question)
    page.wait_for_timeout(500)
    began = time.monotonic()
    box.press("Enter")
    page.wait_for_function(
        "() => { const replies = document.querySelectorAll('#chat [data-testid=bot]');"
        " return replies.length && /\\w/.test(replies[replies.length - 1].innerText); }"
    )
    seconds = time.monotonic() - began
    page.locator("#box").get_by_role("button", name="Send").wait_for(timeout=120_000)
    return seconds


def _tokens_per_second(db: Path) -> list[float]:
    rows = sqlite_utils.Database(db).query(
        "SELECT json_array_length(token_ids) AS tokens, first_token_seconds, seconds FROM replies WHERE status = 'done'"
    )
    return [(row["tokens"] - 1) / (row["seconds"] - row["first_token_seconds"]) for row in rows if row["tokens"] >= 20]


if __name__ == "__main__":
    main()
