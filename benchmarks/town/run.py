"""One town from its first day to its report."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from benchmarks.town.ceiling import Ceiling
from benchmarks.town.days import Act, Chat, Inhabitant, live
from benchmarks.town.indoors import indoors
from benchmarks.town.machinery import Place, chat, training_text
from benchmarks.town.measure import Measure, Spoken, before_and_after
from benchmarks.town.nights import leaderboard, real_night
from benchmarks.town.people import Control, inhabitants, says
from benchmarks.town.plan import Town, TrollKind
from benchmarks.town.record import about, acts_sha256, share, write_acts
from benchmarks.town.reward_study import RewardStudy, best_of, judgements_in
from benchmarks.town.visiting import Visitor
from demo.probation_watch import ProbationWatch
from nightschool.errors import BadInput
from nightschool.feedback import FeedbackStore
from nightschool.model import base_of
from nightschool.prompt_bank import bank_half
from nightschool.records import INITIAL
from nightschool.registry import VersionRegistry
from nightschool.schema import FeedbackDatabase
from nightschool.settings import Settings
from nightschool.version_folder import load_policy
from training.effort import Effort
from training.rollout import Drawing
from training.trunk import SplitModel

Controls = Literal["", "shuffled", "reversed", "none", "best-of-4", "gold"]
CANDIDATES = 4
"""Replies of which the best-of control takes the best."""


@dataclass(frozen=True)
class Wish:
    """What the command line asks for."""

    town: Town
    nights: int
    seed: int
    folder: Path
    settings: Settings
    effort: Effort
    control: Controls = ""
    minutes: float = 30.0
    """What a night may take."""
    exam: int = 128
    """Prompts of the measurement."""
    is_indoors: bool = False
    """People use the chat's rooms in this process, not its page over HTTP."""

    @property
    def place(self) -> Place:
        return Place(self.folder, self.settings, self.seed)


def simulate(wish: Wish, say: Callable[[str], None]) -> dict[str, Any]:
    """Run the town; its report, with every figure."""
    return TownRun(wish, say).run()


