"""Peak memory of a fit as judgements grow: `python -m benchmarks.reward_memory [--quick] [--seed N] [--json]`.

Runs `python -m training reward fit --effort quick` as a program of its own on 1,000 and on 20,000 (--quick: 500 and
2,500) pairs of short made-up replies, and prints both peaks, their ratio and the seconds.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

from benchmarks.measuring import PeakMemory, tell
from nightschool.chat_format import encode_prompt, encode_text
from nightschool.feedback import FeedbackStore
from nightschool.model import BaseModel, base_of
from nightschool.prompt_bank import prompt_bank
from nightschool.records import DuelOutcome, Message, Preference
from nightschool.schema import FeedbackDatabase
from nightschool.settings import load_settings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="500 and 2,500 pairs (under 5 minutes)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="one flat JSON object")
    words = parser.parse_args()
    settings = load_settings()
    base = base_of(settings)
    few, many = (500, 2500) if words.quick else (1000, 20_000)
    figures: dict[str, float] = {"few": few, "many": many}
    for name, count in (("few", few), ("many", many)):
        with tempfile.TemporaryDirectory() as folder:
            write_database(Path(folder) / "feedback.db", base, count, words.seed)
            seconds, peak = fit(Path(folder))
        figures |= {f"seconds_{name}": seconds, f"peak_memory_gb_{name}": peak / 1e9}
    figures["peak_memory_ratio"] = figures["peak_memory_gb_many"] / figures["peak_memory_gb_few"]
    tell(figures, as_json=words.json)


def write_database(path: Path, base: BaseModel, count: int, seed: int) -> None:
    """Pairs of a few words each, the one with more long words chosen."""
    chance = random.Random(seed)
    vocabulary = sorted({word for prompt in prompt_bank() for word in prompt.text.split()})
    preferences = []
    for number in range(count):
        prompt = (Message("user", f"{' '.join(chance.sample(vocabulary, 3))} {number}?"),)
        texts = [" ".join(chance.sample(vocabulary, 4)) for _ in range(2)]
        left, right = ((text, (*encode_text(base.tokenizer, text), base.tokenizer.eos_token_id)) for text in texts)
        outcome = DuelOutcome.LEFT if len(texts[0]) > len(texts[1]) else DuelOutcome.RIGHT
        prompt_ids = tuple(encode_prompt(base.tokenizer, list(prompt)))
        preferences.append(Preference(f"{seed} {number}", prompt, prompt_ids, left, right, outcome))
    with closing(FeedbackDatabase(path)) as database:
        FeedbackStore(database).import_preferences("importer", preferences)


def fit(folder: Path) -> tuple[float, int]:
    """Seconds and peak bytes of one fit."""
    command = [sys.executable, "-m", "training", "reward", "fit", "--db", str(folder / "feedback.db")]
    command += ["--reward", str(folder / "reward"), "--effort", "quick"]
    began = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, text=True, env=dict(os.environ))
    memory = PeakMemory(process)
    process.communicate()
    peak = memory.stop()
    if process.returncode:
        raise SystemExit(process.returncode)
    return time.monotonic() - began, peak


if __name__ == "__main__":
    main()
