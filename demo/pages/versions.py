"""The Versions page: the tree of versions, who answers, who is on probation, receipts, and the leaderboard.

Everybody may look; what is done, and the list of people's judgements behind a version, is the owner's, which is checked
at every event. What is done takes two clicks: the first brings a question, as a sheet above the page.
"""

import hashlib
from collections.abc import Callable, Generator, Sequence
from typing import Any

import gradio as gr

from demo.app_assets import script
from demo.catalogue import Words
from demo.identity import Visitors
from demo.pages import leaderboard_view, version_sheets, versions_view
from demo.pages.common import Updates, is_owner, person_of, told_in_words
from demo.receipt_desk import Check
from demo.version_room import VersionRoom
from nightschool.errors import BadInput
from nightschool.ids import new_id

TICK_SECONDS = 3.0
GO = """(opened) => {
  const [, id] = opened.split(' ');
  if (!id) return;
  sessionStorage.setItem('nightschool-conversation', id);
  location.assign(location.pathname.replace(/versions\\/?$/, ''));
}"""
"""The chat opens with the conversation in which a version is tried. Before its id stands one of the click: the same
conversation once more is a change, too."""
CLOSE = "() => document.querySelector('#versions-sheet dialog')?.close()"
"""What was refused is said on the page, which a sheet would hide."""

Section = Callable[[Words], str]
"""Draws one more section of the page as HTML text, headline and all; empty where there is nothing to show."""
Steps = Generator[Updates, None, None]


