"""What a visitor can do on the Rank page, without a line of Gradio: read replies to a prompt and put them in order.

Guarantees
- A round (the prompt, its replies, the order in which they are shown) is stored before its first token; a reload, or
  another tab, shows the same one.
- Which version wrote which reply, and every id that could tell, leaves this module only through `rank`. Replies are
  named by their places, which are drawn by chance.
- An order counts once it is on disk, and only if it names every reply of the round exactly once.
- While a person reads one round, the next is written; at most one waits.
"""

import logging
import random
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import get_args

from demo.drawing import Drawing
from demo.pairing import versions_to_rank
from demo.stand_ins import servable
from demo.writing import pens_in_step
from nightschool.engine import Engine
from nightschool.errors import BadInput, StoreError
from nightschool.feedback import FeedbackStore
from nightschool.needs import about_missing
from nightschool.prompt_bank import BankPrompt, PromptLanguage, bank_half, prompt_bank
from nightschool.records import Message, RankingRound, Reply, ReplyStatus, RoundOutcome, Sampling
from nightschool.registry import VersionRegistry

LONGEST_REPLY = 128
"""Tokens: four replies have to be read, and written while somebody waits."""
WRITERS = 2
"""Rounds somebody waits for that are written at once, of all visitors; the chat takes its turns between their tokens.
One more is written ahead."""
LEAVING = 10.0
"""Seconds in which a reply ends its step."""
FEWEST = 2
"""Different replies that can be put in order."""
TRIES = 5
"""Rounds in a row that may come to nothing before the page says so."""
LOCKS = 64
"""A person opens one round at a time, so that two tabs that open at once get the same one."""
SHOWN_EVERY = 1 / 12
"""Seconds between two looks at replies that are being written."""

Groups = Sequence[Sequence[str]]
"""An order: the names of replies, best first; those in one group are equally good."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ballot:
    """What a page may know of a round before it is ranked."""

    round_id: str
    question: str
    slice: str
    """Everyday, story, information or code; empty for a prompt that is not in the bank any more."""
    answers: dict[str, str]
    """Name (its place, from "0") -> text so far."""
    is_written: bool
    groups: tuple[tuple[str, ...], ...]
    """The order to begin with: as they stand, or the person's own that was taken back."""


@dataclass(frozen=True)
class Work:
    """A round being written, or waiting for its turn."""

    drawing: Drawing
    turn: Future[None]


@dataclass(frozen=True)
class Standing:
    """How far the person and the next night are."""

    ranked: int
    facts: int
    missing: int
    can_undo: bool


