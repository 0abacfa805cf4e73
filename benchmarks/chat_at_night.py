"""Does a night starve the chat? `python -m benchmarks.chat_at_night [--quick] [--model M] [--seed N] [--json]`.

Draws the first token of short questions with the chat's engine, alone and then while a night that the chat's own code
started is in its PPO, the stage that computes most. Told are the medians and worst of both in milliseconds, and how
many times the median grew. A practice night on a database of its own; it is ended when the second half is measured.
"""

import argparse
import os
import random
import signal
import statistics
import tempfile
import time
from contextlib import closing
from pathlib import Path

import psutil

from benchmarks.measuring import tell
from benchmarks.serving import QUESTIONS
from demo.nights import Nights, Phase
from nightschool.embedded_engine import EmbeddedEngine
from nightschool.model import base_of
from nightschool.records import INITIAL, Message, Sampling, Version
from nightschool.registry import NightBook
from nightschool.schema import FeedbackDatabase
from nightschool.settings import load_settings

STAGE = "ppo"
PATIENCE = 1800.0
FIRST = Sampling(0.7, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="8 questions instead of 32 each time")
    parser.add_argument("--model", help="'embedded' (default), a Hugging Face id, or a model folder")
    parser.add_argument("--seed", type=int, default=0, help="order of the questions")
    parser.add_argument("--json", action="store_true", help="one flat JSON object")
    words = parser.parse_args()
    settings = load_settings(model=words.model)
    base = base_of(settings)
    questions = random.Random(words.seed).choices(QUESTIONS, k=8 if words.quick else 32)
    with (
        tempfile.TemporaryDirectory() as name,
        closing(FeedbackDatabase(Path(name) / "feedback.db")) as database,
        closing(
            EmbeddedEngine(base, Path(name) / "versions", max_prompt_tokens=2048, max_new_tokens=256, resident=2)
        ) as engine,
    ):
        first_tokens(engine, questions[:4])  # warm
        alone = first_tokens(engine, questions)
        nights = Nights(
            NightBook(database),
            db=database.path,
            versions=Path(name) / "versions",
            environment={"NIGHTSCHOOL_MODEL": settings.model, "NIGHTSCHOOL_CACHE": str(settings.cache.resolve())},
        )
        nights.start("normal", practice=True)
        try:
            wait_for_stage(nights)
            beside = first_tokens(engine, questions)
        finally:
            end_children()
    figures = {
        "questions": len(questions),
        "alone_ms_median": 1000 * statistics.median(alone),
        "alone_ms_worst": 1000 * max(alone),
        "at_night_ms_median": 1000 * statistics.median(beside),
        "at_night_ms_worst": 1000 * max(beside),
        "times_slower_median": statistics.median(beside) / statistics.median(alone),
    }
    tell(figures, as_json=words.json)


def first_tokens(engine: EmbeddedEngine, questions: list[str]) -> list[float]:
    """Seconds to the first token of the initial version's answer to each question, one after the other."""
    version = Version(INITIAL, None, "", None, None, None, None)
    seconds = []
    for question in questions:
        prompt_ids = engine.prompt_ids([Message("user", question)])
        began = time.monotonic()
        for _ in engine.stream(version, prompt_ids, FIRST, seed=0):
            pass
        seconds.append(time.monotonic() - began)
        time.sleep(0.2)  # a person reads
    return seconds


def wait_for_stage(nights: Nights) -> None:
    """Until the night is in PPO."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        status = nights.status()
        if status.phase in {Phase.ENDED, Phase.NOT_STARTED}:
            raise SystemExit(f"The night ended before {STAGE}: {status.sentence or status.night}")
        if status.night is not None and status.night.stages and status.night.stages[-1].name == STAGE:
            return
        time.sleep(0.2)
    raise SystemExit(f"The night did not come to {STAGE} within {PATIENCE:.0f} seconds.")


def end_children() -> None:
    """End the night, which has a session of its own, and nothing else."""
    for child in psutil.Process().children():
        os.kill(child.pid, signal.SIGTERM)
        child.wait(30)


if __name__ == "__main__":
    main()
