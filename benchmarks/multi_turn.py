"""Import, fit and report of multi-turn pairs: `python -m benchmarks.multi_turn [--quick] [--seed N] [--json]`.

Writes a TRL preference file of 2,000 pairs (--quick: 150, and effort quick) with one to three earlier exchanges, made
of the bank's prompts and replies of the model; liked are replies near 20 words, one choice in five is wrong. Then it
runs `training import`, `reward fit` and `reward report` on it as a person would, and tells the seconds of each, the
peak memory of the fit, and what the report says. `--keep FILE`: the file of pairs, written unless it is there.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.measuring import PeakMemory, tell
from benchmarks.raters import TASTES, draw_pool
from nightschool.model import base_of
from nightschool.prompt_bank import bank_half
from nightschool.settings import load_settings

PAIRS = 2000
WRONG = 0.2
REPLIES = 6
REPORTED = ("pairs", "accuracy", "log_loss", "rung", "context_tokens")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="150 pairs, effort quick")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pairs", type=int, help=f"(default: {PAIRS})")
    parser.add_argument("--effort", help="(default: normal)")
    parser.add_argument("--keep", type=Path, help="the file of pairs: taken as it is where there is one")
    parser.add_argument("--json", action="store_true", help="one flat JSON object")
    words = parser.parse_args()
    pairs = words.pairs or (150 if words.quick else PAIRS)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = words.keep or folder / "pairs.jsonl"
        if not file.exists():
            write_pairs(file, pairs, words.seed, replies=2 if words.quick else REPLIES)
        figures = walk(folder, file, words.effort or ("quick" if words.quick else "normal"), words.seed)
    tell(figures, as_json=words.json)


def walk(folder: Path, file: Path, effort: str, seed: int) -> dict[str, Any]:
    """Seconds of the three commands, and what the last of them tells."""
    database, reward = ["--db", str(folder / "feedback.db")], ["--reward", str(folder / "reward")]
    fit = ["reward", "fit", *database, *reward, "--effort", effort, "--seed", str(seed)]
    figures: dict[str, Any] = {"effort": effort}
    for name, command in {
        "import": ["import", str(file), *database],
        "fit": fit,
        "report": ["reward", "report", *reward, "--json"],
    }.items():
        began = time.monotonic()
        told, peak = _run(command)
        figures |= {f"seconds_{name}": time.monotonic() - began, f"peak_memory_gb_{name}": peak / 1e9}
    figures["seconds"] = sum(figures[f"seconds_{name}"] for name in ("import", "fit", "report"))
    return figures | {name: json.loads(told)[name] for name in REPORTED}


def _run(words: list[str]) -> tuple[str, int]:
    """What `python -m training ...` prints, and its peak memory in bytes."""
    command = [sys.executable, "-m", "training", *words]
    with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
        process = subprocess.Popen(command, stdout=output, text=True, env=dict(os.environ))
        memory = PeakMemory(process)
        if process.wait():
            raise SystemExit(process.returncode)
        output.seek(0)
        return output.read(), memory.stop()


def write_pairs(file: Path, count: int, seed: int, *, replies: int) -> None:
    """Conversations that end in two replies to their last question, of which one is chosen."""
    pool = draw_pool(base_of(load_settings()), list(bank_half("train")), replies, seed)
    questions = [prompt.text for prompt in bank_half("train")]
    by_prompt, taste, chance = pool.by_prompt(), TASTES["brevity"], random.Random(seed)
    rows: list[str] = []
    while len(rows) < count:
        numbers = chance.sample(sorted(by_prompt), 1 + chance.randint(1, 3))
        prompt = []
        for number in numbers[:-1]:
            prompt += [
                _turn("user", questions[number]),
                _turn("assistant", pool.texts[chance.choice(by_prompt[number])]),
            ]
        left, right = (pool.texts[reply] for reply in chance.sample(by_prompt[numbers[-1]], 2))
        if taste(left) == taste(right):
            continue
        prompt.append(_turn("user", questions[numbers[-1]]))
        is_left = (taste(left) > taste(right)) != (chance.random() < WRONG)
        chosen, rejected = (left, right) if is_left else (right, left)
        row = {"prompt": prompt, "chosen": [_turn("assistant", chosen)], "rejected": [_turn("assistant", rejected)]}
        rows.append(json.dumps(row, ensure_ascii=False))
    file.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")


def _turn(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


if __name__ == "__main__":
    main()
