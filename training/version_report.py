"""The report a night left in its version's folder."""

import json
from pathlib import Path
from typing import Any

from nightschool.errors import DamagedVersion


def report_of(folder: Path) -> dict[str, Any]:
    """What the night that made the version wrote. Raises `DamagedVersion` where it cannot be read."""
    try:
        return dict(json.loads((folder / "report.json").read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise DamagedVersion(
            f"The report of {folder.name} cannot be read ({error}); promote another version with `python -m training "
            "promote VERSION`."
        ) from error
