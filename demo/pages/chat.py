"""The chat page: conversation, thumbs, duels. All it shows is read from the store; the browser keeps only ids."""

import html
import time
from collections.abc import Callable, Generator
from contextlib import closing
from typing import Any

import gradio as gr

from demo.classroom import EMPTY_SCENE, Classroom, Lesson, Scene
from demo.explanations import Explanations
from demo.identity import Visitors
from demo.pages import chat_view
from demo.pages.common import Updates, is_owner, person_of, told_in_words
from demo.pages.conversation_list import conversation_list, entries
from nightschool.errors import BadInput
from nightschool.records import DuelOutcome, ReplyStatus, ThumbValue

WRITERS = 4
"""How many answers may be written at once; more wait in the queue."""

EXAMPLES = {
    "Everyday": "How do I get a coffee stain out of a white shirt?",
    "Story": "Tell me a short story about a lighthouse keeper and a fox.",
    "Information": "Why is the sky blue? Explain it to a ten-year-old.",
    "Code": "Write a Python function that reverses the words of a sentence.",
}
PLACEHOLDER = "<h2>What shall we talk about?</h2><p>Judge the answers: tonight's lesson is made from them.</p>"

RECALL = """() => {
  if (window.innerWidth < 768) document.querySelector('#sidebar.open .toggle-button')?.click();
  return [sessionStorage.getItem('nightschool-conversation') || ''];
}"""
REMEMBER = "(id) => { sessionStorage.setItem('nightschool-conversation', id || ''); }"
"""The open conversation's id stays with the tab: a reload shows it again. On a phone the sidebar starts closed."""

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
    ) -> None:
        self._blocks = blocks
        self._classroom = classroom
        self._visitors = visitors
        self._explanations = explanations
        self._model_line = model_line
        self._build_sidebar()
        with gr.Column(elem_id="chat-page"):
            self._build_conversation()
            self._build_duel()
            self._build_box()
        self._wire()

    # ---- layout --------------------------------------------------------------------------------------------------

    def _build_sidebar(self) -> None:
        with gr.Sidebar(width=270, elem_id="sidebar"):
            gr.HTML('<h1 class="brand">NightSchool</h1><p class="brand-line">A chatbot that learns overnight.</p>')
            self.new = gr.Button("New conversation", elem_id="new", size="md")
            self.list = conversation_list()

    def _build_conversation(self) -> None:
        self.conversation_id = gr.Textbox("", visible="hidden", elem_id="conversation-id", label="Conversation id")
        self.duel_id = gr.Textbox("", visible="hidden", elem_id="duel-id", label="Duel id")
        self.chat = gr.Chatbot(
            elem_id="chat",
            label="Conversation",
            show_label=False,
            container=False,
            height="auto",
            scale=1,
            buttons=["copy"],
            layout="bubble",
            feedback_options=("Like", "Dislike"),
            group_consecutive_messages=False,
            allow_tags=False,
            placeholder=PLACEHOLDER,
            examples=[{"text": text, "display_text": f"{slice}: {text}"} for slice, text in EXAMPLES.items()],
        )

    def _build_duel(self) -> None:
        with gr.Column(visible=False, elem_id="duel") as self.duel_panel:
            with gr.Row(elem_id="duel-cards"):
                self.left = _answer_card("Left", "answer-left")
                self.right = _answer_card("Right", "answer-right")
            self.duel_line = gr.HTML(elem_id="duel-line")
            with gr.Row(elem_id="votes"):
                self.votes = {
                    outcome: gr.Button(label, elem_id=f"vote-{outcome}", min_width=90, interactive=False)
                    for outcome, label in chat_view.VOTES.items()
                }

    def _build_box(self) -> None:
        self.status = gr.HTML(elem_id="status")
        self.box = gr.Textbox(
            elem_id="box",
            label="Your message",
            show_label=False,
            container=False,
            placeholder="Write a message",
            submit_btn="Send",
            max_lines=8,
            autofocus=True,
        )
        with gr.Row(elem_id="actions"):
            self.again = gr.Button("Regenerate", elem_id="again", size="sm", min_width=100)
            self.compare = gr.Button("Compare two answers", elem_id="compare", size="sm", min_width=100)
            self.why = gr.Button("Why this answer?", elem_id="why", size="sm", min_width=100)
        self.card = gr.HTML(elem_id="why-card")
        self.note = gr.HTML(elem_id="note")

    # ---- wiring --------------------------------------------------------------------------------------------------

    def _wire(self) -> None:
        everything: list[Any] = [
            self.conversation_id, self.chat, self.duel_panel, self.duel_id, self.left, self.right, self.duel_line,
            *self.votes.values(), self.status, self.box, self.again, self.compare, self.why, self.card, self.note,
            self.list,
        ]  # fmt: skip
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        writes = {**quiet, "concurrency_id": "writing", "concurrency_limit": WRITERS}
        reads = {**quiet, "concurrency_limit": None}
        writing: list[Any] = [
            self.box.submit(self.send, [self.box, self.conversation_id], everything, **writes),
            self.compare.click(self.send_for_duel, [self.box, self.conversation_id], everything, **writes),
            self.again.click(self.regenerate, [self.conversation_id], everything, **writes),
            self.chat.example_select(self.send_example, [self.conversation_id], everything, **writes),
        ]
        for event in writing:
            event.failure(self.refresh, [self.conversation_id], everything, **reads)
        self.box.stop(None, None, None, cancels=writing, **quiet).then(
            self.refresh, [self.conversation_id], everything, **reads
        )
        self.new.click(self.start_afresh, None, everything, cancels=writing, **reads)
        self.list.opened(self.open, None, everything, cancels=writing, **reads)
        thumb = self.chat.like(self.thumb, [self.chat, self.conversation_id], [self.chat, self.status], **reads)
        thumb.failure(self.stored_thumbs, [self.conversation_id], [self.chat], **reads)
        for outcome, button in self.votes.items():
            button.click(self._vote(outcome), [self.duel_id, self.conversation_id], everything, **reads)
        self.why.click(self.explain, [self.conversation_id], [self.card], **reads)
        self.conversation_id.change(None, [self.conversation_id], None, js=REMEMBER, **quiet)
        self._blocks.load(self.load, [self.conversation_id], everything, js=RECALL, **reads)

    # ---- handlers: reading ---------------------------------------------------------------------------------------

    def load(self, conversation_id: str, request: gr.Request) -> Updates:
        """The page as it was before a reload; a conversation that is not this person's is simply not shown."""
        person_id = person_of(self._visitors, request)
        try:
            scene = self._settled(person_id, conversation_id)
        except BadInput:
            scene = EMPTY_SCENE
        return self._show(person_id, scene)

    def refresh(self, conversation_id: str, request: gr.Request) -> Updates:
        """The conversation as stored: after a stop there may be more text than was on screen."""
        person_id = person_of(self._visitors, request)
        with told_in_words():
            return self._show(person_id, self._settled(person_id, conversation_id))

    def start_afresh(self, request: gr.Request) -> Updates:
        """An empty page; the conversation is stored with its first question."""
        return {
            **self._show(person_of(self._visitors, request), EMPTY_SCENE),
            self.status: "",
            self.box: self._idle_box(""),
        }

    def open(self, event: gr.EventData, request: gr.Request) -> Updates:
        """One of the person's earlier conversations."""
        person_id = person_of(self._visitors, request)
        with told_in_words():
            return {**self._show(person_id, self._classroom.scene(person_id, str(event.id))), self.status: ""}

    # ---- handlers: asking ----------------------------------------------------------------------------------------

    def send(self, text: str, conversation_id: str, request: gr.Request) -> Steps:
        """Ask; the owner's share of turns becomes a duel by itself."""
        person_id = person_of(self._visitors, request)
        with told_in_words():
            yield from self._write(person_id, self._classroom.ask(person_id, conversation_id, text), clear=True)

    def send_for_duel(self, text: str, conversation_id: str, request: gr.Request) -> Steps:
        """Two answers to the question in the box, or to the last one when the box is empty."""
        person_id = person_of(self._visitors, request)
        with told_in_words():
            if text.strip():
                lesson = self._classroom.ask(person_id, conversation_id, text, compare=True)
            else:
                lesson = self._classroom.compare_again(person_id, conversation_id)
            yield from self._write(person_id, lesson, clear=True)

    def regenerate(self, conversation_id: str, request: gr.Request) -> Steps:
        """Another answer to the last question."""
        person_id = person_of(self._visitors, request)
        with told_in_words():
            yield from self._write(person_id, self._classroom.ask_again(person_id, conversation_id), clear=False)

    def send_example(self, conversation_id: str, event: gr.SelectData, request: gr.Request) -> Steps:
        """Ask one of the example questions of an empty page."""
        person_id = person_of(self._visitors, request)
        with told_in_words():
            lesson = self._classroom.ask(person_id, conversation_id, str(event.value["text"]))
            yield from self._write(person_id, lesson, clear=False)

    # ---- handlers: judging ---------------------------------------------------------------------------------------

    def thumb(
        self, history: list[dict[str, Any]], conversation_id: str, event: gr.LikeData, request: gr.Request
    ) -> Updates:
        """Store a thumb, then say so. (Gradio colours the icon at the click; the sentence comes after the commit.)"""
        person_id = person_of(self._visitors, request)
        with told_in_words():
            value = _clicked(event.liked)
            self._classroom.thumb(person_id, _message_id(history, event.index), value)
        return {**self.stored_thumbs(conversation_id, request), self.status: chat_view.THUMB_SAVED[value]}

    def stored_thumbs(self, conversation_id: str, request: gr.Request) -> Updates:
        """The thumbs as the store has them: after a failed save the icon goes back."""
        person_id = person_of(self._visitors, request)
        with told_in_words():
            turns = self._classroom.scene(person_id, conversation_id).turns
        return {self.chat: gr.Chatbot(feedback_value=chat_view.thumb_labels(turns))}

    def _vote(self, outcome: DuelOutcome) -> Callable[..., Updates]:
        def vote(duel_id: str, conversation_id: str, request: gr.Request) -> Updates:
            person_id = person_of(self._visitors, request)
            with told_in_words():
                duel = self._classroom.vote(person_id, duel_id, outcome)
                scene = self._classroom.scene(person_id, conversation_id)
            continues = scene.turns[-1].id if scene.turns else None
            return {**self._show(person_id, scene), self.status: chat_view.reveal(duel, continues)}

        return vote

    def explain(self, conversation_id: str, request: gr.Request) -> Steps:
        """The card of the last answer: its score, its version, its drift. For the owner, at the machine itself."""
        person_id = person_of(self._visitors, request)
        with told_in_words():
            if not is_owner(self._visitors, request):
                raise BadInput("Only the owner, at the machine itself, may see how answers are scored.")
            reply_id = self._classroom.last_reply(person_id, conversation_id)
            yield {self.card: chat_view.LOOKING}
            yield {self.card: chat_view.why(self._explanations.of(reply_id))}

    # ---- showing -------------------------------------------------------------------------------------------------

    def _write(self, person_id: str, lesson: Lesson, *, clear: bool) -> Steps:
        """Show the stored question, then the answer as it grows, then the state that was stored."""
        scene = self._classroom.scene(person_id, lesson.conversation_id)
        nameless = {self.note: ""} if lesson.is_duel else {}
        yield {**self._show(person_id, scene), **self._busy(clear=clear), **nameless, self.status: ""}
        with closing(lesson.drafts):
            yield from self._duel_steps(lesson) if lesson.is_duel else self._answer_steps(person_id, lesson)
        scene = self._classroom.scene(person_id, lesson.conversation_id)
        nothing = {self.status: chat_view.NOTHING_TO_COMPARE} if lesson.is_duel and scene.duel is None else {}
        yield {**self._show(person_id, scene), **nothing}

    def _answer_steps(self, person_id: str, lesson: Lesson) -> Steps:
        first = next(lesson.drafts)
        turns = self._classroom.scene(person_id, lesson.conversation_id).turns
        shown = chat_view.messages(turns)
        yield {
            self.chat: gr.Chatbot(value=shown, feedback_value=chat_view.thumb_labels(turns)),
            self.status: _warning(first.warning),
        }
        with closing(chat_view.at_pace(lesson.drafts)) as drafts:
            for draft in drafts:
                shown[-1]["content"] = draft.texts[0] or "…"
                yield {self.chat: shown}

    def _duel_steps(self, lesson: Lesson) -> Steps:
        first = next(lesson.drafts)
        yield {
            self.duel_panel: gr.Column(visible=True),
            self.left: "…",
            self.right: "…",
            self.duel_line: chat_view.WRITING_TWO,
            self.status: _warning(first.warning),
            **{button: gr.Button(interactive=False) for button in self.votes.values()},
        }
        with closing(chat_view.at_pace(lesson.drafts)) as drafts:
            for draft in drafts:
                yield {self.left: draft.texts[0] or "…", self.right: draft.texts[1] or "…"}

    def _show(self, person_id: str, scene: Scene) -> Updates:
        """Every widget as the store has it, nothing being written."""
        duel = scene.duel
        has_question = bool(scene.turns) and duel is None
        return {
            self.conversation_id: scene.conversation_id,
            self.chat: gr.Chatbot(
                value=chat_view.messages(scene.turns), feedback_value=chat_view.thumb_labels(scene.turns)
            ),
            self.duel_panel: gr.Column(visible=duel is not None),
            self.duel_id: duel.id if duel else "",
            self.left: duel.left.text if duel else "",
            self.right: duel.right.text if duel else "",
            self.duel_line: chat_view.CHOOSE if duel else "",
            **{button: gr.Button(interactive=duel is not None) for button in self.votes.values()},
            self.box: self._idle_box(),
            self.again: gr.Button(interactive=has_question),
            self.compare: gr.Button(interactive=duel is None),
            self.why: gr.Button(interactive=has_question),
            self.card: "",
            self.note: chat_view.who_answers(self._classroom.champion().id, self._model_line, scene),
            self.list: entries(self._classroom.conversations(person_id), scene.conversation_id),
        }

    def _busy(self, *, clear: bool) -> Updates:
        box = (
            gr.Textbox("", submit_btn=False, stop_btn="Stop")
            if clear
            else gr.Textbox(submit_btn=False, stop_btn="Stop")
        )
        return {
            self.box: box,
            self.again: gr.Button(interactive=False),
            self.compare: gr.Button(interactive=False),
            self.why: gr.Button(interactive=False),
        }

    def _idle_box(self, *value: str) -> gr.Textbox:
        return gr.Textbox(*value, submit_btn="Send", stop_btn=False)

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


def _answer_card(title: str, elem_id: str) -> gr.Markdown:
    with gr.Column(elem_classes="duel-card", min_width=200):
        gr.HTML(f'<h3 class="card-title">{title}</h3>')
        return gr.Markdown(elem_id=elem_id)


def _warning(sentence: str) -> str:
    return f'<span class="warning">{html.escape(sentence)}</span>' if sentence else ""


def _message_id(history: list[dict[str, Any]], index: Any) -> str:
    try:
        return str(history[index]["metadata"]["id"])
    except (IndexError, KeyError, TypeError) as error:
        raise BadInput("This answer is not on the page any more; reload the page and vote there.") from error


def _clicked(liked: Any) -> ThumbValue | None:
    if not isinstance(liked, bool) and liked != "":
        raise BadInput("A thumb is up, down or taken back; reload the page and press it again.")
    return chat_view.THUMB_OF_CLICK[liked]
