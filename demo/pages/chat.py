"""The chat page: asking, duels, the conversations of a person. All it shows is read from the store.

The browser keeps only ids and what is being typed. Thumbs, corrections, and the list of conversations are handled by
`ChatDesk`; what widgets show is made by `chat_view`.
"""

import time
from collections.abc import Generator, Mapping
from contextlib import closing
from typing import Any

import gradio as gr

from demo.catalogue import Words
from demo.classroom import Classroom
from demo.explanations import Explanations
from demo.identity import Visitors
from demo.lessons import EMPTY_SCENE, Lesson, Scene
from demo.pages import chat_view
from demo.pages.chat_desk import ChatDesk
from demo.pages.chat_trial import ChatTrial
from demo.pages.chat_widgets import conversation, conversation_list, style_form
from demo.pages.common import Updates, is_owner, person_of, told_in_words
from nightschool.errors import BadInput
from nightschool.records import ReplyStatus

WRITERS = 4
"""How many answers may be written at once; more wait in the queue."""

RECALL = """() => {
  if (window.innerWidth < 768) document.querySelector('#sidebar.open .toggle-button')?.click();
  return [sessionStorage.getItem('nightschool-conversation') || ''];
}"""
REMEMBER = "(id) => { sessionStorage.setItem('nightschool-conversation', id || ''); }"
"""The open conversation's id stays with the tab: a reload shows it again. On a phone the sidebar starts closed."""
FOLD = """() => {
  const open = document.getElementById('style').classList.toggle('open');
  document.getElementById('settings').setAttribute('aria-expanded', String(open));
  if (open) document.getElementById('system-prompt').focus();
}"""
ECHO = """(text, ...rest) => {
  window.dispatchEvent(new CustomEvent('nightschool:asked', { detail: text }));
  return [text, ...rest];
}"""
"""A question is on the page at once, also while it waits for a writer."""
ASKED = """(...given) => {
  window.dispatchEvent(new Event('nightschool:asked'));
  return given;
}"""
"""Whatever asks for an answer says so: what was asked for before it does not draw the page any more (choices.js)."""

Steps = Generator[Updates, None, None]


