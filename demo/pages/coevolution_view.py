"""Co-evolution as HTML text: a heat map of opinions, the alarm, and what proxy, examiner and people say night by night.

Everything that comes from rows or files is escaped here and nowhere else. Colour repeats what a number, a sign or a
shape says already.
"""

import html
from collections.abc import Sequence

from demo.catalogue import Words
from demo.translation import translated
from nightschool.alarm import NightFigures, Share
from nightschool.coevolution import Cell, Coevolution, Matrix
from nightschool.records import INITIAL

STRONGEST = 0.5
"""Opacity of the strongest colour: letters stay readable on it, light and dark."""
LEAST_SCALE = 1.0
"""The gain from which on a colour may be the strongest, in standard deviations: noise stays pale."""
WIDTH, HEIGHT = 640, 200
LEFT, RIGHT, TOP, BOTTOM = 40, 12, 10, 26
SERIES = ("proxy", "examiner", "people")
MARKS = {
    "proxy": '<circle class="mark" cx="{x}" cy="{y}" r="4"/>',
    "examiner": '<rect class="mark" x="{left}" y="{top}" width="8" height="8"/>',
    "people": '<path class="mark" d="M{x} {peak}L{right} {foot}H{left}Z"/>',
}
"""Shapes of their own: a circle, a square, a triangle."""


def coevolution_section(found: Coevolution, words: Words) -> str:
    """The whole section."""
    alarm = ""
    if found.alarm is not None:
        said = found.alarm.zh if words.language == "zh" else found.alarm.en
        alarm = f'<p class="alarm" role="alert">{html.escape(said)}</p>'
    body = heat_map(found.matrix, words) if found.matrix else f'<p class="quiet">{_text(words, "none")}</p>'
    return (
        f'<section class="coevolution" id="coevolution"><h2>{_text(words, "title")}</h2>{alarm}{body}'
        f"{_left_out(found, words)}{_nights(found.history, words)}</section>"
    )


def heat_map(matrix: Matrix, words: Words) -> str:
    """Reward models in rows, versions in columns; the initial version, against which all is told, has no column."""
    versions = [version for version in matrix.versions if version != INITIAL]
    scale = max([LEAST_SCALE, *(abs(matrix.cells[key].gain) for key in matrix.cells)])
    head = "".join(f'<th scope="col">{html.escape(version)}</th>' for version in versions)
    rows = "".join(
        f'<tr><th scope="row">{html.escape(judge)}</th>'
        + "".join(_cell(judge, version, matrix.cells.get((judge, version)), scale, words) for version in versions)
        + "</tr>"
        for judge in matrix.judges
    )
    intro = html.escape(words("coevolution.intro", prompts=matrix.prompts))
    caption, corner = _text(words, "table"), _text(words, "corner")
    return (
        f'<p class="quiet">{intro}</p><div class="scroll"><table class="heat"><caption>{caption}</caption>'
        f'<thead><tr><th scope="col">{corner}</th>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
    )


def _cell(judge: str, version: str, cell: Cell | None, scale: float, words: Words) -> str:
    if cell is None:
        return f'<td class="waiting" title="{_text(words, "waiting")}">…</td>'
    gain, error = f"{cell.gain:+.2f}", f"{cell.error:.2f}"
    told = html.escape(words("coevolution.cell", judge=judge, version=version, gain=gain, error=error))
    kind = ("higher" if cell.gain >= 0 else "lower") + (" own" if judge == version else "")
    heat = STRONGEST * min(abs(cell.gain) / scale, 1.0)
    return f'<td class="{kind}" style="--heat:{heat:.2f}" title="{told}">{gain}<small>±{error}</small></td>'


def _left_out(found: Coevolution, words: Words) -> str:
    why = dict(found.matrix.left_out) if found.matrix else {}
    told = [(version, translated(reason, words)) for version, reason in why.items()]
    told += [(version, words("coevolution.retired")) for version in found.retired]
    if not told:
        return ""
    rows = "".join(f"<li>{html.escape(version)}: {html.escape(reason)}</li>" for version, reason in told)
    return f'<div class="quiet">{_text(words, "left_out")}<ul>{rows}</ul></div>'


def _nights(history: Sequence[NightFigures], words: Words) -> str:
    heading = f"<h3>{_text(words, 'nights')}</h3>"
    if not history:
        return f'{heading}<p class="quiet">{_text(words, "no_nights")}</p>'
    intro = f'<p class="quiet">{_text(words, "nights_intro")}</p>'
    return heading + intro + _legend(words) + plot(history, words) + _table(history, words)


