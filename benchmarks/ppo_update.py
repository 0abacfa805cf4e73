"""What an update of PPO saves: `python -m benchmarks.ppo_update [--quick] [--seed N] [--json]`.

64 replies of the initial model, eight to each of eight prompts of the bank's training half, go through a policy's upper
layers forward and backward in three ways, in turn, `--rounds` times: as a night does (plain attention, each prompt
once), with every reply behind a prompt of its own, and that with PyTorch's fused attention. Told are the medians in
processor seconds and their ratios to the last way (below 1: faster); with one thread (OMP_NUM_THREADS=1), for threads
that wait count as well. About three minutes, --quick about one (a quarter of the replies, two rounds).
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor

from benchmarks.measuring import tell
from nightschool.chat_format import encode_prompt
from nightschool.model import base_of
from nightschool.prompt_bank import bank_half
from nightschool.records import Message
from nightschool.settings import load_settings
from training.reading import answer_sequences
from training.rollout import Drawing, draw, groups_by_prompt
from training.sequences import Sequences
from training.trunk import SplitModel

REPLIES = 8
"""To each prompt, as in a night's PPO."""
Group = tuple[Tensor, Sequences]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two prompts, two rounds")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="one flat JSON object")
    words = parser.parse_args()
    settings = load_settings()
    split = SplitModel(base_of(settings), settings.lora_layers)
    torch.manual_seed(words.seed)
    adapter, top = split.adapter(eager=True)
    groups = rolled_out(split, settings.temperature, 2 if words.quick else 8, words.seed)
    ways: dict[str, Callable[[Group], Tensor]] = {
        "fused": lambda group: split.top(top, group[0]),
        "whole": lambda group: split.top(top, group[0]),
        "shared": lambda group: split.top_at_replies(top, *group),
    }
    found: dict[str, list[float]] = {way: [] for way in ways}
    seconds_of(adapter, groups, ways["shared"])  # kernels and memory are set up
    for number in range(2 if words.quick else words.rounds):
        for way in list(ways) if number % 2 == 0 else list(ways)[::-1]:
            adapter.get_base_model().set_attn_implementation("sdpa" if way == "fused" else "eager")
            found[way].append(seconds_of(adapter, groups, ways[way]))
    figures: dict[str, Any] = {f"{way}_seconds": median(each) for way, each in found.items()}
    for way in ("whole", "shared"):
        figures[f"{way}_ratio"] = figures[f"{way}_seconds"] / figures["fused_seconds"]
    tell(figures, as_json=words.json)


def rolled_out(split: SplitModel, temperature: float, count: int, seed: int) -> list[Group]:
    """Trunk's states and layout of the initial model's replies, in a night's groups."""
    encode = partial(encode_prompt, split.base.tokenizer)
    prompts = [tuple(encode([Message("user", prompt.text)])) for prompt in bank_half("train")[:count]]
    wanted = [prompt for prompt in prompts for _ in range(REPLIES)]
    drawing, generator = Drawing(temperature, 64), torch.Generator().manual_seed(seed)
    answers = draw(split, split.base.model, wanted, drawing, generator)
    layouts = [
        answer_sequences([answers[row] for row in rows], split.base.pad_id)
        for rows in groups_by_prompt(answers, REPLIES)
    ]
    return [(split.trunk(sequences.ids), sequences) for sequences in layouts]


def seconds_of(adapter: PeftModel, groups: list[Group], read: Callable[[Group], Tensor]) -> float:
    """Processor seconds of the upper layers, forward and backward, over all groups."""
    adapter.zero_grad(set_to_none=True)
    began = time.process_time()
    for group in groups:
        group[1].at_responses(read(group), shift=-1).float().sum().backward()
    spent = time.process_time() - began
    if any(weight.requires_grad and weight.grad is None for weight in adapter.parameters()):
        raise AssertionError("Some weights of the LoRA got no gradient.")
    return spent


if __name__ == "__main__":
    main()
