"""One night: judgements -> reward model -> PPO -> exam -> verdict, as named stages that read top to bottom.

What it guarantees: one night at a time; every night ends with a row and a report, also when nothing was done; the
champion pointer moves with the version's row, in one transaction, after the version's folder is complete on disk. A
night that is killed before that leaves the champion as it was, and `resume` continues it: each stage keeps what it made
in the night's work folder, PPO after every iteration.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from nightschool.errors import BadInput, NightSchoolError
from nightschool.records import Night, NightState, VerdictKind
from nightschool.registry import NightBook, VersionRegistry
from nightschool.schema import FeedbackDatabase
from nightschool.settings import Settings
from training.candidate import told_when_unwritable
from training.effort import effort_named
from training.invariants import TrainingBroken
from training.night_lock import night_lock
from training.night_log import NightLog
from training.night_stages import KEPT_SETTINGS, NightPlan, Stages
from training.night_work import NightWork, sweep
from training.prompts import exam_prompts, practice_prompts
from training.reward_metrics import gate
from training.rollout import Drawing
from training.shortage import shortage_of
from training.verdict import decide
from training.version_report import report_of


def run_night(plan: NightPlan, echo: Callable[[str], None]) -> dict[str, Any]:
    """Run one night and return its report. Raises `NightAlreadyRunning`, or what made the night fail."""
    database = FeedbackDatabase(plan.settings.db)
    try:
        with night_lock(database.path):
            book = NightBook(database)
            registered = [version.id for version in VersionRegistry(database).list()]
            sweep(plan.settings.versions, [night.id for night in book.nights()], registered)
            night_id = book.start(plan.effort.name, plan.seed, practice=plan.practice)
            return _run(plan, database, night_id, echo)
    finally:
        database.close()


def resume_night(settings: Settings, echo: Callable[[str], None]) -> dict[str, Any]:
    """Continue the newest night where it was interrupted. Raises `BadInput` when there is nothing to continue."""
    database = FeedbackDatabase(settings.db)
    try:
        with night_lock(database.path):
            book = NightBook(database)
            book.close_dead()
            night = resumable(book)
            work = NightWork(settings.versions, night.id)
            with told_when_unwritable(settings.versions):
                plan = work.kept("plan") or {}
            changed = {name: value for name, value in plan.items() if name in KEPT_SETTINGS}
            as_then = NightPlan(
                settings.model_copy(update=changed), effort_named(night.effort), night.seed, night.practice
            )
            if not plan:
                echo(f"Nothing of that night is kept in {work.folder}: it begins anew, with the settings of now.")
            book.resume(night.id)
            return _run(as_then, database, night.id, echo)
    finally:
        database.close()


def resumable(book: NightBook) -> Night:
    """The newest night if it was interrupted or failed. Raises `BadInput`."""
    night = book.last()
    if night is None:
        raise BadInput("There is no night to resume; start one with `python -m training night`.")
    if night.state not in {NightState.INTERRUPTED, NightState.FAILED}:
        raise BadInput(
            f"The last night ({night.started_at[:16]}) is {night.state}, so there is nothing to resume; start another "
            "one with `python -m training night`."
        )
    return night


def _run(plan: NightPlan, database: FeedbackDatabase, night_id: str, echo: Callable[[str], None]) -> dict[str, Any]:
    """Run the night; one whose folder cannot even be read ends with a row that says so."""
    try:
        night = _Night(plan, database, night_id, echo)
    except NightSchoolError as error:
        reason = f"The night failed: {error}"
        report = {"night": night_id, "effort": plan.effort.name, "verdict": None, "reason": reason, "version": None}
        NightBook(database).finish(night_id, NightState.FAILED, None, reason, version_id=None, report=report)
        raise
    return night.run()


class _Night:
    """One night at work: the plan, what it writes to, and the report it fills."""

    def __init__(self, plan: NightPlan, database: FeedbackDatabase, night_id: str, echo: Callable[[str], None]) -> None:
        self.plan, self.id = plan, night_id
        self.registry, self.book = VersionRegistry(database), NightBook(database)
        self.work = NightWork(plan.settings.versions, night_id)
        self.log = NightLog(self.book, night_id, echo, self.work.kept("seconds"))
        self.stages = Stages(plan, database, night_id, self.log, self.work)
        self.report = self.stages.report

    def run(self) -> dict[str, Any]:
        """The stages, whatever happens recorded."""
        began = time.monotonic() - sum(self.log.seconds.values())  # what was done before an interruption counts
        state, verdict, reason, version_id = NightState.FAILED, None, "", None
        try:
            verdict, reason, version_id = self._stages()
            state = NightState.DONE
        except KeyboardInterrupt:
            state, reason = NightState.INTERRUPTED, "The night was stopped by hand."
            raise
        except BaseException as error:
            reason = f"The night failed: {error or type(error).__name__}"
            if isinstance(error, TrainingBroken):
                self.report["broken_rule"] = error.invariant
            raise
        finally:
            made = self.registry.of_night(self.id)
            if made is not None and state is not NightState.DONE:  # it stands, and may answer already
                told = report_of(self.plan.settings.versions / made.id)
                state, verdict, version_id = NightState.DONE, VerdictKind(told["verdict"]), made.id
                reason = f"{told['reason']} (Afterwards: {reason})"
            self.report |= {
                "verdict": verdict,
                "reason": reason,
                "version": version_id,
                "champion_after": self.registry.champion().id,
                "seconds": self.log.seconds,
                "seconds_total": round(time.monotonic() - began, 2),
            }
            self.book.finish(self.id, state, verdict, reason, version_id=version_id, report=self.report)
        self.work.remove()
        return self.report

    def _stages(self) -> tuple[VerdictKind, str, str | None]:
        made = self.registry.of_night(self.id)
        if made is not None:  # killed between the version's row and the night's
            self.report |= report_of(self.plan.settings.versions / made.id)
            return VerdictKind(self.report["verdict"]), str(self.report["reason"]), made.id
        effort, practice = self.plan.effort, self.plan.practice
        with self._stage("judgements"):
            if not practice:
                self.stages.retire()
            judgements = self.stages.judgements()
            shortage = shortage_of(judgements, self.registry)
            self.report["missing_judgements"] = shortage.missing
        if shortage.missing and not practice:
            return VerdictKind.SKIPPED, shortage.sentence() + " Nothing was changed.", None
        self.stages.begin(judgements)
        with self._stage("model"):
            base, split, policy, champion = self.stages.model()
        drawing = Drawing(self.plan.settings.temperature, min(effort.reply_tokens, self.plan.settings.max_new_tokens))
        practice_on = practice_prompts(base, judgements)
        with self._stage("initial replies"):
            initial = self.stages.initial_replies(split, practice_on, drawing)
        with self._stage("reward model"):
            fitted = self.stages.rewards(split, judgements, initial)
            reward_model, examiner, fault = fitted.model, fitted.examiner, gate(fitted.metrics)
            examiner_fault = gate(fitted.examiner_metrics, "the examiner")
        if fault is not None and not practice:
            return VerdictKind.SKIPPED, f"PPO did not run: {fault}. Nothing was changed.", None
        with self._stage("ppo"):
            watcher = None if examiner_fault else examiner
            self.stages.ppo(policy, reward_model, watcher, judgements, fitted.distrusted, practice_on, drawing)
            rollouts = self.stages.rollouts(split, reward_model, initial, drawing)
        with self._stage("exam"):
            prompts = exam_prompts(base, judgements, effort.exam_prompts)
            exam, before, after = self.stages.exam(policy, champion, fitted, prompts, drawing)
            self.stages.tell_exam(exam, base, before, after)
        with self._stage("verdict"):
            verdict, reason = decide(exam, examiner_fault, practice=practice)
            if self.registry.champion().id != self.stages.champion_before:
                verdict, reason = VerdictKind.HELD, "The champion was changed by hand during the night; it stays."
            elif taken_back := self.stages.taken_back(judgements):
                reason = f"{taken_back} judgements were taken back during the night; the next one does without them."
                verdict = VerdictKind.HELD
            version = self.stages.save(policy, fitted, base, judgements, rollouts, verdict, reason)
        return verdict, reason, version.id

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        """A stage of the log whose seconds are kept for a night that resumes this one."""
        with self.log.stage(name):
            yield
        if self.work.folder.is_dir():
            with self.stages.told():
                self.work.keep("seconds", self.log.seconds)
