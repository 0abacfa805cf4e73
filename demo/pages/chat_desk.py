"""What a person does on the chat page beside asking: thumbs, corrections, votes, branches, and the list.

A save is confirmed by its number once it is on disk; one that failed comes back with a sentence, and the page keeps
what the person wrote.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import gradio as gr

from demo.catalogue import Words
from demo.classroom import Classroom
from demo.identity import Visitors
from demo.lessons import EMPTY_SCENE, Scene
from demo.pages import chat_view
from demo.pages.common import Updates, person_of, sentence_of, told_in_words
from demo.translation import translated
from nightschool.errors import BadInput, NightSchoolError
from nightschool.ids import new_id


class Page(Protocol):
    """What the desk needs of the page it stands on."""

    talk: gr.HTML
    list: gr.HTML
    style: gr.HTML
    status: gr.HTML
    conversation_id: gr.Textbox

    def shown(self, person_id: str, scene: Scene) -> Updates: ...

    def listed(self, person_id: str, conversation_id: str) -> dict[str, Any]: ...


class ChatDesk:
    """Handlers for the events of the conversation and of the list."""

    def __init__(self, page: Page, classroom: Classroom, visitors: Visitors, words: Words) -> None:
        self._page = page
        self._classroom = classroom
        self._visitors = visitors
        self._words = words

    def wire(self, quiet: Mapping[str, Any], everything: list[Any]) -> list[Any]:
        """Saves go straight to the server, not through the queue: one short request each, several at a time.

        Returns the events after whose failure the page must be drawn as it is stored.
        """
        page = self._page
        direct = {**quiet, "queue": False, "trigger_mode": "multiple"}
        here = [page.conversation_id]
        page.talk.judged(self.judge, here, [page.talk, page.status], **direct)
        page.talk.corrected(self.correct, here, [page.talk, page.status], **direct)
        page.talk.waited(self.look, here, [page.talk], **direct)
        page.list.searched(self.search, None, [page.list], **direct)
        page.list.renamed(self.rename, here, [page.list], **direct)
        page.list.removed(self.remove, here, everything, **direct)
        page.list.restored(self.restore, None, everything, **direct)
        page.style.kept(self.keep_style, here, None, **direct)
        return [
            page.talk.voted(self.vote, here, everything, **direct),
            page.talk.branched(self.show_message, here, everything, **direct),
            page.talk.lookedback(self.look_back, here, everything, **direct),
        ]

    # ---- judging -------------------------------------------------------------------------------------------------

    def judge(self, conversation_id: str, event: gr.EventData, request: gr.Request) -> Updates:
        """Store a thumb with its reasons and comment, then say so."""
        page = self._page

        def save(person_id: str) -> dict[str, Any]:
            reply_id = chat_view.field(event._data, "id")
            value, reasons, comment = chat_view.thumb_of(event._data)
            self._classroom.thumb(person_id, reply_id, value, reasons=reasons, comment=comment)
            saved = new_id()
            said = chat_view.judgement(self._classroom.turn(person_id, conversation_id, reply_id))
            judged = {"value": said["thumb"], "reasons": said["reasons"], "comment": said["comment"]}
            return {"judged": judged, "saved": saved}

        answer = self._saved(event, request, save)
        line = chat_view.thumb_saved(answer["judged"]["value"], self._words) if answer["ok"] else ""
        return {page.talk: gr.HTML(ack=answer), page.status: line}

    def correct(self, conversation_id: str, event: gr.EventData, request: gr.Request) -> Updates:
        """Store what the person would have answered (nothing: take it back); the conversation goes on from it."""

        def save(person_id: str) -> dict[str, Any]:
            reply_id = chat_view.field(event._data, "id")
            if event._data.get("text") is None:
                self._classroom.withdraw_correction(person_id, reply_id)
            else:
                self._classroom.correct(person_id, reply_id, chat_view.field(event._data, "text"))
            scene = self._classroom.scene(person_id, conversation_id)
            turn = self._classroom.turn(person_id, conversation_id, reply_id)
            return {"turn": chat_view.turn_value(turn, self._words, last=turn.id == scene.turns[-1].id)}

        answer = self._saved(event, request, save)
        is_withdrawn = isinstance(event._data, Mapping) and event._data.get("text") is None
        said = "correction_back" if is_withdrawn else "correction_saved"
        line = self._words(f"chat.{said}") if answer["ok"] else ""
        return {self._page.talk: gr.HTML(ack=answer), self._page.status: line}

    def vote(self, conversation_id: str, event: gr.EventData, request: gr.Request) -> Updates:
        """Decide or skip a duel, then name its versions."""
        page = self._page
        person_id = person_of(self._visitors, request)
        with told_in_words(self._words):
            duel_id, outcome = chat_view.field(event._data, "duel"), chat_view.outcome_of(event._data)
            try:
                if outcome is None:
                    duel = self._classroom.decline(person_id, duel_id)
                else:
                    duel = self._classroom.vote(person_id, duel_id, outcome)
            except BadInput as refusal:
                return self._refused_vote(person_id, conversation_id, duel_id, refusal)
            scene = self._classroom.scene(person_id, conversation_id)
        continues = scene.turns[-1].id if scene.turns else None
        return {**page.shown(person_id, scene), page.status: chat_view.reveal(duel, continues, self._words)}

    def _refused_vote(self, person_id: str, conversation_id: str, duel_id: str, refusal: BadInput) -> Updates:
        """What became of a duel that was ended before, in another tab; any other refusal goes on."""
        ended = self._classroom.ended_duel(person_id, duel_id)
        if ended is None:
            raise refusal
        said = chat_view.refused_vote(ended, sentence_of(refusal, self._words), self._words)
        shown = self._page.shown(person_id, self._classroom.scene(person_id, conversation_id))
        return {**shown, self._page.status: said}

    def show_message(self, conversation_id: str, event: gr.EventData, request: gr.Request) -> Updates:
        """Another branch: an earlier question or answer, and what followed it."""
        page = self._page
        person_id = person_of(self._visitors, request)
        with told_in_words(self._words):
            self._classroom.show_message(person_id, conversation_id, chat_view.field(event._data, "id"))
            return {**page.shown(person_id, self._classroom.scene(person_id, conversation_id)), page.status: ""}

    def look_back(self, conversation_id: str, request: gr.Request) -> Updates:
        """Show earlier messages before those on the page."""
        page = self._page
        person_id = person_of(self._visitors, request)
        with told_in_words(self._words):
            return {**page.shown(person_id, self._classroom.look_back(person_id, conversation_id)), page.status: ""}

    def look(self, conversation_id: str, request: gr.Request) -> Updates:
        """Tell a page that waits for more of an answer when nobody writes it any more."""
        person_id = person_of(self._visitors, request)
        with told_in_words(self._words):
            writing = self._classroom.is_writing(person_id, conversation_id)
        return {self._page.talk: gr.skip() if writing else gr.HTML(still=new_id())}

    # ---- the list ------------------------------------------------------------------------------------------------

    def search(self, event: gr.EventData, request: gr.Request) -> Updates:
        """The conversations in which every word occurs."""
        person_id = person_of(self._visitors, request)
        with told_in_words(self._words):
            query = chat_view.field(event._data, "query")
            found = chat_view.found(self._classroom.search(person_id, query), query)
        return {self._page.list: gr.HTML(found=found)}

    def rename(self, conversation_id: str, event: gr.EventData, request: gr.Request) -> Updates:
        """Give a conversation another title."""
        person_id = person_of(self._visitors, request)
        with told_in_words(self._words):
            named, title = (chat_view.field(event._data, name) for name in ("id", "title"))
            self._classroom.rename(person_id, named, title)
        return {self._page.list: self._page.listed(person_id, conversation_id)}

    def remove(self, conversation_id: str, event: gr.EventData, request: gr.Request) -> Updates:
        """Delete a conversation; the list offers to take that back."""
        page = self._page
        person_id = person_of(self._visitors, request)
        with told_in_words(self._words):
            removed = chat_view.field(event._data, "id")
            self._classroom.delete(person_id, removed)
        kept = "" if removed == conversation_id else conversation_id
        gone = {"id": removed, "drawn": new_id()}
        update = {page.list: gr.HTML(value=page.listed(person_id, kept), gone=gone)}
        if kept or not conversation_id:
            return update
        return {**page.shown(person_id, EMPTY_SCENE), page.status: "", **update}

    def restore(self, event: gr.EventData, request: gr.Request) -> Updates:
        """Take the deletion of a conversation back, and open it."""
        page = self._page
        person_id = person_of(self._visitors, request)
        with told_in_words(self._words):
            restored = chat_view.field(event._data, "id")
            self._classroom.restore(person_id, restored)
            return {**page.shown(person_id, self._classroom.scene(person_id, restored)), page.status: ""}

    def keep_style(self, conversation_id: str, event: gr.EventData, request: gr.Request) -> None:
        """Keep how a conversation is answered; one that is not stored yet is given it with its first question."""
        person_id = person_of(self._visitors, request)
        with told_in_words(self._words):
            style = chat_view.style_of(event._data)
            if conversation_id:
                self._classroom.keep_style(person_id, conversation_id, style)

    # ---- inside --------------------------------------------------------------------------------------------------

    def _saved(self, event: gr.EventData, request: gr.Request, save: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
        """The answer to a numbered save: what is stored now, or the sentence that says why it is not."""
        number = (event._data or {}).get("number")
        person_id = person_of(self._visitors, request)
        try:
            return {"number": number, "ok": True, **save(person_id)}
        except NightSchoolError as error:
            return {"number": number, "ok": False, "error": translated(str(error), self._words)}
