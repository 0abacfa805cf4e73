"""A town in miniature: simulated people use the real chat over HTTP, real nights run on a tiny model, and it learns.

Each town is a program of its own: two nights; one night with the same seed; and, without the server, people of the
opposite taste; people who decide by a coin; PPO on the taste itself; all kinds of trolls. Figures are checked for their
direction.
"""

import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from benchmarks.town.page import table
from benchmarks.town.plan import TROLLS
from benchmarks.town.record import flat, without_clock
from nightschool.feedback import FeedbackStore
from nightschool.schema import FeedbackDatabase
from tests.tiny import make_tiny_model

WORDS = ["--quick", "--exam", "64", "--seed", "3"]
ATTACKS = """
name = "attacks"
taste = "benchmarks.town.tastes:letter"
people = 4
judgements = 24
noise = 0.0
reply_tokens = 16
kinds = {duel = 1, thumb = 0, ranking = 1, correction = 0}
trolls = [
    {kind = "inverted", judgements = 6},
    {kind = "always_left", judgements = 6},
    {kind = "spammer"},
    {kind = "brigade", judgements = 6, phrase = "Buy it!"},
    {kind = "sleeper", judgements = 6, honest_nights = 1},
]
"""


def run_town(folder: Path, model: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "training", "simulate", *words, "--model", str(model), "--out", str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
    environment |= {"NIGHTSCHOOL_DTYPE": "float32"}  # a tiny random model's opinions are lost in bfloat16
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=840, check=False)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("tiny") / "tiny", layers=2, letter="e")


def live(home: Path, model: Path, towns: dict[str, list[str]]) -> None:
    """Run towns, two at a time, each in the folder of its name."""
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda name: run_town(home / name, model, *WORDS, *towns[name], "--json"), towns))
    for name, ended in zip(towns, done, strict=True):
        assert ended.returncode == 0, f"{name}: {ended.stderr[-2000:]}"
        assert json.loads(ended.stdout) == flat(report(home, name))


def report(home: Path, name: str) -> dict[str, Any]:
    return dict(json.loads((home / name / "town.json").read_text(encoding="utf-8")))


@pytest.mark.timeout(900)
def test_a_town_learns_what_its_people_like_and_the_same_seed_does_it_again(tmp_path: Path, model: Path) -> None:
    live(tmp_path, model, {"learns": ["--nights", "2"], "again": ["--nights", "1"]})
    _what_people_like_is_learned_and_answers(tmp_path)
    _a_reward_model_gets_better_with_judgements_and_beats_guessing(tmp_path)
    _people_who_prefer_the_better_version_put_it_first(tmp_path)
    _the_same_seed_gives_the_same_figures(tmp_path)
    _every_judgement_came_into_the_database_over_http_and_is_in_the_record(tmp_path)
    _the_report_is_a_whole_page_with_plots_that_loads_nothing(tmp_path)
    _seconds_are_told_of_every_part_and_within_the_total(tmp_path)


@pytest.mark.timeout(900)
def test_controls_come_out_as_they_must(tmp_path: Path, model: Path) -> None:
    words = ["--nights", "1", "--indoors", "--control"]
    live(tmp_path, model, {name: [*words, name] for name in ("reversed", "shuffled", "gold")})
    _the_opposite_taste_moves_the_gold_down_and_ppo_on_the_gold_lies_above_both(tmp_path)
    _judgements_by_a_coin_promote_nothing(tmp_path)


def _what_people_like_is_learned_and_answers(home: Path) -> None:
    town = report(home, "learns")
    assert "promoted" in {town["verdict_night_1"], town["verdict_night_2"]}, town["nights"]
    assert town["final_gold"] == town["gold_night_2"] > town["gold_night_0_high"]
    assert town["win_rate_night_0"] == 0.5
    assert town["win_rate_night_2_low"] > 0.5
    assert town["finished_night_2"] >= town["finished_night_0_low"]
    for night in town["nights"]:
        if night["version"]:
            assert night["reward_after"] > night["reward_before"]
            assert night["candidate_win_rate_low_on_unseen"] > 0.5
    curve = town["nights"][0]["curve"]  # a later night may end after its first iteration
    assert len(curve) == 4
    for name in ("kl", "proxy", "examiner", "gold"):
        assert curve[-1][name] > curve[0][name]


def _a_reward_model_gets_better_with_judgements_and_beats_guessing(home: Path) -> None:
    rows = report(home, "learns")["reward_model_by_judgements"]
    assert [row["judgements"] for row in rows] == sorted({row["judgements"] for row in rows})
    # The second day's judgements are of replies that were learned, which differ in other things than those asked about.
    assert max(row["accuracy"] for row in rows[1:]) > max(rows[0]["accuracy"], 0.75)
    assert rows[-1]["accuracy"] > 0.75
    assert rows[-1]["calibration_error"] < 0.25


def _people_who_prefer_the_better_version_put_it_first(home: Path) -> None:
    town = report(home, "learns")
    assert town["leaderboard_duels"] > 20
    assert town["leaderboard_rank_correlation"] > 0
    assert town["leaderboard"][0]["gold"] > town["gold_night_0"]


