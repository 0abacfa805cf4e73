"""What PPO learns: `python -m benchmarks.ppo_learning [--quick] [--seed N] [--json]` (two hours; --help).

A known reward stands in place of the reward model (brevity: words near 20; sentiment: the compound of vaderSentiment),
so that what is learned shows PPO and nothing else. It trains on the bank's training half for as long as two cores take
`--minutes` (twice that on one core, in its processor time, when `--jobs` shares them) and is then asked the 128 prompts
of the exam half, which it never saw, beside the initial model with the same seed. For each taste 3 seeds (seed, seed +
1, seed + 2); the plot of gold reward against sqrt(KL) goes to `--plot FILE`. With `--keep FOLDER` each run is kept when
it ends, and the command given again does only what is missing there.

With `--reward fitted` the score comes from a head fitted to `--pairs` pairs that a simulated person chose (a quarter of
the choices wrong), as in a real night; then `--credit` and `--baseline` can be compared.
"""

import argparse
import hashlib
import json
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from benchmarks.gold import GoldScorer
from benchmarks.measuring import end_with_parent, tell
from benchmarks.raters import TASTES, WISHED_WORDS, Rater, draw_pool
from nightschool.chat_format import encode_prompt
from nightschool.files import whole_file, write_json
from nightschool.model import BaseModel, base_of, decoder_layers
from nightschool.prompt_bank import BankPrompt, bank_half
from nightschool.records import Message
from nightschool.settings import load_settings
from training.axes import axes_of
from training.conduct import finished
from training.judgements import Answer
from training.learner import Learner
from training.policy import Policy
from training.ppo import train
from training.ppo_settings import Baseline, Credit, PpoSettings, Step
from training.ppo_update import Surroundings
from training.reading import read_texts
from training.reward_fit import cross_validate, fit_head, make_batch, smoothing_of
from training.reward_model import RewardModel
from training.rollout import Drawing, Scorer, draw, evaluate
from training.trunk import SplitModel

DRAWING = Drawing(0.7, 64)
OF_THE_WHOLE = {"seed", "seeds", "tastes", "json", "plot", "keep"}
"""What is set for all runs together; the rest makes each of them what it is."""
BOX_CORES = 2
"""Cores that the time box is told for."""
ADAM_RATE = 3e-3
"""What nights took while their steps were Adam's (docs/log.md)."""
COURSE_OF_KNOWN = 12.0
"""Nats that PPO on a known reward aims at: it cannot be led astray."""
DRIFT_OF_KNOWN = 20.0
"""A night ends after 8 nats of drift, for its reward model is only right nearby; a known reward is right everywhere."""


@dataclass(frozen=True)
class Trial:
    """One night of PPO and what came of it."""

    taste: str
    seed: int
    figures: dict[str, Any]
    curve: list[tuple[float, float]]
    """(KL in nats, mean gold) of each iteration's rollout, and last of the exam prompts."""


def main() -> None:
    words = arguments()
    wanted = [(taste, seed) for seed in range(words.seed, words.seed + words.seeds) for taste in words.tastes]
    # Processes of their own, each on its share of the cores: two on one thread each are faster than one on two.
    with ProcessPoolExecutor(words.jobs, mp_context=get_context("spawn"), initializer=end_with_parent) as pool:
        trials = list(pool.map(trial_of, wanted, [words] * len(wanted)))
    if words.plot:
        plot(trials, words.plot)
    tell(summary(trials), as_json=words.json)


def trial_of(which: tuple[str, int], words: argparse.Namespace) -> Trial:
    """One run, or what was kept of it."""
    kept = kept_at(which, words)
    if kept is not None and kept.is_file():
        found = json.loads(kept.read_text(encoding="utf-8"))
        return Trial(*which, found["figures"], [(kl, gold) for kl, gold in found["curve"]])
    torch.set_num_threads(threads_of(words.jobs))
    settings = load_settings()
    base = base_of(settings)
    layers = len(decoder_layers(base.model)) if words.layers == "all" else int(words.layers)
    trial = run_trial(base, layers, *which, words)
    print(f"{trial.taste} {trial.seed}: {trial.figures}", file=sys.stderr, flush=True)
    if kept is not None:
        whole_file(kept, lambda path: write_json(path, {"figures": trial.figures, "curve": trial.curve}))
    return trial


def kept_at(which: tuple[str, int], words: argparse.Namespace) -> Path | None:
    """The file of a run: its name tells everything that was set for it. None where nothing is kept."""
    if words.keep is None:
        return None
    settings = load_settings()
    told = {name: str(value) for name, value in vars(words).items() if name not in OF_THE_WHOLE}
    told |= {"model": settings.model, "dtype": str(settings.dtype)}
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:12]
    return Path(words.keep, f"{which[0]}-{which[1]}-{digest}.json")


