"""Results of a night's stages as JSON and safetensors, and back: what `resume` starts from."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nightschool.files import whole_folder, write_json
from training.conduct import Conduct
from training.cross_fit import CrossFit
from training.exam import ExamResult
from training.judgements import Answer, Judgements, PairJudgement, Preferred, ThumbJudgement
from training.reward_folder import load_reward_model, save_reward_model
from training.reward_ladder import FittedReward
from training.reward_metrics import RewardMetrics
from training.reward_model import RewardModel, load_head, save_head
from training.split import Side
from training.trunk import SplitModel

Json = dict[str, Any]


def answers_to_json(answers: Sequence[Answer]) -> list[list[tuple[int, ...]]]:
    """Token ids of prompt and reply."""
    return [[answer.prompt_ids, answer.token_ids] for answer in answers]


def answers_from_json(rows: Sequence[Sequence[Sequence[int]]]) -> list[Answer]:
    """The way back."""
    return [Answer(tuple(prompt), tuple(reply)) for prompt, reply in rows]


def judgements_to_json(judgements: Judgements) -> Json:
    """Every answer once, judgements naming their answers by place."""
    answers = judgements.answers()
    place = {answer: number for number, answer in enumerate(answers)}
    pairs = [_fields(pair, left=place[pair.left], right=place[pair.right]) for pair in judgements.pairs]
    thumbs = [_fields(thumb, answer=place[thumb.answer]) for thumb in judgements.thumbs]
    return {"answers": answers_to_json(answers), "pairs": pairs, "thumbs": thumbs}


def judgements_from_json(kept: Json) -> Judgements:
    """The way back."""
    answers = answers_from_json(kept["answers"])
    pairs = [
        PairJudgement(
            **_restored(row, "left", "right", answers=answers)
            | {"preferred": Preferred(row["preferred"]), "also": tuple((kind, key) for kind, key in row["also"])}
        )
        for row in kept["pairs"]
    ]
    thumbs = [ThumbJudgement(**_restored(row, "answer", answers=answers)) for row in kept["thumbs"]]
    return Judgements(tuple(pairs), tuple(thumbs))


def _fields(judgement: PairJudgement | ThumbJudgement, **places: int) -> Json:
    return {name: value for name, value in vars(judgement).items() if not isinstance(value, Answer)} | places


def _restored(row: Json, *places: str, answers: Sequence[Answer]) -> Json:
    kind, key = row["source"]
    return row | {name: answers[row[name]] for name in places} | {"side": Side(row["side"]), "source": (kind, key)}


def save_fitted(fitted: FittedReward, folder: Path) -> None:
    """Both reward models and what they are worth, as one folder that is there whole or not at all."""
    with whole_folder(folder) as temporary:
        save_reward_model(fitted.model, temporary)
        save_head(fitted.examiner.head, temporary / "examiner.safetensors")
        for place, head in enumerate(fitted.heads, 1):
            save_head(head, temporary / f"head-{place:02d}.safetensors")
        for place, head in enumerate(fitted.examiner_folds.heads):
            save_head(head, temporary / f"fold-{place}.safetensors")
        told = {
            "metrics": asdict(fitted.metrics),
            "examiner_metrics": asdict(fitted.examiner_metrics),
            "ridge": fitted.ridge,
            "rung": fitted.rung,
            "distrusted": fitted.distrusted,
            "fold_of": dict(fitted.examiner_folds.fold_of),
            "reward_layers": fitted.model.split.top_layers,
        }
        write_json(temporary / "fitted.json", told)


def reward_layers_kept(folder: Path, of_policy: int) -> int:
    """How many upper layers belong to a kept reward model: as many as to the policy where it does not tell."""
    told: Json = json.loads((folder / "fitted.json").read_text(encoding="utf-8"))
    return int(told.get("reward_layers", of_policy))


def load_fitted(folder: Path, split: SplitModel) -> FittedReward:
    """The way back."""
    told: Json = json.loads((folder / "fitted.json").read_text(encoding="utf-8"))
    return FittedReward(
        model=load_reward_model(folder, split),
        metrics=_metrics(told["metrics"]),
        examiner=RewardModel(split, load_head(folder / "examiner.safetensors")),
        examiner_metrics=_metrics(told["examiner_metrics"]),
        ridge=told["ridge"],
        rung=told["rung"],
        distrusted=tuple(told["distrusted"]),
        heads=tuple(load_head(path) for path in sorted(folder.glob("head-*.safetensors"))),
        examiner_folds=CrossFit(
            tuple(load_head(path) for path in sorted(folder.glob("fold-*.safetensors"))), told.get("fold_of", {})
        ),
    )


def exam_to_json(exam: ExamResult, before: Sequence[Answer], after: Sequence[Answer]) -> Json:
    """The exam with its replies."""
    return {"exam": asdict(exam), "before": answers_to_json(before), "after": answers_to_json(after)}


def exam_from_json(kept: Json) -> tuple[ExamResult, list[Answer], list[Answer]]:
    """The way back."""
    sides = {side: Conduct(**kept["exam"][side]) for side in ("champion", "candidate")}
    lost = {name: tuple(kept["exam"].get(name, ())) for name in ("worst", "worst_margins")}
    exam = ExamResult(**kept["exam"] | sides | lost)
    return exam, answers_from_json(kept["before"]), answers_from_json(kept["after"])


def _metrics(told: Json) -> RewardMetrics:
    """Also those kept before the log-loss of pairs was told."""
    known: Json = {"pairs_log_loss": None}
    return RewardMetrics(**(known | told))
