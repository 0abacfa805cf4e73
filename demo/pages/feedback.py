"""The Feedback page: what was judged, found, taken along, allowed, deleted. All of it is read from the store each time.

What people wrote is drawn by the scripts in `demo/assets/feedback_*.js`, as text, never as HTML. Files go over routes
of their own (`feedback_files`), because Gradio would keep copies of them.
"""

from typing import Any

import gradio as gr

from demo.app_assets import script
from demo.catalogue import Words
from demo.feedback_room import FeedbackRoom, Scope, Visitor
from demo.identity import Visitors
from demo.pages import feedback_view
from demo.pages.common import Updates, is_owner, person_of, told_in_words
from demo.pages.feedback_wanted import Wanted, wanted_of
from nightschool.browsing import FeedbackKind
from nightschool.errors import BadInput

HERE = "() => [{ minutes: -new Date().getTimezoneOffset() }]"
"""A page that opens shows everything of its visitor, by the days of where they are."""
SHOW_IT = "() => document.getElementById('erase-sure')?.scrollIntoView({ block: 'nearest' })"
FORGET = "() => { for (const kept of ['conversation', 'unsent']) sessionStorage.removeItem(`nightschool-${kept}`); }"
"""The open conversation is gone with the others, and so is what was being written in it."""


class FeedbackPage:
    """Widgets and handlers of the page at `/feedback`. Holds nothing of any visitor."""

    def __init__(self, blocks: gr.Blocks, room: FeedbackRoom, visitors: Visitors, *, words: Words) -> None:
        self._room = room
        self._visitors = visitors
        self._words = words
        self._texts = feedback_view.script_words(words)
        with gr.Column(elem_id="feedback-page"):
            self._build_head()
            self._build_list()
            self._build_files()
            self._build_erase()
        self._wire(blocks)

    # ---- layout --------------------------------------------------------------------------------------------------

    def _build_head(self) -> None:
        title, intro = self._words("feedback.title"), self._words("feedback.intro")
        links = {"#feedback-files": "feedback.js_export", "#feedback-erase": "feedback.erase_title"}
        ways = "".join(f'<a href="{place}">{self._words(key)}</a>' for place, key in links.items())
        gr.HTML(f"<h1>{title}</h1><p>{intro}</p><nav>{ways}</nav>", elem_id="feedback-intro")
        with gr.Row(elem_id="consent"):
            self.consent = gr.Checkbox(label=self._words("feedback.consent"), elem_id="consent-switch", container=False)
            self.consent_line = gr.HTML(elem_id="consent-line")
        self.status = gr.HTML(
            elem_id="feedback-status",
            html_template='<div role="status">${value}</div>',
            js_on_load=script("passing.js"),
        )

    def _build_list(self) -> None:
        # What is wanted: its script alone sets it, so that no answer on its way puts back what was changed meanwhile.
        self.filter = self._drawn("filter", {})
        self.tiles = gr.HTML(elem_id="feedback-tiles", elem_classes="tiles")
        self.plot = gr.HTML(elem_id="feedback-plot")
        self.list = self._drawn("list", {"items": [], "page": 0, "pages": 1, "empty": ""})

    def _build_files(self) -> None:
        self.files = self._drawn("files", {})

    def _build_erase(self) -> None:
        with gr.Column(elem_id="feedback-erase"):
            gr.HTML(f"<h2>{self._words('feedback.erase_title')}</h2><p>{self._words('feedback.erase_intro')}</p>")
            self.erase = gr.Button(self._words("feedback.erase"), elem_id="erase", size="md")
            with gr.Column(visible=False, elem_id="erase-sure") as self.sure:
                self.sure_line = gr.HTML(elem_id="erase-line")
                with gr.Row():
                    self.yes = gr.Button(self._words("feedback.erase_yes"), variant="stop", elem_id="erase-yes")
                    self.no = gr.Button(self._words("feedback.erase_no"), elem_id="erase-no")

    def _drawn(self, name: str, value: dict[str, Any]) -> gr.HTML:
        """A part of the page that a script draws."""
        return gr.HTML(
            value=value,
            html_template="<div></div>",
            js_on_load=script("feedback_drawing.js") + script(f"feedback_{name}.js"),
            elem_id=f"feedback-{name}",
            apply_default_css=False,
            words=self._texts,
            reasons=feedback_view.reason_words(self._words),
        )

    # ---- wiring --------------------------------------------------------------------------------------------------

    def _wire(self, blocks: gr.Blocks) -> None:
        shown: list[Any] = [
            self.consent, self.consent_line, self.status, self.tiles, self.plot, self.list, self.files, self.erase,
            self.sure,
        ]  # fmt: skip
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "concurrency_limit": None}
        blocks.load(self.load, [self.filter], shown, js=HERE, **quiet)
        # Gradio sends the input of the newest event, but the event data of the oldest: so what is wanted is an input.
        self.filter.filtered(self.find, [self.filter], shown, trigger_mode="always_last", **quiet)
        self.list.turned(self.turn, [self.filter], shown, **quiet)
        deleted = self.list.deleted(self.delete, [self.filter], shown, trigger_mode="multiple", **quiet)
        deleted.failure(self.load, [self.filter], shown, **quiet)  # it may be gone: show what is there
        self.files.imported(self.refresh, [self.filter], shown, **quiet)
        allowed = self.consent.input(self.allow, [self.consent], [self.consent_line, self.status], **quiet)
        allowed.failure(self.stored_consent, None, [self.consent, self.consent_line], **quiet)
        asked = self.erase.click(
            self.ask_whether_to_erase, None, [self.erase, self.sure, self.sure_line, self.status], **quiet
        )
        asked.success(None, None, None, js=SHOW_IT, **quiet)
        self.no.click(self.keep, None, [self.erase, self.sure], **quiet)
        erased = self.yes.click(self.erase_everything, [self.filter], shown, **quiet)
        erased.success(None, None, None, js=FORGET, **quiet)

    # ---- handlers: looking ---------------------------------------------------------------------------------------

    def load(self, wanted: Any, request: gr.Request) -> Updates:
        """The page as it opens."""
        with told_in_words(self._words):
            return self._show(self._visitor(request), wanted_of(wanted))

    def find(self, wanted: Any, request: gr.Request) -> Updates:
        """What the filter finds, from its first page."""
        with told_in_words(self._words):
            return {**self._show(self._visitor(request), wanted_of(wanted)), self.status: ""}

    def turn(self, wanted: Any, event: gr.EventData, request: gr.Request) -> Updates:
        """Another page of the same."""
        with told_in_words(self._words):
            return {**self._show(self._visitor(request), wanted_of(wanted), str(event.page)), self.status: ""}

    def refresh(self, wanted: Any, request: gr.Request) -> Updates:
        """The same again: something came in."""
        with told_in_words(self._words):
            return self._show(self._visitor(request), wanted_of(wanted))

    # ---- handlers: deciding --------------------------------------------------------------------------------------

    def allow(self, may_learn: bool, request: gr.Request) -> Updates:
        """Store the consent, then say so."""
        visitor = self._visitor(request)
        with told_in_words(self._words):
            self._room.allow(visitor, may_learn is True)
        saved = "on" if may_learn is True else "off"
        return {
            self.consent_line: feedback_view.consent_line(may_learn is True, self._words),
            self.status: feedback_view.line(self._words(f"feedback.consent_saved_{saved}")),
        }

    def stored_consent(self, request: gr.Request) -> Updates:
        """The consent as the store has it: after a failed save the switch goes back."""
        may_learn = self._room.consent(self._visitor(request))
        return {
            self.consent: may_learn,
            self.consent_line: feedback_view.consent_line(may_learn, self._words),
        }

    def delete(self, wanted: Any, event: gr.EventData, request: gr.Request) -> Updates:
        """Delete one item for good, then say so."""
        visitor = self._visitor(request)
        with told_in_words(self._words):
            looked_at = wanted_of(wanted)
            erasure = self._room.delete(visitor, looked_at.scope, _kind(event.kind), str(event.id))
            shown = self._show(visitor, looked_at, str(event.page))
        return {
            **shown,
            self.status: feedback_view.line(self._words("feedback.deleted"), self._noted(erasure.versions)),
        }

    def ask_whether_to_erase(self, request: gr.Request) -> Updates:
        """The second step of deleting everything: what it is."""
        judgements, conversations = self._room.amount(self._visitor(request))
        sentence = self._words("feedback.erase_sure", judgements=judgements, conversations=conversations)
        return {**self._steps(2), self.sure_line: feedback_view.line(sentence), self.status: ""}

    def keep(self, request: gr.Request) -> Updates:
        """Back to the first step."""
        self._visitor(request)
        return self._steps(1)

    def _steps(self, step: int) -> Updates:
        """Deleting everything: the button of the first step, or the question of the second."""
        return {self.erase: gr.Button(visible=step == 1), self.sure: gr.Column(visible=step == 2)}

    def erase_everything(self, wanted: Any, request: gr.Request) -> Updates:
        """Delete all that is this person's, then say so."""
        visitor = self._visitor(request)
        with told_in_words(self._words):
            judgements, conversations = self._room.amount(visitor)
            erasure = self._room.delete_everything(visitor)
            shown = self._show(visitor, wanted_of(wanted))
        told = self._words("feedback.erased", judgements=judgements, conversations=conversations)
        return {**shown, self.status: feedback_view.line(told, self._noted(erasure.versions))}

    # ---- inside --------------------------------------------------------------------------------------------------

    def _visitor(self, request: gr.Request) -> Visitor:
        return Visitor(person_of(self._visitors, request), is_owner(self._visitors, request))

    def _show(self, visitor: Visitor, wanted: Wanted, page: str = "0") -> Updates:
        """Everything as the store has it."""
        is_all = wanted.scope is Scope.ALL
        names = self._names() if is_all and visitor.is_owner else {}
        shelf = self._room.shelf(visitor, wanted.scope, wanted.filter, _number(page), wanted.minutes)
        return {
            self.consent: shelf.consent,
            self.consent_line: feedback_view.consent_line(shelf.consent, self._words),
            self.status: gr.skip(),
            self.tiles: feedback_view.tiles(shelf.counts, self._words),
            self.plot: feedback_view.plot(shelf.days, self._words),
            self.list: {
                **feedback_view.listing(shelf, visitor, names, is_filtered=wanted.is_filtered, is_all=is_all),
                "choices": {**feedback_view.choices(shelf, visitor, names), "asked": wanted.asked},
            },
            self.files: {"owner": visitor.is_owner, "wanted": wanted.told()},
            **self._steps(1),
        }

    def _names(self) -> dict[str, str]:
        """Person -> name of their account."""
        accounts = self._visitors.accounts
        return {self._visitors.person_of_name(name): name for name in accounts.all()} if accounts is not None else {}

    def _noted(self, versions: tuple[str, ...]) -> str:
        if not versions:
            return ""
        return self._words("feedback.erased_versions", versions=feedback_view.in_a_row(versions))


def _kind(name: Any) -> FeedbackKind:
    try:
        return FeedbackKind(name)
    except ValueError as error:
        raise BadInput("This feedback is not yours or does not exist any more; reload the page.") from error


def _number(page: str) -> int:
    """A page's number; the first page for what is none."""
    return int(page) if page.isdecimal() and len(page) < 9 else 0
