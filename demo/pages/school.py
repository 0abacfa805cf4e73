"""The School page: start a night, watch it, read its verdict. All of it is read from the database at every tick."""

import hashlib
from typing import Any

import gradio as gr

from demo.catalogue import Words
from demo.classroom import Classroom
from demo.identity import Visitors
from demo.nights import EFFORTS, Nights, Phase
from demo.pages import school_view
from demo.pages.common import Updates, person_of, told_in_words
from demo.pages.timetable_view import timetable_line
from nightschool.feedback import FeedbackStore
from nightschool.registry import NightBook

TICK_SECONDS = 1.0
INTRO = (
    "At night the judgements become a reward model, the reward model trains a new version, and an exam decides whether "
    "that version answers tomorrow. Nothing is replaced unless the exam says it is better."
)


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
    ) -> None:
        self._classroom = classroom
        self._nights = nights
        self._book = book
        self._store = store
        self._visitors = visitors
        with gr.Column(elem_id="school-page"):
            self._build(effort)
        shown = [self.seen, self.counts, self.card, self.log, self.history, self.train]
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        timer = gr.Timer(TICK_SECONDS)
        timer.tick(self.tick, [self.seen], shown, queue=False, **quiet)
        blocks.load(self.tick, [self.seen], shown, queue=False, **quiet)
        self.train.click(self.start, [self.effort, self.practice], shown, concurrency_limit=1, **quiet)

    def _build(self, effort: str) -> None:
        gr.HTML(f"<h1>School</h1><p>{INTRO}</p>", elem_id="school-intro")
        self.seen = gr.Textbox("", visible="hidden", elem_id="seen", label="State on screen")
        self.counts = gr.HTML(elem_id="counts", elem_classes="tiles")
        with gr.Row(elem_id="start-night"):
            self.effort = gr.Radio(
                list(EFFORTS), value=effort, label="Effort", info="How long the night takes.", elem_id="effort"
            )
            self.practice = gr.Checkbox(
                label="Practice", info="Runs even with too few judgements, never promotes.", elem_id="practice"
            )
            self.train = gr.Button("Train now", variant="primary", elem_id="train", min_width=140)
        self.card = gr.HTML(elem_id="night")
        gr.HTML("<h2>Log</h2>")
        self.log = gr.HTML(elem_id="night-log")
        gr.HTML("<h2>Nights so far</h2>")
        self.history = gr.HTML(elem_id="history")

    def tick(self, seen: str) -> Updates:
        """The state of the school; nothing at all when the page shows it already."""
        status = self._nights.status()
        duels, thumbs = self._store.counts()
        lines = self._book.log_lines(status.night.id) if status.night else []
        values = {
            self.counts: school_view.counts_line(duels, thumbs, self._classroom.champion().id),
            self.card: school_view.night_card(status) + timetable_line(self._nights.timetable(), Words("en")),
            self.log: school_view.log_lines(lines),
            self.history: school_view.history_table(self._book.nights()),
        }
        digest = hashlib.sha256("\0".join(values.values()).encode()).hexdigest()[:16]
        if digest == seen:
            return {self.seen: gr.skip()}
        is_free = status.phase not in {Phase.STARTING, Phase.RUNNING}
        return {**values, self.seen: digest, self.train: gr.Button(interactive=is_free)}

    def start(self, effort: str, practice: bool, request: gr.Request) -> Updates:
        """Start a night; the ticks show what becomes of it."""
        person_of(self._visitors, request)
        with told_in_words():
            self._nights.start(effort, practice=practice)
        return self.tick("")