class VersionsPage:
    """Widgets and handlers of the page at `/versions`. Holds nothing of any visitor."""

    def __init__(
        self,
        blocks: gr.Blocks,
        room: VersionRoom,
        visitors: Visitors,
        *,
        words: Words,
        sections: Sequence[Section] = (),
    ) -> None:
        self._room = room
        self._visitors = visitors
        self._words = words
        self._sections = tuple(sections)
        with gr.Column(elem_id="versions-page"):
            self._build()
        self._wire(blocks)

    def _build(self) -> None:
        words = self._words
        gr.HTML(f"<h1>{words('versions.title')}</h1><p>{words('versions.intro')}</p>", elem_id="versions-intro")
        self.seen = gr.Textbox("", visible="hidden", elem_id="versions-seen", label=words("school.seen"))
        self.opened = gr.Textbox("", visible="hidden", elem_id="versions-opened", label=words("chat.conversation_id"))
        self.status = gr.HTML(
            elem_id="versions-status",
            html_template='<div role="status">${value}</div>',
            js_on_load=script("passing.js"),
        )
        self.now = self._with_buttons("versions-now")
        gr.HTML(f"<h2>{words('versions.lineage')}</h2>")
        self.tree = self._with_buttons("versions-tree")
        told = f'<p class="quiet">{words("versions.leaderboard_told")}</p>'
        gr.HTML(f"<h2>{words('versions.leaderboard')}</h2>{told}")
        self.board = gr.HTML(elem_id="versions-board")
        self.more = self._build_sections()
        self.sheet = gr.HTML(
            value={"html": ""},
            html_template='<dialog aria-labelledby="sheet-title"></dialog>',
            js_on_load=script("versions.js"),
            elem_id="versions-sheet",
            apply_default_css=False,
        )

    def _build_sections(self) -> list[gr.HTML]:
        """The place after the leaderboard: one part of the page for each of the sections it was given."""
        return [gr.HTML(elem_id=f"versions-more-{number}") for number, _ in enumerate(self._sections)]

    def _with_buttons(self, elem_id: str) -> gr.HTML:
        return gr.HTML(elem_id=elem_id, js_on_load=script("versions.js"), apply_default_css=False)

    def _wire(self, blocks: gr.Blocks) -> None:
        shown: list[Any] = [self.seen, self.now, self.tree, self.board, *self.more]
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        timer = gr.Timer(TICK_SECONDS)
        timer.tick(self.tick, [self.seen], shown, queue=False, **quiet)
        blocks.load(self.tick, [self.seen], shown, queue=False, **quiet)
        for widget in (self.now, self.tree, self.sheet):
            chosen = widget.chosen(
                self.choose, None, [*shown, self.sheet, self.status, self.opened], concurrency_limit=None, **quiet
            )
            chosen.failure(None, None, None, js=CLOSE, **quiet)
        self.opened.change(None, [self.opened], None, js=GO, **quiet)

    # ---- handlers ------------------------------------------------------------------------------------------------

    def tick(self, seen: str, request: gr.Request) -> Updates:
        """The state of the versions; nothing at all when the page shows it already."""
        person_of(self._visitors, request)
        digest = self._digest(request)
        return {self.seen: gr.skip()} if digest == seen else self._shown(request)

    def choose(self, event: gr.EventData, request: gr.Request) -> Steps:
        """One of the buttons, by the name of what it does. For the owner."""
        person_id = person_of(self._visitors, request)
        act, version, page = (str(getattr(event, name, "")) for name in ("act", "version", "page"))
        with told_in_words(self._words):
            if not is_owner(self._visitors, request):
                raise BadInput(
                    "Only the owner may decide about versions and see what made them: at the machine itself, or logged "
                    "in as owner."
                )
            if act in version_sheets.ASKS:
                yield {self.sheet: self._sheet(self._question(act, version))}
            elif act in {"receipts", "check"}:
                yield from self._receipts(version, page, check=act == "check")
            elif act == "try":
                title = self._words("versions.trial_title", version=version)
                yield {self.opened: f"{new_id()} {self._room.try_out(person_id, version, title)}"}
            else:
                yield {**self._done(act, version), **self._shown(request), self.sheet: self._sheet("")}

    # ---- inside --------------------------------------------------------------------------------------------------

    def _done(self, act: str, version: str) -> Updates:
        """Do what was asked about, and the line that says so."""
        doing = {
            "do-promote": self._room.promote,
            "do-rollback": self._room.roll_back,
            "do-confirm": self._room.confirm,
            "do-takeback": self._room.take_back,
        }
        if act not in doing:
            raise BadInput("The page sent something that it never offers; reload it and try again.")
        answering = doing[act](version)
        return {self.status: versions_view.line("answers_from_now", self._words, version=answering.id)}

    def _question(self, act: str, version: str) -> str:
        album = self._room.album()
        return version_sheets.question(act, self._room.version(version).id, album, self._words)

    def _receipts(self, version: str, page: str, *, check: bool) -> Steps:
        """A page of a version's receipts; with a check, first that it is at work, then what came of it."""
        name = self._room.version(version).id
        found = self._room.receipts.page(name, int(page) if page.isdecimal() and len(page) < 9 else 0)
        figures = self._room.album().figures.get(name)

        def shown(outcome: Check | str | None) -> Updates:
            told = version_sheets.receipts(name, found, figures, self._words, check=outcome)
            return {self.sheet: self._sheet(told)}

        yield shown(self._words("versions.checking") if check else None)
        if check:
            yield shown(self._room.receipts.check(name))

    def _sheet(self, content: str) -> dict[str, str]:
        """No two values are equal, so that the page draws one that it had before; an empty one closes the sheet."""
        return {"html": content, "drawn": new_id()}

    def _digest(self, request: gr.Request) -> str:
        state = f"{self._room.mark()} {is_owner(self._visitors, request)}"
        return hashlib.sha256(state.encode()).hexdigest()[:16]

    def _shown(self, request: gr.Request) -> Updates:
        """Everything as it is stored."""
        digest, may_act = self._digest(request), is_owner(self._visitors, request)
        album, words = self._room.album(), self._words
        return {
            self.seen: digest,
            self.now: versions_view.now_card(album, words, may_act=may_act)
            + versions_view.probation_card(album.watched, words, may_act=may_act),
            self.tree: versions_view.tree(album, words, may_act=may_act),
            self.board: leaderboard_view.leaderboard(self._room.board(), album.champion.id, words),
            **{part: draw(words) for part, draw in zip(self.more, self._sections, strict=True)},
        }
