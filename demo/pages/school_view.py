"""What the School page shows of nights, as HTML text. Everything that comes from rows is escaped here."""

import html
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from demo.catalogue import Words, catalogue
from demo.doors import PAGES
from demo.languages import PREFIX
from demo.night_time import fraction_of, seconds_left, usual_seconds
from demo.nights import NightStatus, Phase
from demo.pages.curves_view import iteration_seconds
from demo.pages.report_view import badge, details, ending, heading, kind_of
from demo.pages.spoken import about, clock, date_and_time, spoken_seconds
from demo.translation import translated
from nightschool.records import Curves, Night, NightState, Stage

MARKED = ' class="shown" aria-current="true"'
"""Of the row whose report is shown."""


def night_card(
    status: NightStatus, measured: Mapping[str, float], curves: Curves, words: Words, now: datetime | None = None
) -> str:
    """The newest night: what it is doing with its bar and the time left, or at its end the verdict and its reason."""
    night = status.night
    if status.phase is Phase.IDLE:
        return _card(words("school.idle"), f"<p>{_text(words, 'idle_hint')}</p>")
    if status.phase is Phase.STARTING:
        body = f"<p>{_text(words, 'starting_hint')}</p>" + _bar(0.0, "", words)
        return _card(words("school.starting"), body, live=True)
    if status.phase is Phase.NOT_STARTED or night is None:
        sentence = html.escape(translated(status.sentence, words))
        return _card(words("school.not_started"), f"<p>{sentence}</p>", kind="failed")
    if status.phase is Phase.STOPPING:
        return _card(words("school.stopping"), f"<p>{_text(words, 'stopping_hint')}</p>", live=True)
    if status.phase is Phase.RUNNING:
        body = _progress(night, measured, curves, words, now or datetime.now(UTC))
        return _card(heading(night, words), body, kind=kind_of(night), live=True)
    return _card(heading(night, words), ending(night, words), kind=kind_of(night))


def _progress(night: Night, measured: Mapping[str, float], curves: Curves, words: Words, now: datetime) -> str:
    usual = usual_seconds(night.effort, measured)
    iterations = iteration_seconds(curves)
    left = seconds_left(night, usual, now, is_measured=bool(measured), iterations=iterations)
    at_work = next((stage for stage in reversed(night.stages) if stage.state is NightState.RUNNING), None)
    doing = _stage_name(at_work, words) if at_work else words("school.effort_hint", effort=_effort(night, words))
    told = words("school.time_left", time=about(left, words)) if left is not None else ""
    return f'<div class="doing"><span>{html.escape(doing)}</span><span>{html.escape(told)}</span></div>' + _bar(
        fraction_of(night, usual, now, left), told, words
    )


def stage_list(stages: Sequence[Stage], words: Words) -> str:
    """The stages so far, each with what it says of itself and how long it took."""
    rows = "".join(
        f'<li class="{html.escape(stage.state)}"><span class="mark" aria-hidden="true"></span>'
        f"<span>{html.escape(_stage_name(stage, words))}</span>"
        f"<small>{html.escape(translated(stage.detail, words))}</small>"
        f"<time>{html.escape(spoken_seconds(stage.seconds, words) if stage.seconds is not None else '')}</time></li>"
        for stage in stages
    )
    return f'<ol class="stages">{rows}</ol>' if rows else ""


def report(night: Night, curves: Curves, words: Words, *, is_owner: bool, is_newest: bool) -> str:
    """The morning report: below the card of the newest night, or of an earlier one with a card of its own."""
    body = details(night, curves, stage_list(night.stages, words), words, is_owner=is_owner)
    if is_newest:
        return f"<h2>{_text(words, 'report')}</h2>{body}" if body else ""
    title = html.escape(words("school.report_of", moment=f"{date_and_time(night.started_at)} UTC"))
    back = f'<a href="{_address(words)}">{_text(words, "back_to_newest")}</a>'
    card = _card(heading(night, words), ending(night, words), kind=kind_of(night))
    return f'<div class="earlier"><h2>{title}</h2>{back}</div>{card}{body}'


def no_such_night(words: Words) -> str:
    """Where a link names a night that is not there."""
    back = f'<a href="{_address(words)}">{_text(words, "back_to_newest")}</a>'
    return f"<p>{_text(words, 'no_such_night')} {back}</p>"


def log_lines(lines: Sequence[tuple[str, str]], words: Words) -> str:
    """The night's log, newest line first."""
    if not lines:
        return f'<p class="quiet">{_text(words, "no_log")}</p>'
    rows = "".join(
        f"<li><time>{clock(at)}</time> {html.escape(translated(text, words))}</li>" for at, text in reversed(lines)
    )
    return f'<ul class="log">{rows}</ul>'


def history_table(nights: Sequence[Night], words: Words, shown: str = "") -> str:
    """All nights, newest first, each with the way to its report."""
    if not nights:
        return f'<p class="quiet">{_text(words, "no_nights")}</p>'
    rows = "".join(
        f"<tr{MARKED if night.id == shown else ''}><td>{_way_to(night, words)}</td>"
        f"<td>{html.escape(_effort(night, words))}</td><td>"
        f'<span class="badge {kind_of(night)}">{html.escape(badge(night, words))}</span></td>'
        f"<td>{html.escape(night.version_id or '–')}</td><td>{html.escape(_duration(night, words))}</td></tr>"
        for night in reversed(nights)
    )
    head = "".join(f"<th>{_text(words, key)}</th>" for key in ("started", "effort", "verdict", "version", "time"))
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _address(words: Words) -> str:
    """Of this page. (Gradio gives its pages a base, so that a bare "?night=" would lead to the chat.)"""
    return PREFIX[words.language] + PAGES["school"]


def _way_to(night: Night, words: Words) -> str:
    moment = date_and_time(night.started_at)
    if night.state is NightState.RUNNING:
        return moment
    label = html.escape(words("school.open_report", moment=night.started_at[:16].replace("T", " ")))
    return f'<a href="{_address(words)}?night={html.escape(night.id)}" title="{label}">{moment}</a>'


def _bar(fraction: float, told: str, words: Words) -> str:
    percent = round(100 * min(max(fraction, 0.0), 1.0))
    text = f"{percent}%" + (f", {told}" if told else "")
    return (
        f'<div class="bar" role="progressbar" aria-label="{_text(words, "progress")}" aria-valuemin="0" '
        f'aria-valuemax="100" aria-valuenow="{percent}" aria-valuetext="{html.escape(text)}">'
        f'<div style="width:{percent}%"></div></div>'
    )


def _stage_name(stage: Stage, words: Words) -> str:
    key = f"school.stage_{stage.name.replace(' ', '_')}"
    return words(key) if key in catalogue() else stage.name


def _card(title: str, body: str, *, kind: str = "", live: bool = False) -> str:
    busy = ' aria-busy="true"' if live else ""
    return f'<section class="night {kind}"{busy}><h3>{html.escape(title)}</h3>{body}</section>'


def _effort(night: Night, words: Words) -> str:
    key = f"school.effort_{night.effort}"
    effort = words(key) if key in catalogue() else night.effort
    return words("school.effort_practice", effort=effort) if night.practice else effort


def _duration(night: Night, words: Words) -> str:
    if night.ended_at is None:
        return "…"
    length = datetime.fromisoformat(night.ended_at) - datetime.fromisoformat(night.started_at)
    return spoken_seconds(length.total_seconds(), words)


def _text(words: Words, key: str) -> str:
    return html.escape(words(f"school.{key}"))