def _legend(words: Words) -> str:
    entries = "".join(
        f'<li class="{name}"><svg width="12" height="12" viewBox="0 0 12 12" aria-hidden="true"><g>{_mark(name, 6, 6)}'
        f"</g></svg>{_text(words, name)}</li>"
        for name in SERIES
    )
    return f'<ul class="legend">{entries}</ul>'


def plot(history: Sequence[NightFigures], words: Words) -> str:
    """Shares won over the nights, with their bounds, as SVG; the dashed line is one half."""
    newest = {name: _percent(share) if (share := _share(history[-1], name)) else None for name in SERIES}
    known = {name: text or words("coevolution.unknown") for name, text in newest.items()}
    label = html.escape(words("coevolution.plot", **known))
    grid = "".join(
        f'<line class="{"half" if share == 0.5 else "grid"}" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{_y(share)}" '
        f'y2="{_y(share)}"/><text x="{LEFT - 8}" y="{_y(share) + 4}" text-anchor="end">{share:.0%}</text>'
        for share in (0.0, 0.5, 1.0)
    )
    lines = "".join(f'<g class="{name}">{_line(history, name)}</g>' for name in SERIES)
    return (
        f'<svg class="nights" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" role="img" aria-label="{label}">'
        f"{grid}{_dates(history)}{lines}</svg>"
    )


def _line(history: Sequence[NightFigures], name: str) -> str:
    """One series: bounds, points, and a line through them."""
    aside = {"proxy": -6, "examiner": 0, "people": 6}[name]
    found = [(_x(place, len(history)) + aside, _share(night, name)) for place, night in enumerate(history)]
    known = [(x, share) for x, share in found if share is not None]
    bounds = "".join(f'<path d="M{x:.1f} {_y(share.low)}V{_y(share.high)}"/>' for x, share in known)
    through = " ".join(f"{x:.1f},{_y(share.mean)}" for x, share in known)
    joined = f'<polyline points="{through}" opacity="0.5"/>' if len(known) > 1 else ""
    return joined + bounds + "".join(_mark(name, x, _y(share.mean)) for x, share in known)


def _dates(history: Sequence[NightFigures]) -> str:
    places = range(len(history)) if len(history) <= 8 else (0, len(history) - 1)
    return "".join(
        f'<text x="{_x(place, len(history)):.1f}" y="{HEIGHT - 6}" text-anchor="middle">'
        f"{html.escape(history[place].started_at[5:10])}</text>"
        for place in places
    )


def _table(history: Sequence[NightFigures], words: Words) -> str:
    head = "".join(f'<th scope="col">{_text(words, key)}</th>' for key in ("night", "version", *SERIES))
    rows = "".join(
        f"<tr><td>{html.escape(night.started_at[:16].replace('T', ' '))}</td><td>{_version(night, words)}</td>"
        + "".join(f"<td>{html.escape(_figure(night, name, words))}</td>" for name in SERIES)
        + "</tr>"
        for night in reversed(history)
    )
    return (
        f'<div class="scroll"><table class="figures"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
    )


def _version(night: NightFigures, words: Words) -> str:
    marks = [key for key, holds in (("practice", night.practice), ("alarmed", night.alarmed)) if holds]
    badges = "".join(f' <span class="badge">{_text(words, key)}</span>' for key in marks)
    return html.escape(night.version or "–") + badges


def _figure(night: NightFigures, name: str, words: Words) -> str:
    share = _share(night, name)
    if share is None:
        return "–"
    told = words("coevolution.share", mean=_percent(share), low=f"{share.low:.0%}", high=f"{share.high:.0%}")
    return words("coevolution.votes", share=told, votes=len(night.votes)) if name == "people" else told


def _share(night: NightFigures, name: str) -> Share | None:
    return {"proxy": night.proxy, "examiner": night.examiner, "people": night.people}[name]


def _percent(share: Share) -> str:
    return f"{share.mean:.0%}"


def _mark(name: str, x: float, y: float) -> str:
    at = {"x": x, "y": y, "left": x - 4, "right": x + 4, "top": y - 4, "peak": y - 5, "foot": y + 4}
    return MARKS[name].format(**{key: f"{value:.1f}" for key, value in at.items()})


def _x(place: int, nights: int) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * (place + 0.5) / nights


def _y(share: float) -> float:
    return round(TOP + (HEIGHT - TOP - BOTTOM) * (1 - share), 1)


def _text(words: Words, key: str) -> str:
    return html.escape(words(f"coevolution.{key}"))
