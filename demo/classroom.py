"""What a visitor can do, without a line of Gradio: ask, ask again, compare, judge, read what was said.

Guarantees
- What is stored comes from the server's rows. From the browser come only texts and ids, and every id is looked up
  together with the person who may use it.
- A reply's rows exist before its first token; they are closed whichever way the reply ends (done, stopped, failed).
- The champion is asked for at every reply, so a promotion by another process is served from the next reply on.
- Which versions write a duel, and on which side, leaves this module only through `vote`.
"""

import logging
import random
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

from demo.pairing import pair_versions
from demo.writing import Pen
from nightschool.engine import Engine
from nightschool.errors import BadInput, DamagedVersion
from nightschool.feedback import FeedbackStore
from nightschool.records import (
    Conversation,
    Duel,
    DuelOutcome,
    Message,
    ReplyStatus,
    Sampling,
    ThumbValue,
    Turn,
    Version,
)
from nightschool.registry import VersionRegistry

WINDOW = 40
"""Messages shown: the newest 20 questions with their answers. A browser's work per update grows with what is shown."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Draft:
    """One step of an answer being written: the text so far, or the texts of both sides of a duel."""

    texts: tuple[str, ...]
    warning: str = ""


Drafts = Generator[Draft, None, None]


@dataclass(frozen=True)
class Lesson:
    """A stored question and the answer about to be written. Nothing is written until `drafts` is read."""

    conversation_id: str
    is_duel: bool
    drafts: Drafts


@dataclass(frozen=True)
class Scene:
    """What a page shows of one conversation."""

    conversation_id: str
    turns: tuple[Turn, ...]
    duel: Duel | None
    hidden: int = 0
    """How many earlier messages are stored but outside the window."""


EMPTY_SCENE = Scene("", (), None)


class Classroom:
    """The use cases of the chat page, for any number of people at once."""

    def __init__(
        self,
        store: FeedbackStore,
        registry: VersionRegistry,
        engine: Engine,
        *,
        sampling: Sampling,
        duel_share: float,
        chance: random.Random,
    ) -> None:
        self._store = store
        self._registry = registry
        self._engine = engine
        self._sampling = sampling
        self._duel_share = duel_share
        self._chance = chance

    # ---- reading -------------------------------------------------------------------------------------------------

    def champion(self) -> Version:
        """The version that answers now."""
        return self._registry.champion()

    def conversations(self, person_id: str) -> list[Conversation]:
        """The person's conversations, newest first."""
        return self._store.conversations(person_id)

    def scene(self, person_id: str, conversation_id: str) -> Scene:
        """The shown branch of a conversation; the empty scene for no id. Raises `BadInput` for somebody else's."""
        if not conversation_id:
            return EMPTY_SCENE
        turns = self._turns(person_id, conversation_id)
        return Scene(
            conversation_id,
            tuple(turns[-WINDOW:]),
            self._open_duel(person_id, conversation_id),
            max(len(turns) - WINDOW, 0),
        )

    # ---- asking --------------------------------------------------------------------------------------------------

    def ask(self, person_id: str, conversation_id: str, text: str, *, compare: bool = False) -> Lesson:
        """Store a question (starting a conversation where there is none) and have it answered, or duelled over."""
        turns = self._turns(person_id, conversation_id)
        self._refuse_open_duel(person_id, conversation_id)
        text = text.strip()
        prompt_ids = self._engine.prompt_ids([*_messages(turns), Message("user", text)])  # refuses before storing
        conversation_id = conversation_id or self._store.start_conversation(person_id, text)
        parent = turns[-1].id if turns else None
        question_id = self._store.add_message(conversation_id, parent, Message("user", text))
        if compare or self._chance.random() < self._duel_share:
            return self._compare(person_id, conversation_id, question_id, prompt_ids, question_id)
        return self._answer(conversation_id, question_id, prompt_ids)

    def ask_again(self, person_id: str, conversation_id: str) -> Lesson:
        """Another answer to the last question; the earlier ones stay in the store beside it."""
        turns, question = self._last_question(person_id, conversation_id)
        return self._answer(conversation_id, question.id, self._engine.prompt_ids(_messages(turns)))

    def compare_again(self, person_id: str, conversation_id: str) -> Lesson:
        """A duel over the last question; its earlier answer stays in the store."""
        turns, question = self._last_question(person_id, conversation_id)
        shown = self._store.conversation(conversation_id, person_id).leaf_id or question.id
        self._store.show_branch(conversation_id, question.id)
        prompt_ids = self._engine.prompt_ids(_messages(turns))
        return self._compare(person_id, conversation_id, question.id, prompt_ids, shown)

    def warm_up(self) -> str:
        """Draw one token, so that the first visitor does not wait for the first run; a warning, if there is one."""
        version, warning = self._servable(self.champion())
        prompt_ids = self._engine.prompt_ids([Message("user", "Hello")])
        for _ in self._engine.stream(version, prompt_ids, Sampling(self._sampling.temperature, 1), seed=0):
            pass
        return warning

    # ---- judging -------------------------------------------------------------------------------------------------

    def thumb(self, person_id: str, reply_id: str, value: ThumbValue | None) -> None:
        """Set, change or take back a thumb; returns once it is on disk."""
        self._store.set_thumb(reply_id, person_id, value)

    def vote(self, person_id: str, duel_id: str, outcome: DuelOutcome) -> Duel:
        """Decide a duel; returns once it is on disk, with the versions of both sides."""
        return self._store.decide_duel(duel_id, person_id, outcome)

    def last_reply(self, person_id: str, conversation_id: str) -> str:
        """The id of the answer shown last. Raises `BadInput` where there is none, or a duel over it is open."""
        self._refuse_open_duel(person_id, conversation_id)
        turns = self._turns(person_id, conversation_id)
        if not turns or turns[-1].role != "assistant":
            raise BadInput("There is no answer yet; ask something first.")
        return turns[-1].id

    # ---- inside --------------------------------------------------------------------------------------------------

    def _turns(self, person_id: str, conversation_id: str) -> list[Turn]:
        if not conversation_id:
            return []
        conversation = self._store.conversation(conversation_id, person_id)
        return self._store.branch(conversation_id, conversation.leaf_id, person_id)

    def _last_question(self, person_id: str, conversation_id: str) -> tuple[list[Turn], Turn]:
        """The branch up to its last question, and that question."""
        turns = self._turns(person_id, conversation_id)
        self._refuse_open_duel(person_id, conversation_id)
        last = max((place for place, turn in enumerate(turns) if turn.role == "user"), default=None)
        if last is None:
            raise BadInput("There is no question yet; write one first.")
        return turns[: last + 1], turns[last]

    def _open_duel(self, person_id: str, conversation_id: str) -> Duel | None:
        """The duel that waits for a vote; one that failed, is still written in another tab, or is a draw does not."""
        duel = self._store.open_duel(conversation_id, person_id)
        votable = {ReplyStatus.DONE, ReplyStatus.STOPPED}
        if duel is None or not {duel.left.status, duel.right.status} <= votable:
            return None
        return None if duel.left.text == duel.right.text else duel  # the same words: nothing to choose

    def _refuse_open_duel(self, person_id: str, conversation_id: str) -> None:
        if conversation_id and self._open_duel(person_id, conversation_id):
            raise BadInput("Two answers are waiting for your judgement; choose one first, then go on.")

    def _servable(self, version: Version) -> tuple[Version, str]:
        """The version once it is in memory; for a damaged one its nearest sound forebear and the sentence that says so.

        Raises `DamagedVersion` when not even the initial version can be served.
        """
        try:
            self._engine.prepare(version)
        except DamagedVersion as error:
            forebears = self._registry.forebears(version)
            if not forebears:
                raise
            stand_in, _ = self._servable(forebears[0])
            log.warning("The version %s stands in for %s: %s", stand_in.id, version.id, error)
            return stand_in, f"The version {stand_in.id} answers in place of {version.id}: {error}"
        return version, ""

    def _answer(self, conversation_id: str, question_id: str, prompt_ids: Sequence[int]) -> Lesson:
        return Lesson(conversation_id, False, self._single(conversation_id, question_id, prompt_ids))

    def _compare(
        self, person_id: str, conversation_id: str, question_id: str, prompt_ids: Sequence[int], fallback_leaf: str
    ) -> Lesson:
        drafts = self._both(person_id, conversation_id, question_id, prompt_ids, fallback_leaf)
        return Lesson(conversation_id, True, drafts)

    def _single(self, conversation_id: str, question_id: str, prompt_ids: Sequence[int]) -> Drafts:
        version, warning = self._servable(self.champion())
        pen = self._pen(conversation_id, question_id, version, prompt_ids, show=True)
        with closing(pen.texts()) as texts:
            for text in texts:
                yield Draft((text,), warning)

    def _both(
        self, person_id: str, conversation_id: str, question_id: str, prompt_ids: Sequence[int], fallback_leaf: str
    ) -> Drafts:
        """Two replies, a token of each in turn: one pace, so that speed does not tell which version writes."""
        pair = pair_versions(self._registry.list(), self.champion(), self._chance)
        (left, left_warning), (right, right_warning) = self._servable(pair.left), self._servable(pair.right)
        pens = [self._pen(conversation_id, question_id, version, prompt_ids, show=False) for version in (left, right)]
        self._store.start_duel(conversation_id, question_id, person_id, *(pen.reply_id for pen in pens))
        warning = STAND_IN if left_warning or right_warning else ""
        try:
            with closing(pens[0].texts()) as left_texts, closing(pens[1].texts()) as right_texts:
                for texts in in_step(left_texts, right_texts):
                    yield Draft(texts, warning)
        finally:
            if self._open_duel(person_id, conversation_id) is None:
                self._store.show_branch(conversation_id, self._readable(pens) or fallback_leaf)

    def _readable(self, pens: Sequence[Pen]) -> str | None:
        """The reply that came out with text, where a duel cannot be judged because the other one did not."""
        replies = [self._store.reply(pen.reply_id) for pen in pens]
        return next((r.id for r in replies if r.text.strip() and r.status is not ReplyStatus.FAILED), None)

    def _pen(
        self, conversation_id: str, question_id: str, version: Version, prompt_ids: Sequence[int], *, show: bool
    ) -> Pen:
        seed = self._chance.getrandbits(31)
        reply_id = self._store.start_reply(
            conversation_id, question_id, version.id, self._sampling, seed, prompt_ids, show=show
        )
        return Pen(self._store, reply_id, self._engine.stream(version, prompt_ids, self._sampling, seed))


STAND_IN = "A version of this comparison could not be used; an earlier one stands in for it (named in the log)."
"""Shown during a duel, where naming the version would tell who writes."""


def in_step(left: Iterator[str], right: Iterator[str]) -> Iterator[tuple[str, str]]:
    """Both texts after each round in which every unfinished side moved one step."""
    texts = ["", ""]
    at_work: dict[int, Iterator[str]] = {0: left, 1: right}
    while at_work:
        for side, stream in list(at_work.items()):
            text = next(stream, None)
            if text is None:
                del at_work[side]
            else:
                texts[side] = text
        yield texts[0], texts[1]


def _messages(turns: Sequence[Turn]) -> list[Message]:
    """What the model is shown of a branch: failed and empty replies are left out."""
    return [
        Message(turn.role, turn.text) for turn in turns if turn.text.strip() and turn.status is not ReplyStatus.FAILED
    ]
