"""kill -9 and resume: `python -m benchmarks.night_kills [--quick] [--kills N] [--jobs N] [--seed N] [--json]` (1 hour).

Nights of the embedded model on 80 imported pairs, with replies of at most 6 tokens so that one takes a few minutes.
First one that is left alone; then 20 are killed, in one stage after the other, at a moment drawn from the time that
stage took, and continued by `python -m training resume`. Told is how many ended with exactly one version, a whole
database and no debris, and how many made the very version of the night that was left alone. `--jobs` nights run at
once, each on one thread: two so are faster than one on two. `--quick` kills one night in PPO and leaves none alone.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from benchmarks.measuring import tell
from nightschool.coevolution import COEVOLUTION
from nightschool.files import manifest_fault
from nightschool.prompt_bank import prompt_bank
from nightschool.records import INITIAL, NightState
from nightschool.registry import NightBook, VersionRegistry
from nightschool.schema import FeedbackDatabase

PAIRS = 80
SETTINGS = {"NIGHTSCHOOL_MAX_NEW_TOKENS": "6", "NIGHTSCHOOL_LORA_LAYERS": "2"}
THREADS = {"OMP_NUM_THREADS": "1"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="one night, killed in PPO, and none left alone (under 5 minutes)"
    )
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=2, help="nights at once, each on one thread")
    parser.add_argument("--stages", nargs="+", help="kill in these only, one after the other")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="one flat JSON object")
    words = parser.parse_args()
    chance = random.Random(words.seed)
    with tempfile.TemporaryDirectory() as name:
        seeded = Path(name) / "seeded"
        seeded.mkdir()
        write_pairs(seeded / "pairs.jsonl")
        training("import", str(seeded / "pairs.jsonl"), "--db", str(seeded / "feedback.db"))
        report = {"seconds": {"ppo": 10.0}, "version": None}
        if not words.quick:
            whole = night_of(Path(name) / "whole", seeded)
            report = json.loads(training("night", *whole, "--effort", "quick", "--seed", str(words.seed), "--json"))
        stages: dict[str, float] = report["seconds"]
        count = 1 if words.quick else words.kills
        wanted = words.stages if words.stages and not words.quick else list(stages)
        if unknown := [stage for stage in wanted if stage not in stages]:
            parser.error(f"there is no stage {unknown[0]!r}; a night has {', '.join(stages)}")
        chosen = [wanted[number % len(wanted)] for number in range(count)]
        delays = [chance.uniform(0.0, stages[stage]) for stage in chosen]

        def kill_and_resume(number: int) -> dict[str, bool]:
            folder = Path(name) / f"night-{number}"
            night = [*night_of(folder, seeded), "--seed", str(words.seed)]
            killed = kill_in(chosen[number], delays[number], night)
            told = outcome(folder, killed=killed, expected=report["version"])
            print(f"{number + 1}: {chosen[number]} after {delays[number]:.1f} s: {told}", file=sys.stderr, flush=True)
            shutil.rmtree(folder)
            return told

        with ThreadPoolExecutor(words.jobs) as pool:
            outcomes = list(pool.map(kill_and_resume, range(count)))
    figures = {"nights": len(outcomes)}
    if not words.quick:
        figures["seconds_of_a_night"] = report["seconds_total"]
    figures |= {name: sum(one[name] for one in outcomes) for name in outcomes[0]}
    tell(figures, as_json=words.json)


def write_pairs(path: Path) -> None:
    """Pairs whose difference is plain, so that the night is worth running."""
    with path.open("w", encoding="utf-8") as file:
        for number, prompt in enumerate(prompt_bank()[:PAIRS]):
            record = {
                "prompt": [{"role": "user", "content": prompt.text}],
                "chosen": [{"role": "assistant", "content": f"A green apple {number}."}],
                "rejected": [{"role": "assistant", "content": f"I do not know {number}!"}],
            }
            file.write(json.dumps(record) + "\n")


def night_of(folder: Path, seeded: Path) -> list[str]:
    """A database of its own; the words that name it."""
    folder.mkdir()
    shutil.copy(seeded / "feedback.db", folder / "feedback.db")
    return ["--db", str(folder / "feedback.db"), "--versions", str(folder / "versions")]


def training(*words: str) -> str:
    """Run a command to its end and return what it printed."""
    command = [sys.executable, "-m", "training", *words]
    return subprocess.run(
        command, env=os.environ | THREADS | SETTINGS, check=True, stdout=subprocess.PIPE, text=True
    ).stdout


def kill_in(stage: str, delay: float, words: list[str]) -> bool:
    """Start a night and send SIGKILL `delay` seconds after a stage began; whether it was still running."""
    command = [sys.executable, "-m", "training", "night", *words, "--effort", "quick"]
    with subprocess.Popen(command, env=os.environ | THREADS | SETTINGS, stderr=subprocess.PIPE, text=True) as night:
        assert night.stderr is not None
        for line in night.stderr:
            if line.startswith(f"[{stage}]"):
                break
        deadline = time.monotonic() + delay
        while time.monotonic() < deadline and night.poll() is None:
            time.sleep(0.01)
        running = night.poll() is None
        night.send_signal(signal.SIGKILL)
        night.stderr.read()
    return running


def outcome(folder: Path, *, killed: bool, expected: str | None) -> dict[str, bool]:
    """Resume, and what stands there afterwards. `expected`: the version of a night that was left alone, if one was."""
    words = ["--db", str(folder / "feedback.db"), "--versions", str(folder / "versions")]
    if killed:
        training("resume", *words, "--json")
    with closing(FeedbackDatabase(folder / "feedback.db")) as database:
        made = [version.id for version in VersionRegistry(database).list() if version.id != INITIAL]
        states = [night.state for night in NightBook(database).nights()]
        sound = database.read().execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    left = {path.name for path in (folder / "versions").iterdir()}
    found = {
        "killed": killed,
        "completed": states == [NightState.DONE],
        "one_version": len(made) == 1 and manifest_fault(folder / "versions" / made[0]) is None,
        "database_whole": sound,
        "no_debris": left == {*made, COEVOLUTION},
    }
    return found if expected is None else found | {"same_version_as_undisturbed": made == [expected]}


if __name__ == "__main__":
    main()
