"""Settings of PPO, one changed at a time: `python -m benchmarks.ppo_sweep [--quick] [--seed N] [--json]` (an hour).

Each is a short run of `benchmarks.ppo_learning` with a known reward (brevity): Adam's steps, the course of drift,
epochs, beta, lambda (of the critic's advantages; the other replies as the baseline have none), replies to a prompt,
layers, and where the score is paid. A run is kept in `--keep FOLDER` when it ends, and the command given again does
only what is missing there.
"""

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks.measuring import end_with_parent, tell
from benchmarks.ppo_learning import arguments, trial_of

VARIANTS: dict[str, list[str]] = {
    "as_shipped": [],
    "course_6": ["--course", "6"],
    "no_course": ["--course", "0"],
    "adam_3e-3": ["--step", "adam", "--learning-rate", "3e-3"],
    "adam_1.7e-3": ["--step", "adam", "--learning-rate", "1.7e-3"],
    "epochs_2": ["--epochs", "2"],
    "epochs_4": ["--epochs", "4"],
    "adam_5e-4_epochs_4": ["--step", "adam", "--epochs", "4", "--learning-rate", "5e-4"],
    "beta_0.03": ["--beta", "0.03"],
    "beta_0.3": ["--beta", "0.3"],
    "critic_lambda_1": ["--baseline", "critic", "--lam", "1"],
    "critic_lambda_0.95": ["--baseline", "critic", "--lam", "0.95"],
    "critic_lambda_0.8": ["--baseline", "critic", "--lam", "0.8"],
    "score_at_the_end": ["--credit", "end"],
    "replies_4": ["--replies", "4"],
    "layers_4": ["--layers", "4"],
    "layers_8": ["--layers", "8"],
}
TOLD = ("gold_before", "gold_after", "win_rate", "finished_after", "kl", "cpu_seconds_ppo", "episodes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two settings, one iteration (under 5 minutes)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="one flat JSON object")
    parser.add_argument("--only", nargs="+", choices=list(VARIANTS), default=list(VARIANTS), help="these settings")
    parser.add_argument("--iterations", type=int, default=4, help="of 64 episodes")
    parser.add_argument("--jobs", type=int, default=2, help="runs at once, each on its share of the cores")
    parser.add_argument("--keep", type=Path, help="a folder for runs that have ended")
    words = parser.parse_args()
    if words.quick:
        words.only, words.iterations = words.only[:2], 1
    usual = ["--tastes", "brevity", "--seeds", "1", "--seed", str(words.seed), "--iterations", str(words.iterations)]
    usual += ["--keep", str(words.keep)] if words.keep else []
    runs = [arguments([*usual, *VARIANTS[name]]) for name in words.only]
    for run in runs:
        run.jobs = words.jobs
    figures: dict[str, Any] = {}
    with ProcessPoolExecutor(words.jobs, mp_context=get_context("spawn"), initializer=end_with_parent) as pool:
        trials = pool.map(trial_of, [("brevity", words.seed)] * len(runs), runs)
        for name, trial in zip(words.only, trials, strict=True):
            own = {f"{name}_{figure}": trial.figures[figure] for figure in TOLD}
            print(f"{name}: {own}", file=sys.stderr, flush=True)
            figures |= own
    tell(figures, as_json=words.json)


if __name__ == "__main__":
    main()
