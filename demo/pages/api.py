"""Endpoints for programs (gradio_client, curl): the use cases of the pages, for the person whose cookie is sent.

They are published once, beside the English pages. Every one of them finds out who asks by itself, like the pages do.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, Literal

import gradio as gr
from gradio.events import api

from demo.catalogue import LANGUAGES, Language, Words
from demo.classroom import Classroom
from demo.identity import Visitors
from demo.pages.common import is_owner, person_of, told_in_words
from demo.pages.rank import groups_of
from demo.rank_room import RankRoom
from nightschool.errors import BadInput
from nightschool.records import DuelOutcome, ThumbValue

THUMBS = {"up": ThumbValue.UP, "down": ThumbValue.DOWN, "none": None}


class PublicApi:
    """The published functions. Their names and parameters are a promise to programs of others."""

    def __init__(self, classroom: Classroom, rank_room: RankRoom, visitors: Visitors, words: Words) -> None:
        self._classroom = classroom
        self._room = rank_room
        self._visitors = visitors
        self._words = words

    def publish(self) -> None:
        """Make them endpoints of the Blocks being built."""
        writing: tuple[Callable[..., Any], ...] = (self.ask, self.ranking)
        judging: tuple[Callable[..., Any], ...] = (
            self.thumb, self.correct, self.duel_vote, self.rank, self.skip_ranking, self.undo_ranking,
        )  # fmt: skip
        for function in writing:
            api(function, concurrency_limit=8)
        for function in judging:
            api(function, concurrency_limit=None)

    def ask(
        self, request: gr.Request, text: str, conversation: str = "", compare: bool = False
    ) -> Iterator[dict[str, Any]]:
        """Ask in a conversation (none: a new one). Streams {"conversation", "text"}; at the end {"conversation",
        "reply", "text"}, or for two answers to be compared {"conversation", "duel", "left", "right"}."""
        person_id = person_of(self._visitors, request)
        with self._told():
            may_try = is_owner(self._visitors, request)
            lesson = self._classroom.ask(person_id, conversation, text, compare=compare, may_try=may_try)
            for draft in lesson.drafts:
                if not lesson.is_duel:
                    yield {"conversation": lesson.conversation_id, "text": draft.texts[0]}
            scene = self._classroom.scene(person_id, lesson.conversation_id)
            if scene.duel is not None:
                texts = {"left": scene.duel.left.text, "right": scene.duel.right.text}
                yield {"conversation": lesson.conversation_id, "duel": scene.duel.id, **texts}
            else:
                last = scene.turns[-1]  # the question itself, where both sides of a duel came out empty
                reply, said = (last.id, last.text) if last.role == "assistant" else ("", "")
                yield {"conversation": lesson.conversation_id, "reply": reply, "text": said}

    def thumb(self, request: gr.Request, reply: str, value: Literal["up", "down", "none"]) -> dict[str, Any]:
        """Like ("up") or dislike ("down") a reply, or take that back ("none"). Answers once it is on disk."""
        person_id = person_of(self._visitors, request)
        with self._told():
            if value not in THUMBS:
                raise BadInput(f"The thumb was given as {value!r}; give up, down or none.")
            self._classroom.thumb(person_id, reply, THUMBS[value])
        return {"reply": reply, "value": value}

    def correct(self, request: gr.Request, reply: str, text: str) -> dict[str, Any]:
        """Say what you would have answered in place of a reply; the conversation goes on from it. An empty text takes
        your correction back. Answers once it is on disk."""
        person_id = person_of(self._visitors, request)
        with self._told():
            if text.strip():
                self._classroom.correct(person_id, reply, text)
            else:
                self._classroom.withdraw_correction(person_id, reply)
        return {"reply": reply, "text": text.strip()}

    def duel_vote(
        self, request: gr.Request, duel: str, outcome: Literal["left", "right", "tie", "both_bad"]
    ) -> dict[str, Any]:
        """Decide a duel, once. Answers once it is on disk, with the versions that wrote both sides."""
        person_id = person_of(self._visitors, request)
        with self._told():
            if outcome not in list(DuelOutcome):
                raise BadInput(f"The outcome was given as {outcome!r}; give left, right, tie or both_bad.")
            decided = self._classroom.vote(person_id, duel, DuelOutcome(outcome))
        return {"duel": duel, "outcome": outcome, "left": decided.left.version, "right": decided.right.version}

    def ranking(self, request: gr.Request, language: Literal["en", "zh"] = "en") -> dict[str, Any]:
        """A prompt with answers to be put in order: {"ranking", "question", "slice", "answers"} with their names."""
        person_id = person_of(self._visitors, request)
        with self._told():
            *_, ballot = self._room.watch(person_id, _language(language))
        return {
            "ranking": ballot.round_id,
            "question": ballot.question,
            "slice": ballot.slice,
            "answers": ballot.answers,
        }

    def rank(self, request: gr.Request, ranking: str, order: list[list[str]]) -> dict[str, Any]:
        """Put the answers in order: groups of names, best first; those in one group are equally good. Answers once it
        is on disk, with the version that wrote each."""
        person_id = person_of(self._visitors, request)
        with self._told():
            versions = self._room.rank(person_id, ranking, groups_of(order))
        return {"ranking": ranking, "versions": versions}

    def skip_ranking(self, request: gr.Request, ranking: str) -> dict[str, Any]:
        """Decline to put these answers in order."""
        person_id = person_of(self._visitors, request)
        with self._told():
            self._room.skip(person_id, ranking)
        return {"ranking": ranking}

    def undo_ranking(self, request: gr.Request, language: Literal["en", "zh"] = "en") -> dict[str, Any]:
        """Take the last order or skip back; `ranking` gives its answers again."""
        person_id = person_of(self._visitors, request)
        with self._told():
            self._room.undo(person_id, _language(language))
        return {"undone": True}

    def _told(self) -> AbstractContextManager[None]:
        return told_in_words(self._words)


def _language(given: str) -> Language:
    if given not in LANGUAGES:
        raise BadInput(f"The language was given as {given!r}; give {' or '.join(LANGUAGES)}.")
    return given
