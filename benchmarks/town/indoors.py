"""The chat without its server: the same rooms, store and rules, and replies drawn many at a time.

Over HTTP each token of a reply reads the whole model once, so a day of 200 judgements takes a quarter of an hour or
more. Here a batch of replies shares every step. Which versions meet, what is stored and what a night reads is decided
by the same code; the replies are other draws of the same distribution, so the figures of a town indoors are to those of
the served one as one seed's are to another's.
"""

import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import torch

from benchmarks.town.machinery import Place
from benchmarks.town.visiting import Answer, Duel, Round
from demo.classroom import Classroom
from demo.rank_room import RankRoom
from nightschool.chat_format import encode_prompt, encode_text
from nightschool.engine import Piece
from nightschool.feedback import FeedbackStore
from nightschool.ids import new_id
from nightschool.prompt_bank import bank_half
from nightschool.records import DuelOutcome, Message, Sampling, ThumbValue, Version
from nightschool.registry import VersionRegistry
from nightschool.schema import FeedbackDatabase
from nightschool.version_folder import load_policy
from training.rollout import DRAWN_TOGETHER, Drawing, draw
from training.trunk import SplitModel

Prompt = tuple[int, ...]


class StockedEngine:
    """An `Engine` for questions of the bank's training half: each version's replies are drawn `DRAWN_TOGETHER` at once.

    A reply is taken from the stock when it is asked for, not when it is read, so the order of the questions alone
    decides what everybody gets.
    """

    def __init__(self, split: SplitModel, versions: Path, seed: int) -> None:
        self.model_name = split.base.name
        self._split, self._versions = split, versions
        self._generator = torch.Generator().manual_seed(seed)
        self._prompts: list[Prompt] = [
            tuple(self.prompt_ids([Message("user", prompt.text)])) for prompt in bank_half("train")
        ]
        self._models: dict[str, Any] = {}
        self._stock: defaultdict[tuple[str, Sampling], defaultdict[Prompt, list[Prompt]]]
        self._stock = defaultdict(lambda: defaultdict(list))

    def prompt_ids(self, messages: Sequence[Message]) -> list[int]:
        """See `Engine.prompt_ids`."""
        return encode_prompt(self._split.base.tokenizer, list(messages))

    def reply_ids(self, text: str) -> list[int]:
        """See `Engine.reply_ids`."""
        return [*encode_text(self._split.base.tokenizer, text), self._split.base.tokenizer.eos_token_id]

    def prepare(self, version: Version) -> None:
        """See `Engine.prepare`."""
        if version.id not in self._models:
            self._models[version.id] = load_policy(self._versions, version, self._split.base)

    def stream(self, version: Version, prompt_ids: Sequence[int], sampling: Sampling, seed: int) -> Iterator[Piece]:
        """A whole reply in one piece. `seed` changes nothing: the engine's own was given at its start."""
        waiting = self._stock[version.id, sampling][tuple(prompt_ids)]
        if not waiting:
            self._draw(version, sampling, tuple(prompt_ids))
        token_ids = waiting.pop(0)
        text = str(self._split.base.tokenizer.decode(list(token_ids), skip_special_tokens=True))
        return iter([Piece(text, token_ids, True)])

    def stream_in_step(
        self, versions: Sequence[Version], prompt_ids: Sequence[int], sampling: Sampling, seeds: Sequence[int]
    ) -> list[Iterator[Piece]]:
        """See `Engine.stream_in_step`."""
        return [self.stream(version, prompt_ids, sampling, seed) for version, seed in zip(versions, seeds, strict=True)]

    def _draw(self, version: Version, sampling: Sampling, wanted: Prompt) -> None:
        """One more reply to what is wanted, and one each to the questions of which the fewest are in stock."""
        self.prepare(version)
        stock = self._stock[version.id, sampling]
        others = sorted((prompt for prompt in self._prompts if prompt != wanted), key=lambda prompt: len(stock[prompt]))
        prompts = [wanted, *others[: DRAWN_TOGETHER - 1]]
        drawing = Drawing(sampling.temperature, sampling.max_new_tokens)
        for answer in draw(self._split, self._models[version.id], prompts, drawing, self._generator):
            stock[answer.prompt_ids].append(answer.token_ids)


class Guest:
    """A person in the rooms; what `Visitor` does over HTTP."""

    def __init__(self, classroom: Classroom, rank_room: RankRoom) -> None:
        self.person_id = new_id()
        self._classroom, self._rank_room = classroom, rank_room

    def ask(self, question: str, *, compare: bool = False) -> Answer | Duel:
        """Ask in a new conversation; a duel whose answers come out the same is an answer."""
        lesson = self._classroom.ask(self.person_id, "", question, compare=compare)
        for _ in lesson.drafts:
            pass
        scene = self._classroom.scene(self.person_id, lesson.conversation_id)
        if scene.duel is not None:
            return Duel(scene.duel.id, scene.duel.left.text, scene.duel.right.text)
        last = scene.turns[-1]
        return Answer(last.id, last.text) if last.role == "assistant" else Answer("", "")

    def thumb(self, reply: str, value: str) -> None:
        self._classroom.thumb(self.person_id, reply, ThumbValue(value))

    def correct(self, reply: str, text: str) -> None:
        self._classroom.correct(self.person_id, reply, text)

    def vote(self, duel: str, outcome: str) -> None:
        self._classroom.vote(self.person_id, duel, DuelOutcome(outcome))

    def next_round(self) -> Round:
        """The Rank page's next prompt."""
        *_, ballot = self._rank_room.watch(self.person_id, "en")
        return Round(ballot.round_id, ballot.question, ballot.answers)

    def rank(self, ranking: str, order: list[list[str]]) -> None:
        self._rank_room.rank(self.person_id, ranking, order)

    def skip(self, ranking: str) -> None:
        self._rank_room.skip(self.person_id, ranking)

    def close(self) -> None:
        """Nothing is open."""


@contextmanager
def indoors(place: Place, split: SplitModel) -> Iterator[Callable[[], Guest]]:
    """The rooms on the town's database until the block ends; call what is given for each person who comes in."""
    settings = place.settings
    with closing(FeedbackDatabase(place.database)) as database:
        store, registry = FeedbackStore(database), VersionRegistry(database)
        engine = StockedEngine(split, place.versions, place.seed)
        sampling = Sampling(settings.temperature, settings.max_new_tokens)
        # Chance as `python -m demo` draws it, and no duels but those that people ask for.
        classroom = Classroom(
            store, registry, engine, sampling=sampling, duel_share=0.0, chance=random.Random(f"{place.seed}/chat")
        )
        rank_room = RankRoom(
            store,
            registry,
            engine,
            sampling=sampling,
            count=settings.rank_replies,
            chance=random.Random(f"{place.seed}/rank"),
        )
        with closing(rank_room):
            yield lambda: Guest(classroom, rank_room)
