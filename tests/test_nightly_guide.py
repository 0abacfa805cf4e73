"""The files that docs/nightly gives an owner: what they run exists, and they say what the guide says."""

import configparser
import re
import shlex
from pathlib import Path

from typer.testing import CliRunner

from training.__main__ import app

GUIDE = Path(__file__).parent.parent / "docs" / "nightly"


def unit(name: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(GUIDE / name, encoding="utf-8")
    return parser


def is_a_night(command: str) -> bool:
    """Whether these are the words of a night, with options that it knows."""
    words = shlex.split(command)
    assert words[0].endswith(".venv/bin/python")
    assert words[1:3] == ["-m", "training"]
    ended = CliRunner().invoke(app, [*words[3:], "--help"])
    return ended.exit_code == 0 and words[3] == "night"


def test_the_service_runs_a_night_behind_everything_else() -> None:
    service = unit("nightschool-night.service")["Service"]
    assert is_a_night(service["ExecStart"])
    assert service["ExecStart"].startswith(service["WorkingDirectory"] + "/")
    assert (service["Type"], service["Nice"], service["OOMScoreAdjust"]) == ("oneshot", "19", "1000")


def test_the_timer_is_of_that_service_and_makes_up_for_a_missed_night() -> None:
    timer = unit("nightschool-night.timer")
    assert timer["Timer"]["Persistent"] == "true"
    assert re.fullmatch(r"\*-\*-\* \d\d:\d\d:\d\d", timer["Timer"]["OnCalendar"])
    assert timer["Install"]["WantedBy"] == "timers.target"


def test_the_cron_line_runs_a_night() -> None:
    [line] = re.findall(r"^\d+ \d+ \* \* \*  .*$", (GUIDE / "README.md").read_text(encoding="utf-8"), re.M)
    assert is_a_night(line.split("&&")[1].split(">>")[0])
