"""float32 against bfloat16 on this machine: `python -m benchmarks.number_types [--quick] [--seed N] [--json]`.

The three kinds of work of a night, in both types in turn: 32 replies of at most 32 tokens drawn (--quick: 8 of 16), and
their texts read by the trunk, and the top layers' gradient. Told are the medians of `--rounds` in seconds, the ratios
(below 1: float32 is faster) and which type `auto` takes here. About three minutes, much longer where bfloat16 is slow.
"""

import argparse
import time
from statistics import median
from typing import Any

import torch

from benchmarks.measuring import tell
from nightschool.chat_format import encode_prompt
from nightschool.model import load_base, native_dtype
from nightschool.prompt_bank import bank_half
from nightschool.records import Message
from nightschool.settings import load_settings
from training.policy import Policy
from training.rollout import Drawing, draw
from training.sequences import make_sequences
from training.trunk import SplitModel

TYPES = (torch.float32, torch.bfloat16)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="8 replies of 16 tokens, one round")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="one flat JSON object")
    words = parser.parse_args()
    replies, tokens, rounds = (8, 16, 1) if words.quick else (32, 32, words.rounds)
    settings = load_settings()
    seconds: dict[str, list[float]] = {}
    for _ in range(rounds):
        for dtype in TYPES:
            base = load_base(settings.model, settings.cache, dtype=dtype)
            for name, value in one_round(SplitModel(base, settings.lora_layers), replies, tokens, words.seed).items():
                seconds.setdefault(f"{name}_{str(dtype).removeprefix('torch.')}", []).append(value)
    figures: dict[str, Any] = {f"seconds_{name}": median(values) for name, values in seconds.items()}
    for name in ("draw", "read", "update"):
        figures[f"ratio_{name}"] = figures[f"seconds_{name}_float32"] / figures[f"seconds_{name}_bfloat16"]
    figures["auto"] = str(native_dtype()).removeprefix("torch.")
    tell(figures, as_json=words.json)


def one_round(split: SplitModel, replies: int, tokens: int, seed: int) -> dict[str, float]:
    """Seconds of drawing, of reading by the trunk, and of one gradient of the top layers."""
    base = split.base
    prompts = [
        tuple(encode_prompt(base.tokenizer, [Message("user", prompt.text)])) for prompt in bank_half("train")[:replies]
    ]
    policy = Policy(split, seed)
    began = time.perf_counter()
    answers = draw(split, base.model, prompts, Drawing(0.7, tokens), torch.Generator().manual_seed(seed))
    drawn = time.perf_counter()
    sequences = make_sequences(prompts, [answer.token_ids for answer in answers], base.pad_id)
    with torch.no_grad():
        states = split.trunk(sequences.ids)
    read = time.perf_counter()
    (-policy.logps(states, sequences, 0.7).mean()).backward()
    return {"draw": drawn - began, "read": read - drawn, "update": time.perf_counter() - read}


if __name__ == "__main__":
    main()
