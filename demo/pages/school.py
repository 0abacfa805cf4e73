"""The School page: start a night, watch it, read its verdict. All of it is read from the database at every tick."""

import hashlib
from typing import Any

import gradio as gr

from demo.catalogue import Words
from demo.classroom import Classroom
from demo.identity import Visitors
from demo.nights import EFFORTS, Nights, Phase
from demo.pages import school_view
from demo.pages.common import Updates, is_owner, person_of, told_in_words
from nightschool.errors import BadInput
from nightschool.feedback import FeedbackStore
from nightschool.registry import NightBook

TICK_SECONDS = 1.0


class SchoolPage:
    """Widgets and handlers of the page at `/school`."""

    def __init__(
        self,
        blocks: gr.Blocks,
        *,
        classroom: Classroom,
        nights: Nights,
        book: NightBook,
        store: FeedbackStore,
        visitors: Visitors,
        effort: str,
        words: Words,
    ) -> None:
        self._classroom = classroom
        self._nights = nights
        self._book = book
        self._store = store
        self._visitors = visitors
        self._words = words
        with gr.Column(elem_id="school-page"):
            self._build(effort)
        shown = [self.seen, self.counts, self.card, self.log, self.history, self.train, self.hint]
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        timer = gr.Timer(TICK_SECONDS)
        timer.tick(self.tick, [self.seen], shown, queue=False, **quiet)
        blocks.load(self.tick, [self.seen], shown, queue=False, **quiet)
        self.train.click(self.start, [self.effort, self.practice], shown, concurrency_limit=1, **quiet)

    def _build(self, effort: str) -> None:
        words = self._words
        efforts = [(words(f"school.effort_{name}"), name) for name in EFFORTS]
        gr.HTML(f"<h1>{words('school.title')}</h1><p>{words('school.intro')}</p>", elem_id="school-intro")
        self.seen = gr.Textbox("", visible="hidden", elem_id="seen", label=words("school.seen"))
        self.counts = gr.HTML(elem_id="counts", elem_classes="tiles")
        with gr.Row(elem_id="start-night"):
            self.effort = gr.Radio(
                efforts, value=effort, label=words("school.effort"), info=words("school.effort_info"), elem_id="effort"
            )
            self.practice = gr.Checkbox(
                label=words("school.practice"), info=words("school.practice_info"), elem_id="practice"
            )
            self.train = gr.Button(words("school.train"), variant="primary", elem_id="train", min_width=140)
        self.hint = gr.HTML(elem_id="start-hint", elem_classes="quiet", visible=False)
        self.card = gr.HTML(elem_id="night")
        gr.HTML(f"<h2>{words('school.log')}</h2>")
        self.log = gr.HTML(elem_id="night-log")
        gr.HTML(f"<h2>{words('school.nights')}</h2>")
        self.history = gr.HTML(elem_id="history")

    def tick(self, seen: str, request: gr.Request) -> Updates:
        """The state of the school; nothing at all when the page shows it already."""
        person_of(self._visitors, request)
        words, may_start = self._words, is_owner(self._visitors, request)
        status = self._nights.status()
        duels, thumbs = self._store.counts()
        lines = self._book.log_lines(status.night.id) if status.night else []
        values = {
            self.counts: school_view.counts_line(duels, thumbs, self._classroom.champion().id, words),
            self.card: school_view.night_card(status, words),
            self.log: school_view.log_lines(lines, words),
            self.history: school_view.history_table(self._book.nights(), words),
        }
        digest = hashlib.sha256("\0".join([*values.values(), str(may_start)]).encode()).hexdigest()[:16]
        if digest == seen:
            return {self.seen: gr.skip()}
        is_free = status.phase not in {Phase.STARTING, Phase.RUNNING}
        return {
            **values,
            self.seen: digest,
            self.train: gr.Button(interactive=is_free and may_start),
            self.hint: gr.HTML(f"<p>{words('school.owner_only')}</p>", visible=not may_start),
        }

    def start(self, effort: str, practice: bool, request: gr.Request) -> Updates:
        """Start a night, for the owner only; the ticks show what becomes of it."""
        person_of(self._visitors, request)
        with told_in_words(self._words):
            if not is_owner(self._visitors, request):
                raise BadInput("Only the owner may start a night: at the machine itself, or logged in as owner.")
            self._nights.start(effort, practice=practice)
        return self.tick("", request)