class RankRoom:
    """The use cases of the Rank page, for any number of people at once. Close it before its engine."""

    def __init__(
        self,
        store: FeedbackStore,
        registry: VersionRegistry,
        engine: Engine,
        *,
        sampling: Sampling,
        count: int,
        chance: random.Random,
    ) -> None:
        self._store = store
        self._registry = registry
        self._engine = engine
        self._sampling = Sampling(sampling.temperature, min(sampling.max_new_tokens, LONGEST_REPLY))
        self._count = count
        self._chance = chance
        self._writers = ThreadPoolExecutor(WRITERS, thread_name_prefix="ranking")
        self._ahead = ThreadPoolExecutor(1, thread_name_prefix="ranking-ahead")
        self._opening = tuple(threading.Lock() for _ in range(LOCKS))
        self._works: dict[str, Work] = {}

    # ---- reading -------------------------------------------------------------------------------------------------

    def watch(self, person_id: str, language: PromptLanguage) -> Iterator[Ballot]:
        """The person's round as it grows, at last whole; a new one where none is open. Then the next is begun.

        Raises `StoreError` when several rounds in a row come to nothing.
        """
        for _ in range(TRIES):
            round_id = self._open_round(person_id, language)
            work = self._works.get(round_id)
            while work is not None and not work.drawing.over.wait(SHOWN_EVERY):
                yield self._ballot(self._store.ranking_round(round_id, person_id), work.drawing.texts)
            found = self._store.ranking_round(round_id, person_id)
            if found.outcome is not None:
                return  # decided meanwhile, by another click or in another tab: whoever decided is shown the next
            if (written := self._settle(found)) is not None:
                yield self._ballot(written, None)
                self._begin_next(person_id, language)
                return
        raise StoreError(
            f"{TRIES} prompts in a row got no two different answers to put in order; try again later, and if it "
            "happens again, tell the owner (the cause is in the server's log)."
        )

    def standing(self, person_id: str, language: PromptLanguage) -> Standing:
        """How much this person ranked, how much everybody judged, and about how much the next night still needs."""
        tally = self._store.tally()
        return Standing(
            self._store.count_ranked(person_id),
            int(tally.facts),
            about_missing(tally),
            self._store.has_decided_round(person_id, language),
        )

    # ---- judging -------------------------------------------------------------------------------------------------

    def rank(self, person_id: str, round_id: str, groups: Groups) -> dict[str, str]:
        """Put a round in order; returns once it is on disk, with the version that wrote each reply, by name."""
        found = self._store.ranking_round(round_id, person_id)
        names = [name for group in groups for name in group]
        if sorted(names) != sorted(_names(found)):
            raise BadInput(
                f"The order names {len(names)} answers, the ranking has {len(found.replies)}; give each of its answers "
                "exactly one place."
            )
        replies = [found.replies[int(name)].id for name in names]
        self._store.rank_round(round_id, person_id, replies, ranks_of(groups))
        return {name: str(reply.version) for name, reply in zip(_names(found), found.replies, strict=True)}

    def skip(self, person_id: str, round_id: str) -> None:
        """Decline a round; a double click declines it once. One that is still being written is given up for good."""
        if self._store.ranking_round(round_id, person_id).outcome in {RoundOutcome.SKIPPED, RoundOutcome.BROKEN}:
            return
        work = self._works.get(round_id)
        if work is None or work.drawing.over.is_set():
            self._store.close_round(round_id, person_id, RoundOutcome.SKIPPED)
        else:
            self._store.close_round(round_id, person_id, RoundOutcome.BROKEN)
            _give_up(work)

    def leave(self, person_id: str) -> None:
        """Give up what is being written for a person who is about to be forgotten; returns when its rows are closed."""
        works = []
        with self._opening[hash(person_id) % LOCKS]:
            for language in get_args(PromptLanguage):
                for round_id in self._store.open_rounds(person_id, language):
                    if (work := self._works.get(round_id)) is not None:
                        works.append(work)
                        _give_up(work)
        for work in works:
            work.drawing.over.wait(LEAVING)

    def undo(self, person_id: str, language: PromptLanguage) -> None:
        """Take the person's last order or skip back: its round is the one that is shown."""
        self._store.reopen_last_round(person_id, language)

    def close(self) -> None:
        """Stop writing; what is written so far is kept."""
        for work in list(self._works.values()):
            work.drawing.stop()
        for writers in (self._writers, self._ahead):
            writers.shutdown(wait=True, cancel_futures=True)

    # ---- inside --------------------------------------------------------------------------------------------------

    def _open_round(self, person_id: str, language: PromptLanguage) -> str:
        """The round to be shown."""
        with self._opening[hash(person_id) % LOCKS]:
            waiting = self._store.open_rounds(person_id, language)
            if not waiting:
                return self._begin(person_id, language, self._writers)
            work = self._works.get(waiting[0])
            if work is not None and work.turn.cancel():  # it was to be written ahead; now somebody waits for it
                self._submit(waiting[0], work.drawing, self._writers)
            return waiting[0]

    def _begin_next(self, person_id: str, language: PromptLanguage) -> None:
        """Have one more round written while the person reads."""
        with self._opening[hash(person_id) % LOCKS]:
            if len(self._store.open_rounds(person_id, language)) < 2:
                self._begin(person_id, language, self._ahead)

    def _begin(self, person_id: str, language: PromptLanguage, writers: ThreadPoolExecutor) -> str:
        prompt = self._prompt_for(person_id, language)
        prompt_ids = self._engine.prompt_ids([Message("user", prompt.text)])
        versions = versions_to_rank(self._registry.list(), self._registry.champion(), self._count, self._chance)
        versions = [servable(self._engine, self._registry, version)[0] for version in versions]  # told in the log only
        round_id, conversation_id, question_id = self._store.start_round(person_id, prompt.id, language, prompt.text)
        pens = pens_in_step(
            self._store,
            self._engine,
            self._chance,
            versions,
            conversation_id=conversation_id,
            question_id=question_id,
            prompt_ids=prompt_ids,
            sampling=self._sampling,
            show=False,
        )
        self._store.seat_replies(round_id, [pen.reply_id for pen in pens])
        self._submit(round_id, Drawing(pens), writers)
        return round_id

    def _submit(self, round_id: str, drawing: Drawing, writers: ThreadPoolExecutor) -> None:
        turn = writers.submit(drawing.run)
        self._works[round_id] = Work(drawing, turn)
        turn.add_done_callback(lambda done: self._forget(round_id, drawing, done))

    def _forget(self, round_id: str, drawing: Drawing, turn: Future[None]) -> None:
        """After the last token, or when the server stops before the first."""
        if turn.cancelled():
            if not drawing.is_stopped:
                return  # it was given to other writers
            drawing.over.set()
        elif (error := turn.exception()) is not None:
            log.error("The ranking %s could not be written", round_id, exc_info=error)
        self._works.pop(round_id, None)

    def _prompt_for(self, person_id: str, language: PromptLanguage) -> BankPrompt:
        """One that this person had least often, by chance."""
        asked = self._store.asked_prompts(person_id)
        prompts = bank_half("train", language)
        fewest = min(asked.count(prompt.id) for prompt in prompts)
        return self._chance.choice([prompt for prompt in prompts if asked.count(prompt.id) == fewest])

    def _settle(self, found: RankingRound) -> RankingRound | None:
        """A written round with its different replies; None (and it is closed) where fewer than two came out."""
        kept = {reply.text.strip(): reply.id for reply in reversed(found.replies) if _is_readable(reply)}
        if len(kept) < FEWEST:
            log.warning("The ranking %s came to nothing: it has no two different replies", found.id)
            try:
                self._store.close_round(found.id, found.person_id, RoundOutcome.BROKEN)
            except BadInput:
                log.info("The ranking %s was decided meanwhile", found.id)
            return None
        if len(kept) < len(found.replies):
            self._store.keep_seated(found.id, list(kept.values()))
            return self._store.ranking_round(found.id, found.person_id)
        return found

    def _ballot(self, found: RankingRound, texts: Sequence[str] | None) -> Ballot:
        shown = [reply.text for reply in found.replies] if texts is None else texts
        names = _names(found)
        groups = _groups_of(found.ranks) if len(found.ranks) == len(names) else tuple((name,) for name in names)
        answers = dict(zip(names, shown, strict=True))
        return Ballot(found.id, found.question, _slice_of(found.prompt_id), answers, texts is None, groups)


def ranks_of(groups: Groups) -> list[int]:
    """The rank of each reply in the order of the groups: 1 for the best, ties share one, what follows leaves a gap."""
    ranks: list[int] = []
    for group in groups:
        ranks += [len(ranks) + 1] * len(group)
    return ranks


def _groups_of(ranks: Sequence[int]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(str(place) for place, given in enumerate(ranks) if given == rank) for rank in sorted(set(ranks)))


def _give_up(work: Work) -> None:
    """End the writing of a round, begun or not; its rows are closed within a step."""
    work.drawing.stop()
    if work.turn.cancel():
        work.drawing.run()


def _names(found: RankingRound) -> list[str]:
    """What a page calls the replies: their places. Ids would tell in which order they were made."""
    return [str(place) for place in range(len(found.replies))]


def _slice_of(prompt_id: str) -> str:
    banks = (prompt_bank(language) for language in get_args(PromptLanguage))
    return next((prompt.slice for bank in banks for prompt in bank if prompt.id == prompt_id), "")


def _is_readable(reply: Reply) -> bool:
    return reply.status in {ReplyStatus.DONE, ReplyStatus.STOPPED} and bool(reply.text.strip())
