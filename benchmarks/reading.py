"""Each prompt read once against texts read whole: `python -m benchmarks.reading [--quick] [--seed N] [--json]`.

Made-up texts of four kinds (two replies to a short prompt; two to a conversation of 200 to 400 tokens; four replies;
one), as many tokens of each kind (--quick: a third), read by all layers in turn, `--rounds` times. Told are the medians
in processor seconds and the ratios (below 1: reading prompts once is faster). About ten minutes, --quick about two.
"""

import argparse
import random
import time
from collections.abc import Sequence
from statistics import median
from typing import Any

import torch

from benchmarks.measuring import tell
from nightschool.model import base_of
from nightschool.settings import load_settings
from training.judgements import Answer
from training.reading import answer_sequences, groups_of_one_width, pool, read_texts
from training.reward_start import REWARD_LAYERS
from training.trunk import OF_ROUNDING, SplitModel

KINDS = {"pairs": (2, 40, 80), "multi_turn_pairs": (2, 200, 400), "four_replies": (4, 40, 80), "single": (1, 40, 80)}
"""Replies to a prompt, and the fewest and most tokens of a prompt."""
REPLY = (20, 64)
TOKENS = 24_000
"""Of each kind."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a third of the tokens, one round")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="one flat JSON object")
    words = parser.parse_args()
    settings = load_settings()
    split = SplitModel(base_of(settings), REWARD_LAYERS)
    figures: dict[str, Any] = {}
    for kind in KINDS:
        answers = texts(kind, TOKENS // 3 if words.quick else TOKENS, words.seed)
        rounds = [one_round(split, answers) for _ in range(1 if words.quick else words.rounds)]
        shared, whole = (median(each) for each in zip(*rounds, strict=True))
        figures |= {f"{kind}_shared_seconds": shared, f"{kind}_whole_seconds": whole, f"{kind}_ratio": shared / whole}
    tell(figures, as_json=words.json)


def texts(kind: str, tokens: int, seed: int) -> list[Answer]:
    """Answers of words at random, about so many tokens in all."""
    chance, (replies, fewest, most) = random.Random(f"{seed}/{kind}"), KINDS[kind]
    found: list[Answer] = []

    def words(low: int, high: int) -> tuple[int, ...]:
        return tuple(chance.randrange(3, 40_000) for _ in range(chance.randint(low, high)))

    while sum(len(answer.prompt_ids) + len(answer.token_ids) for answer in found) < tokens:
        prompt = words(fewest, most)
        found += [Answer(prompt, words(*REPLY)) for _ in range(replies)]
    return found


@torch.no_grad()
def one_round(split: SplitModel, answers: Sequence[Answer]) -> tuple[float, float]:
    """Processor seconds of reading them with each prompt once, and whole. Raises `AssertionError` when they differ."""
    began = time.process_time()
    shared = read_texts(split, answers).matrix()
    between = time.process_time()
    whole = torch.zeros_like(shared)
    for group in groups_of_one_width(answers):
        sequences = answer_sequences([answers[index] for index in group], split.base.pad_id)
        trunk = split.trunk(sequences.ids)
        whole[torch.tensor(group)] = pool(split.beside(trunk, split.top(split.reference, trunk)), sequences)
    ended = time.process_time()
    # The mean: single texts of rare words are far noisier.
    apart = float(((shared - whole).norm(dim=1) / whole.norm(dim=1)).mean())
    assert apart <= OF_ROUNDING[split.base.model.dtype], f"They differ by {apart:.3f} of their length."
    return between - began, ended - between


if __name__ == "__main__":
    main()
