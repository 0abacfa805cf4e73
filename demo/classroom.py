"""What a visitor can do, without a line of Gradio: ask, ask again, compare, judge, read what was said.

Guarantees
- What is stored comes from the server's rows. From the browser come only texts and ids, and every id is looked up
  together with the person who may use it.
- A reply's rows exist before its first token; they are closed whichever way the reply ends (done, stopped, failed).
- The champion is asked for at every reply, so a promotion by another process is served from the next reply on.
- Which versions write a duel, and on which side, leaves this module only through `vote`.
- A version that the owner tries in a conversation writes every reply of it, and no other version stands in for it.
"""

import random
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

from demo.given import LONGEST_COMMENT, LONGEST_CORRECTION, checked_style, plain, sampling_of
from demo.lessons import EMPTY_SCENE, NO_REASONS, Draft, Drafts, Lesson, Scene, ThumbReasons
from demo.pairing import Pair, pair_versions, seated
from demo.stand_ins import servable
from demo.trials import Trials
from demo.windows import Windows
from demo.writing import Pen, pens_in_step
from nightschool.engine import Engine
from nightschool.errors import BadInput
from nightschool.feedback import FeedbackStore
from nightschool.ids import new_id
from nightschool.records import (
    OWNERS_STYLE,
    Conversation,
    Duel,
    DuelOutcome,
    FoundConversation,
    Message,
    ReplyStatus,
    Sampling,
    Style,
    ThumbValue,
    Turn,
    Version,
)
from nightschool.registry import VersionRegistry


