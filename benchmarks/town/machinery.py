"""The real programs, as a town uses them: the chat's server and the night's commands, in one folder of their own.

They run there without a `nightschool.toml` and with every setting named, so that a town depends on nothing but its
file, its seed and the model.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nightschool.errors import NightSchoolError
from nightschool.settings import Settings

HOME = Path(__file__).parent.parent.parent
ANSWERS = re.compile(r"NightSchool answers on (http://\S+)")
STOPPING = 30.0


class TownStopped(NightSchoolError):
    """A program of the town could not do its part."""


@dataclass(frozen=True)
class Place:
    """Where a town's things lie, and the settings of its programs."""

    folder: Path
    settings: Settings
    seed: int

    @property
    def database(self) -> Path:
        return self.folder / "feedback.db"

    @property
    def versions(self) -> Path:
        return self.folder / "versions"

    def environment(self) -> dict[str, str]:
        """Every setting that matters, whatever is set elsewhere."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("NIGHTSCHOOL_")}
        return kept | self.named() | {"PYTHONPATH": str(HOME), "GRADIO_ANALYTICS_ENABLED": "False"}

    def named(self) -> dict[str, str]:
        """The settings as the environment's names."""
        settings = self.settings
        model = Path(settings.model)
        return {
            "NIGHTSCHOOL_MODEL": str(model.resolve()) if model.is_dir() else settings.model,
            "NIGHTSCHOOL_CACHE": str(settings.cache.resolve()),
            "NIGHTSCHOOL_DTYPE": settings.dtype,
            "NIGHTSCHOOL_TEMPERATURE": str(settings.temperature),
            "NIGHTSCHOOL_MAX_NEW_TOKENS": str(settings.max_new_tokens),
            "NIGHTSCHOOL_LORA_LAYERS": str(settings.lora_layers),
            "NIGHTSCHOOL_REWARD_START": settings.reward_start,
            "NIGHTSCHOOL_RANK_REPLIES": str(settings.rank_replies),
            "NIGHTSCHOOL_DUEL_SHARE": "0",  # people ask for the duels they want
            "NIGHTSCHOOL_PROMOTION": "exam",
            "NIGHTSCHOOL_NIGHTLY": "off",
            "NIGHTSCHOOL_SEED": str(self.seed),
        }


@contextmanager
def chat(place: Place) -> Iterator[str]:
    """`python -m demo` on a free port until the block ends; its address. Its messages go to `demo.log`."""
    command = [sys.executable, "-m", "demo", "--host", "127.0.0.1", "--port", "0"]
    command += ["--db", str(place.database), "--versions", str(place.versions)]
    with (
        (place.folder / "demo.log").open("a", encoding="utf-8") as log,
        subprocess.Popen(
            command, cwd=place.folder, env=place.environment(), stdout=subprocess.PIPE, stderr=log, text=True
        ) as server,
    ):
        try:
            yield _address(server, place)
        finally:
            server.terminate()
            try:
                server.wait(STOPPING)
            except subprocess.TimeoutExpired:
                server.kill()


def _address(server: subprocess.Popen[str], place: Place) -> str:
    """Where it answers. Raises `TownStopped` when it ends before it does."""
    assert server.stdout is not None
    for line in server.stdout:
        if found := ANSWERS.match(line):
            return found[1]
    raise TownStopped(f"The chat did not start: {last_line(place.folder / 'demo.log')}")


def training(place: Place, *words: str) -> dict[str, Any]:
    """`python -m training ... --json` as a program of its own; its report. What it says goes to `training.log`.

    Raises `TownStopped` with its last sentence when it fails.
    """
    return dict(json.loads(training_text(place, *words, "--json")))


def training_text(place: Place, *words: str) -> str:
    """The same without `--json`, and what it prints."""
    log = place.folder / "training.log"
    with log.open("a", encoding="utf-8") as messages:
        done = subprocess.run(
            _command(words), cwd=place.folder, env=place.environment(), stdout=subprocess.PIPE, stderr=messages,
            text=True, check=False,
        )  # fmt: skip
    if done.returncode:
        raise TownStopped(f"`python -m training {' '.join(words)}` failed: {last_line(log)}")
    return done.stdout


def in_store(place: Place) -> list[str]:
    """Options that name the town's database and versions."""
    return ["--db", str(place.database), "--versions", str(place.versions)]


def _command(words: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "training", *words]


def last_line(log: Path) -> str:
    """What a program said last."""
    lines = log.read_text(encoding="utf-8").strip().splitlines() if log.exists() else []
    return lines[-1] if lines else "it said nothing"
