"""The School page: start a night, watch it, stop and resume it, read its report.

All of it is read from the database at every tick, and only the parts that changed since the last one are sent.
"""

import hashlib
from collections.abc import Callable
from itertools import zip_longest
from typing import Any

import gradio as gr

from demo.catalogue import Words
from demo.classroom import Classroom
from demo.identity import Visitors
from demo.nights import EFFORTS, Nights, NightStatus, Phase
from demo.outlook import Outlook
from demo.pages import outlook_view, school_view
from demo.pages.common import Updates, is_owner, person_of, told_in_words
from demo.pages.curves_view import curves_grid
from demo.pages.timetable_view import nightly_choices, nightly_value, timetable_line
from demo.timetable import OFF, Timetable, choice_read
from nightschool.errors import BadInput
from nightschool.records import Curves, Night, NightState
from nightschool.registry import NightBook

TICK_SECONDS = 1.0
LONGEST_ID = 64
OWNER_ONLY = "Only the owner may start, stop, resume or time nights: at the machine itself, or logged in as owner."
SHOW_REPORT = """() => {
  if (!new URLSearchParams(window.location.search).get('night')) return;
  const look = (tries) => {
    const found = document.querySelector('#report .earlier, #report p');
    if (found) found.scrollIntoView({ block: 'start' });
    else if (tries) setTimeout(look, 50, tries - 1);
  };
  look(40);
}"""
"""A link to the report of an earlier night leads to it, not to the top of the page."""
SHOW_NIGHT = "() => document.querySelector('#school-page').scrollIntoView({ behavior: 'smooth', block: 'start' })"
"""A night that was started stands at the top."""

Part = tuple[str, Updates]
"""A part of the page: a text that changes when it does, and what shows it."""