class ChatPage:
    """Widgets and handlers of the page at `/`. Holds nothing of any visitor."""

    def __init__(
        self,
        blocks: gr.Blocks,
        classroom: Classroom,
        visitors: Visitors,
        explanations: Explanations,
        *,
        model_line: str,
        words: Words,
    ) -> None:
        self._blocks = blocks
        self._classroom = classroom
        self._visitors = visitors
        self._explanations = explanations
        self._model_line = model_line
        self._words = words
        with gr.Sidebar(width=290, elem_id="sidebar"):
            brand, line = words("common.brand"), words("common.brand_line")
            gr.HTML(f'<h1 class="brand">{brand}</h1><p class="brand-line">{line}</p>')
            self.new = gr.Button(words("chat.new"), elem_id="new", size="md")
            self.list = conversation_list({"ready": False, "current": "", "entries": []}, words)
        with gr.Column(elem_id="chat-page"):
            self.trial = ChatTrial(self, classroom, visitors, words)
            self.talk = conversation(chat_view.nothing_yet(), words, classroom.reasons)
            self.status = gr.HTML(elem_id="status", html_template='<div role="status">${value}</div>')
            self._build_box()
        self._desk = ChatDesk(self, classroom, visitors, words)
        self._wire()

    def _build_box(self) -> None:
        words = self._words
        self.conversation_id = gr.Textbox(
            "", visible="hidden", elem_id="conversation-id", label=words("chat.conversation_id")
        )
        self.box = gr.Textbox(
            elem_id="box",
            label=words("chat.box_label"),
            show_label=False,
            container=False,
            placeholder=words("chat.box_hint"),
            submit_btn=words("chat.send"),
            max_lines=8,
            autofocus=True,
        )
        with gr.Row(elem_id="actions"):
            self.compare = gr.Button(words("chat.compare"), elem_id="compare", size="sm", min_width=100)
            self.settings = gr.Button(words("chat.settings"), elem_id="settings", size="sm", min_width=100)
            self.why = gr.Button(words("chat.why"), elem_id="why", size="sm", min_width=100, visible=False)
        self.style = style_form(words, self._classroom.sampling)
        self.card = gr.HTML(elem_id="why-card")
        self.note = gr.HTML(elem_id="note")

    # ---- wiring --------------------------------------------------------------------------------------------------

    def _wire(self) -> None:
        everything: list[Any] = [
            self.conversation_id, self.talk, self.status, self.box, self.compare, self.why, self.style, self.card,
            self.note, self.list, *self.trial.widgets,
        ]  # fmt: skip
        here: list[Any] = [self.conversation_id, self.style]
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        writes = {**quiet, "concurrency_id": "writing", "concurrency_limit": WRITERS}
        reads = {**quiet, "concurrency_limit": None}
        direct = {**quiet, "queue": False, "trigger_mode": "multiple"}
        writing: list[Any] = [
            self.box.submit(self.send, [self.box, *here], everything, js=ECHO, **writes),
            self.compare.click(self.send_for_duel, [self.box, *here], everything, js=ECHO, **writes),
            self.talk.regenerated(self.regenerate, here, everything, js=ASKED, **writes),
            self.talk.exampled(self.send_example, here, everything, js=ASKED, **writes),
            self.talk.edited(self.edit, here, everything, js=ASKED, **writes),
        ]
        for event in writing:
            event.failure(self.refresh, [self.conversation_id], everything, **reads)
        self.box.stop(None, None, None, cancels=writing, **quiet).then(
            self.refresh, [self.conversation_id], everything, **reads
        )
        # The page itself turns to the other conversation at the click, and stops what is written: choices.js, talk.js.
        turned = [
            self.new.click(self.start_afresh, None, everything, **direct),
            self.list.opened(self.open, None, everything, **direct),
        ]
        for event in (*turned, *self._desk.wire(quiet, everything), self.trial.wire(reads, everything)):
            event.failure(self.refresh, [self.conversation_id], everything, **reads)
        self.settings.click(None, None, None, js=FOLD, **quiet)
        self.why.click(self.explain, [self.conversation_id], [self.card], **reads)
        self.conversation_id.change(None, [self.conversation_id], None, js=REMEMBER, **quiet)
        self._blocks.load(self.load, [self.conversation_id], everything, js=RECALL, **reads)
        self._blocks.load(self.offer_why, None, [self.why], **reads)

    # ---- handlers: reading ---------------------------------------------------------------------------------------

    def load(self, conversation_id: str, request: gr.Request) -> Updates:
        """The page as it was before a reload; a conversation that is not this person's is simply not shown."""
        person_id = person_of(self._visitors, request)
        try:
            scene = self._settled(person_id, conversation_id)
        except BadInput:
            scene = EMPTY_SCENE
        return self.shown(person_id, scene)

    def offer_why(self, request: gr.Request) -> Updates:
        """The button for the owner. On its own, for whoever has chosen a conversation before `load` was answered."""
        return {self.why: gr.Button(visible=is_owner(self._visitors, request))}

    def refresh(self, conversation_id: str, request: gr.Request) -> Updates:
        """The conversation as stored: after a stop there may be more text than was on screen."""
        person_id = person_of(self._visitors, request)
        with told_in_words(self._words):
            return self.shown(person_id, self._settled(person_id, conversation_id))

    def start_afresh(self, request: gr.Request) -> Updates:
        """An empty page; the conversation is stored with its first question."""
        return {**self.shown(person_of(self._visitors, request), EMPTY_SCENE), self.status: ""}

    def open(self, event: gr.EventData, request: gr.Request) -> Updates:
        """One of the person's earlier conversations."""
        person_id = person_of(self._visitors, request)
        with told_in_words(self._words):
            scene = self._classroom.open(person_id, chat_view.field(event._data, "id"))
            return {**self.shown(person_id, scene), self.status: ""}

    # ---- handlers: asking ----------------------------------------------------------------------------------------

    def send(self, text: str, conversation_id: str, style: Mapping[str, Any], request: gr.Request) -> Steps:
        """Ask; the owner's share of turns becomes a duel by itself."""
        person_id = person_of(self._visitors, request)
        with told_in_words(self._words):
            wanted, may_try = chat_view.chosen_style(style), self._is_owner(request)
            lesson = self._classroom.ask(person_id, conversation_id, text, style=wanted, may_try=may_try)
            yield from self._write(person_id, lesson, clear=True)

    def send_for_duel(self, text: str, conversation_id: str, style: Mapping[str, Any], request: gr.Request) -> Steps:
        """Two answers to the question in the box, or to the last one when the box is empty."""
        person_id = person_of(self._visitors, request)
        with told_in_words(self._words):
            wanted: dict[str, Any] = {"style": chat_view.chosen_style(style), "may_try": self._is_owner(request)}
            if text.strip():
                lesson = self._classroom.ask(person_id, conversation_id, text, compare=True, **wanted)
            else:
                lesson = self._classroom.compare_again(person_id, conversation_id, **wanted)
            yield from self._write(person_id, lesson, clear=True)

    def regenerate(self, conversation_id: str, style: Mapping[str, Any], request: gr.Request) -> Steps:
        """Another answer to the last question."""
        person_id = person_of(self._visitors, request)
        with told_in_words(self._words):
            wanted, may_try = chat_view.chosen_style(style), self._is_owner(request)
            lesson = self._classroom.ask_again(person_id, conversation_id, style=wanted, may_try=may_try)
            yield from self._write(person_id, lesson, clear=False)

    def send_example(
        self, conversation_id: str, style: Mapping[str, Any], event: gr.EventData, request: gr.Request
    ) -> Steps:
        """Ask one of the example questions of an empty page."""
        person_id = person_of(self._visitors, request)
        with told_in_words(self._words):
            text, wanted = chat_view.field(event._data, "text"), chat_view.chosen_style(style)
            may_try = self._is_owner(request)
            lesson = self._classroom.ask(person_id, conversation_id, text, style=wanted, may_try=may_try)
            yield from self._write(person_id, lesson, clear=False)

    def edit(self, conversation_id: str, style: Mapping[str, Any], event: gr.EventData, request: gr.Request) -> Steps:
        """Ask an earlier question in other words; what followed it stays reachable as another branch."""
        person_id = person_of(self._visitors, request)
        with told_in_words(self._words):
            question_id, text = (chat_view.field(event._data, name) for name in ("id", "text"))
            wanted, may_try = chat_view.chosen_style(style), self._is_owner(request)
            lesson = self._classroom.edit(person_id, conversation_id, question_id, text, style=wanted, may_try=may_try)
            yield from self._write(person_id, lesson, clear=False)

    def explain(self, conversation_id: str, request: gr.Request) -> Steps:
        """The card of the last answer: its score, its version, its drift. For the owner."""
        person_id = person_of(self._visitors, request)
        with told_in_words(self._words):
            if not is_owner(self._visitors, request):
                raise BadInput(
                    "Only the owner may see how answers are scored: at the machine itself, or logged in as owner."
                )
            reply_id = self._classroom.last_reply(person_id, conversation_id)
            yield {self.card: self._words("chat.looking")}
            yield {self.card: chat_view.why(self._explanations.of(reply_id), self._words)}

    # ---- showing -------------------------------------------------------------------------------------------------

    def shown(self, person_id: str, scene: Scene) -> Updates:
        """Every widget as the store has it, nothing being written."""
        return {
            self.conversation_id: scene.conversation_id,
            self.talk: chat_view.talk(scene, self._words),
            self.box: self._idle_box(),
            self.compare: gr.Button(interactive=scene.duel is None),
            self.why: gr.Button(interactive=bool(scene.turns) and scene.duel is None),
            self.style: chat_view.style_value(scene.style),
            self.card: "",
            self.note: self._note(scene),
            self.list: self.listed(person_id, scene.conversation_id),
            **self.trial.shown(scene),
        }

    def listed(self, person_id: str, conversation_id: str) -> dict[str, Any]:
        """The value of the list, the open conversation marked."""
        return chat_view.listed(self._classroom.conversations(person_id), conversation_id)

    def _write(self, person_id: str, lesson: Lesson, *, clear: bool) -> Steps:
        """Show the stored question, then the answer as it grows, then the state that was stored."""
        scene = self._classroom.scene(person_id, lesson.conversation_id)
        nameless = {self.note: ""} if lesson.is_duel else {}
        yield {**self.shown(person_id, scene), **self._busy(scene, lesson, clear=clear), **nameless, self.status: ""}
        with closing(lesson.drafts):
            yield from self._draft_steps(person_id, lesson)
        try:
            scene = self._classroom.scene(person_id, lesson.conversation_id)
        except BadInput:
            return  # deleted while it was written: the page shows something else by now
        unjudgeable = lesson.is_duel and scene.duel is None
        nothing = {self.status: self._words("chat.nothing_to_compare")} if unjudgeable else {}
        yield {**self.shown(person_id, scene), **nothing}

    def _draft_steps(self, person_id: str, lesson: Lesson) -> Steps:
        first = next(lesson.drafts)
        step: Updates = {self.status: chat_view.warning(first.warning)}
        turn_id = ""
        if not lesson.is_duel:
            scene = self._classroom.scene(person_id, lesson.conversation_id)
            turn_id = scene.turns[-1].id
            step[self.talk] = chat_view.talk(scene, self._words, busy=True)
        yield step
        with closing(chat_view.at_pace(lesson.drafts)) as drafts:
            for draft in drafts:
                yield {self.talk: gr.HTML(draft=chat_view.draft_value(turn_id, draft))}

    def _busy(self, scene: Scene, lesson: Lesson, *, clear: bool) -> Updates:
        buttons: dict[str, Any] = {"submit_btn": False, "stop_btn": self._words("chat.stop")}
        return {
            self.talk: chat_view.talk(scene, self._words, busy=True, dueling=lesson.is_duel),
            self.box: gr.Textbox("", **buttons) if clear else gr.Textbox(**buttons),
            self.compare: gr.Button(interactive=False),
            self.why: gr.Button(interactive=False),
        }

    def _idle_box(self) -> gr.Textbox:
        return gr.Textbox(submit_btn=self._words("chat.send"), stop_btn=False)

    def _note(self, scene: Scene) -> str:
        answering = scene.tried_version or self._classroom.champion().id
        return chat_view.who_answers(answering, self._model_line, scene, self._words)

    def _is_owner(self, request: gr.Request) -> bool:
        return is_owner(self._visitors, request)

    def _settled(self, person_id: str, conversation_id: str, seconds: float = 3.0) -> Scene:
        """The scene once a stopped answer has been stored; what there is when another tab still writes it."""
        deadline = time.monotonic() + seconds
        while True:
            scene = self._classroom.scene(person_id, conversation_id)
            last = scene.turns[-1] if scene.turns else None
            unsettled = last is not None and scene.duel is None and last.status in {None, ReplyStatus.STREAMING}
            if not unsettled or time.monotonic() > deadline:
                return scene
            time.sleep(0.1)
