"""What each stage of a night does, and what it keeps so that a night that was killed goes on from there."""

import shutil
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import torch

from nightschool.errors import ChampionChanged
from nightschool.feedback import FeedbackStore
from nightschool.files import manifest_fault
from nightschool.ids import utc_now
from nightschool.model import BaseModel, base_of, dtype_named
from nightschool.records import INITIAL, NightState, VerdictKind, Version
from nightschool.registry import NightBook, VersionRegistry
from nightschool.said import Said
from nightschool.schema import FeedbackDatabase
from nightschool.settings import Settings
from nightschool.version_folder import POLICY, load_policy, trained_layers
from training.candidate import Made, save_candidate, told_when_unwritable
from training.coevolution import forget
from training.conduct import finished
from training.effort import Effort
from training.exam import ExamResult, Jury, Questions, examine
from training.fixed_samples import Sample, fixed_samples, worst_samples
from training.judgements import Answer, Judgements
from training.learner import Learner
from training.lengthening import go_on_
from training.night_kept import (
    answers_from_json,
    answers_to_json,
    exam_from_json,
    exam_to_json,
    judgements_from_json,
    judgements_to_json,
    load_fitted,
    reward_layers_kept,
    save_fitted,
)
from training.night_log import NightLog
from training.night_work import NightWork
from training.policy import Policy
from training.ppo import TIME_IS_UP, by_clock, train
from training.ppo_settings import PpoSettings
from training.ppo_update import Surroundings
from training.prompts import components_of, exam_prompts
from training.ptx import examples_of, trusted
from training.receipt_check import (
    Receipt,
    receipts_for,
    receipts_from_json,
    receipts_to_json,
    training_set_sha256,
)
from training.receipts import judged_conversations, judgements_of, split_of_snapshot
from training.reward_ladder import FittedReward, fit_reward, refuse_other_models
from training.reward_model import RewardModel
from training.reward_start import REWARD_LAYERS, reward_split
from training.rollout import SCORE_LIMIT, Drawing, Rollout, draw
from training.rollout_record import prompts_in, read_iterations, with_initial, write_iteration
from training.shortening import shorten_, walk_
from training.split import Side
from training.trunk import SplitModel
from training.verdict import CHANGED_BY_HAND
from training.version_report import told_twice

KEPT_SETTINGS = ("model", "dtype", "temperature", "max_new_tokens", "reward_start", "lora_layers")
"""What a resumed night takes from its beginning, whatever the settings are now."""
HEADS = 5
"""Heads whose disagreement an exam looks at: linear fits on states that are read anyway."""


@dataclass(frozen=True)
class NightPlan:
    """What the owner asked for."""

    settings: Settings
    effort: Effort
    seed: int
    practice: bool