def _the_opposite_taste_moves_the_gold_down_and_ppo_on_the_gold_lies_above_both(home: Path) -> None:
    backward, gold = report(home, "reversed"), report(home, "gold")
    moved = backward.get("candidate_gold_on_unseen_night_1", backward["gold_night_1"])
    assert moved < backward["gold_night_0_low"]
    assert gold["gold_night_1"] > gold["gold_night_0_high"] > moved
    assert gold["gold_night_0"] == backward["gold_night_0"]  # the same replies of the same initial model


def _judgements_by_a_coin_promote_nothing(home: Path) -> None:
    town = report(home, "shuffled")
    assert town["promoted_nights"] == 0
    assert town["gold_night_1"] == town["gold_night_0"]
    assert abs(town["reward_model_by_judgements"][-1]["accuracy"] - 0.5) < 0.25


def _the_same_seed_gives_the_same_figures(home: Path) -> None:
    two, one = without_clock(report(home, "learns")), without_clock(report(home, "again"))
    of_first = {name for name in two if re.search(r"_(day|night)_[01](_|$)", name)}
    assert len(of_first) > 50
    assert {name: two[name] for name in of_first} == {name: one[name] for name in of_first}
    assert two["nights"][0] == one["nights"][0]
    assert two["acts_sha256_day_1"] != two["acts_sha256_day_2"]


def _every_judgement_came_into_the_database_over_http_and_is_in_the_record(home: Path) -> None:
    acts = [json.loads(line) for line in (home / "learns" / "judgements.jsonl").read_text("utf-8").splitlines()]
    told = [act["kind"] for act in acts if act["told"] is not None]
    with closing(FeedbackDatabase(home / "learns" / "feedback.db")) as database:
        snapshot = FeedbackStore(database).snapshot()
    assert {act["person"] for act in acts} == {"person 1", "person 2"}
    stored = (snapshot.duels, snapshot.thumbs, snapshot.rankings, snapshot.corrections)
    kinds = ("duel", "thumb", "ranking", "correction")
    assert [len(rows) for rows in stored] == [told.count(kind) for kind in kinds]
    assert min(map(told.count, kinds)) > 0
    votes = [str(duel.outcome) for duel in snapshot.duels]
    assert votes == [act["told"] for act in acts if act["kind"] == "duel" and act["told"] is not None]


class Outline(HTMLParser):
    """Tags that are open, and every address that a page names."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in {"src", "href", "xlink:href", "action"}]
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)


def _the_report_is_a_whole_page_with_plots_that_loads_nothing(home: Path) -> None:
    text = (home / "learns" / "town.html").read_text(encoding="utf-8")
    outline = Outline()
    outline.feed(text)
    assert outline.open == []
    assert outline.addresses == []
    assert "url(" not in text
    assert "@import" not in text
    assert outline.seen.count("svg") == 6
    assert "script" not in outline.seen
    assert outline.seen.count("h3") == 10
    town = report(home, "learns")
    assert f"{town['gold_night_2']:.2f} ({town['gold_night_2_low']:.2f} to {town['gold_night_2_high']:.2f})" in text


def test_a_tables_rows_have_a_cell_for_each_heading() -> None:
    assert table(["one", "two"], [["1", "<2>"]], numbers=[1]).count("<td") == 2
    with pytest.raises(ValueError, match="3 cells was given for 2 headings"):
        table(["one", "two"], [["1", "2"], ["1", "2", "3"]])


def test_what_cannot_be_run_is_refused_in_one_sentence(tmp_path: Path, model: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "something").touch()
    refused = run_town(tmp_path / "full", model, "--quick")
    assert refused.returncode == 1
    assert "is not empty; name another one with --out" in refused.stderr
    assert "Traceback" not in refused.stderr
    town = tmp_path / "none.toml"
    refused = run_town(tmp_path / "new", model, "--town", str(town))
    assert refused.returncode == 1
    assert f"The town file {town} could not be read" in refused.stderr


def _seconds_are_told_of_every_part_and_within_the_total(home: Path) -> None:
    town = report(home, "learns")
    parts = [town[f"seconds_{part}"] for part in ("measure_0", "day_1", "night_1", "day_2", "night_2", "study")]
    assert min(parts) >= 0
    assert sum(parts) <= town["seconds_total"] + 1
    assert town["seconds_night_1_total"] <= town["seconds_night_1"]
    assert town["seconds_are_within_limit"] is True


@pytest.mark.timeout(900)
def test_the_attack_panel_fits_each_kind_of_troll_with_guards_on_and_off(tmp_path: Path, model: Path) -> None:
    (tmp_path / "attacks.toml").write_text(ATTACKS)
    words = ["--nights", "1", "--indoors", "--panel", "attacks", "--town", str(tmp_path / "attacks.toml")]
    live(tmp_path, model, {"attacks": words})
    town = report(tmp_path, "attacks")
    rows = {(row["trolls"], row["guards"]): row for row in town["attacks"]}
    assert set(rows) == {(trolls, guards) for trolls in ("nobody", *TROLLS) for guards in (True, False)}
    alone = rows["nobody", False]["judgements"]
    assert rows["spammer", False]["judgements"] > rows["inverted", False]["judgements"] > alone
    assert town["attack_spammer_unguarded_accuracy"] < town["attack_nobody_unguarded_accuracy"]
    assert town["attack_brigade_unguarded_phrase_shift"] > town["attack_nobody_unguarded_phrase_shift"]
    assert town["troll_judgements_day_1"] >= 24 + 4 * 6
    assert "reward for the phrase" in (tmp_path / "attacks" / "town.html").read_text("utf-8")