@dataclass(frozen=True)
class _Task:
    """One question to be answered, as the engine will see it."""

    person_id: str
    conversation_id: str
    question_id: str
    prompt_ids: Sequence[int]
    sampling: Sampling
    tried: Version | None
    """The version that is tried in this conversation, ready to write."""


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
        reasons: ThumbReasons = NO_REASONS,
    ) -> None:
        self._store = store
        self._registry = registry
        self._engine = engine
        self.sampling = sampling
        """What the owner set: the temperature served by default, and the longest reply anybody may ask for."""
        self.reasons = reasons
        self._duel_share = duel_share
        self._chance = chance
        self.trials = Trials(store, registry, engine)
        self._windows = Windows()

    # ---- reading -------------------------------------------------------------------------------------------------

    def champion(self) -> Version:
        """The version that answers now."""
        return self._registry.champion()

    def conversations(self, person_id: str) -> list[Conversation]:
        """The person's conversations, the one last written in first."""
        return self._store.conversations(person_id)

    def search(self, person_id: str, words: str) -> list[FoundConversation]:
        """The person's conversations in which every word occurs, in the title or in what was said."""
        return self._store.search(person_id, plain(words, LONGEST_COMMENT))

    def scene(self, person_id: str, conversation_id: str) -> Scene:
        """The shown branch of a conversation; the empty scene for no id. Raises `BadInput` for somebody else's."""
        if not conversation_id:
            return EMPTY_SCENE
        read = new_id()
        conversation = self._store.conversation(conversation_id, person_id)
        turns = self._store.branch(conversation_id, conversation.leaf_id, person_id)
        width = self._windows.width(conversation_id)
        return Scene(
            conversation_id,
            tuple(turns[-width:]),
            self._open_duel(person_id, conversation_id),
            max(len(turns) - width, 0),
            conversation.style,
            conversation.tried_version,
            read,
        )

    def look_back(self, person_id: str, conversation_id: str) -> Scene:
        """The scene with earlier messages before those it had. Raises `BadInput` for somebody else's conversation."""
        if self.scene(person_id, conversation_id).hidden:
            self._windows.widen(conversation_id)
        return self.scene(person_id, conversation_id)

    def open(self, person_id: str, conversation_id: str) -> Scene:
        """The scene for somebody who comes from another conversation: the newest messages. Raises `BadInput`."""
        self.scene(person_id, conversation_id)  # raises for somebody else's
        self._windows.reset(conversation_id)
        return self.scene(person_id, conversation_id)

    def turn(self, person_id: str, conversation_id: str, message_id: str) -> Turn:
        """One message of a conversation, shown or not. Raises `BadInput` where there is no such one."""
        turns = self._store.branch(conversation_id, message_id, person_id)
        if not turns:
            raise BadInput("This message is not in a conversation of yours; reload the page.")
        return turns[-1]

    def is_writing(self, person_id: str, conversation_id: str) -> bool:
        """Whether an answer of this conversation is being written. Raises `BadInput` for somebody else's."""
        return bool(conversation_id) and self._store.is_writing(conversation_id, person_id)

    # ---- keeping -------------------------------------------------------------------------------------------------

    def rename(self, person_id: str, conversation_id: str, title: str) -> None:
        """Give a conversation another title."""
        self._store.rename(conversation_id, person_id, plain(title, 10 * LONGEST_COMMENT))

    def delete(self, person_id: str, conversation_id: str) -> None:
        """Take a conversation out of the list, and its judgements out of the next night."""
        self._store.set_deleted(conversation_id, person_id, True)

    def restore(self, person_id: str, conversation_id: str) -> None:
        """Take a deletion back."""
        self._store.set_deleted(conversation_id, person_id, False)

    def keep_style(self, person_id: str, conversation_id: str, style: Style) -> None:
        """Keep with a conversation how it is to be answered."""
        self._store.set_style(conversation_id, person_id, checked_style(style, self.sampling))

    def show_message(self, person_id: str, conversation_id: str, message_id: str) -> None:
        """Show the branch that goes through a message: an earlier question or answer, and what followed it."""
        self._refuse_open_duel(person_id, conversation_id)
        self._store.show_message(conversation_id, person_id, message_id)

    # ---- asking --------------------------------------------------------------------------------------------------

    def ask(
        self,
        person_id: str,
        conversation_id: str,
        text: str,
        *,
        compare: bool = False,
        style: Style | None = None,
        may_try: bool = False,
    ) -> Lesson:
        """Store a question (starting a conversation where there is none) and have it answered, or duelled over.

        `style` is kept with the conversation; None: the one it has. `may_try`: whether the person is the owner, who
        alone may have a version answer that does not answer everybody; so in the methods below.
        """
        turns = self._turns(person_id, conversation_id)
        parent = turns[-1].id if turns else None
        return self._put(person_id, conversation_id, turns, parent, text, compare=compare, style=style, may_try=may_try)

    def edit(
        self,
        person_id: str,
        conversation_id: str,
        question_id: str,
        text: str,
        *,
        style: Style | None = None,
        may_try: bool = False,
    ) -> Lesson:
        """Ask in other words: a new branch beside a question that is shown; the earlier one stays reachable."""
        turns = self._turns(person_id, conversation_id)
        place = next((place for place, turn in enumerate(turns) if turn.id == question_id), None)
        if place is None or turns[place].role != "user":
            raise BadInput("This question is not on the page any more; reload the page and edit it there.")
        parent = turns[place].parent_id
        return self._put(person_id, conversation_id, turns[:place], parent, text, style=style, may_try=may_try)

    def ask_again(
        self, person_id: str, conversation_id: str, *, style: Style | None = None, may_try: bool = False
    ) -> Lesson:
        """Another answer to the last question; the earlier ones stay reachable beside it."""
        turns, question = self._last_question(person_id, conversation_id)
        return self._answer(self._task(person_id, conversation_id, turns, question.id, style, may_try))

    def compare_again(
        self, person_id: str, conversation_id: str, *, style: Style | None = None, may_try: bool = False
    ) -> Lesson:
        """A duel over the last question; its earlier answer stays reachable."""
        turns, question = self._last_question(person_id, conversation_id)
        shown = self._store.conversation(conversation_id, person_id).leaf_id or question.id
        task = self._task(person_id, conversation_id, turns, question.id, style, may_try)
        self._store.show_branch(conversation_id, question.id)
        return self._compare(task, shown)

    def warm_up(self) -> str:
        """Draw one token, so that the first visitor does not wait for the first run; a warning, if there is one."""
        version, warning = servable(self._engine, self._registry, self.champion())
        prompt_ids = self._engine.prompt_ids([Message("user", "Hello")])
        for _ in self._engine.stream(version, prompt_ids, Sampling(self.sampling.temperature, 1), seed=0):
            pass
        return warning

    # ---- judging -------------------------------------------------------------------------------------------------

    def thumb(
        self,
        person_id: str,
        reply_id: str,
        value: ThumbValue | None,
        *,
        reasons: Sequence[str] = (),
        comment: str = "",
    ) -> None:
        """Set, change or take back a thumb with its reasons; returns once it is on disk."""
        offered = {ThumbValue.UP: self.reasons.up, ThumbValue.DOWN: self.reasons.down, None: ()}[value]
        if unknown := [reason for reason in reasons if reason not in offered]:
            raise BadInput(
                f"The reason {unknown[0]!r:.40} is not one of those offered; reload the page and choose again."
            )
        in_order = [reason for reason in offered if reason in reasons]
        comment = plain(comment, LONGEST_COMMENT).strip()
        self._store.set_thumb(reply_id, person_id, value, reasons=in_order, comment=comment)

    def correct(self, person_id: str, reply_id: str, text: str) -> None:
        """Record what the person would have answered; the conversation goes on from it."""
        text = plain(text, LONGEST_CORRECTION).strip()
        self._store.correct(reply_id, person_id, text, self._engine.reply_ids(text))

    def withdraw_correction(self, person_id: str, reply_id: str) -> None:
        """Take a correction back: the conversation goes on from the reply as it was written."""
        self._store.withdraw_correction(reply_id, person_id)

    def vote(self, person_id: str, duel_id: str, outcome: DuelOutcome) -> Duel:
        """Decide a duel; returns once it is on disk, with the versions of both sides."""
        return self._store.decide_duel(duel_id, person_id, outcome)

    def decline(self, person_id: str, duel_id: str) -> Duel:
        """End a duel without a decision; returns once it is on disk, with the versions of both sides."""
        return self._store.decline_duel(duel_id, person_id)

    def ended_duel(self, person_id: str, duel_id: str) -> Duel | None:
        """A duel that was decided, declined or closed before, with the versions of both sides; None for an open one."""
        return self._store.ended_duel(duel_id, person_id)

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

    def _put(
        self,
        person_id: str,
        conversation_id: str,
        before: Sequence[Turn],
        parent_id: str | None,
        text: str,
        *,
        style: Style | None,
        may_try: bool,
        compare: bool = False,
    ) -> Lesson:
        """Store a question after `before` and have it answered or duelled over; a refused one leaves nothing behind."""
        self._refuse_open_duel(person_id, conversation_id)
        tried = self.trials.version_of(person_id, conversation_id, may_try)
        text = text.strip()
        style = self._style(person_id, conversation_id, style)
        prompt_ids = self._engine.prompt_ids([*_messages(style, before), Message("user", text)])
        if conversation_id:
            self._store.set_style(conversation_id, person_id, style)
        else:
            conversation_id = self._store.start_conversation(person_id, text, style)
        question_id = self._store.add_message(conversation_id, parent_id, Message("user", text))
        task = _Task(person_id, conversation_id, question_id, prompt_ids, sampling_of(style, self.sampling), tried)
        if compare or (tried is None and self._chance.random() < self._duel_share):
            return self._compare(task, question_id)
        return self._answer(task)

    def _task(
        self,
        person_id: str,
        conversation_id: str,
        turns: Sequence[Turn],
        question_id: str,
        style: Style | None,
        may_try: bool,
    ) -> _Task:
        """A stored question, the last of `turns`, to be answered once more."""
        tried = self.trials.version_of(person_id, conversation_id, may_try)
        style = self._style(person_id, conversation_id, style)
        prompt_ids = self._engine.prompt_ids(_messages(style, turns))
        self._store.set_style(conversation_id, person_id, style)
        return _Task(person_id, conversation_id, question_id, prompt_ids, sampling_of(style, self.sampling), tried)

    def _style(self, person_id: str, conversation_id: str, style: Style | None) -> Style:
        if style is not None:
            return checked_style(style, self.sampling)
        return self._store.conversation(conversation_id, person_id).style if conversation_id else OWNERS_STYLE

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

    def _answer(self, task: _Task) -> Lesson:
        return Lesson(task.conversation_id, False, self._single(task))

    def _compare(self, task: _Task, fallback_leaf: str) -> Lesson:
        return Lesson(task.conversation_id, True, self._both(task, fallback_leaf))

    def _single(self, task: _Task) -> Drafts:
        tried = task.tried
        version, warning = (tried, "") if tried else servable(self._engine, self._registry, self.champion())
        [pen] = self._pens(task, [version], show=True)
        with closing(pen.texts()) as texts:
            for text in texts:
                yield Draft((text,), warning)

    def _both(self, task: _Task, fallback_leaf: str) -> Drafts:
        """Two replies, a token of each in turn: one pace, so that speed does not tell which version writes."""
        pair = self._pair(task.tried)
        left, left_warning = servable(self._engine, self._registry, pair.left)
        right, right_warning = servable(self._engine, self._registry, pair.right)
        pens = self._pens(task, [left, right], show=False)
        duel_id = self._store.start_duel(
            task.conversation_id, task.question_id, task.person_id, *(pen.reply_id for pen in pens)
        )
        warning = STAND_IN if left_warning or right_warning else ""
        try:
            with closing(pens[0].texts()) as left_texts, closing(pens[1].texts()) as right_texts:
                for texts in in_step(left_texts, right_texts):
                    yield Draft(texts, warning)
        finally:
            if self._open_duel(task.person_id, task.conversation_id) is None:
                self._store.void_duel(duel_id)
                self._store.show_branch(task.conversation_id, self._readable(pens) or fallback_leaf)

    def _pair(self, tried: Version | None) -> Pair:
        """Who meets in a duel: the champion and another; where a version is tried and is not the champion, that one."""
        champion = self.champion()
        if tried is not None and tried.id != champion.id:
            return seated(champion, tried, self._chance)
        met = self._store.duels_with(champion.id)
        return pair_versions(self._registry.list(), champion, self._chance, met, self._registry.probation())

    def _readable(self, pens: Sequence[Pen]) -> str | None:
        """The reply that came out with text, where a duel cannot be judged because the other one did not."""
        replies = [self._store.reply(pen.reply_id) for pen in pens]
        return next((r.id for r in replies if r.text.strip() and r.status is not ReplyStatus.FAILED), None)

    def _pens(self, task: _Task, versions: Sequence[Version], *, show: bool) -> list[Pen]:
        return pens_in_step(
            self._store,
            self._engine,
            self._chance,
            versions,
            conversation_id=task.conversation_id,
            question_id=task.question_id,
            prompt_ids=task.prompt_ids,
            sampling=task.sampling,
            show=show,
        )


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


def _messages(style: Style, turns: Sequence[Turn]) -> list[Message]:
    """What the model is shown of a branch: corrections in place of replies; failed and empty replies are left out."""
    system = [Message("system", style.system_prompt)] if style.system_prompt else []
    return system + [
        Message(turn.role, turn.said)
        for turn in turns
        if turn.said.strip() and (turn.status is not ReplyStatus.FAILED or turn.correction is not None)
    ]