class Stages:
    """The stages of one night, the report they fill, and the folder in which they keep what they made."""

    def __init__(
        self, plan: NightPlan, database: FeedbackDatabase, night_id: str, log: NightLog, work: NightWork
    ) -> None:
        self.plan, self.id, self.log, self.work = plan, night_id, log, work
        self.feedback, self.registry, self.book = (
            FeedbackStore(database),
            VersionRegistry(database),
            NightBook(database),
        )
        begun = work.kept("plan")
        self.champion_before = str(begun["champion_before"]) if begun else self.registry.champion().id
        self.receipts: list[Receipt] = []
        self.report: dict[str, Any] = {
            "night": night_id,
            "effort": plan.effort.name,
            "seed": plan.seed,
            "practice": plan.practice,
            "resumed": begun is not None,
            "verdict": None,
            "reason": "",
            "reason_zh": "",
            "version": None,
            "champion_before": self.champion_before,
            "reward_model_accuracy": None,
            "kl": None,
            "reward_before": None,
            "reward_after": None,
            "win_rate": None,
            "alarm": None,
            "alarm_zh": None,
        }

    def told(self) -> AbstractContextManager[None]:
        return told_when_unwritable(self.plan.settings.versions)

    def begin(self, judgements: Judgements) -> None:
        """Keep the plan and the judgements: the night is worth running. Raises `StoreError` before hours of work."""
        settings = self.plan.settings.model_dump(mode="json", include=set(KEPT_SETTINGS))
        with self.told():
            told = {"taken_at": self.report["snapshot"], "receipts": receipts_to_json(self.receipts)}
            self.work.keep("judgements", judgements_to_json(judgements) | told)
            settings["dtype"] = str(dtype_named(settings["dtype"])).removeprefix("torch.")  # also on another machine
            self.work.keep("plan", settings | {"champion_before": self.champion_before})

    def retire(self) -> None:
        """Take out of service what deleted judgements made; a night that began from such a version begins anew."""
        retired = self.registry.retire_tainted()
        self.report["retired"] = list(retired)
        if not retired:
            return
        for version_id in retired:  # people's words are in its samples
            shutil.rmtree(self.plan.settings.versions / version_id, ignore_errors=True)
        names = ", ".join(retired)
        with self.told():
            forget(self.plan.settings.versions, retired)
        self.log.say(f"Retired {names}: judgements that made them were deleted. {self.registry.champion().id} answers.")
        if self.champion_before in retired:
            self.work.remove()
            self.champion_before = self.report["champion_before"] = self.registry.champion().id

    def taken_back(self, judgements: Judgements) -> int:
        """How many of these were deleted, or belong to somebody who took back consent, since the night read them."""
        return len(self.feedback.not_to_be_learned_from(judgements.sources()))

    def judgements(self) -> Judgements:
        kept = self._still_allowed(self.work.kept("judgements"))
        if kept is None:
            snapshot = self.feedback.snapshot()
            split = split_of_snapshot(snapshot)
            self.feedback.keep_sides(split.changes(snapshot.sides, judged_conversations(snapshot)))
            judgements, taken_at = judgements_of(snapshot, split), snapshot.taken_at
            self.receipts = receipts_for(judgements, snapshot, split)
        else:
            judgements, taken_at = judgements_from_json(kept), kept["taken_at"]
            self.receipts = receipts_from_json(kept["receipts"])
        self.report |= {
            "snapshot": taken_at,
            "judgements": len(judgements.sources()),
            "pairs": len(judgements.pairs),
            "thumbs": len(judgements.thumbs),
            "training_judgements": round(judgements.on(Side.TRAIN).effective(), 1),
            "training_set": training_set_sha256(judgements),
        }
        self.log.say(f"{len(judgements.pairs)} pairs and {len(judgements.thumbs)} thumbs to learn from.")
        return judgements

    def _still_allowed(self, kept: dict[str, Any] | None) -> dict[str, Any] | None:
        """What an interrupted night began with, unless somebody in it took back consent since: then all is dropped."""
        if kept is None:
            return None
        gone = self.feedback.not_to_be_learned_from(judgements_from_json(kept).sources())
        if not gone:
            return kept
        self.work.remove()
        self.log.say(f"{len(gone)} judgements were taken back since: the night begins anew without them.")
        return None

    def model(self) -> tuple[BaseModel, SplitModel, Policy, Any]:
        settings = self.plan.settings
        base = base_of(settings)
        champion = self.registry.get(self.champion_before)
        model = load_policy(settings.versions, champion, base)  # checks the files before anything is built on them
        split = SplitModel(base, settings.lora_layers)
        folder = settings.versions / champion.id / POLICY
        if champion.id != INITIAL and (layers := trained_layers(folder)) > split.top_layers:
            split = SplitModel(base, layers)  # or what it learned in the layers below would be lost
        policy = Policy(split, self.plan.seed)
        if champion.id != INITIAL:
            policy.load_(folder)
        self.report |= {"model": base.name, "lora_layers": split.top_layers}
        self.log.say(f"Model {base.name}, champion {champion.id}, LoRA on the top {split.top_layers} layers.")
        return base, split, policy, model

    def initial_replies(self, split: SplitModel, prompts: list[tuple[int, ...]], drawing: Drawing) -> list[Answer]:
        """The initial model's replies: the scale on which rewards are told."""
        kept = self.work.kept("initial")
        if kept is not None:
            return answers_from_json(kept)
        wanted = [prompts[index % len(prompts)] for index in range(self.plan.effort.normaliser_replies)]
        initial = draw(split, split.base.model, wanted, drawing, torch.Generator().manual_seed(self.plan.seed))
        with self.told():
            self.work.keep("initial", answers_to_json(initial))
        return initial

    def rewards(self, split: SplitModel, judgements: Judgements, initial: list[Answer]) -> FittedReward:
        refuse_other_models(split.base, judgements)
        settings, work = self.plan.settings, self.work.reward
        is_kept = manifest_fault(work) is None
        layers = reward_layers_kept(work, split.top_layers) if is_kept else REWARD_LAYERS
        reader = reward_split(split, settings.reward_start, settings.cache, self.plan.seed, layers)
        self.report["reward_layers"] = reader.top_layers
        if is_kept:
            fitted = load_fitted(work, reader)
        else:
            fitted = fit_reward(
                reader,
                judgements,
                initial,
                self.plan.effort,
                now=str(self.report["snapshot"]),
                seed=self.plan.seed,
                say=self.log.say,
                progress=self.log.progress,
                record=self.log.curve,
                heads=HEADS,
            )
            with self.told():
                save_fitted(fitted, work)
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

    def ppo(
        self,
        policy: Policy,
        reward_model: RewardModel,
        watcher: RewardModel | None,
        judgements: Judgements,
        distrusted: Sequence[str],
        prompts: list[tuple[int, ...]],
        drawing: Drawing,
        *,
        initial: Sequence[Answer],
    ) -> None:
        effort = self.plan.effort
        settings = PpoSettings(
            iterations=effort.iterations, drawing=drawing, seconds=effort.ppo_seconds, beta=self._last_beta()
        )
        learner = Learner.fresh(policy, prompts, settings, self.plan.seed, first_night=self.champion_before == INITIAL)
        begun = policy.copy()
        if self.work.checkpoint.exists():
            learner.load_(self.work.checkpoint)
            self.log.say(f"Continued after iteration {len(learner.history)}.")

        def record(iteration: int, figures: dict[str, float]) -> None:
            self.log.curve(iteration, figures)
            self.log.progress(iteration / effort.iterations, f"iteration {iteration} of at most {effort.iterations}")
            self.log.say(
                f"iteration {iteration}: reward {figures['reward']:+.2f}, KL {figures['kl']:.2f}, "
                f"{figures['length']:.0f} tokens, {figures['finished']:.0%} finished, {figures['seconds']:.0f} s"
            )

        def keep(iteration: int, rollout: Rollout, learner: Learner) -> None:
            with self.told():
                write_iteration(self.work.rollout(iteration), iteration, rollout)
                learner.save(self.work.checkpoint)

        done = len(learner.history)
        self.log.progress(done / effort.iterations, f"iteration {done + 1} of at most {effort.iterations}")
        examples = examples_of(trusted(judgements, distrusted, str(self.report["snapshot"])).on(Side.TRAIN))
        ended = finished(initial, policy.split.base.stop_ids)
        around = Surroundings(record, keep, watcher=watcher, examples=examples, initial_finished=ended)
        history = train(learner, reward_model, settings, around)
        self.report |= {
            "iterations": len(history),
            "episodes": len(history) * settings.episodes,
            "ppo_stopped": learner.stopped,
            "ppo_by_clock": by_clock(history, settings),
            "beta": learner.kl_control.beta,
            "ptx_examples": len(examples),
        }
        self.log.say(f"PPO ended: {learner.stopped}.")
        self._go_on_(learner, reward_model, prompts, settings, begun)
        share, surprise = shorten_(policy, begun)
        self.report |= {"ppo_way_kept": share, "ppo_perplexity": surprise}
        if share < 1.0:
            self.log.say(
                f"Plain texts surprised the policy too much; {share:.0%} of its way is kept, with {surprise:.2f} times "
                "the perplexity of the initial model."
            )

    def _go_on_(
        self,
        learner: Learner,
        reward_model: RewardModel,
        prompts: Sequence[tuple[int, ...]],
        settings: PpoSettings,
        begun: dict[str, torch.Tensor],
    ) -> None:
        """Use the drift that PPO left; a night that is resumed goes as far as it went the first time."""
        kept = self.work.kept("way")
        if kept is not None or self.work.kept("exam") is not None:  # what was examined is what is saved
            times = float(kept["times"]) if kept is not None else 1.0
            if times != 1.0:
                walk_(learner.policy, begun, learner.policy.copy(), times)
        else:
            wanted = [prompts[index % len(prompts)] for index in range(self.plan.effort.normaliser_replies)]
            times, there = go_on_(learner, reward_model, wanted, settings, begun, self.plan.seed)
            with self.told():
                self.work.keep("way", {"times": times})
            if there is not None and times > 1.0:
                self.log.say(
                    f"The policy goes on to {times:.2f} times its way: its replies moved {there.moved:.1f} nats and "
                    f"are worth {there.worth:+.2f}."
                )
            elif there is not None:
                self.log.say(
                    f"The policy goes no farther: its replies moved {there.moved:.1f} nats and are worth "
                    f"{there.worth:+.2f}."
                )
        self.report["ppo_way_times"] = times

    def practised_little(self) -> Said:
        """That the time was used up long before PPO's iterations were; else nothing."""
        done, planned = self.report["iterations"], self.plan.effort.iterations
        if self.report["ppo_stopped"] != TIME_IS_UP or 3 * done > planned:
            return Said("", "")
        return Said(
            f"PPO had time for {done} of {planned} iterations, so it could hardly learn.",
            f"PPO 的时间只够 {planned} 轮中的 {done} 轮，几乎学不到什么。",
        )

    def _last_beta(self) -> float:
        """Where the last night on this model left the penalty on drift, so that it goes on acting over nights."""
        usual = PpoSettings(1, Drawing(1.0, 1)).beta
        nights = [
            night.report
            for night in self.book.nights()
            if night.report and night.state is NightState.DONE and not night.practice
        ]
        betas = [report["beta"] for report in nights if "beta" in report and report["model"] == self.report["model"]]
        return float(betas[-1]) if betas else usual

    def rollouts(
        self, split: SplitModel, reward_model: RewardModel, initial: list[Answer], drawing: Drawing
    ) -> pa.Table:
        """The night's replies beside the initial model's, one of which is drawn for each prompt that has none yet."""
        table = read_iterations([self.work.rollout(number + 1) for number in range(self.report["iterations"])])
        first = {answer.prompt_ids: answer for answer in reversed(initial)}
        missing = [prompt for prompt in prompts_in(table) if prompt not in first]
        generator = torch.Generator().manual_seed(self.plan.seed + 1)
        first |= {answer.prompt_ids: answer for answer in draw(split, split.base.model, missing, drawing, generator)}
        wanted = [first[prompt] for prompt in prompts_in(table)]
        given = reward_model.scores(wanted).clamp(-SCORE_LIMIT, SCORE_LIMIT).tolist() if wanted else []  # as PPO's are
        scores = dict(zip(prompts_in(table), given, strict=True))

        def decode(ids: Sequence[int]) -> str:
            return str(split.base.tokenizer.decode(ids, skip_special_tokens=True))

        return with_initial(table, first, scores, decode)

    def questions(self, base: BaseModel, judgements: Judgements) -> Questions:
        """What this night's exam asks: as many exams as there were before, so far the rings of prompts have turned."""
        reports = [night.report or {} for night in self.book.nights() if night.id != self.id]
        turn = sum(report.get("win_rate") is not None for report in reports)
        prompts = exam_prompts(base, judgements, self.plan.effort.exam_prompts, turn)
        return Questions(prompts, components_of(prompts, judgements), self.plan.effort.exam_replies)

    def exam(
        self, policy: Policy, champion: Any, fitted: FittedReward, questions: Questions, drawing: Drawing
    ) -> tuple[ExamResult, list[Answer], list[Answer]]:
        kept = self.work.kept("exam")
        if kept is not None:
            return exam_from_json(kept)
        jury = Jury(fitted.model, fitted.examiner, fitted.heads, fitted.examiner_folds)
        found = examine(policy, champion, jury, questions, drawing, self.plan.seed, progress=self.log.progress)
        with self.told():
            self.work.keep("exam", exam_to_json(*found))
        return found

    def samples(self, policy: Policy, champion: Any, drawing: Drawing) -> list[Sample]:
        """The fixed prompts before and after, for people to read."""
        kept = self.work.kept("samples")
        if kept is not None:
            return list(kept)
        found = fixed_samples(policy, champion, drawing)
        with self.told():
            self.work.keep("samples", found)
        return found

    def tell_exam(
        self, exam: ExamResult, base: BaseModel, before: list[Answer], after: list[Answer], samples: list[Sample]
    ) -> None:
        self.report |= exam.as_dict()
        self.report |= {"samples": samples, "worst": worst_samples(exam, base, before, after)}
        self.log.say(
            f"Exam: {exam.win_rate:.0%} of {exam.prompts} prompts won, reward {exam.reward_before:+.2f} -> "
            f"{exam.reward_after:+.2f}, KL {exam.kl:.2f}."
        )

    def save(self, made: Made, verdict: VerdictKind, reason: Said) -> tuple[str, VerdictKind, Said]:
        """The version's id, its verdict and why: a champion that was changed by hand in this moment stays."""
        try:
            return self._save(made, verdict, reason), verdict, reason
        except ChampionChanged as changed:
            self.log.say(str(changed))
            held = VerdictKind.HELD
            return self._save(made, held, CHANGED_BY_HAND), held, CHANGED_BY_HAND

    def _save(self, made: Made, verdict: VerdictKind, reason: Said) -> str:
        version = Version(
            id="",
            parent_id=self.champion_before,
            created_at=utc_now(),
            night_id=self.id,
            base_fingerprint=made.base.fingerprint,
            manifest_sha256=None,
            verdict=verdict,
        )
        report = self.report | told_twice(reason) | {"verdict": verdict, "seconds": self.log.seconds}
        version = save_candidate(
            self.plan.settings.versions,
            self.registry.next_number(),
            version,
            made,
            report,
            self.receipts,
            self.work.folder,
        )
        promoted = verdict is VerdictKind.PROMOTED
        self.registry.add(
            version,
            made.judgements.sources(),
            promote_because=reason.en if promoted else None,
            rival=self.champion_before if promoted or verdict is VerdictKind.PROBATION else None,
        )
        self.log.say(f"Version {version.id} is saved.")
        return version.id
