"""Simulated people show that the loop learns: `python -m benchmarks.town --town TOWN.toml --nights N --out DIR`.

Starts the real chat on a free port with a database of its own; simulated people ask, vote, rank and correct over HTTP;
real nights run; and the people's taste, which nobody but they know, measures each version on prompts that nobody was
asked. DIR gets town.html, town.json, every judgement, the database and the versions.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any

from benchmarks.measuring import tell
from benchmarks.town.plan import FOLDER, load_town
from nightschool.errors import BadInput, NightSchoolError
from nightschool.settings import Settings, load_settings

MINIATURE = FOLDER / "miniature.toml"
MINUTES = {"quick": 10.0, "normal": 30.0, "thorough": 150.0}
"""About what a night of each effort takes on two cores, at most."""


def main() -> None:
    words = arguments()
    try:
        found = [one_seed(words, seed) for seed in range(words.seed, words.seed + words.seeds)]
        figures = found[0] if len(found) == 1 else over_seeds(found)
        if len(found) > 1:
            summary = words.out / "summary.json"
            summary.write_text(json.dumps(figures, indent=2, ensure_ascii=False), encoding="utf-8")
    except NightSchoolError as error:
        print(error, file=sys.stderr)
        raise SystemExit(1) from error
    tell(figures, as_json=words.json)


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="town", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--town", type=Path, help=f"a TOML file, such as those in {FOLDER} (default: brevity.toml)")
    parser.add_argument("--nights", type=int, default=None, help="how many (default 1; of --quick and --panel 2)")
    parser.add_argument("--seed", type=int, default=0, help="of everything that is drawn")
    parser.add_argument("--seeds", type=int, default=1, help="how many, counted from --seed; means go to summary.json")
    parser.add_argument("--out", type=Path, help="an empty or new folder for the report (default town/)")
    parser.add_argument("--effort", choices=sorted(MINUTES), help="of a night (default: by --night-minutes)")
    parser.add_argument(
        "--night-minutes", type=float, default=30.0,
        help="what a night may take: chooses the effort, and the report says whether it was kept",
    )  # fmt: skip
    parser.add_argument(
        "--control", choices=["shuffled", "reversed", "none", "best-of-4", "gold"], default="",
        help="judgements by a coin; by the opposite of the taste; no nights; the best of four by the reward model in "
        "place of nights; PPO on the taste itself",
    )  # fmt: skip
    parser.add_argument("--panel", choices=["attacks"], help="every kind of troll, with caps and agreement on and off")
    parser.add_argument("--judgements", type=int, help="of honest people before each night, in place of the file's")
    parser.add_argument("--exam", type=int, default=128, help="unseen prompts of the measurement, at most 128")
    parser.add_argument(
        "--indoors", action="store_true",
        help="people use the chat's rooms without its server, their answers drawn many at a time: the same rules, "
        "shorter days",
    )  # fmt: skip
    parser.add_argument("--model", help="embedded, a Hugging Face id, or a model folder")
    parser.add_argument(
        "--quick", action="store_true",
        help="a town in miniature on a tiny random model: shows that everything runs, in under 5 minutes",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print one flat JSON object")
    words = parser.parse_args(given)
    for name, least in (("nights", 1), ("seed", 0), ("seeds", 1), ("judgements", 1), ("exam", 2)):
        if (value := getattr(words, name)) is not None and value < least:
            parser.error(f"--{name} was given as {value}; give {least} or more")
    words.nights = words.nights or (2 if words.quick or words.panel else 1)
    words.out = (words.out or Path("town")).resolve()
    return words


def one_seed(words: argparse.Namespace, seed: int) -> dict[str, Any]:
    """One town with one seed: its report is written, its figures come back."""
    folder = words.out if words.seeds == 1 else words.out / f"seed-{seed}"
    town = load_town(words.town or (MINIATURE if words.quick else FOLDER / "brevity.toml"))
    if words.judgements is not None:
        town = town.model_copy(update={"judgements": words.judgements})
    with tempfile.TemporaryDirectory() as name:
        settings = settings_of(words, town.reply_tokens, Path(name))
        from benchmarks.town.attacks import panel
        from benchmarks.town.record import flat
        from benchmarks.town.report import write_report
        from benchmarks.town.run import Wish, simulate
        from training.effort import effort_named

        wish = Wish(
            town=town,
            nights=words.nights,
            seed=seed,
            folder=folder,
            settings=settings,
            effort=effort_named(words.effort or effort_within(words.night_minutes, quick=words.quick)),
            control=words.control,
            minutes=words.night_minutes,
            exam=words.exam,
            is_indoors=words.indoors,
        )
        report = panel(wish, _say) if words.panel else simulate(wish, _say)
    write_report(folder, report)
    _say(f"The report is in {folder / 'town.html'}.")
    return flat(report)


def settings_of(words: argparse.Namespace, tokens: int, folder: Path) -> Settings:
    """The owner's settings, with the town's longest reply; with --quick on a tiny model made for it."""
    model = words.model
    if words.quick and model is None:
        from tests.tiny import make_tiny_model

        model = str(make_tiny_model(folder / "tiny", layers=2, letter="e"))
    return load_settings(model=model, max_new_tokens=tokens)


def effort_within(minutes: float, *, quick: bool) -> str:
    """The longest effort that fits. Raises `BadInput` for less time than any takes."""
    fitting = [name for name, most in MINUTES.items() if most <= minutes]
    if not fitting:
        raise BadInput(
            f"--night-minutes was given as {minutes:g}; the shortest night takes up to {MINUTES['quick']:g}: give that "
            "many, or name an effort with --effort."
        )
    return "quick" if quick else fitting[-1]


def over_seeds(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over the seeds of every figure that all have, their standard deviations, and each seed's verdicts."""
    flat: dict[str, Any] = {"seeds": ", ".join(str(one["seed"]) for one in found)}
    for name in (name for name in found[0] if name != "seed"):
        values = [one.get(name) for one in found]
        numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
        if len(numbers) == len(values):
            flat |= {name: fmean(numbers), f"{name}_sd": pstdev(numbers)}
        elif name.startswith(("verdict", "control", "name", "model", "effort", "days", "ppo_by_clock")):
            flat[name] = values[0] if len(set(values)) == 1 else ", ".join(map(str, values))
    return flat


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