def threads_of(jobs: int) -> int:
    """Threads of each of so many runs at once."""
    return max((os.cpu_count() or 1) // jobs, 1)


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """The command's words, or given ones."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="brevity, one seed, 4 iterations (under 5 minutes)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="one flat JSON object")
    parser.add_argument("--tastes", nargs="+", choices=sorted(TASTES), default=sorted(TASTES))
    parser.add_argument("--seeds", type=int, default=3, help="how many, counted from --seed")
    parser.add_argument("--jobs", type=int, default=2, help="runs at once, each on its share of the cores")
    parser.add_argument("--minutes", type=float, default=15.0, help="time box of each PPO run, in minutes of two cores")
    parser.add_argument("--iterations", type=int, default=16, help="of 64 episodes")
    parser.add_argument("--layers", default=str(load_settings().lora_layers), help="upper layers with a LoRA, or all")
    usual = PpoSettings(1, DRAWING)
    parser.add_argument("--step", type=Step, choices=list(Step), default=usual.step)
    parser.add_argument("--learning-rate", type=float, help=f"usual: {usual.learning_rate}; of Adam {ADAM_RATE}")
    parser.add_argument("--course", type=float, help="nats of drift aimed at, 0: none (momentum only)")
    parser.add_argument("--epochs", type=int, default=usual.epochs)
    parser.add_argument("--beta", type=float, default=usual.beta)
    parser.add_argument("--lam", type=float, default=usual.lam)
    parser.add_argument("--gamma", type=float, help=f"discount a token (fitted reward: {usual.gamma}; else 1)")
    parser.add_argument("--kl-night", type=float, help="bound on drift in nats (known reward: 20; fitted: a night's)")
    parser.add_argument("--credit", type=Credit, choices=list(Credit), default=usual.credit)
    parser.add_argument("--baseline", type=Baseline, choices=list(Baseline), default=usual.baseline)
    parser.add_argument("--replies", type=int, default=usual.replies, help="to each prompt")
    parser.add_argument("--reward", choices=["known", "fitted"], default="known")
    parser.add_argument("--pairs", type=int, default=256, help="with --reward fitted")
    parser.add_argument("--keep", type=Path, help="a folder for runs that have ended")
    parser.add_argument("--plot", type=Path, help="a .png or .svg file for gold reward against sqrt(KL)")
    words = parser.parse_args(given)
    if words.quick:
        words.tastes, words.seeds, words.iterations, words.minutes = ["brevity"], 1, 4, 3.0
    words.jobs = min(words.jobs, words.seeds * len(words.tastes))
    return words


def run_trial(base: BaseModel, layers: int, taste: str, seed: int, words: argparse.Namespace) -> Trial:
    """Train on the training half, ask the exam half."""
    split = SplitModel(base, layers)
    policy = Policy(split, seed)
    prompts, exam = (encoded(base, list(bank_half(half))) for half in ("train", "exam"))
    initial = draw(split, base.model, prompts, DRAWING, torch.Generator().manual_seed(seed))
    gold = GoldScorer(base.tokenizer, TASTES[taste], initial)
    scorer: Scorer = gold if words.reward == "known" else fitted(split, taste, seed, words.pairs, initial)
    usual = PpoSettings(1, DRAWING)
    known = words.reward == "known"
    gamma = usual.gamma if words.credit is Credit.DENSE and not known else 1.0
    course = (COURSE_OF_KNOWN if known else usual.course) if words.step is Step.MOMENTUM else 0.0
    bound = words.kl_night or (DRIFT_OF_KNOWN if known else usual.kl_night)
    settings = PpoSettings(
        iterations=words.iterations,
        drawing=DRAWING,
        seconds=60 * words.minutes * BOX_CORES / min(threads_of(words.jobs), BOX_CORES),
        step=words.step,
        learning_rate=words.learning_rate or (usual.learning_rate if words.step is Step.MOMENTUM else ADAM_RATE),
        course=course if words.course is None else words.course,
        gamma=gamma if words.gamma is None else words.gamma,
        epochs=words.epochs,
        beta=words.beta,
        lam=words.lam,
        credit=words.credit,
        baseline=words.baseline,
        replies=words.replies,
        kl_night=bound,
        kl_total=max(bound, usual.kl_total),
    )
    began, began_cpu = time.monotonic(), time.process_time()

    def record(iteration: int, row: dict[str, float]) -> None:
        names = ("reward", "kl", "length", "finished", "entropy", "explained_variance", "clip_fraction", "k3_to_old")
        names += ("epochs", "seconds_draw", "seconds_evaluate", "seconds_update")
        told = ", ".join(f"{name} {row[name]:.2f}" for name in names if name in row)
        print(f"{taste} {seed}, iteration {iteration}: {told}", file=sys.stderr, flush=True)

    # On one thread the processor time is what one core to itself would take, whatever else runs on the machine.
    clock = time.process_time if torch.get_num_threads() == 1 else time.monotonic
    around = Surroundings(record, clock=clock, initial_finished=finished(initial, base.stop_ids))
    history = train(Learner.fresh(policy, prompts, settings, seed), scorer, settings, around)
    seconds, cpu_seconds = time.monotonic() - began, time.process_time() - began_cpu
    figures, point = ask(base, policy, gold, exam, seed)
    figures |= {"seconds_ppo": seconds, "cpu_seconds_ppo": cpu_seconds, "episodes": len(history) * settings.episodes}
    figures |= {"episodes_per_minute": 60 * figures["episodes"] / seconds}
    curve = [(row["kl"], gold.in_own_unit(row["reward"])) for row in history] if words.reward == "known" else []
    return Trial(taste, seed, figures, [*curve, point])


def fitted(split: SplitModel, taste: str, seed: int, count: int, initial: Sequence[Answer]) -> RewardModel:
    """The reward model's first rung, from pairs that a simulated person chose among the initial model's replies."""
    pool = draw_pool(split.base, list(bank_half("train")), 4, seed)
    pairs = Rater(pool, TASTES[taste], seed).pairs(count)
    answers = pairs.answers()
    rows = {answer: row for row, answer in enumerate(answers)}
    features = read_texts(split, answers).along(axes_of(split))
    ridge, _ = cross_validate(features, pairs, rows)
    head = fit_head(features, make_batch(pairs, rows), ridge, smoothing=smoothing_of(pairs))
    return RewardModel(split, head).normalised(initial)


def ask(
    base: BaseModel, policy: Policy, gold: GoldScorer, prompts: Sequence[Sequence[int]], seed: int
) -> tuple[dict[str, Any], tuple[float, float]]:
    """Figures of the policy beside the initial model on prompts neither was trained on."""
    old = draw(policy.split, base.model, prompts, DRAWING, torch.Generator().manual_seed(seed + 1000))
    new = draw(policy.split, policy.twin(), prompts, DRAWING, torch.Generator().manual_seed(seed + 1000))
    before, after = [gold.gold(answer) for answer in old], [gold.gold(answer) for answer in new]
    rollout = evaluate(policy, gold, new, DRAWING)
    wins = [(late > early) + 0.5 * (late == early) for early, late in zip(before, after, strict=True)]
    figures = {
        "gold_before": fmean(before),
        "gold_after": fmean(after),
        "win_rate": fmean(wins),
        "finished_before": fmean(answer.token_ids[-1] in base.stop_ids for answer in old),
        "finished_after": fmean(answer.token_ids[-1] in base.stop_ids for answer in new),
        "tokens_before": fmean(len(answer.token_ids) for answer in old),
        "tokens_after": rollout.mean_length(),
        "kl": rollout.mean_kl(),
        "sample": base.tokenizer.decode(new[3].token_ids, skip_special_tokens=True),
    }
    return figures, (rollout.mean_kl(), fmean(after))


def encoded(base: BaseModel, prompts: Sequence[BankPrompt]) -> list[tuple[int, ...]]:
    """Prompts as the chat would send them."""
    return [tuple(encode_prompt(base.tokenizer, [Message("user", prompt.text)])) for prompt in prompts]


def summary(trials: Sequence[Trial]) -> dict[str, Any]:
    """Every trial's figures under `<taste>_<seed>_<name>`, and the means over the seeds."""
    flat: dict[str, Any] = {}
    for taste in dict.fromkeys(trial.taste for trial in trials):
        own = [trial for trial in trials if trial.taste == taste]
        for trial in own:
            flat |= {f"{taste}_{trial.seed}_{name}": value for name, value in trial.figures.items()}
        names = [name for name, value in own[0].figures.items() if not isinstance(value, str)]
        flat |= {f"{taste}_{name}": fmean(trial.figures[name] for trial in own) for name in names}
        if taste == "brevity":
            flat["brevity_distance_ratio"] = flat["brevity_gold_after"] / flat["brevity_gold_before"]
        else:
            flat["sentiment_gain"] = flat["sentiment_gold_after"] - flat["sentiment_gold_before"]
    return flat


def plot(trials: Sequence[Trial], path: Path) -> None:
    """Gold reward against sqrt(KL): a line of rollouts per seed, a dot for the exam prompts."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    labels = {"brevity": f"-|words - {WISHED_WORDS}|", "sentiment": "compound"}
    tastes = list(dict.fromkeys(trial.taste for trial in trials))
    figure, axes = pyplot.subplots(1, len(tastes), figsize=(5 * len(tastes), 3.6), squeeze=False, layout="constrained")
    for axis, taste in zip(axes[0], tastes, strict=True):
        for trial in (trial for trial in trials if trial.taste == taste):
            roots = [max(kl, 0.0) ** 0.5 for kl, _ in trial.curve]
            golds = [gold for _, gold in trial.curve]
            line = axis.plot(roots[:-1], golds[:-1], marker=".", label=f"seed {trial.seed}")[0]
            axis.plot(roots[-1:], golds[-1:], marker="o", linestyle="", color=line.get_color())
        axis.set(title=taste, xlabel="sqrt(KL to the initial model), nats", ylabel=labels[taste])
        axis.legend()
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
