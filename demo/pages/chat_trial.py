"""The line above a conversation in which the owner tries a version: which one answers, and the way back."""

import html
from typing import Any, Protocol

import gradio as gr

from demo.catalogue import Words
from demo.classroom import Classroom
from demo.identity import Visitors
from demo.lessons import Scene
from demo.pages.common import Updates, person_of, told_in_words


class Page(Protocol):
    """What the line needs of the page it stands on."""

    conversation_id: gr.Textbox
    status: gr.HTML

    def shown(self, person_id: str, scene: Scene) -> Updates: ...


class ChatTrial:
    """Widgets and the handler of the line. Hidden where the version that answers everybody answers."""

    def __init__(self, page: Page, classroom: Classroom, visitors: Visitors, words: Words) -> None:
        self._page = page
        self._classroom = classroom
        self._visitors = visitors
        self._words = words
        with gr.Row(elem_id="trial"):  # hidden by its style while the line is empty
            self.line = gr.HTML(elem_id="trial-line", html_template='<div role="status">${value}</div>')
            self.back = gr.Button(words("chat.trial_end"), elem_id="trial-end", size="sm", min_width=100)
        self.widgets: list[Any] = [self.line, self.back]

    def wire(self, reads: dict[str, Any], everything: list[Any]) -> Any:
        """The event after whose failure the page must be drawn as it is stored."""
        return self.back.click(self.end, [self._page.conversation_id], everything, **reads)

    def end(self, conversation_id: str, request: gr.Request) -> Updates:
        """Back to the version that answers everybody, from the next reply on."""
        person_id = person_of(self._visitors, request)
        with told_in_words(self._words):
            self._classroom.trials.end(person_id, conversation_id)
            scene = self._classroom.scene(person_id, conversation_id)
        said = self._words("chat.trial_ended", version=_bold(self._classroom.champion().id))
        return {**self._page.shown(person_id, scene), self._page.status: said}

    def shown(self, scene: Scene) -> Updates:
        """The line as the store has it."""
        if scene.tried_version is None:
            return {self.line: ""}
        champion = self._classroom.champion().id
        if scene.tried_version == champion:
            said = self._words("chat.trial_of_champion", version=_bold(champion))
            button = self._words("chat.trial_end")
        else:
            said = self._words("chat.trial", version=_bold(scene.tried_version), champion=_bold(champion))
            button = self._words("chat.trial_back", champion=champion)
        return {self.line: said, self.back: gr.Button(button)}


def _bold(text: str) -> str:
    return f"<b>{html.escape(text)}</b>"
