"""Every reward model scores every version's replies to the same prompts; only what is new is computed.

Each version answers 32 prompts of the bank's exam half once, with the same seed; its reward model then scores its own
replies, those of the versions before, and the reward models before score its. Replies and scores are kept in one file
(`nightschool.coevolution`). A version whose files are damaged is left out with its sentence and does not stop the
others. Work ends soon after `SECONDS`, newest versions first; what is missing then waits for the next night.
"""

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from nightschool.coevolution import COEVOLUTION, Matrix, kept_scores, read_matrix
from nightschool.errors import BadInput, DamagedVersion, ModelUnavailable
from nightschool.files import whole_file
from nightschool.model import BaseModel
from nightschool.records import INITIAL, Version
from nightschool.registry import VersionRegistry
from nightschool.settings import Settings
from nightschool.version_folder import check_version, load_policy
from training.candidate import REWARD, told_when_unwritable
from training.judgements import Answer
from training.prompts import exam_half
from training.reward_folder import HEAD, load_reward_model
from training.reward_model import RewardModel, pooled_states
from training.reward_start import layers_of, reward_split
from training.rollout import Drawing, draw
from training.trunk import TOP_LAYERS, SplitModel
from training.version_report import report_of

SAMPLES = 32
REPLY_TOKENS = 64
TEMPERATURE = 0.7
"""As a chat is answered unless the owner says otherwise; fixed, so that replies of all nights compare."""
SEED = 20
MOST_VERSIONS = 12
"""The initial version, the champion and the newest ones: more columns cannot be read, nor computed in seconds."""
SECONDS = 60.0

Replies = list[list[int]]


def coevolve(
    settings: Settings,
    registry: VersionRegistry,
    base: BaseModel,
    say: Callable[[str], None],
    *,
    seconds: float = SECONDS,
    clock: Callable[[], float] = time.monotonic,
) -> Matrix | None:
    """Compute what is new, write the file, and return the matrix. Raises `StoreError` when it cannot be written."""
    until = clock() + seconds
    work = _Work(settings, base)
    chosen = versions_looked_at(registry)
    new = 0
    for step in work.steps(chosen):
        if clock() > until:
            say("Co-evolution: time is used up; what is missing waits for the next night.")
            break
        new += step()
    with told_when_unwritable(settings.versions):
        whole_file(settings.versions / COEVOLUTION, lambda path: path.write_text(json.dumps(work.kept()), "utf-8"))
    for version, reason in sorted(work.left_out.items()):
        say(f"Co-evolution leaves out {version}: {reason}")
    say(f"Co-evolution: {new} new opinions of reward models on versions.")
    return read_matrix(settings.versions, [version.id for version in registry.list()])


def versions_looked_at(registry: VersionRegistry) -> list[Version]:
    """The initial version, the champion and the newest others, newest first."""
    every, champion = registry.list(), registry.champion().id
    kept = [version for version in every if version.id in {INITIAL, champion}]
    others = [version for version in every if version not in kept]
    return sorted(
        [*kept, *others[-(MOST_VERSIONS - len(kept)) :]], key=lambda version: (version.created_at, version.id)
    )[::-1]


def forget(versions: Path, retired: Sequence[str]) -> None:
    """Take retired versions out of the file. Raises OSError when it cannot be written."""
    kept = kept_scores(versions)
    if kept is None:
        return
    for version in retired:
        for part in ("replies", "scores", "left_out"):
            kept[part].pop(version, None)
        for scores in kept["scores"].values():
            scores.pop(version, None)
    whole_file(versions / COEVOLUTION, lambda path: path.write_text(json.dumps(kept), "utf-8"))


