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
from nightschool.model import base_of
from nightschool.records import Night, NightState, VerdictKind
from nightschool.registry import NightBook, VersionRegistry
from nightschool.said import Said
from nightschool.schema import FeedbackDatabase
from nightschool.settings import Settings
from training.candidate import Made, told_when_unwritable
from training.coevolution import coevolve
from training.effort import effort_named
from training.invariants import TrainingBroken
from training.night_alarm import look_over
from training.night_lock import night_lock
from training.night_log import NightLog
from training.night_stages import KEPT_SETTINGS, NightPlan, Stages
from training.night_work import NightWork, sweep
from training.prompts import practice_prompts
from training.reward_metrics import TO_EXAMINE_WITH, gate
from training.rollout import Drawing
from training.shortage import shortage_of
from training.verdict import CHANGED_BY_HAND, decide, is_better
from training.version_report import reason_of, report_of, told_twice


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
        reason = failed(error)
        report = {"night": night_id, "effort": plan.effort.name, "verdict": None, "version": None} | told_twice(reason)
        NightBook(database).finish(night_id, NightState.FAILED, None, reason.en, version_id=None, report=report)
        raise
    return night.run()


UNCHANGED = Said("Nothing was changed.", "未做任何改动。")


def judgements_gone(count: int) -> Said:
    """Why a candidate is not promoted that learned from what may not be learned from any more."""
    return Said(
        f"{count} judgements were taken back during the night; the next one does without them.",
        f"训练期间有 {count} 条评判被撤回；下一次训练将不再使用它们。",
    )


def failed(error: BaseException) -> Said:
    """What a night says that an error ended."""
    what = str(error) or type(error).__name__
    return Said(f"The night failed: {what}", f"训练失败：{what}")


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
        state, verdict, reason, version_id = NightState.FAILED, None, Said("", ""), None
        try:
            verdict, reason, version_id = self._stages()
            state = NightState.DONE
        except KeyboardInterrupt:
            state, reason = NightState.INTERRUPTED, Said("The night was stopped by hand.", "训练被手动停止。")
            raise
        except BaseException as error:
            reason = failed(error)
            if isinstance(error, TrainingBroken):
                self.report["broken_rule"] = error.invariant
            raise
        finally:
            made = self.registry.of_night(self.id)
            if made is not None and state is not NightState.DONE:  # it stands, and may answer already
                told = report_of(self.plan.settings.versions / made.id)
                state, verdict, version_id = NightState.DONE, VerdictKind(told["verdict"]), made.id
                before = reason_of(told)
                reason = Said(f"{before.en} (Afterwards: {reason.en})", f"{before.zh}（之后：{reason.zh}）")
            self.report |= told_twice(reason)
            self.report |= {
                "verdict": verdict,
                "version": version_id,
                "champion_after": self.registry.champion().id,
                "seconds": self.log.seconds,
                "seconds_total": round(time.monotonic() - began, 2),
            }
            self.book.finish(self.id, state, verdict, reason.en, version_id=version_id, report=self.report)
        self.work.remove()
        return self.report

    def _stages(self) -> tuple[VerdictKind, Said, str | None]:
        made = self.registry.of_night(self.id)
        if made is not None:  # killed between the version's row and the night's
            self.report |= report_of(self.plan.settings.versions / made.id)
            with self._stage("coevolution"):
                coevolve(self.plan.settings, self.registry, base_of(self.plan.settings), self.log.say)
            return VerdictKind(self.report["verdict"]), reason_of(self.report), made.id
        effort, practice = self.plan.effort, self.plan.practice
        with self._stage("judgements"):
            if not practice:
                self.stages.retire()
            judgements = self.stages.judgements()
            shortage = shortage_of(judgements, self.registry)
            self.report["missing_judgements"] = shortage.missing
        if shortage.missing and not practice:
            return VerdictKind.SKIPPED, shortage.said() + UNCHANGED, None
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
            examiner_fault = gate(fitted.examiner_metrics, TO_EXAMINE_WITH)
        if fault is not None and not practice:
            return (
                VerdictKind.HELD,
                Said(
                    f"No candidate was made, for PPO did not run: {fault.en}.",
                    f"没有运行 PPO，未产生候选版本：{fault.zh}。",
                )
                + UNCHANGED,
                None,
            )
        with self._stage("ppo"):
            watcher = None if examiner_fault else examiner
            self.stages.ppo(
                policy, reward_model, watcher, judgements, fitted.distrusted, practice_on, drawing, initial=initial
            )
            rollouts = self.stages.rollouts(split, reward_model, initial, drawing)
        with self._stage("exam"):
            questions = self.stages.questions(base, judgements)
            exam, before, after = self.stages.exam(policy, champion, fitted, questions, drawing)
            self.stages.tell_exam(exam, base, before, after, self.stages.samples(policy, champion, drawing))
        with self._stage("verdict"):
            decision = decide(exam, examiner_fault, practice=practice, promotion=self.plan.settings.promotion)
            verdict, reason = decision.verdict, decision.reason
            if not is_better(exam):
                reason += self.stages.practised_little()
            self.report |= look_over(self.report, self.book, self.stages.feedback, self.log.say)
            self.report |= decision.as_dict() | {"promotion": self.plan.settings.promotion}
            if self.registry.champion().id != self.stages.champion_before:
                verdict, reason = VerdictKind.HELD, CHANGED_BY_HAND
            elif taken_back := self.stages.taken_back(judgements):
                verdict, reason = VerdictKind.HELD, judgements_gone(taken_back)
            product = Made(policy, fitted, base, judgements, rollouts)
            version, verdict, reason = self.stages.save(product, verdict, reason)
        with self._stage("coevolution"):
            coevolve(self.plan.settings, self.registry, base, self.log.say)
        return verdict, reason, version

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        """A stage of the log whose seconds are kept for a night that resumes this one."""
        with self.log.stage(name):
            yield
        if self.work.folder.is_dir():
            with self.stages.told():
                self.work.keep("seconds", self.log.seconds)
