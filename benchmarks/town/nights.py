"""A night of a town, by the real command, and what its version's folder and the database tell of it afterwards.

What is kept names no row of the database: ids and moments differ between two runs of one seed, nothing else does.
"""

import re
from contextlib import closing
from statistics import fmean
from typing import Any

from benchmarks.town.machinery import Place, TownStopped, in_store, training
from benchmarks.town.tastes import Taste
from nightschool.model import BaseModel
from nightschool.records import INITIAL
from nightschool.schema import FeedbackDatabase
from training.calibration import rank_correlation
from training.exam import question_of
from training.rollout_record import ROLLOUTS, read_rollouts

KEPT = (
    "verdict", "reason", "version", "champion_before", "champion_after", "judgements", "pairs", "thumbs",
    "training_judgements", "missing_judgements", "distrusted_people", "reward_model_rung", "reward_model_accuracy",
    "reward_model_log_loss", "reward_model_calibration_error", "reward_model_length_correlation", "examiner_accuracy",
    "examiner_log_loss", "kl", "beta", "episodes", "iterations", "ppo_stopped", "ppo_by_clock", "ppo_way_times",
    "reward_before", "reward_after", "examiner_before", "examiner_after", "perplexity", "lora_layers",
    "champion_length", "candidate_length", "champion_finished", "candidate_finished",
)  # fmt: skip
"""What a town's report takes from a night's."""
BY_EXAMINER = ("win_rate", "win_rate_low", "win_rate_high")
"""These, too, as `exam_win_rate` and so on: without a prefix it is the taste that tells who wins."""
ROLE = re.compile(r"^\s*user\s*\n?")
"""What the chat's template puts before a question."""


def real_night(place: Place, base: BaseModel, taste: Taste, effort: str, seed: int) -> dict[str, Any]:
    """`python -m training night`; its figures, its curve, and the seconds of its stages. A failed one is told, too."""
    try:
        told = training(place, "night", *in_store(place), "--effort", effort, "--seed", str(seed))
    except TownStopped as error:
        return {"verdict": "failed", "reason": str(error), "version": None, "curve": [], "seconds": {}}
    found = {name: told.get(name) for name in KEPT} | {f"exam_{name}": told.get(name) for name in BY_EXAMINER}
    curve = curve_of(place, base, taste, told["night"], told["version"]) if told["version"] else []
    return found | {"curve": curve, "seconds": told["seconds"] | {"total": told["seconds_total"]}}


def curve_of(place: Place, base: BaseModel, taste: Taste, night: str, version: str) -> list[dict[str, float | None]]:
    """Drift, reward model's, examiner's and gold score of each iteration's replies, to prompts that it practised on."""
    folder = place.versions / version
    rows = read_rollouts(folder) if (folder / ROLLOUTS).exists() else []
    with closing(FeedbackDatabase(place.database)) as database:
        sql = "SELECT step, value FROM night_metrics WHERE night_id = ? AND name = 'watched'"
        examiner = dict(database.read().execute(sql, [night]).fetchall())
    found: list[dict[str, float | None]] = []
    for iteration in sorted({row["iteration"] for row in rows}):
        part = [row for row in rows if row["iteration"] == iteration]
        golds = [taste(_question(base, row["prompt_ids"]), row["y2"], row["y2_finished"]) for row in part]
        found.append(
            {
                "kl": fmean(row["y2_kl"] for row in part),
                "proxy": fmean(row["y2_score"] for row in part),
                "examiner": examiner.get(iteration),
                "gold": fmean(golds),
                "finished": fmean(row["y2_finished"] for row in part),
            }
        )
    return found


def _question(base: BaseModel, prompt_ids: list[int]) -> str:
    return ROLE.sub("", question_of(base, prompt_ids))


def leaderboard(place: Place, golds: dict[str, float]) -> dict[str, Any]:
    """What people's duels say of the versions, beside the true order. Versions nobody measured are left out."""
    board = training(place, "leaderboard", "--db", str(place.database))
    rows = [
        {"version": row["version"], "rating": row["rating"], "low": row["low"], "high": row["high"]}
        | {"gold": golds[row["version"]], "is_initial": row["version"] == INITIAL}
        for row in board["ratings"]
        if row["rating"] is not None and row["version"] in golds
    ]
    rows.sort(key=lambda row: -row["rating"])
    correlation = rank_correlation([row["rating"] for row in rows], [row["gold"] for row in rows]) if rows else None
    told = [
        (one, other)
        for place_of_one, one in enumerate(rows)
        for other in rows[place_of_one + 1 :]
        if one["low"] is not None and other["high"] is not None and one["low"] > other["high"]
    ]
    return {
        "leaderboard": rows,
        "leaderboard_duels": board["duels"],
        "leaderboard_rank_correlation": correlation,
        "leaderboard_told_apart": len(told),
        "leaderboard_told_apart_rightly": sum(one["gold"] > other["gold"] for one, other in told),
    }
