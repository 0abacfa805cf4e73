"""What the School page shows, as HTML text. Everything that comes from rows is escaped here and nowhere else."""

import html
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from demo.nights import NightStatus, Phase
from nightschool.records import Night, NightState, Stage, VerdictKind

VERDICTS = {
    VerdictKind.PROMOTED: "Promoted: a new version answers",
    VerdictKind.PROBATION: "On probation: people's duels decide",
    VerdictKind.HELD: "Held: the version that answers stays",
    VerdictKind.REJECTED: "Rejected: the version that answers stays",
    VerdictKind.SKIPPED: "Skipped: nothing was trained",
}
NUMBERS = {
    "win_rate": ("Win rate against the champion", "{:.0%}"),
    "win_rate_low": ("Win rate, low end", "{:.0%}"),
    "reward_model_accuracy": ("Reward model accuracy", "{:.0%}"),
    "kl": ("KL to the base model", "{:.3f}"),
    "reward_before": ("Reward before", "{:+.3f}"),
    "reward_after": ("Reward after", "{:+.3f}"),
    "champion_length": ("Mean answer length before", "{:.0f} tokens"),
    "candidate_length": ("Mean answer length after", "{:.0f} tokens"),
}
"""The report's main numbers, in the order they are shown; a night that stopped early has only some."""


def counts_line(duels: int, thumbs: int, champion: str) -> str:
    """What the next night can learn from, and who answers now."""
    return "".join(
        f'<div class="tile"><b>{html.escape(value)}</b><span>{label}</span></div>'
        for value, label in (
            (str(duels), "duel decided" if duels == 1 else "duels decided"),
            (str(thumbs), "thumb" if thumbs == 1 else "thumbs"),
            (champion, "answers now"),
        )
    )


def night_card(status: NightStatus) -> str:
    """The newest night: heading, bar, stages, and at the end the verdict with its reason and numbers."""
    night = status.night
    if status.phase is Phase.IDLE:
        return _card("No night yet", "<p>Chat a little, judge some answers, then press Train now.</p>")
    if status.phase is Phase.STARTING:
        return _card("The night is starting", "<p>The model is being loaded.</p>" + _bar(0.0), live=True)
    if status.phase is Phase.NOT_STARTED or night is None:
        return _card("The night did not start", f"<p>{html.escape(status.sentence)}</p>", kind="failed")
    body = _bar(progress(night)) + _stages(night.stages) if status.phase is Phase.RUNNING else _ending(night)
    return _card(_heading(night), body, kind=_kind(night), live=status.phase is Phase.RUNNING)


def progress(night: Night) -> float:
    """How far a running night is, from 0 to 1: the stage at work moves the bar (the number of stages is not known)."""
    at_work = [stage for stage in night.stages if stage.state is NightState.RUNNING]
    return at_work[-1].progress if at_work else 0.0


def log_lines(lines: Sequence[tuple[str, str]]) -> str:
    """The night's log, newest line first."""
    if not lines:
        return '<p class="quiet">Nothing yet.</p>'
    rows = "".join(f"<li><time>{clock(at)}</time> {html.escape(text)}</li>" for at, text in reversed(lines))
    return f'<ul class="log">{rows}</ul>'


def history_table(nights: Sequence[Night]) -> str:
    """All nights, newest first."""
    if not nights:
        return '<p class="quiet">The first night will be listed here.</p>'
    rows = "".join(
        f"<tr><td>{_when(night.started_at)}</td><td>{html.escape(night.effort)}"
        f"{' (practice)' if night.practice else ''}</td><td>"
        f'<span class="badge {_kind(night)}">{html.escape(night.verdict or night.state)}</span></td>'
        f"<td>{html.escape(night.version_id or '–')}</td><td>{_duration(night)}</td></tr>"
        for night in reversed(nights)
    )
    head = "<tr><th>Started (UTC)</th><th>Effort</th><th>Verdict</th><th>Version</th><th>Time</th></tr>"
    return f'<div class="scroll"><table><thead>{head}</thead><tbody>{rows}</tbody></table></div>'


def clock(moment: str) -> str:
    """The time of day of a stored moment, UTC."""
    return html.escape(moment[11:19])


def spoken_seconds(seconds: float) -> str:
    """A duration in words short enough for a table."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{int(seconds // 60)} min {int(seconds % 60):02d} s"


def _heading(night: Night) -> str:
    if night.state is NightState.RUNNING:
        return "The night is running" + (" (practice)" if night.practice else "")
    if night.state is NightState.FAILED:
        return "The night failed: the version that answers stays"
    if night.state is NightState.INTERRUPTED:
        return "The night was interrupted: the version that answers stays"
    return VERDICTS[night.verdict] if night.verdict else "The night ended"


def _ending(night: Night) -> str:
    version = f' <span class="quiet">Version {html.escape(night.version_id)}.</span>' if night.version_id else ""
    reason = f'<p class="reason">{html.escape(night.reason)}{version}</p>'
    return reason + _numbers(night.report or {}) + _stages(night.stages)


def _numbers(report: dict[str, Any]) -> str:
    cells = "".join(
        f'<div class="tile"><b>{html.escape(shape.format(report[name]))}</b><span>{label}</span></div>'
        for name, (label, shape) in NUMBERS.items()
        if isinstance(report.get(name), int | float)
    )
    return f'<div class="tiles">{cells}</div>' if cells else ""


def _bar(fraction: float) -> str:
    percent = round(100 * min(max(fraction, 0.0), 1.0))
    return (
        f'<div class="bar" role="progressbar" aria-label="Progress of this stage" aria-valuemin="0" '
        f'aria-valuemax="100" aria-valuenow="{percent}"><div style="width:{percent}%"></div></div>'
    )


def _stages(stages: Sequence[Stage]) -> str:
    rows = "".join(
        f'<li class="{html.escape(stage.state)}"><span class="mark" aria-hidden="true"></span>'
        f"<span>{html.escape(stage.name)}</span><small>{html.escape(stage.detail)}</small>"
        f"<time>{_stage_time(stage)}</time></li>"
        for stage in stages
    )
    return f'<ol class="stages">{rows}</ol>' if rows else ""


def _stage_time(stage: Stage) -> str:
    if stage.seconds is not None:
        return spoken_seconds(stage.seconds)
    if stage.state is NightState.RUNNING:
        return spoken_seconds((datetime.now(UTC) - datetime.fromisoformat(stage.started_at)).total_seconds())
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


def _duration(night: Night) -> str:
    if night.ended_at is None:
        return "…"
    length = datetime.fromisoformat(night.ended_at) - datetime.fromisoformat(night.started_at)
    return spoken_seconds(length.total_seconds())