class SchoolPage:
    """Widgets and handlers of the page at `/school`."""

    def __init__(
        self,
        blocks: gr.Blocks,
        *,
        classroom: Classroom,
        nights: Nights,
        outlook: Outlook,
        book: NightBook,
        visitors: Visitors,
        effort: str,
        words: Words,
    ) -> None:
        self._classroom = classroom
        self._nights = nights
        self._outlook = outlook
        self._book = book
        self._visitors = visitors
        self._usual_effort = effort
        self._words = words
        with gr.Column(elem_id="school-page"):
            self._build(effort)
        self._wire(blocks)

    def _build(self, effort: str) -> None:
        words = self._words
        efforts = [(words(f"school.effort_{name}"), name) for name in EFFORTS]
        gr.HTML(f"<h1>{words('school.title')}</h1><p>{words('school.intro')}</p>", elem_id="school-intro")
        self.seen = gr.Textbox("", visible="hidden", elem_id="seen", label=words("school.seen"))
        self.chosen = gr.Textbox("", visible="hidden", elem_id="chosen", label=words("school.chosen"))
        gr.HTML(f"<h2>{words('school.next_night')}</h2>")
        self.counts = gr.HTML(elem_id="counts", elem_classes="tiles")
        self.outlook = gr.HTML(elem_id="outlook")
        with gr.Row(elem_id="start-night"):
            self.effort = gr.Radio(
                efforts, value=effort, label=words("school.effort"), info=words("school.effort_info"), elem_id="effort"
            )
            self.practice = gr.Checkbox(
                label=words("school.practice"), info=words("school.practice_info"), elem_id="practice"
            )
            self.train = gr.Button(words("school.train"), variant="primary", elem_id="train", min_width=140)
        with gr.Row(elem_id="nightly-row", visible=False) as self.nightly_row:
            # Read at the press of a button alone: a list's own event fires whenever it is left, changed or not.
            self.nightly = gr.Dropdown(
                nightly_choices(None, words),
                value=OFF,
                allow_custom_value=True,
                label=words("timetable.choose"),
                info=words("timetable.choose_info"),
                elem_id="nightly",
                scale=1,
            )
            self.set_nightly = gr.Button(words("timetable.set"), elem_id="set-nightly", min_width=140, scale=0)
        self.hint = gr.HTML(elem_id="start-hint", elem_classes="quiet", visible=False)
        with gr.Column(elem_id="night"):
            self.card = gr.HTML(elem_id="night-card")
            self._build_actions()
            self.stages = gr.HTML(elem_id="night-stages")
            self.curves = gr.HTML(elem_id="night-curves")
        self.report = gr.HTML(elem_id="report")
        gr.HTML(f"<h2>{words('school.log')}</h2>")
        self.log = gr.HTML(elem_id="night-log")
        gr.HTML(f"<h2>{words('school.nights')}</h2>")
        self.history = gr.HTML(elem_id="history")

    def _build_actions(self) -> None:
        words = self._words
        self.cancel = gr.Button(words("school.cancel"), elem_id="cancel", size="md", visible=False)
        self.resume = gr.Button(words("school.resume"), elem_id="resume", size="md", visible=False)
        with gr.Column(visible=False, elem_id="cancel-sure") as self.sure:
            gr.HTML(f"<p>{words('school.cancel_sure')}</p>")
            with gr.Row():
                self.yes = gr.Button(words("school.cancel_yes"), variant="stop", elem_id="cancel-yes")
                self.no = gr.Button(words("school.cancel_no"), elem_id="cancel-no")

    def _wire(self, blocks: gr.Blocks) -> None:
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        given = [self.seen, self.effort, self.chosen]
        shown = [
            self.seen, self.chosen, self.counts, self.outlook, self.card, self.stages, self.curves, self.report,
            self.log, self.history, self.train, self.hint, self.cancel, self.resume, self.sure, self.nightly,
            self.nightly_row, self.set_nightly,
        ]  # fmt: skip
        timer = gr.Timer(TICK_SECONDS)
        timer.tick(self.tick, given, shown, queue=False, **quiet)
        self.effort.change(self.tick, given, shown, queue=False, **quiet)
        loaded = blocks.load(self.load, [self.effort], [*shown, self.effort], queue=False, **quiet)
        loaded.then(None, None, None, js=SHOW_REPORT, **quiet)
        started = self.train.click(self.start, [self.effort, self.practice], shown, concurrency_limit=1, **quiet)
        timed = [self.effort, self.nightly, self.chosen]
        self.set_nightly.click(self.choose_clock, timed, shown, concurrency_limit=1, **quiet)
        self.cancel.click(self.ask_whether_to_cancel, None, [self.cancel, self.sure], queue=False, **quiet)
        self.no.click(self.keep, None, [self.cancel, self.sure], queue=False, **quiet)
        self.yes.click(self.stop, [self.effort], shown, concurrency_limit=1, **quiet)
        resumed = self.resume.click(self.go_on, [self.effort], shown, concurrency_limit=1, **quiet)
        for begun in (started, resumed):
            begun.success(None, None, None, js=SHOW_NIGHT, **quiet)

    # ---- handlers: looking ---------------------------------------------------------------------------------------

    def load(self, effort: Any, request: gr.Request) -> Updates:
        """The page as it opens: the report of the night that its address names, the effort of the one that runs."""
        chosen = str(request.query_params.get("night", ""))[:LONGEST_ID]
        night = self._nights.status().night
        shown: Any = gr.skip()
        if night is not None and night.state is NightState.RUNNING and night.effort in EFFORTS:
            shown = effort = night.effort
        return {**self.tick("", effort, chosen, request), self.chosen: chosen, self.effort: shown}

    def tick(self, seen: str, effort: Any, chosen: Any, request: gr.Request) -> Updates:
        """What changed of the school since the page last showed it; nothing at all when nothing did."""
        person_of(self._visitors, request)
        parts = self._parts(effort, str(chosen or "")[:LONGEST_ID], may_decide=is_owner(self._visitors, request))
        digests = [hashlib.sha256(text.encode()).hexdigest()[:10] for text, _ in parts]
        if (now := " ".join(digests)) == seen:
            return {self.seen: gr.skip()}
        found: Updates = {self.seen: now}
        for (_, updates), digest, before in zip_longest(parts, digests, str(seen).split(" ")[: len(parts)]):
            if digest != before:
                found |= updates
        return found

    # ---- handlers: deciding --------------------------------------------------------------------------------------

    def start(self, effort: str, practice: bool, request: gr.Request) -> Updates:
        """Start a night, for the owner only; the ticks show what becomes of it."""
        return self._decide(lambda: self._nights.start(effort, practice=practice), effort, request)

    def go_on(self, effort: str, request: gr.Request) -> Updates:
        """Resume the night that was interrupted or failed, for the owner only."""
        return self._decide(self._nights.resume, effort, request)

    def stop(self, effort: str, request: gr.Request) -> Updates:
        """Stop the night that runs, for the owner only."""
        return self._decide(self._nights.cancel, effort, request)

    def choose_clock(self, effort: str, text: Any, chosen: Any, request: gr.Request) -> Updates:
        """Let a night begin every day at a time, or none by itself, for the owner only."""

        def choose() -> None:
            if self._nights.timetable is not None:
                self._nights.timetable.choose(choice_read(str(text or "")))

        return self._decide(choose, effort, request, str(chosen or "")[:LONGEST_ID], sets_clock=True)

    def ask_whether_to_cancel(self, request: gr.Request) -> Updates:
        """The second step of stopping a night: what it means."""
        person_of(self._visitors, request)
        return {self.cancel: gr.Button(visible=False), self.sure: gr.Column(visible=True)}

    def keep(self, request: gr.Request) -> Updates:
        """Back to the first step."""
        person_of(self._visitors, request)
        return {self.cancel: gr.Button(visible=True), self.sure: gr.Column(visible=False)}

    def _decide(
        self, act: Callable[[], None], effort: str, request: gr.Request, chosen: str = "", *, sets_clock: bool = False
    ) -> Updates:
        person_of(self._visitors, request)
        with told_in_words(self._words):
            if not is_owner(self._visitors, request):
                raise BadInput(OWNER_ONLY)
            act()
        shown = {**self.tick("", effort, chosen, request), self.chosen: chosen}
        if not sets_clock:
            del shown[self.nightly]  # a time that is chosen there, and not set yet, stays
        return shown

    # ---- inside --------------------------------------------------------------------------------------------------

    def _parts(self, effort: Any, chosen: str, *, may_decide: bool) -> list[Part]:
        """Every part of the page."""
        words, status = self._words, self._nights.status()
        newest = status.night
        shown = self._shown(status, chosen)
        at_work = newest if newest is not None and newest.state is NightState.RUNNING else None
        curves = self._book.curves(at_work.id) if at_work is not None else {}
        stages = at_work.stages if at_work is not None else ()
        told = shown or newest
        lines = self._book.log_lines(told.id) if told is not None else []
        counted, wanted = self._outlook.look(), effort if effort in EFFORTS else self._usual_effort
        measured = self._book.usual_seconds(wanted)
        usual = self._book.usual_seconds(newest.effort) if newest is not None else {}
        timetable = self._nights.timetable
        texts = {
            self.counts: outlook_view.counts_line(counted, self._classroom.champion().id, words),
            self.outlook: outlook_view.outlook(counted, wanted, measured, words)
            + (timetable_line(timetable.told(), words) if timetable is not None else ""),
            self.card: school_view.night_card(status, usual, curves, words),
            self.stages: school_view.stage_list(stages, words),
            self.curves: curves_grid(curves, words),
            self.report: self._report(status, shown, chosen, is_owner=may_decide),
            self.log: school_view.log_lines(lines, words),
            self.history: school_view.history_table(self._book.history(), words, shown.id if shown else ""),
        }
        parts: list[Part] = [(text, {component: text}) for component, text in texts.items()]
        return [*parts, self._nightly(timetable, may_decide=may_decide), self._buttons(status, may_decide=may_decide)]

    def _nightly(self, timetable: Timetable | None, *, may_decide: bool) -> Part:
        """The nightly time and what may be chosen."""
        if timetable is None:
            return "", {self.nightly_row: gr.Row(visible=False), self.nightly: gr.skip()}
        offered, value = nightly_choices(timetable, self._words), nightly_value(timetable)
        return f"{offered[0]} {value} {may_decide}", {
            self.nightly_row: gr.Row(visible=True),
            self.nightly: gr.Dropdown(offered, value=value, interactive=may_decide),
            self.set_nightly: gr.Button(interactive=may_decide),
        }

    def _shown(self, status: NightStatus, chosen: str) -> Night | None:
        """The night whose report is shown: the one that was chosen, else the newest one once it has ended."""
        if chosen and (status.night is None or chosen != status.night.id):
            return self._book.night(chosen)
        return status.night if status.phase is Phase.ENDED else None

    def _report(self, status: NightStatus, shown: Night | None, chosen: str, *, is_owner: bool) -> str:
        if shown is None:
            is_unknown = chosen and (status.night is None or status.night.id != chosen)
            return school_view.no_such_night(self._words) if is_unknown else ""
        is_newest = status.night is not None and status.night.id == shown.id
        curves: Curves = self._book.curves(shown.id)
        return school_view.report(shown, curves, self._words, is_owner=is_owner, is_newest=is_newest)

    def _buttons(self, status: NightStatus, *, may_decide: bool) -> Part:
        """What may be pressed: by the owner, and by the phase of the night."""
        may_cancel = may_decide and status.phase in {Phase.STARTING, Phase.RUNNING}
        may_resume, may_train = may_decide and status.can_resume, may_decide and not status.is_busy
        updates: Updates = {
            self.train: gr.Button(interactive=may_train),
            self.hint: gr.HTML(f"<p>{self._words('school.owner_only')}</p>", visible=not may_decide),
            self.cancel: gr.Button(visible=may_cancel),
            self.resume: gr.Button(visible=may_resume),
            self.sure: gr.Column(visible=False),
        }
        return f"{may_train} {may_cancel} {may_resume} {may_decide}", updates
