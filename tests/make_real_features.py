"""Makes `tests/data/real_features.safetensors`: `python -m tests.make_real_features` (some minutes).

Pooled states of the embedded model's own replies, with what the two simulated tastes say of each, so that tests of
guards against people run on features of the real model in seconds. The replies are those `benchmarks.reward_model`
draws: 4 of each prompt's are kept, of the bank's training half and of half of its exam half, as float16, without texts.
"""

from pathlib import Path

import torch
from safetensors.torch import save_file

from benchmarks.raters import TASTES, draw_pool
from nightschool.model import base_of
from nightschool.prompt_bank import bank_half
from nightschool.settings import load_settings
from training.reading import read_texts
from training.trunk import TOP_LAYERS, SplitModel

REAL_FEATURES = Path(__file__).parent / "data" / "real_features.safetensors"
KEPT = 4
"""Replies of each prompt."""


def main() -> None:
    settings = load_settings()
    base = base_of(settings)
    split = SplitModel(base, TOP_LAYERS)
    tensors: dict[str, torch.Tensor] = {}
    for name, half, replies, prompts, seed in (("train", "train", 6, 128, 0), ("exam", "exam", 4, 64, 1)):
        pool = draw_pool(base, list(bank_half(half)), replies, seed)  # type: ignore[arg-type]
        kept = [row for rows in pool.by_prompt().values() for row in rows[:KEPT] if pool.prompt_of[row] < prompts]
        kept.sort()
        tensors[f"{name}_features"] = read_texts(split, [pool.answers[row] for row in kept]).matrix().half()
        tensors[f"{name}_prompts"] = torch.tensor([pool.prompt_of[row] for row in kept], dtype=torch.int16)
        for taste, gold in TASTES.items():
            tensors[f"{name}_{taste}"] = torch.tensor([float(gold(pool.texts[row])) for row in kept])
    REAL_FEATURES.parent.mkdir(exist_ok=True)
    save_file(tensors, REAL_FEATURES)


if __name__ == "__main__":
    main()
