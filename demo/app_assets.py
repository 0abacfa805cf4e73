"""The files that go to the browser as they are."""

from functools import cache
from pathlib import Path

ASSETS = Path(__file__).resolve().parent / "assets"


@cache
def script(name: str) -> str:
    """The text of a script."""
    return (ASSETS / name).read_text(encoding="utf-8")
