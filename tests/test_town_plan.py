"""Town files: the shipped ones are good, bad ones are refused in one sentence that says what to do."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks.town.__main__ import arguments, effort_within, over_seeds
from benchmarks.town.plan import FOLDER, TROLLS, load_town, town_of
from nightschool.errors import BadInput

GOOD = {"name": "t", "taste": "benchmarks.town.tastes:brevity"}


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.toml")), ids=lambda path: path.stem)
def test_every_shipped_town_is_good_and_named_as_its_file(path: Path) -> None:
    assert load_town(path).name == path.stem


def test_a_town_is_shipped_for_every_taste_and_every_kind_of_troll() -> None:
    towns = {path.stem: load_town(path) for path in FOLDER.glob("*.toml")}
    assert {"brevity", "sentiment", "politeness", "mixture", "miniature", *TROLLS} == set(towns)
    for kind in TROLLS:
        assert [troll.kind for troll in towns[kind].trolls] == [kind]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"noise": 0.7}, "noise was given as 0.7: Input should be less than or equal to 0.5"),
        ({"nois": 0.1}, "nois was given as 0.1: Extra inputs are not permitted (known here: name, taste"),
        ({"people": 0}, "people was given as 0"),
        ({"judgements": "many"}, "judgements was given as 'many'"),
        ({"taste": "brevity"}, "taste was given as 'brevity'"),
        ({"kinds": {"duel": 0, "thumb": 0, "ranking": 0, "correction": 0}}, "at least one kind"),
        ({"kinds": {"duel": float("inf")}}, "kinds.duel"),
        ({"trolls": [{"kind": "goblin"}]}, "trolls.0.kind was given as 'goblin'"),
        ({"trolls": [{"kind": "brigade"}]}, "a brigade needs a phrase"),
        ({"trolls": [{"kind": "inverted", "phrase": "x"}]}, "nobody else has one"),
    ],
)
def test_a_bad_town_is_refused_in_a_sentence(change: dict[str, Any], told: str) -> None:
    with pytest.raises(BadInput) as refused:
        town_of(GOOD | change, "town.toml")
    assert told in str(refused.value)
    assert str(refused.value).endswith("correct it there.")
    assert "\n" not in str(refused.value)


def no_number(prompt: str, response: str, finished: bool) -> str:
    return "very good"


def two_arguments(prompt: str, response: str) -> float:
    return 1.0


@pytest.mark.parametrize(
    ("taste", "told"),
    [
        ("nowhere.at_all:taste", "ModuleNotFoundError"),
        ("benchmarks.town.tastes:beauty", "AttributeError"),
        ("tests.test_town_plan:no_number", "it gave 'very good', which is no number"),
        ("tests.test_town_plan:two_arguments", "TypeError"),
    ],
)
def test_a_taste_that_cannot_be_used_is_refused_before_anything_starts(taste: str, told: str) -> None:
    with pytest.raises(BadInput, match="takes \\(prompt, response, finished\\)") as refused:
        town_of(GOOD | {"taste": taste}, "town.toml")
    assert told in str(refused.value)


def test_a_file_that_is_no_town_is_refused_with_those_that_are_shipped(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("name = ")
    for path in (tmp_path / "bad.toml", tmp_path / "none.toml"):
        with pytest.raises(BadInput, match=r"could not be read .*brevity"):
            load_town(path)


def test_the_longest_night_that_fits_is_chosen() -> None:
    assert [effort_within(minutes, quick=False) for minutes in (10, 30, 200)] == ["quick", "normal", "thorough"]
    assert effort_within(30, quick=True) == "quick"
    with pytest.raises(BadInput, match="the shortest night takes up to 10"):
        effort_within(5, quick=False)


def test_bad_numbers_on_the_command_line_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        arguments(["--nights", "0"])
    assert "--nights was given as 0; give 1 or more" in capsys.readouterr().err


def test_seeds_are_summed_up_as_means_with_their_spread() -> None:
    one = {
        "seed": 0,
        "win_rate_night_1": 0.8,
        "verdict_night_1": "promoted",
        "kl_night_1": None,
        "name": "t",
        "ppo_by_clock_night_1": False,
    }
    other = {
        "seed": 1,
        "win_rate_night_1": 0.6,
        "verdict_night_1": "held",
        "kl_night_1": 2.0,
        "name": "t",
        "ppo_by_clock_night_1": True,
    }
    found = over_seeds([one, other])
    assert found["win_rate_night_1"] == pytest.approx(0.7)
    assert found["win_rate_night_1_sd"] == pytest.approx(0.1)
    assert found["verdict_night_1"] == "promoted, held"
    assert (found["name"], found["seeds"]) == ("t", "0, 1")
    assert "kl_night_1" not in found
    assert found["ppo_by_clock_night_1"] == "False, True"
