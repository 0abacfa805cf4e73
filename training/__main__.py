"""Commands of the night: `python -m training --help`."""

import json
import os
import secrets
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from nightschool import promoting
from nightschool.errors import NightAlreadyRunning, StoreError
from nightschool.examples import TrainerFormat
from nightschool.feedback import FeedbackStore
from nightschool.files import whole_file
from nightschool.probation import PROMOTE_AT, ROLL_BACK_AT
from nightschool.records import IMPORTER, Night, NightState
from nightschool.registry import NightBook, VersionRegistry
from nightschool.schema import FeedbackDatabase
from nightschool.settings import load_settings
from nightschool.standings import standings_to_json
from nightschool.trainer_files import ending_of, file_of
from training.coevolution_command import coevolution_command
from training.effort import effort_named
from training.night_lock import night_lock
from training.priority import step_back
from training.receipts import judgements_of
from training.reward_command import app as reward_app
from training.shortage import counted, shortage_of
from training.stopping import stop_when_asked
from training.telling import opened, told
from training.try_command import try_version
from training.version_commands import add_version_commands

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Train NightSchool from what people judged.")
app.add_typer(reward_app, name="reward")
add_version_commands(app)
app.command("coevolution")(coevolution_command)
app.command(name="try")(try_version)

Db = Annotated[Path | None, typer.Option(help="The database (default feedback.db).")]
Versions = Annotated[Path | None, typer.Option(help="Folder of the versions (default versions/).")]
Model = Annotated[str | None, typer.Option(help="embedded, a Hugging Face id, or a model folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command()
def night(
    db: Db = None,
    versions: Versions = None,
    model: Model = None,
    effort: Annotated[str | None, typer.Option(help="quick, normal or thorough.")] = None,
    lora_layers: Annotated[
        str | None, typer.Option(help="How many upper layers of the policy are trained: a number, or all.")
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            help="Same seed and judgements, same night, unless a time box ends a stage (default: the setting `seed`).",
            min=0,
        ),
    ] = None,
    practice: Annotated[bool, typer.Option(help="Run even with too few judgements; never promotes.")] = False,
    as_json: AsJson = False,
) -> None:
    """Learn from the judgements; make a version; let it answer if the exam says so."""
    with told():
        settings = load_settings(db=db, versions=versions, model=model, effort=effort, lora_layers=lora_layers)
        chosen = effort_named(settings.effort)
        stop_when_asked()
        step_back()
        from training.night_stages import NightPlan
        from training.nightly import run_night

        wanted = settings.seed if seed is None else seed
        plan = NightPlan(settings, chosen, secrets.randbelow(2**31) if wanted is None else wanted, practice)
        report = run_night(plan, _echo)
    _tell_night(report, as_json=as_json)


@app.command()
def resume(db: Db = None, versions: Versions = None, as_json: AsJson = False) -> None:
    """Go on with the last night where it was killed or failed: every stage and every iteration of PPO is kept."""
    with told():
        settings = load_settings(db=db, versions=versions)
        stop_when_asked()
        step_back()
        from training.nightly import resume_night

        report = resume_night(settings, _echo)
    _tell_night(report, as_json=as_json)


def _echo(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _tell_night(report: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(report, indent=2, ensure_ascii=False))
    else:
        print(f"{report['verdict']}: {report['reason']}")


@app.command()
def samples(
    version: str,
    db: Db = None,
    versions: Versions = None,
    count: Annotated[int, typer.Option(help="How many prompts.", min=1)] = 5,
    iteration: Annotated[int | None, typer.Option(help="Of which iteration of PPO (default: the last).", min=1)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON lines.")] = False,
) -> None:
    """Replies that the night of a version drew, beside the initial model's to the same prompts."""
    with told():
        settings = load_settings(db=db, versions=versions)
        with opened(settings) as database:
            known = VersionRegistry(database).get(version).id
        from training.samples import samples_of, side_by_side

        rows = samples_of(settings.versions / known, count, iteration)
    for row in rows:
        print(json.dumps(row, ensure_ascii=False) if as_json else side_by_side(row))


@app.command()
def status(db: Db = None, as_json: AsJson = False) -> None:
    """The champion, the last night, and whether another one is worth running."""
    with told(), opened(load_settings(db=db)) as database:
        registry = VersionRegistry(database)
        judgements = judgements_of(FeedbackStore(database).snapshot())
        shortage = shortage_of(judgements, registry)
        last = _last_night(database)
        found: dict[str, Any] = {
            "champion": registry.champion().id,
            "judgements": len(judgements.sources()),
            "new_judgements": shortage.new,
            "missing_judgements": shortage.missing,
            "kinds": counted(judgements, registry),
            "training_judgements": round(shortage.training, 1),
            "is_rebuild": shortage.is_rebuild,
            "probation": _probation(registry, FeedbackStore(database)),
            "last_night": None
            if last is None
            else {
                "id": last.id,
                "state": last.state,
                "effort": last.effort,
                "verdict": last.verdict,
                "reason": last.reason,
                "version": last.version_id,
                "started_at": last.started_at,
                "ended_at": last.ended_at,
                "stage": last.stages[-1].name if last.stages else None,
            },
        }
    if as_json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
        return
    print(f"Champion: {found['champion']}. Judgements: {found['judgements']} ({found['new_judgements']} new).")
    print(shortage.sentence())
    if (watched := found["probation"]) is not None:
        print(
            f"On probation since {watched['started_at'][:16]}: {watched['version']} beside {watched['rival']}, "
            f"{watched['wins']} : {watched['losses']} votes; evidence for it {watched['for_it']:.1f} of "
            f"{PROMOTE_AT:.0f}, against it {watched['against_it']:.1f} of {ROLL_BACK_AT:.0f}."
        )
    if last is not None:
        at = f", {last.stages[-1].name} {last.stages[-1].detail}".rstrip() if _is_at_work(last) else ""
        words = f"Last night ({last.effort}, {last.started_at}): {last.state}{at}. {last.verdict or ''} {last.reason}"
        print(words.rstrip())


@app.command()
def leaderboard(db: Db = None, as_json: AsJson = False) -> None:
    """Which version people prefer in duels: ratings with intervals, and ranks where the votes can tell."""
    with told(), opened(load_settings(db=db)) as database:
        from training import leaderboard as boards

        registry = VersionRegistry(database)
        champion = registry.champion().id
        board = boards.leaderboard(registry.list(retired=True), FeedbackStore(database).snapshot().duels)
    found = standings_to_json(board, champion) if as_json else None
    print("\n".join(boards.in_lines(board, champion)) if found is None else json.dumps(found, indent=2))


@app.command()
def promote(version: str, db: Db = None, versions: Versions = None) -> None:
    """Let a version answer from the next reply on; `promote initial` goes back to the untouched model."""
    with told():
        settings = load_settings(db=db, versions=versions)
        with opened(settings) as database:
            promoting.promote(VersionRegistry(database), settings.versions, version)
    print(f"{version} answers from the next reply on.")


@app.command()
def rollback(db: Db = None, versions: Versions = None) -> None:
    """Go back to the version that answered before this one."""
    with told():
        settings = load_settings(db=db, versions=versions)
        with opened(settings) as database:
            before = promoting.roll_back(VersionRegistry(database), settings.versions)
    print(f"{before.id} answers from the next reply on.")


@app.command()
def explain(reply: str, db: Db = None, versions: Versions = None, model: Model = None, as_json: AsJson = False) -> None:
    """A stored reply's score, the version that wrote it, and how far that version has drifted there."""
    with told():
        settings = load_settings(db=db, versions=versions, model=model)
        os.nice(10)  # behind the chat, before a night: a person waits for it
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")
        from training.explanation import explain as explain_reply

        with opened(settings) as database:
            found = explain_reply(settings, VersionRegistry(database), FeedbackStore(database).reply(reply))
    for name, value in asdict(found).items() if not as_json else ():
        print(f"{name}: {value}")
    if as_json:
        print(json.dumps(asdict(found)))


@app.command()
def export(
    shape: Annotated[TrainerFormat, typer.Option("--format", help="What the file is for: pairs, liked or not, texts.")],
    out: Annotated[Path, typer.Option(help="File to write, by its ending as .jsonl or .parquet.")],
    db: Db = None,
    person: Annotated[str | None, typer.Option(help="Only what this person judged (default: everybody).")] = None,
) -> None:
    """Write what people who consent judged to a file that TRL and `datasets` read; `import` takes it back."""
    with told():
        ending = ending_of(out.name)
        with opened(load_settings(db=db)) as database:
            examples = FeedbackStore(database).examples(shape, person)
        content = file_of(examples, shape, ending)
        try:
            whole_file(out, lambda path: path.write_bytes(content))
        except OSError as error:
            raise StoreError(f"The file {out} could not be written ({error}); choose another with --out.") from error
    print(f"{len(examples)} lines written to {out}.")


@app.command(name="import")
def import_(file: Path, db: Db = None, model: Model = None) -> None:
    """Take judgements made elsewhere: a file of `export`, or any in TRL's forms, .jsonl or .parquet."""
    with told():
        settings = load_settings(db=db, model=model)
        from nightschool.model import base_of
        from training.preferences import read_judgements

        with opened(settings) as database:
            found = read_judgements(file, base_of(settings), settings.max_prompt_tokens)
            added = FeedbackStore(database).import_judgements(IMPORTER, found.preferences, found.opinions)
    known = len(found) - added
    noun = "preferences" if found.preferences else "judgements"
    print(f"{added} {noun} imported into {settings.db}" + (f", {known} were there already." if known else "."))


AS_IT_IS = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


@app.command(context_settings=AS_IT_IS)
def simulate(context: typer.Context) -> None:
    """Simulated people show that the loop learns (`simulate --help`: all that `python -m benchmarks.town` takes)."""
    # A program of its own: it starts the chat, which the night must not know.
    raise typer.Exit(subprocess.run([sys.executable, "-m", "benchmarks.town", *context.args], check=False).returncode)


def _probation(registry: VersionRegistry, store: FeedbackStore) -> dict[str, Any] | None:
    """The version that people watch, and what they said of it so far."""
    open_one = registry.probation()
    if open_one is None:
        return None
    named = {"version": open_one.version_id, "rival": open_one.rival_id, "started_at": open_one.started_at}
    return named | asdict(store.said_of(open_one))


def _is_at_work(night: Night) -> bool:
    return night.state is NightState.RUNNING and bool(night.stages)


def _last_night(database: FeedbackDatabase) -> Night | None:
    """The newest night; one whose process died is closed as interrupted first."""
    book = NightBook(database)
    last = book.last()
    if last is None or last.state is not NightState.RUNNING:
        return last
    try:
        with night_lock(database.path):
            book.close_dead()
    except NightAlreadyRunning:
        return last
    return book.last()


if __name__ == "__main__":
    app()