class TownRun:
    """One town at work, and the report it fills."""

    def __init__(self, wish: Wish, say: Callable[[str], None]) -> None:
        self.wish, self.say = wish, say
        self.town, self.place = wish.town, wish.place
        wish.folder.mkdir(parents=True, exist_ok=True)
        if any(wish.folder.iterdir()):
            raise BadInput(f"The folder {wish.folder} is not empty; name another one with --out, or empty it.")
        began = time.monotonic()
        self.base = base_of(wish.settings)
        self.split = SplitModel(self.base, wish.settings.lora_layers)
        drawing = Drawing(wish.settings.temperature, self.town.reply_tokens)
        self.measure = Measure(self.split, self.town.worth, drawing, wish.seed, prompts=wish.exam)
        self.report: dict[str, Any] = about(
            self.measure,
            self.place.named(),
            name=self.town.name,
            town=self.town.model_dump(mode="json"),
            nights_wanted=wish.nights,
            seed=wish.seed,
            effort=wish.effort.name,
            control=wish.control,
            days="indoors" if wish.is_indoors else "over HTTP",
        )
        self.seconds: dict[str, float] = {"load": time.monotonic() - began}
        self.spoken: dict[str, Spoken] = {}
        self.nights: list[dict[str, Any]] = []
        self.acts: list[Act] = []
        self.last: Spoken | None = None
        self.kinds: dict[str, TrollKind | None] = {}
        self.person_ids: dict[str, str] = {}

    def run(self) -> dict[str, Any]:
        """Days and nights, then what they come to."""
        began = time.monotonic()
        self.say(f"Exam: {len(self.measure.prompts)} prompts, sha256 {self.report['exam_sha256'][:16]}.")
        with self.timed("measure_0"):
            self._measured(0, self._said_by(INITIAL))
        if self.wish.control == "gold":
            self._gold_nights()
        else:
            with self._chat() as come_in, self._people(come_in) as people:
                for night in range(1, self.wish.nights + 1):
                    self._day(people, night)
                    self._night(night)
            self._what_was_learned()
        self._summary()
        self.seconds["total"] = time.monotonic() - began
        return self.told()

    def days_alone(self) -> None:
        """The days without nights between them."""
        with self._chat() as come_in, self._people(come_in) as people:
            for day in range(1, self.wish.nights + 1):
                self._day(people, day)

    def told(self) -> dict[str, Any]:
        """The report so far, with the seconds that everything took."""
        return self.report | {f"seconds_{name}": round(value, 1) for name, value in self.seconds.items()}

    # ---- days ----------------------------------------------------------------------------------------------------

    @contextmanager
    def _chat(self) -> Iterator[Callable[[], Chat]]:
        """The chat at work until the block ends; a way into it for each person who comes."""
        if self.wish.is_indoors:
            with indoors(self.place, self.split) as come_in:
                yield come_in
        else:
            with chat(self.place) as url:
                yield lambda: Visitor(url)

    @contextmanager
    def _people(self, come_in: Callable[[], Chat]) -> Iterator[list[Inhabitant]]:
        control = Control(self.wish.control) if self.wish.control in set(Control) else Control.HONEST
        prompts = list(bank_half("train"))
        everybody: list[Inhabitant] = []
        try:
            for person in inhabitants(self.town, self.wish.seed, control):
                everybody.append(Inhabitant(person, come_in(), prompts))
                self.kinds[person.name], self.person_ids[person.name] = person.kind, everybody[-1].id
            yield everybody
        finally:
            for one in everybody:
                one.close()

    def _day(self, people: list[Inhabitant], day: int) -> None:
        with self.timed(f"day_{day}"), closing(FeedbackDatabase(self.place.database)) as database:
            # The server looks every two seconds; looking after every vote, what becomes of a version on probation
            # depends on the votes and not on the clock.
            watch = ProbationWatch(FeedbackStore(database), VersionRegistry(database))
            acts = live(people, day, self.town.judgements, lambda act: watch.look())
            champion = VersionRegistry(database).champion().id
        self.acts += acts
        write_acts(self.wish.folder / "judgements.jsonl", self.acts)
        honest = [act for act in acts if not act.troll]
        self.report |= {
            f"judgements_day_{day}": sum(act.facts for act in honest),
            f"troll_judgements_day_{day}": sum(act.facts for act in acts if act.troll),
            f"erred_day_{day}": share([act.erred for act in honest if act.told is not None]),
            f"acts_sha256_day_{day}": acts_sha256(acts),
            f"champion_day_{day}": champion,
        }
        self.say(f"Day {day}: {len(acts)} acts, {self.report[f'judgements_day_{day}']} judgements of honest people.")

    # ---- nights --------------------------------------------------------------------------------------------------

    def _night(self, night: int) -> None:
        with self.timed(f"night_{night}"):
            if self.wish.control == "none":
                told: dict[str, Any] = {"verdict": "none", "reason": "No training: a control."}
            elif self.wish.control == "best-of-4":
                told = self._best_of_night()
            else:
                seed = 1000 * self.wish.seed + night
                told = real_night(self.place, self.base, self.town.worth, self.wish.effort.name, seed)
        self.say(f"Night {night}: {told['verdict']}. {told['reason']}")
        with self.timed(f"measure_{night}"):
            if self.wish.control == "none":  # other draws of the same model: how far chance alone moves the figures
                spoken = self.measure.ask(self.base.model, seed=self.wish.seed + 7919 * night)
            else:
                spoken = self._taken(night) if self.wish.control == "best-of-4" else self._said_by(self._champion())
            if candidate := told.get("version"):
                made = self.measure.compare(self._said_by(INITIAL), self._said_by(str(candidate)))
                told |= {f"candidate_{name}_on_unseen": value for name, value in made.items()}
        self._tell(night, told, spoken)

    def _tell(self, night: int, told: dict[str, Any], spoken: Spoken) -> None:
        self._measured(night, spoken)
        curve, seconds = told.pop("curve", []), told.pop("seconds", {})
        self.nights.append({"night": night, "curve": curve, "seconds": seconds} | told)
        self.report |= {f"{name}_night_{night}": value for name, value in told.items()}
        self.report |= {f"seconds_night_{night}_{name.replace(' ', '_')}": value for name, value in seconds.items()}
        self.last = spoken
        so_far = json.dumps(self.told() | {"nights": self.nights}, indent=2, ensure_ascii=False)
        (self.wish.folder / "so-far.json").write_text(so_far, encoding="utf-8")  # a town takes hours

    def _champion(self) -> str:
        with closing(FeedbackDatabase(self.place.database)) as database:
            return VersionRegistry(database).champion().id

    def _best_of_night(self) -> dict[str, Any]:
        """A reward model fitted by the real command, in place of a night."""
        words = ["reward", "fit", "--db", str(self.place.database), "--reward", str(self.wish.folder / "reward")]
        training_text(self.place, *words, "--effort", self.wish.effort.name, "--seed", str(self.wish.seed))
        report = json.loads((self.wish.folder / "reward" / "report.json").read_text(encoding="utf-8"))
        told = {f"reward_model_{name}": report[name] for name in ("accuracy", "log_loss", "calibration_error", "rung")}
        return {"verdict": "none", "reason": "The best of four by the reward model: a control."} | told

    def _taken(self, night: int) -> Spoken:
        """Of four replies to each prompt the one that the reward model scores highest, by the real command."""
        drawn = self.measure.ask(self.base.model, seed=self.wish.seed + 7919 * night, replies=CANDIDATES)
        asked = self.wish.folder / f"candidates-{night}.jsonl"
        rows = [
            {"prompt": prompt, "response": text.strip() or "."}
            for prompt, text in zip(drawn.prompts, drawn.texts, strict=True)
        ]
        asked.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        folder = str(self.wish.folder / "reward")
        lines = training_text(self.place, "reward", "score", str(asked), "--reward", folder).splitlines()
        best = best_of([json.loads(line)["score"] for line in lines], drawn)
        replies = len(self._said_by(INITIAL).prompts) // len(self.measure.prompts)
        places = [place for place in best for _ in range(replies)]
        return self.measure.judge([drawn.prompts[p] for p in places], [drawn.answers[p] for p in places])

    def _gold_nights(self) -> None:
        drawing = Drawing(self.wish.settings.temperature, self.town.reply_tokens)
        ceiling = Ceiling(self.split, self.town.worth, drawing, self.wish.effort, self.wish.seed)
        for night in range(1, self.wish.nights + 1):
            with self.timed(f"night_{night}"):
                told = ceiling.night(night, lambda text: self.say(f"  {text}"))
            with self.timed(f"measure_{night}"):
                spoken = self.measure.ask(ceiling.policy.twin())
            self._tell(night, {"verdict": "none", "reason": "PPO on the taste itself: the ceiling."} | told, spoken)

    # ---- what it comes to ----------------------------------------------------------------------------------------

    def _said_by(self, version: str) -> Spoken:
        """A version's replies to the unseen prompts; each version is asked once."""
        if version not in self.spoken:
            model = self.base.model
            if version != INITIAL:
                with closing(FeedbackDatabase(self.place.database)) as database:
                    model = load_policy(self.place.versions, VersionRegistry(database).get(version), self.base)
            self.spoken[version] = self.measure.ask(model)
        return self.spoken[version]

    def _measured(self, night: int, spoken: Spoken) -> None:
        found = self.measure.compare(self._said_by(INITIAL), spoken)
        for name, value in found.items():
            end = next((end for end in ("_low", "_high") if name.endswith(end)), "")
            self.report[f"{name.removesuffix(end)}_night_{night}{end}"] = value
        for phrase in {troll.phrase for troll in self.town.trolls if troll.phrase}:
            self.report[f"phrase_share_night_{night}"] = share([says(text, phrase) for text in spoken.texts])
        between = f"{found['win_rate_low']:.0%} to {found['win_rate_high']:.0%}"
        self.say(
            f"Measured after night {night}: gold {found['gold']:+.3f}, wins {found['win_rate']:.0%} ({between}) over "
            f"initial, {found['finished']:.0%} finished."
        )

    def study(self) -> tuple[RewardStudy, Spoken]:
        """Everything that was judged, and replies of the initial model to ask about."""
        judgements = judgements_in(self.place.database)
        unseen = self.measure.ask(self.base.model, seed=self.wish.seed + 104729, replies=CANDIDATES)
        return RewardStudy(self.split, judgements, unseen, self.town.noise, self.wish.seed), unseen

    def _what_was_learned(self) -> None:
        with self.timed("study"):
            study, _ = self.study()
            rows, kinds = study.by_number(), study.by_kind()
        self.report |= {"reward_model_by_judgements": rows}
        for row in rows:
            self.report |= {f"reward_accuracy_at_{row['judgements']}": row["accuracy"]}
            self.report |= {f"reward_calibration_error_at_{row['judgements']}": row["calibration_error"]}
        self.report |= {f"reward_accuracy_of_{kind}": value for kind, value in kinds.items()}
        golds = {version: sum(spoken.golds) / len(spoken.golds) for version, spoken in self.spoken.items()}
        self.report |= leaderboard(self.place, golds)

    def _summary(self) -> None:
        verdicts = [night["verdict"] for night in self.nights]
        self.report |= {
            "promoted_nights": verdicts.count("promoted"),
            "nights": self.nights,
            "samples": before_and_after(self._said_by(INITIAL), self.last) if self.last else [],
            "final_gold": self.report[f"gold_night_{self.wish.nights}"],
            "final_win_rate": self.report[f"win_rate_night_{self.wish.nights}"],
        }
        totals = [night["seconds"].get("total") for night in self.nights]
        within = [total <= 60 * self.wish.minutes for total in totals if total is not None]
        self.report["seconds_are_within_limit"] = all(within) if within else None

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.seconds[name] = time.monotonic() - began
