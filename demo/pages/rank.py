"""The Rank page: answers to a prompt of the bank, to be put in order. All it shows is read from the store."""

import html
from collections.abc import Generator
from contextlib import AbstractContextManager
from typing import Any

import gradio as gr

from demo.catalogue import Words
from demo.identity import Visitors
from demo.pages.common import Updates, person_of, told_in_words
from demo.pages.rank_view import ballot_value, ranking_board, revealed_value, standing_line
from demo.rank_room import Groups, RankRoom
from nightschool.errors import BadInput

WATCHERS = 24
"""How many people may wait for answers at once; more wait in the queue."""

RELEASE = "() => document.querySelector('#rank-board section')?.dispatchEvent(new Event('released'))"
"""After a decision that was not saved its buttons work again, with the person's order as it was."""

Steps = Generator[Updates, None, None]


class RankPage:
    """Widgets and handlers of the page at `/rank`. Holds nothing of any visitor."""

    def __init__(self, blocks: gr.Blocks, rank_room: RankRoom, visitors: Visitors, *, words: Words) -> None:
        self._room = rank_room
        self._visitors = visitors
        self._words = words
        with gr.Column(elem_id="rank-page"):
            title, intro = html.escape(words("common.page_rank")), html.escape(words("rank.intro"))
            gr.HTML(f"<h1>{title}</h1><p>{intro}</p>", elem_id="rank-intro")
            self.standing = gr.HTML(elem_id="rank-standing")
            self.board = ranking_board(words)
        shown = [self.standing, self.board]
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        watches = {**quiet, "concurrency_id": "ranking", "concurrency_limit": WATCHERS}
        blocks.load(self.load, None, shown, **watches)
        for event in (
            self.board.ranked(self.rank, None, shown, concurrency_limit=None, **quiet),
            self.board.skipped(self.skip, None, shown, trigger_mode="multiple", **watches),
            self.board.undone(self.undo, None, shown, **watches),
            self.board.continued(self.load, None, shown, **watches),
        ):
            event.failure(None, None, None, js=RELEASE, **quiet)
            event.failure(self.load, None, shown, **watches)

    def load(self, request: gr.Request) -> Steps:
        """The person's round: the one that was open, or a new one while it is written."""
        with self._told():
            yield from self._round(person_of(self._visitors, request), "")

    def rank(self, event: gr.EventData, request: gr.Request) -> Updates:
        """Store an order, then say so and who wrote what."""
        person_id = person_of(self._visitors, request)
        with self._told():
            round_id = _round_of(event)
            versions = self._room.rank(person_id, round_id, groups_of(getattr(event, "groups", None)))
            standing = self._room.standing(person_id, self._words.language)
        return {
            self.standing: standing_line(standing, self._words),
            self.board: revealed_value(round_id, versions, standing, self._words, self._words("rank.saved")),
        }

    def skip(self, event: gr.EventData, request: gr.Request) -> Steps:
        """Decline the round and show the next."""
        person_id = person_of(self._visitors, request)
        with self._told():
            self._room.skip(person_id, _round_of(event))
            yield from self._round(person_id, self._words("rank.skipped"))

    def undo(self, request: gr.Request) -> Steps:
        """Take the last order or skip back and show its round again."""
        person_id = person_of(self._visitors, request)
        with self._told():
            self._room.undo(person_id, self._words.language)
            yield from self._round(person_id, self._words("rank.undone"))

    def _round(self, person_id: str, line: str) -> Steps:
        standing = self._room.standing(person_id, self._words.language)
        yield {self.standing: standing_line(standing, self._words)}
        for ballot in self._room.watch(person_id, self._words.language):
            yield {self.board: ballot_value(ballot, standing, self._words, line)}

    def _told(self) -> AbstractContextManager[None]:
        return told_in_words(self._words)


def groups_of(given: object) -> Groups:
    """An order as the browser sends it. Raises `BadInput` for anything but lists of names."""
    is_order = isinstance(given, list) and all(
        isinstance(group, list) and group and all(isinstance(name, str) for name in group) for group in given
    )
    if not is_order:
        raise BadInput("An order is a list of groups of answers, best first; reload the page and save it again.")
    return given  # type: ignore[return-value]


def _round_of(event: gr.EventData) -> str:
    return str(getattr(event, "round", ""))
