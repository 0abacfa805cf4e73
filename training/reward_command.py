"""`python -m training reward fit | score | report`: the reward model by itself, without a night."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from nightschool.errors import BadInput
from nightschool.feedback import FeedbackStore
from nightschool.records import Message
from nightschool.settings import load_settings
from training.effort import effort_named
from training.receipts import judged_conversations, judgements_of, split_of_snapshot
from training.telling import opened, told

app = typer.Typer(no_args_is_help=True, help="Fit the reward model, score texts with it, and say what it is worth.")

Db = Annotated[Path | None, typer.Option(help="The database (default feedback.db).")]
Folder = Annotated[Path | None, typer.Option("--reward", help="Folder of the reward model (default reward/).")]
Model = Annotated[str | None, typer.Option(help="embedded, a Hugging Face id, or a model folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]

DEFAULT_FOLDER = Path("reward")
REPORT = "report.json"


@app.command()
def fit(
    db: Db = None,
    reward: Folder = None,
    model: Model = None,
    effort: Annotated[str | None, typer.Option(help="quick, normal or thorough.")] = None,
    start: Annotated[str | None, typer.Option(help="base, scratch, or another model of the same words.")] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    as_json: AsJson = False,
) -> None:
    """Fit a reward model to everything people judged and write it to a folder."""
    with told():
        settings = load_settings(db=db, model=model, effort=effort, reward_start=start)
        chosen = effort_named(settings.effort)
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch: a chat beside it comes first
        from training.reward_job import fit_from_feedback

        with opened(settings) as database:
            store = FeedbackStore(database)
            snapshot = store.snapshot()
            split = split_of_snapshot(snapshot)
            store.keep_sides(split.changes(snapshot.sides, judged_conversations(snapshot)))
            report = fit_from_feedback(
                settings,
                judgements_of(snapshot, split),
                snapshot.taken_at,
                chosen,
                seed,
                reward or DEFAULT_FOLDER,
                lambda text: print(text, file=sys.stderr, flush=True),
            )
    print(json.dumps(report, indent=2, ensure_ascii=False) if as_json else "\n".join(in_words(report)))


@app.command()
def score(
    file: Path,
    reward: Folder = None,
    model: Model = None,
    out: Annotated[Path | None, typer.Option(help="Write the lines here (default: print them).")] = None,
) -> None:
    """Score JSON lines with `prompt` (text or messages) and `response` (text); each gets a `score`."""
    with told():
        settings = load_settings(model=model)
        records = list(read_texts_to_score(file))
        from training.reward_job import scores_of

        folder = reward or DEFAULT_FOLDER
        scores = scores_of(settings, folder, _report(folder), [(prompt, text) for _, prompt, text in records])
        lines = [
            json.dumps(record | {"score": value}, ensure_ascii=False)
            for (record, _, _), value in zip(records, scores, strict=True)
        ]
        if out is None:
            print("\n".join(lines))
        else:
            _write(out, "\n".join(lines) + "\n")


@app.command()
def report(reward: Folder = None, as_json: AsJson = False) -> None:
    """What the reward model is worth, and whether PPO may run on it."""
    with told():
        found = _report(reward or DEFAULT_FOLDER)
    print(json.dumps(found, indent=2, ensure_ascii=False) if as_json else "\n".join(in_words(found)))


def _report(folder: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((folder / REPORT).read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise BadInput(
            f"There is no reward model in {folder} ({error}); make one with `python -m training reward fit`, or name "
            "its folder with --reward."
        ) from error


def read_texts_to_score(path: Path) -> Iterator[tuple[dict[str, Any], list[Message], str]]:
    """(record, prompt, response) of each line. Raises `BadInput` naming the line and what is wrong with it."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"The file {path} could not be read ({error}); give a UTF-8 file of JSON lines.") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            prompt, response = record["prompt"], record["response"]
            messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
            prompt = [Message(str(message["role"]), _text(message["content"])) for message in messages]  # type: ignore[arg-type]
            if not prompt or prompt[-1].role != "user":
                raise ValueError("the prompt does not end with a message of the user")
            yield record, prompt, _text(response)
        except (ValueError, KeyError, TypeError) as error:
            raise BadInput(
                f"Line {number} of {path} cannot be scored ({error}); each line is an object with prompt (a text or a "
                "list of messages) and response (a text)."
            ) from error


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("a text is missing or empty")
    return value


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BadInput(f"The file {path} could not be written ({error}); name another one with --out.") from error


def in_words(report: dict[str, Any]) -> list[str]:
    """A report as lines a person can read."""

    def share(name: str) -> str:
        return "unknown" if report.get(name) is None else f"{report[name]:.0%}"

    def number(name: str) -> str:
        return "unknown" if report.get(name) is None else f"{report[name]:.3f}"

    lines = [
        f"Fitted to {report['judgements']} judgements ({report['pairs']} pairs, {report['thumbs']} thumbs) on "
        f"{report['model']}; rung: {report['rung']}.",
        f"Predicts {share('accuracy')} of {report['pairs_checked']} pairs it was not trained on (at least "
        f"{share('accuracy_low')} with 80 % confidence); log-loss {number('log_loss')}, guessing "
        f"{number('guess_log_loss')}.",
        f"Brier score {number('brier')}, calibration error {number('calibration_error')}, best temperature "
        f"{number('temperature')}.",
        f"The longer reply was preferred {share('longer_wins')} of the time; the reward follows the length with "
        f"correlation {number('length_correlation')}.",
        f"BLEU agrees with people on {share('bleu_accuracy')} and ROUGE-L on {share('rouge_l_accuracy')} of "
        f"{report['overlap_pairs']} pairs.",
    ]
    lines += [f"  {kind}: {value:.0%} right" for kind, value in report["accuracy_by_kind"].items()]
    if report["distrusted_people"]:
        lines.append(
            f"The votes of {report['distrusted_people']} people speak for the opposite of the others': not counted."
        )
    if report.get("examiner_pairs_checked"):  # reports of before do not tell of it
        lines.append(
            f"The examiner, fitted to labels of its own, predicts {share('examiner_accuracy')} of "
            f"{report['examiner_pairs_checked']} pairs; log-loss {number('examiner_log_loss')}."
        )
    lines.append("PPO may run on it." if report["fault"] is None else f"PPO must not run on it: {report['fault']}.")
    return lines
