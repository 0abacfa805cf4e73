"""What the Rank page shows, as plain values: the board of answers and the line on how far the next night is."""

import html
import uuid
from collections.abc import Mapping
from importlib import resources
from typing import Any

import gradio as gr

from demo.catalogue import Words, catalogue
from demo.rank_room import Ballot, Standing

BOARD = """<section aria-busy="true">
  <div class="rank-asked"><p class="rank-slice"></p><h2 class="rank-question users-own"></h2></div>
  <p class="rank-hint"></p>
  <ol aria-label="{answers}"></ol>
  <div class="rank-actions">
    <button type="button" class="rank-save" disabled>{save}</button>
    <button type="button" class="rank-skip" disabled>{skip}</button>
    <button type="button" class="rank-undo" disabled>{undo}</button>
    <p class="rank-line" role="status"></p>
  </div>
  <p class="rank-keys">{keys}</p>
  <div class="rank-told" aria-live="assertive"></div>
</section>"""
"""Holds no text of people or models: demo/assets/ranking.js sets those as text."""

OF_BOARD = "rank.board_"


def ranking_board(words: Words) -> gr.HTML:
    """Fires `ranked` (round, groups), `skipped`, `undone` and `continued` (round)."""
    names = {"answers": "rank.answers", "keys": "rank.keys"}
    names |= {name: OF_BOARD + name for name in ("save", "skip", "undo")}
    return gr.HTML(
        value={"phase": "empty"},
        html_template=BOARD.format(**{name: html.escape(words(key)) for name, key in names.items()}),
        js_on_load=resources.files("demo").joinpath("assets/ranking.js").read_text(encoding="utf-8"),
        elem_id="rank-board",
        apply_default_css=False,
        words={key.removeprefix(OF_BOARD): words.template(key) for key in catalogue() if key.startswith(OF_BOARD)},
    )


def ballot_value(ballot: Ballot, standing: Standing, words: Words, line: str) -> dict[str, Any]:
    """A round before it is ranked: nothing in here tells who wrote what."""
    return {
        **_fresh(line, standing),
        "round": ballot.round_id,
        "phase": "ready" if ballot.is_written else "writing",
        "question": ballot.question,
        "slice": words(f"rank.{ballot.slice}") if ballot.slice else "",
        "answers": ballot.answers,
        "groups": ballot.groups,
    }


def revealed_value(
    round_id: str, versions: Mapping[str, str], standing: Standing, words: Words, line: str
) -> dict[str, Any]:
    """The same round once it is ranked, with who wrote each answer; texts and order are on the page already."""
    written_by = {name: words("rank.version", version=version) for name, version in versions.items()}
    return {**_fresh(line, standing), "round": round_id, "phase": "revealed", "versions": written_by}


def standing_line(standing: Standing, words: Words) -> str:
    """How much the person ranked, and how many judgements the next night still needs."""
    ranked = {0: words("rank.ranked_none"), 1: words("rank.ranked_one")}.get(
        standing.ranked, words("rank.ranked_many", count=standing.ranked)
    )
    if standing.missing:
        needed = words("rank.missing", facts=standing.facts, missing=standing.missing)
    else:
        needed = words("rank.enough", facts=standing.facts)
    whole = standing.facts + standing.missing
    percent = 100 if standing.missing == 0 else round(100 * standing.facts / whole)
    return (
        f'<div class="rank-standing"><b>{html.escape(ranked)}</b><span>{html.escape(needed)}</span>'
        f'<div class="bar" role="progressbar" aria-label="{html.escape(words("rank.progress"))}" aria-valuemin="0" '
        f'aria-valuemax="100" aria-valuenow="{percent}"><div style="width:{percent}%"></div></div></div>'
    )


def _fresh(line: str, standing: Standing) -> dict[str, Any]:
    """A browser redraws only what differs, so each value has a mark of its own: after a failure it is drawn again."""
    return {"mark": uuid.uuid4().hex, "line": line, "can_undo": standing.can_undo}
