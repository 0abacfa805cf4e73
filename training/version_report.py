"""The report a night left in its version's folder, and the reason that reports give in two languages."""

import json
from pathlib import Path
from typing import Any

from nightschool.errors import DamagedVersion
from nightschool.said import Said


def report_of(folder: Path) -> dict[str, Any]:
    """What the night that made the version wrote. Raises `DamagedVersion` where it cannot be read."""
    try:
        return dict(json.loads((folder / "report.json").read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise DamagedVersion(
            f"The report of {folder.name} cannot be read ({error}); promote another version with `python -m training "
            "promote VERSION`."
        ) from error


def told_twice(reason: Said) -> dict[str, str]:
    """A reason as reports hold it: in both languages."""
    return {"reason": reason.en, "reason_zh": reason.zh}


def reason_of(report: dict[str, Any]) -> Said:
    """The reason of a report; older ones have the English one only."""
    english = str(report["reason"])
    return Said(english, str(report.get("reason_zh", english)))
