"""A night on the embedded model: `python -m benchmarks.night [--quick] [--seed N] [--json]`.

Draws two replies of the initial model to 240 (with --quick: 120) prompts of the bank's training half, lets a simulated
person who likes replies near 20 words choose (15 % of the choices wrong), imports the choices, runs `python -m training
night` as a program of its own, and prints its time stage by stage, its peak memory and what it learned. The win rate
by the person's own taste is measured on the bank's exam half, which neither the reward model nor the policy saw.
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
from statistics import fmean
from typing import Any

import torch

from benchmarks.measuring import PeakMemory, tell
from nightschool.chat_format import encode_prompt
from nightschool.model import BaseModel, base_of
from nightschool.prompt_bank import BankPrompt, bank_half
from nightschool.records import Message
from nightschool.sampling import sample_batch
from nightschool.settings import load_settings
from nightschool.version_folder import POLICY, merge_adapter

WISHED_WORDS = 20
NOISE = 0.15
REPLY_TOKENS = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="120 pairs and --effort quick; else 240 and normal")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="one flat JSON object")
    words = parser.parse_args()
    settings = load_settings()
    base = base_of(settings)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_pairs(folder / "pairs.jsonl", base, 120 if words.quick else 240, words.seed)
        db = ["--db", str(folder / "feedback.db")]
        _training("import", str(folder / "pairs.jsonl"), *db)
        effort = "quick" if words.quick else "normal"
        command = ["night", *db, "--versions", str(folder / "versions"), "--effort", effort]
        began = time.monotonic()
        report, peak = _training(*command, "--seed", str(words.seed), "--json")
        figures = _figures(report, peak, time.monotonic() - began)
        if report["version"]:
            figures |= _win_rate_by_taste(base, folder / "versions" / report["version"] / POLICY, words.seed)
    tell(figures, as_json=words.json)


def taste(text: str) -> float:
    """The simulated person's: words near the wished number."""
    return -abs(len(text.split()) - WISHED_WORDS)


def write_pairs(path: Path, base: BaseModel, count: int, seed: int) -> None:
    """A preference file of the initial model's own replies."""
    chance = random.Random(seed)
    bank = bank_half("train")  # the exam half stays unseen, for the measurement at the end
    prompts = chance.sample(bank * (-(-count // len(bank))), count)
    first, second = (draw(base, base.model, prompts, 2 * seed + half) for half in (0, 1))
    with path.open("w", encoding="utf-8") as file:
        for prompt, *pair in zip(prompts, first, second, strict=True):
            rejected, chosen = sorted(pair, key=taste)
            if chance.random() < NOISE:
                rejected, chosen = chosen, rejected
            record = {
                "prompt": [{"role": "user", "content": prompt.text}],
                "chosen": [{"role": "assistant", "content": chosen}],
                "rejected": [{"role": "assistant", "content": rejected}],
            }
            file.write(json.dumps(record) + "\n")


def draw(base: BaseModel, model: Any, prompts: list[BankPrompt], seed: int) -> list[str]:
    """One reply of `model` to each prompt, as text."""
    generator = torch.Generator().manual_seed(seed)
    texts: list[str] = []
    for start in range(0, len(prompts), 64):
        replies = sample_batch(
            model,
            [encode_prompt(base.tokenizer, [Message("user", prompt.text)]) for prompt in prompts[start : start + 64]],
            temperature=0.7,
            max_new_tokens=REPLY_TOKENS,
            stop_ids=base.stop_ids,
            pad_id=base.pad_id,
            generator=generator,
        )
        texts += [base.tokenizer.decode(reply, skip_special_tokens=True).strip() or "." for reply in replies]
    return texts


def _training(*words: str) -> tuple[dict[str, Any], int]:
    command = [sys.executable, "-m", "training", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ))
    memory = PeakMemory(process)
    output, _ = process.communicate()
    peak = memory.stop()
    if process.returncode:
        raise SystemExit(process.returncode)
    return (json.loads(output) if "--json" in words else {}), peak


def _figures(report: dict[str, Any], peak: int, wall: float) -> dict[str, Any]:
    names = ("verdict", "reward_model_accuracy", "reward_model_log_loss", "kl", "reward_before", "reward_after")
    names += ("win_rate", "win_rate_low", "episodes", "champion_length", "candidate_length")
    names += ("champion_finished", "candidate_finished")
    figures = {name: report.get(name) for name in names}
    figures |= {f"seconds_{stage.replace(' ', '_')}": seconds for stage, seconds in report["seconds"].items()}
    return figures | {"seconds_wall": wall, "peak_memory_gb": peak / 1e9, "reason": report["reason"]}


def _win_rate_by_taste(base: BaseModel, policy: Path, seed: int) -> dict[str, float]:
    """Share of the bank's 128 exam prompts that the new version wins over the initial model by the taste itself."""
    prompts = list(bank_half("exam"))
    before = [taste(text) for text in draw(base, base.model, prompts, seed + 1000)]
    after = [taste(text) for text in draw(base, merge_adapter(base, policy), prompts, seed + 1000)]
    wins = [(new > old) + 0.5 * (new == old) for old, new in zip(before, after, strict=True)]
    return {"taste_win_rate": fmean(wins), "taste_before": fmean(before), "taste_after": fmean(after)}


if __name__ == "__main__":
    main()
