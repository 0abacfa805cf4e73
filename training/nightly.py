"""One night: judgements -> reward model -> PPO -> exam -> verdict, as named stages that read top to bottom.

What it guarantees: one night at a time; every night ends with a row and a report, also when nothing was done; the
champion pointer moves with the version's row, in one transaction, after the version's folder is complete on disk. A
night that is killed before that leaves the champion as it was.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from nightschool.feedback import FeedbackStore
from nightschool.ids import utc_now
from nightschool.model import BaseModel, load_base
from nightschool.records import INITIAL, NightState, VerdictKind, Version
from nightschool.registry import NightBook, VersionRegistry
from nightschool.schema import FeedbackDatabase
from nightschool.settings import Settings
from nightschool.version_folder import POLICY, load_policy
from training.candidate import save_candidate, told_when_unwritable
from training.effort import Effort
from training.exam import ExamResult, examine
from training.judgements import Answer, Judgements
from training.night_lock import night_lock
from training.night_log import NightLog
from training.policy import Policy
from training.ppo import run_ppo
from training.ppo_settings import PpoSettings
from training.prompts import exam_prompts, practice_prompts
from training.receipts import judged_conversations, judgements_of, split_of_snapshot
from training.reward_ladder import FittedReward, fit_reward, refuse_other_models
from training.reward_metrics import gate
from training.reward_model import RewardModel
from training.reward_start import reward_split
from training.rollout import Drawing, draw
from training.shortage import shortage_of
from training.split import Side
from training.trunk import TOP_LAYERS, SplitModel
from training.verdict import decide


@dataclass(frozen=True)
class NightPlan:
    """What the owner asked for."""

    settings: Settings
    effort: Effort
    seed: int
    practice: bool


def run_night(plan: NightPlan, echo: Callable[[str], None]) -> dict[str, Any]:
    """Run one night and return its report. Raises `NightAlreadyRunning`, or what made the night fail."""
    database = FeedbackDatabase(plan.settings.db)
    try:
        with night_lock(database.path):
            return _Night(plan, database, echo).run()
    finally:
        database.close()


class _Night:
    """One night at work: the plan, what it writes to, and the report it fills."""

    def __init__(self, plan: NightPlan, database: FeedbackDatabase, echo: Callable[[str], None]) -> None:
        self.plan = plan
        self.feedback = FeedbackStore(database)
        self.registry = VersionRegistry(database)
        self.book = NightBook(database)
        self.id = self.book.start(plan.effort.name, plan.seed, practice=plan.practice)
        self.log = NightLog(self.book, self.id, echo)
        self.report: dict[str, Any] = {
            "night": self.id,
            "effort": plan.effort.name,
            "seed": plan.seed,
            "practice": plan.practice,
            "verdict": None,
            "reason": "",
            "version": None,
            "champion_before": self.registry.champion().id,
            "reward_model_accuracy": None,
            "kl": None,
            "reward_before": None,
            "reward_after": None,
            "win_rate": None,
        }

    def run(self) -> dict[str, Any]:
        """The stages, whatever happens recorded."""
        began = time.monotonic()
        state, verdict, reason, version_id = NightState.FAILED, None, "", None
        try:
            verdict, reason, version_id = self._stages()
            state = NightState.DONE
        except KeyboardInterrupt:
            state, reason = NightState.INTERRUPTED, "The night was stopped by hand."
            raise
        except BaseException as error:
            reason = f"The night failed: {error or type(error).__name__}"
            raise
        finally:
            self.report |= {
                "verdict": verdict,
                "reason": reason,
                "version": version_id,
                "champion_after": self.registry.champion().id,
                "seconds": self.log.seconds,
                "seconds_total": round(time.monotonic() - began, 2),
            }
            self.book.finish(self.id, state, verdict, reason, version_id=version_id, report=self.report)
        return self.report

    def _stages(self) -> tuple[VerdictKind, str, str | None]:
        effort, practice = self.plan.effort, self.plan.practice
        with self.log.stage("judgements"):
            judgements = self._judgements()
            shortage = shortage_of(judgements, self.registry)
            self.report["missing_judgements"] = shortage.missing
        if shortage.missing and not practice:
            return VerdictKind.SKIPPED, shortage.sentence() + " Nothing was changed.", None
        with told_when_unwritable(self.plan.settings.versions):  # before hours of work, not after them
            self.plan.settings.versions.mkdir(parents=True, exist_ok=True)
        with self.log.stage("model"):
            base, split, policy, champion = self._model()
        drawing = Drawing(self.plan.settings.temperature, min(effort.reply_tokens, self.plan.settings.max_new_tokens))
        practice_on = practice_prompts(base, judgements)
        with self.log.stage("initial replies"):
            initial = self._initial_replies(split, practice_on, drawing)
        with self.log.stage("reward model"):
            fitted = self._rewards(split, judgements, initial)
            reward_model, examiner, fault = fitted.model, fitted.examiner, gate(fitted.metrics)
            examiner_fault = gate(fitted.examiner_metrics, "the examiner")
        if fault is not None and not practice:
            return VerdictKind.SKIPPED, f"PPO did not run: {fault}. Nothing was changed.", None
        with self.log.stage("ppo"):
            self._ppo(policy, reward_model, practice_on, drawing)
        with self.log.stage("exam"):
            prompts = exam_prompts(base, judgements, effort.exam_prompts)
            exam, before, after = examine(policy, champion, reward_model, examiner, prompts, drawing, self.plan.seed)
            self._tell_exam(exam, base, before, after)
        with self.log.stage("verdict"):
            verdict, reason = decide(exam, examiner_fault, practice=practice)
            if self.registry.champion().id != self.report["champion_before"]:
                verdict, reason = VerdictKind.HELD, "The champion was changed by hand during the night; it stays."
            version = self._save(policy, reward_model, examiner, base, judgements, verdict, reason)
        return verdict, reason, version.id

    def _judgements(self) -> Judgements:
        snapshot = self.feedback.snapshot()
        split = split_of_snapshot(snapshot)
        self.feedback.keep_sides(split.changes(snapshot.sides, judged_conversations(snapshot)))
        judgements = judgements_of(snapshot, split)
        self.report |= {
            "snapshot": snapshot.taken_at,
            "judgements": len(judgements.sources()),
            "pairs": len(judgements.pairs),
            "thumbs": len(judgements.thumbs),
            "training_judgements": round(judgements.on(Side.TRAIN).effective(), 1),
        }
        self.log.say(f"{len(judgements.pairs)} pairs and {len(judgements.thumbs)} thumbs to learn from.")
        return judgements

    def _model(self) -> tuple[BaseModel, SplitModel, Policy, Any]:
        settings = self.plan.settings
        base = load_base(settings.model, settings.cache)
        split = SplitModel(base, TOP_LAYERS)
        policy = Policy(split, self.plan.seed)
        champion = self.registry.champion()
        model = load_policy(settings.versions, champion, base)  # checks the files before anything is built on them
        if champion.id != INITIAL:
            policy.load_(settings.versions / champion.id / POLICY)
        self.report["model"] = base.name
        self.log.say(f"Model {base.name}, champion {champion.id}, LoRA on the top {split.top_layers} layers.")
        return base, split, policy, model

    def _initial_replies(self, split: SplitModel, prompts: list[tuple[int, ...]], drawing: Drawing) -> list[Answer]:
        """The initial model's replies: the scale on which rewards are told."""
        wanted = [prompts[index % len(prompts)] for index in range(self.plan.effort.normaliser_replies)]
        return draw(split, split.base.model, wanted, drawing, torch.Generator().manual_seed(self.plan.seed))

    def _rewards(self, split: SplitModel, judgements: Judgements, initial: list[Answer]) -> FittedReward:
        refuse_other_models(split.base, judgements)
        settings = self.plan.settings
        fitted = fit_reward(
            reward_split(split, settings.reward_start, settings.cache, self.plan.seed),
            judgements,
            initial,
            self.plan.effort,
            now=str(self.report["snapshot"]),
            seed=self.plan.seed,
            say=self.log.say,
            progress=self.log.progress,
        )
        self._tell_reward(fitted)
        return fitted

    def _tell_reward(self, fitted: FittedReward) -> None:
        metrics = fitted.metrics
        self.report |= {f"reward_model_{name}": value for name, value in metrics.as_dict().items()}
        self.report |= {"reward_model_ridge": fitted.ridge, "reward_model_rung": fitted.rung}
        self.report["reward_start"] = self.plan.settings.reward_start
        self.report |= {"distrusted_people": len(fitted.distrusted)}
        self.report |= {f"examiner_{name}": value for name, value in fitted.examiner_metrics.as_dict().items()}
        accuracy = "no pairs" if metrics.accuracy is None else f"{metrics.accuracy:.0%} of {metrics.pairs} pairs"
        self.log.say(f"The reward model predicts {accuracy} it was not trained on; log-loss {metrics.log_loss:.3f}.")

    def _ppo(self, policy: Policy, reward_model: RewardModel, prompts: list[tuple[int, ...]], drawing: Drawing) -> None:
        effort = self.plan.effort
        settings = PpoSettings(iterations=effort.iterations, drawing=drawing, seconds=effort.ppo_seconds)

        def record(iteration: int, figures: dict[str, float]) -> None:
            self.log.curve(iteration, figures)
            self.log.progress(iteration / effort.iterations, f"iteration {iteration} of at most {effort.iterations}")
            self.log.say(
                f"iteration {iteration}: reward {figures['reward']:+.2f}, KL {figures['kl']:.2f}, "
                f"{figures['length']:.0f} tokens, {figures['finished']:.0%} finished, {figures['seconds']:.0f} s"
            )

        self.log.progress(0.0, f"iteration 1 of at most {effort.iterations}")
        history = run_ppo(policy, reward_model, prompts, settings, self.plan.seed, record)
        self.report |= {"iterations": len(history), "episodes": len(history) * settings.episodes}

    def _tell_exam(self, exam: ExamResult, base: BaseModel, before: list[Answer], after: list[Answer]) -> None:
        self.report |= exam.as_dict()
        decode = base.tokenizer.decode
        self.report["samples"] = [
            {
                "prompt": decode(old.prompt_ids, skip_special_tokens=False)[-400:],
                "before": decode(old.token_ids, skip_special_tokens=True),
                "after": decode(new.token_ids, skip_special_tokens=True),
            }
            for old, new in zip(before[-10:], after[-10:], strict=True)
        ]
        self.log.say(
            f"Exam: {exam.win_rate:.0%} of {exam.prompts} prompts won, reward {exam.reward_before:+.2f} -> "
            f"{exam.reward_after:+.2f}, KL {exam.kl:.2f}."
        )

    def _save(
        self,
        policy: Policy,
        reward_model: RewardModel,
        examiner: RewardModel,
        base: BaseModel,
        judgements: Judgements,
        verdict: VerdictKind,
        reason: str,
    ) -> Version:
        version = Version(
            id="",
            parent_id=self.report["champion_before"],
            created_at=utc_now(),
            night_id=self.id,
            base_fingerprint=base.fingerprint,
            manifest_sha256=None,
            verdict=verdict,
        )
        report = self.report | {"verdict": verdict, "reason": reason, "seconds": self.log.seconds}
        receipts = judgements.sources()
        version = save_candidate(
            Path(self.plan.settings.versions),
            self.registry.next_number(),
            version,
            policy,
            reward_model,
            examiner,
            report,
            receipts,
        )
        self.registry.add(version, receipts, promote_because=reason if verdict is VerdictKind.PROMOTED else None)
        self.log.say(f"Version {version.id} is saved.")
        return version