@dataclass
class _Work:
    """The file at work. What it holds of versions whose files have changed or that are looked at no more, it drops."""

    settings: Settings
    base: BaseModel
    left_out: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        prompts = exam_half(self.base)
        self.prompts = [prompts[place * len(prompts) // SAMPLES] for place in range(SAMPLES)]
        self.split = SplitModel(self.base, TOP_LAYERS)
        self.drawing = Drawing(TEMPERATURE, min(REPLY_TOKENS, self.settings.max_new_tokens))
        told = repr((self.prompts, self.drawing, SEED)).encode()
        self.of = {"base": self.base.fingerprint, "asked": hashlib.sha256(told).hexdigest()}
        kept = kept_scores(self.settings.versions)
        fresh: dict[str, Any] = {"replies": {}, "scores": {}}
        kept = kept if kept is not None and kept["of"] == self.of else fresh
        self.replies: dict[str, Replies] = kept["replies"]
        self.scores: dict[str, dict[str, list[float]]] = kept["scores"]
        self._pooled: dict[str, Tensor] = {}

    def kept(self) -> dict[str, Any]:
        """The file's content."""
        return {"of": self.of, "replies": self.replies, "scores": self.scores, "left_out": self.left_out}

    def steps(self, chosen: Sequence[Version]) -> list[Callable[[], int]]:
        """What is to be done, one version at a time; each step returns how many opinions are new."""
        sound = [version for version in chosen if self._is_sound(version)]
        names = {version.id for version in sound}
        self.replies = {name: replies for name, replies in self.replies.items() if name in names}
        self.scores = {
            judge: {name: scores for name, scores in row.items() if name in names}
            for judge, row in self.scores.items()
            if judge in names
        }
        made = [version for version in sound if version.id != INITIAL]
        first = [
            partial(self._answer, version) for version in sound if version.id == INITIAL
        ]  # all are told against it
        newest_first = [partial(work, version) for version in made for work in (self._answer, self._judge)]
        return [*first, *newest_first, *(partial(self._judge, version) for version in made)]

    def _is_sound(self, version: Version) -> bool:
        if version.id == INITIAL:
            return True
        try:
            check_version(self.settings.versions / version.id, version, self.base)
        except DamagedVersion as error:
            self.left_out[version.id] = str(error)
            return False
        return True

    def _answer(self, version: Version) -> int:
        """Let a version answer the prompts, if it has not yet."""
        if version.id in self.replies:
            return 0
        try:
            model = load_policy(self.settings.versions, version, self.base)
        except DamagedVersion as error:
            self.left_out[version.id] = str(error)
            return 0
        generator = torch.Generator().manual_seed(SEED)
        answers = draw(self.split, model, self.prompts, self.drawing, generator)
        self.replies[version.id] = [list(answer.token_ids) for answer in answers]
        return 0

    def _judge(self, version: Version) -> int:
        """Let a version's reward model score what it has not scored yet."""
        row = self.scores.setdefault(version.id, {})
        missing = [name for name in self.replies if name not in row]
        if not missing or version.id in self.left_out:
            return 0
        try:
            model = self._reward_model(version)
        except (BadInput, DamagedVersion, ModelUnavailable) as error:
            self.left_out[version.id] = str(error)
            return 0
        for name in missing:
            row[name] = [round(float(score), 4) for score in self._scored(model, name)]
        return len(missing)

    def _reward_model(self, version: Version) -> RewardModel:
        folder = self.settings.versions / version.id
        if not (folder / REWARD / HEAD).is_file():
            raise BadInput(f"The version {version.id} has no reward model; versions that nights make have one.")
        report = report_of(folder)
        start = str(report.get("reward_start", "base"))
        own = reward_split(self.split, start, self.settings.cache, int(report["seed"]), layers_of(report))
        try:
            return load_reward_model(folder / REWARD, own)
        except (SafetensorError, LookupError, ValueError, RuntimeError, OSError) as error:
            raise DamagedVersion(f"The reward model of version {version.id} cannot be used ({error}).") from error

    def _scored(self, model: RewardModel, name: str) -> Tensor:
        """Scores of a version's replies; what a head on the base's own states reads is read once for all such heads."""
        if model.adapter_top is not None or model.split.base is not self.base:
            return model.scores(self._answers(name))
        if name not in self._pooled:
            self._pooled[name] = pooled_states(self.split, self._answers(name))
        return model.head.scores(self._pooled[name]) - model.doubt(self._pooled[name])

    def _answers(self, name: str) -> list[Answer]:
        return [Answer(prompt, tuple(ids)) for prompt, ids in zip(self.prompts, self.replies[name], strict=True)]
