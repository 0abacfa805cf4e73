"""Our PPO against the textbook's: `python -m benchmarks.ppo_throughput [--quick] [--seed N] [--json]`.

64 prompts of the bank's training half, one reply each of at most 64 tokens at T=0.7, 4 epochs x 4 minibatches, 8
replies at a time, the same model, the same reward head (a direction at random, scores normalised on replies
of the initial model). Ours for 3 iterations, then the textbook's (benchmarks/textbook_ppo.py) for 2, each in a process
of its own on the same machine. --quick: 32 episodes, 2 iterations and 1 (under 5 minutes). Early stops are off, so that
both do all epochs. Times are medians over iterations, without loading the model; memory is the peak of the process's
resident size as Linux counts it, libraries and model included.

Beside them stand the arithmetic of each stage (benchmarks/ppo_arithmetic.py) and the share it reaches of the machine's
speed with numbers of the same type, the best of four measurements before and after each side. What other programs took
of the two cores is told: more than a few hundredths of a core, and the times mean little (a parallel loop waits for its
slowest half).
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Any

import torch

from benchmarks.measuring import OthersCpu, own_memory, tell
from benchmarks.ppo_arithmetic import ModelShape, Tokens, Work, machine_speed
from benchmarks.textbook_ppo import ActorCritic, train
from nightschool.chat_format import encode_prompt
from nightschool.model import BaseModel, base_of
from nightschool.prompt_bank import bank_half
from nightschool.records import Message
from nightschool.settings import load_settings
from training.policy import Policy
from training.ppo import run_ppo
from training.ppo_settings import Baseline, Credit, PpoSettings, Step
from training.reward_model import RewardHead, RewardModel, load_head, save_head
from training.rollout import Drawing, draw
from training.trunk import TOP_LAYERS, SplitModel

SIDES = ("ours", "textbook")
STAGES = ("draw", "evaluate", "update")
DRAWING = Drawing(temperature=0.7, max_new_tokens=64)
HEAD, PROMPTS = "head.safetensors", "prompts.json"


@dataclass(frozen=True)
class Size:
    episodes: int
    iterations: Mapping[str, int]

    def settings(self, side: str) -> PpoSettings:
        """What both sides are given: nothing that would end an epoch or the run early."""
        return PpoSettings(
            iterations=self.iterations[side],
            drawing=DRAWING,
            episodes=self.episodes,
            epochs=4,
            step=Step.ADAM,
            learning_rate=3e-3,
            course=0.0,
            gamma=1.0,
            minibatches=4,
            credit=Credit.END,
            missing_end_steps=0,
            loop_penalty=0.0,
            ends_kept=0.0,
            baseline=Baseline.CRITIC,
            replies=1,
            k3_limit=math.inf,
            kl_night=math.inf,
            kl_total=math.inf,
        )


FULL, QUICK = Size(64, {"ours": 3, "textbook": 2}), Size(32, {"ours": 2, "textbook": 1})
"""With fewer than 32 episodes the textbook's minibatches would have fewer than 8 replies, and so a smaller peak."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="32 episodes, 2 iterations and 1 (under 5 minutes)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="one flat JSON object")
    parser.add_argument("--layers", type=int, default=load_settings().lora_layers, help="upper layers that ours trains")
    parser.add_argument("--part", choices=("prepare", *SIDES), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    words = parser.parse_args()
    size = QUICK if words.quick else FULL
    if words.part:
        print(json.dumps(_part(words.part, words.folder, size, words.seed, words.layers)))
        return
    with tempfile.TemporaryDirectory() as folder:
        given = [
            "--folder",
            folder,
            "--seed",
            str(words.seed),
            "--layers",
            str(words.layers),
            *(["--quick"] if words.quick else []),
        ]
        results = {part: _child("--part", part, *given) for part in ("prepare", *SIDES)}
    tell(figures(size, words.layers, **results), as_json=words.json)


def _child(*words: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.ppo_throughput", *words]
    output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    return json.loads(output.splitlines()[-1])


# ---- in a process of its own -----------------------------------------------------------------------------------------


def _part(part: str, folder: Path, size: Size, seed: int, layers: int) -> dict[str, Any]:
    settings = load_settings()
    base = base_of(settings)
    if part == "prepare":
        return prepare(base, folder, size.episodes, seed)
    prompts = json.loads((folder / PROMPTS).read_text(encoding="utf-8"))
    head = load_head(folder / HEAD)
    loaded, _ = own_memory()
    speeds = [machine_speed(base.model.config, base.model.dtype)]
    others = OthersCpu()
    if part == "ours":
        history = ours(base, layers, head, prompts, size.settings(part), seed)
    else:
        history = textbook(base, head, prompts, size.settings(part), seed)
    _, peak = own_memory()
    busy = others.cores()
    speeds.append(machine_speed(base.model.config, base.model.dtype))
    return {"history": history, "loaded": loaded, "peak": peak, "speeds": speeds, "others": busy}


def prepare(base: BaseModel, folder: Path, episodes: int, seed: int) -> dict[str, Any]:
    """Write prompts and reward head for both sides; the prompts' tokens and the model's shape."""
    generator = torch.Generator().manual_seed(seed)
    bank = bank_half("train")
    chosen = [bank[int(index)] for index in torch.randperm(len(bank), generator=generator)[:episodes]]
    prompts = [encode_prompt(base.tokenizer, [Message("user", prompt.text)]) for prompt in chosen]
    (folder / PROMPTS).write_text(json.dumps(prompts), encoding="utf-8")
    split = SplitModel(base, TOP_LAYERS)
    model = RewardModel(split, random_head(base.model.config.hidden_size, generator))
    save_head(model.normalised(draw(split, base.model, prompts, DRAWING, generator)).head, folder / HEAD)
    return {"prompt_tokens": sum(map(len, prompts)), "shape": asdict(ModelShape.of(base.model.config))}


def random_head(size: int, generator: torch.Generator) -> RewardHead:
    """A reward that nobody has: what is learned does not matter here, what it costs does not depend on it."""
    weight = torch.randn(size, generator=generator, dtype=torch.float64)
    zero, one = torch.zeros(size, dtype=torch.float64), torch.ones(size, dtype=torch.float64)
    return RewardHead(weight, zero, one, torch.tensor(0.0).double(), torch.tensor(0.0).double())


def ours(
    base: BaseModel,
    layers: int,
    head: RewardHead,
    prompts: Sequence[Sequence[int]],
    settings: PpoSettings,
    seed: int,
) -> list[dict[str, float]]:
    """The history of the night's own PPO."""
    split = SplitModel(base, layers)
    return run_ppo(Policy(split, seed), RewardModel(split, head), prompts, settings, seed, _say)


def textbook(
    base: BaseModel, head: RewardHead, prompts: Sequence[Sequence[int]], settings: PpoSettings, seed: int
) -> list[dict[str, float]]:
    """The history of the textbook's; stops when it is no PPO: at the start the ratio is 1 and there is no KL."""
    history = train(ActorCritic(base, seed), head, prompts, settings, seed, _say)
    if history[0]["first_ratio_error"] > 1e-3 or abs(history[0]["kl"]) > 1e-3:
        raise SystemExit(f"the textbook's first iteration is not right: {history[0]}")
    return history


def _say(iteration: int, row: dict[str, float]) -> None:
    shown = {name: round(value, 3) for name, value in row.items()}
    print(f"iteration {iteration}: {shown}", file=sys.stderr, flush=True)


# ---- figures ---------------------------------------------------------------------------------------------------------


def figures(
    size: Size, layers: int, prepare: dict[str, Any], ours: dict[str, Any], textbook: dict[str, Any]
) -> dict[str, float | None]:
    """One flat record; None where our training does not tell the seconds of its stages."""
    shape = ModelShape(**prepare["shape"])
    speed = max(*ours["speeds"], *textbook["speeds"])
    found: dict[str, float | None] = {"episodes": size.episodes, "machine_gflop_per_second": speed / 1e9}
    for name, side in (("our", ours), ("textbook", textbook)):
        rows = side["history"]
        found[f"{name}_iterations"] = len(rows)
        found[f"{name}_cores_taken_by_others"] = side["others"]
        found[f"{name}_reply_tokens"] = fmean(row["length"] for row in rows)
        found[f"{name}_epochs"] = fmean(row["epochs"] for row in rows)
        found[f"{name}_episodes_per_minute"] = 60 * size.episodes / median(row["seconds"] for row in rows)
        found |= {f"{name}_{stage}_seconds": _median(rows, f"seconds_{stage}") for stage in STAGES}
        found |= {f"{name}_loaded_gb": side["loaded"] / 1e9, f"{name}_peak_gb": side["peak"] / 1e9}
        work = [_work(name, shape, size, layers, prepare["prompt_tokens"], row) for row in rows]
        for stage in STAGES:
            found[f"{name}_{stage}_gflop"] = flop = fmean(getattr(entry, stage) for entry in work) / 1e9
            seconds = found[f"{name}_{stage}_seconds"]
            share = f"{stage}_share_of_peak" if name == "our" else f"textbook_{stage}_share_of_peak"
            found[share] = None if seconds is None else 1e9 * flop / seconds / speed
    found["episodes_ratio"] = _ratio(found, "our_episodes_per_minute", "textbook_episodes_per_minute")
    found["memory_ratio"] = _ratio(found, "our_peak_gb", "textbook_peak_gb")
    found["draw_seconds_ratio"] = _ratio(found, "textbook_draw_seconds", "our_draw_seconds")
    for name in ("our", "textbook"):
        rest = [found[f"{name}_{stage}_seconds"] for stage in ("evaluate", "update")]
        found[f"{name}_seconds_without_drawing"] = None if None in rest else sum(value or 0.0 for value in rest)
    found["episodes_ratio_without_drawing"] = _ratio(
        found, "textbook_seconds_without_drawing", "our_seconds_without_drawing"
    )
    found["arithmetic_ratio"] = sum(found[f"textbook_{stage}_gflop"] or 0.0 for stage in STAGES) / sum(
        found[f"our_{stage}_gflop"] or 0.0 for stage in STAGES
    )
    return found


def _work(name: str, shape: ModelShape, size: Size, layers: int, prompt_tokens: int, row: dict[str, float]) -> Work:
    tokens = Tokens(size.episodes, prompt_tokens, size.episodes * row["length"])
    if name == "our":
        return shape.ours(tokens, layers, row["epochs"])
    return shape.textbook(tokens, row["epochs"])


def _median(rows: Sequence[Mapping[str, float]], name: str) -> float | None:
    values = [row.get(name) for row in rows]
    return None if None in values else median(value for value in values if value is not None)


def _ratio(found: Mapping[str, float | None], above: str, below: str) -> float | None:
    over, under = found[above], found[below]
    return None if over is None or under is None else over / under


if __name__ == "__main__":
    main()
