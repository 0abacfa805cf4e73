"""What a night at work has made so far, so that a night that was killed continues where it was.

A hidden folder beside the versions, `.night-<id>`. Every file in it appears whole or not at all. It is removed when its
night is done, and when a later night begins; so is a version's folder that was complete but never registered.
"""

import json
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any

from nightschool.errors import BadInput
from nightschool.files import whole_file

PREFIX = ".night-"


class NightWork:
    """The folder of one night. Raises OSError when it cannot be written."""

    def __init__(self, versions: Path, night_id: str) -> None:
        self.folder = versions / f"{PREFIX}{night_id}"

    @property
    def checkpoint(self) -> Path:
        """Of PPO, after its newest iteration."""
        return self.folder / "ppo.safetensors"

    @property
    def reward(self) -> Path:
        """The fitted reward models."""
        return self.folder / "reward"

    def rollout(self, iteration: int) -> Path:
        """The replies of one iteration of PPO."""
        return self.folder / f"rollout-{iteration:04d}.parquet"

    def keep(self, name: str, value: Any) -> None:
        """Write `<name>.json`, whole or not at all."""
        whole_file(self.folder / f"{name}.json", lambda path: path.write_text(json.dumps(value), encoding="utf-8"))

    def kept(self, name: str) -> Any | None:
        """What was kept under this name; None where nothing was. Raises `BadInput` when it cannot be read."""
        path = self.folder / f"{name}.json"
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError) as error:
            raise BadInput(f"{path} cannot be read ({error}); the night cannot be resumed, start a new one.") from error

    def remove(self) -> None:
        """The night is done: nobody will continue it."""
        shutil.rmtree(self.folder, ignore_errors=True)


def sweep(versions: Path, nights: Collection[str], registered: Collection[str]) -> None:
    """Remove what these nights left unfinished: their work folders, and folders of versions that never got a row.

    Versions of other nights (another database may share the folder), and whatever else lies there, stay.
    """
    for night_id in nights:
        NightWork(versions, night_id).remove()
    for config in versions.glob("*/config.json"):
        made = _made_by(config)
        if made is not None and made[0] in nights and made[1] == config.parent.name and made[1] not in registered:
            shutil.rmtree(config.parent, ignore_errors=True)


def _made_by(config: Path) -> tuple[str, str] | None:
    """Night and id of a version, from its folder; None for a file that does not say."""
    try:
        told = json.loads(config.read_text(encoding="utf-8"))
        return str(told["night"]), str(told["version"])
    except (OSError, ValueError, LookupError, TypeError):
        return None
