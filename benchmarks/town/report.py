"""Writes town.json and town.html."""

import json
from pathlib import Path
from typing import Any

from benchmarks.town.page import page
from nightschool.files import whole_file


def write_report(folder: Path, report: dict[str, Any]) -> None:
    """Both files, each whole or not at all."""
    text = json.dumps(report, indent=2, ensure_ascii=False)
    whole_file(folder / "town.json", lambda path: path.write_text(text, encoding="utf-8"))
    whole_file(folder / "town.html", lambda path: path.write_text(page(report), encoding="utf-8"))
    (folder / "so-far.json").unlink(missing_ok=True)
