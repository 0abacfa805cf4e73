"""What the School page shows, as HTML text. Everything that comes from rows is escaped here and nowhere else."""

import html
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from demo.catalogue import Words, catalogue
from demo.nights import NightStatus, Phase
from demo.translation import translated
from nightschool.records import Night, NightState, Stage

NUMBERS = {
    "win_rate": "{:.0%}",
    "win_rate_low": "{:.0%}",
    "reward_model_accuracy": "{:.0%}",
    "kl": "{:.3f}",
    "reward_before": "{:+.3f}",
    "reward_after": "{:+.3f}",
    "champion_length": "{:.0f}",
    "candidate_length": "{:.0f}",
}
"""The report's main numbers, in the order they are shown; a night that stopped early has only some."""
IN_TOKENS = {"champion_length", "candidate_length"}


def counts_line(duels: int, thumbs: int, champion: str, words: Words) -> str:
    """What the next night can learn from, and who answers now."""
    return "".join(
        f'<div class="tile"><b>{html.escape(value)}</b><span>{_text(words, key)}</span></div>'
        for value, key in (
            (str(duels), "one_duel" if duels == 1 else "duels"),
            (str(thumbs), "one_thumb" if thumbs == 1 else "thumbs"),
            (champion, "answers_now"),
        )
    )


def night_card(status: NightStatus, words: Words) -> str:
    """The newest night: heading, bar, stages, and at the end the verdict with its reason and numbers."""
    night = status.night
    if status.phase is Phase.IDLE:
        return _card(words("school.idle"), f"<p>{_text(words, 'idle_hint')}</p>")
    if status.phase is Phase.STARTING:
        body = f"<p>{_text(words, 'starting_hint')}</p>" + _bar(0.0, words)
        return _card(words("school.starting"), body, live=True)
    if status.phase is Phase.NOT_STARTED or night is None:
        sentence = html.escape(translated(status.sentence, words))
        return _card(words("school.not_started"), f"<p>{sentence}</p>", kind="failed")
    if status.phase is Phase.RUNNING:
        body = _bar(progress(night), words) + _stages(night.stages, words)
    else:
        body = _ending(night, words)
    return _card(words(_heading(night)), body, kind=_kind(night), live=status.phase is Phase.RUNNING)


def progress(night: Night) -> float:
    """How far a running night is, from 0 to 1: the stage at work moves the bar (the number of stages is not known)."""
    at_work = [stage for stage in night.stages if stage.state is NightState.RUNNING]
    return at_work[-1].progress if at_work else 0.0


def log_lines(lines: Sequence[tuple[str, str]], words: Words) -> str:
    """The night's log, newest line first."""
    if not lines:
        return f'<p class="quiet">{_text(words, "no_log")}</p>'
    rows = "".join(
        f"<li><time>{clock(at)}</time> {html.escape(translated(text, words))}</li>" for at, text in reversed(lines)
    )
    return f'<ul class="log">{rows}</ul>'


def history_table(nights: Sequence[Night], words: Words) -> str:
    """All nights, newest first."""
    if not nights:
        return f'<p class="quiet">{_text(words, "no_nights")}</p>'
    rows = "".join(
        f"<tr><td>{_when(night.started_at)}</td><td>{html.escape(_effort(night, words))}</td><td>"
        f'<span class="badge {_kind(night)}">{_text(words, f"badge_{night.verdict or night.state}")}</span></td>'
        f"<td>{html.escape(night.version_id or '–')}</td><td>{html.escape(_duration(night, words))}</td></tr>"
        for night in reversed(nights)
    )
    head = "".join(f"<th>{_text(words, key)}</th>" for key in ("started", "effort", "verdict", "version", "time"))
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def clock(moment: str) -> str:
    """The time of day of a stored moment, UTC."""
    return html.escape(moment[11:19])


def spoken_seconds(seconds: float, words: Words) -> str:
    """A duration in words short enough for a table."""
    if seconds < 60:
        return words("school.seconds", seconds=f"{seconds:.1f}" if seconds < 10 else f"{seconds:.0f}")
    return words("school.minutes", minutes=int(seconds // 60), seconds=f"{int(seconds % 60):02d}")


def _heading(night: Night) -> str:
    if night.state is NightState.RUNNING:
        return "school.running_practice" if night.practice else "school.running"
    if night.state in {NightState.FAILED, NightState.INTERRUPTED}:
        return f"school.{night.state}"
    return f"school.{night.verdict or 'ended'}"


def _ending(night: Night, words: Words) -> str:
    version = ""
    if night.version_id:
        sentence = html.escape(words("school.of_version", version=night.version_id))
        version = f' <span class="quiet">{sentence}</span>'
    reason = f'<p class="reason">{html.escape(translated(night.reason, words))}{version}</p>'
    return reason + _numbers(night.report or {}, words) + _stages(night.stages, words)


def _numbers(report: dict[str, Any], words: Words) -> str:
    cells = ""
    for name, shape in NUMBERS.items():
        if isinstance(report.get(name), int | float):
            value = shape.format(report[name])
            shown = words("school.tokens", count=value) if name in IN_TOKENS else value
            label = _text(words, f"figure_{name}")
            cells += f'<div class="tile"><b>{html.escape(shown)}</b><span>{label}</span></div>'
    return f'<div class="tiles">{cells}</div>' if cells else ""


def _bar(fraction: float, words: Words) -> str:
    percent = round(100 * min(max(fraction, 0.0), 1.0))
    return (
        f'<div class="bar" role="progressbar" aria-label="{_text(words, "progress")}" aria-valuemin="0" '
        f'aria-valuemax="100" aria-valuenow="{percent}"><div style="width:{percent}%"></div></div>'
    )


def _stages(stages: Sequence[Stage], words: Words) -> str:
    rows = "".join(
        f'<li class="{html.escape(stage.state)}"><span class="mark" aria-hidden="true"></span>'
        f"<span>{html.escape(_stage_name(stage, words))}</span>"
        f"<small>{html.escape(translated(stage.detail, words))}</small>"
        f"<time>{html.escape(_stage_time(stage, words))}</time></li>"
        for stage in stages
    )
    return f'<ol class="stages">{rows}</ol>' if rows else ""


def _stage_name(stage: Stage, words: Words) -> str:
    key = f"school.stage_{stage.name.replace(' ', '_')}"
    return words(key) if key in catalogue() else stage.name


def _stage_time(stage: Stage, words: Words) -> str:
    if stage.seconds is not None:
        return spoken_seconds(stage.seconds, words)
    if stage.state is NightState.RUNNING:
        began = datetime.fromisoformat(stage.started_at)
        return spoken_seconds((datetime.now(UTC) - began).total_seconds(), words)
    return ""


def _card(heading: str, body: str, *, kind: str = "", live: bool = False) -> str:
    busy = ' aria-busy="true"' if live else ""
    return f'<section class="night {kind}"{busy}><h3>{html.escape(heading)}</h3>{body}</section>'


def _kind(night: Night) -> str:
    if night.state in {NightState.FAILED, NightState.INTERRUPTED}:
        return "failed"
    return str(night.verdict) if night.verdict else str(night.state)


def _when(moment: str) -> str:
    return html.escape(moment[:16].replace("T", " "))


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
