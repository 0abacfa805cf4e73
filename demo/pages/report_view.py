"""A night's report as HTML text: verdict, numbers, guards, replies before and after. What rows hold is escaped.

What is long lies folded in `<details>`. Prompts of people (the worst three may be theirs) are shown to the owner only.
"""

import html
from collections.abc import Mapping, Sequence
from typing import Any

from demo.catalogue import Words
from demo.pages.curves_view import curves_grid
from demo.translation import translated
from nightschool.records import Curves, Night, NightState, VerdictKind

NUMBERS = {
    "win_rate": "{:.0%}",
    "reward_model_accuracy": "{:.0%}",
    "kl": "{:.2f}",
    "reward_before": "{:+.2f}",
    "reward_after": "{:+.2f}",
    "champion_length": "{:.0f}",
    "candidate_length": "{:.0f}",
}
"""The report's main numbers, in the order they are shown; a night that stopped early has only some."""
IN_TOKENS = {"champion_length", "candidate_length"}
INTERVAL = ("win_rate_low", "win_rate_high")
SHARE, TWO, ONE, WHOLE = "{:.0%}", "{:.2f}", "{:.1f}", "{:.0f}"
GUARDS = {
    "base": (WHOLE, "least"),
    "drift": (ONE, "most"),
    "entropy": (TWO, "least"),
    "perplexity": (TWO, "most"),
    "length": (WHOLE, ""),
    "finished": (SHARE, "least"),
    "empty": (SHARE, "most"),
    "looping": (SHARE, "most"),
    "variety": (SHARE, "least"),
    "script": (SHARE, "least"),
    "copies": (SHARE, "most"),
    "doubt": (TWO, "most"),
}
"""Guard -> the shape of its figure, and whether its limit is the least or the most; of the length it may be either."""


def ending(night: Night, words: Words) -> str:
    """What became of a night: the reason, its version, and the main numbers."""
    version = ""
    if night.version_id:
        sentence = html.escape(words("school.of_version", version=night.version_id))
        version = f' <span class="quiet">{sentence}</span>'
    reason = f'<p class="reason">{html.escape(_reason(night, words))}{version}</p>'
    if night.rolled_back is not None:
        reason = f'<p class="reason">{html.escape(night.rolled_back[words.language])}</p>{reason}'
    return reason + _alarm(night.report or {}, words) + _numbers(night.report or {}, words)


def details(night: Night, curves: Curves, stages: str, words: Words, *, is_owner: bool) -> str:
    """Everything else of the report, folded. `stages`: the list of the night's stages."""
    report = night.report or {}
    parts = [_guards(report, words)]
    samples = _samples(report.get("samples"), words)
    parts.append(_fold("fixed", words("school.fixed"), words("school.fixed_info"), samples))
    if is_owner:
        worst = _samples(report.get("worst"), words)
        parts.append(_fold("worst", words("school.worst"), words("school.worst_info"), worst))
    parts.append(_fold("curves-fold", words("school.curves"), "", curves_grid(curves, words)))
    parts.append(_fold("stages-fold", words("school.stages"), "", stages))
    return "".join(parts)


def _alarm(report: Mapping[str, Any], words: Words) -> str:
    """That the reward model is pleased with what the examiner or people are not."""
    said = report.get("alarm_zh" if words.language == "zh" else "alarm")
    return f'<p class="alarm" role="alert">{html.escape(said)}</p>' if said else ""


def heading(night: Night, words: Words) -> str:
    """What a night is doing, or how it ended, in a few words."""
    if night.state is NightState.RUNNING:
        return words("school.running_practice" if night.practice else "school.running")
    if night.state in {NightState.FAILED, NightState.INTERRUPTED}:
        return words(f"school.{night.state}")
    return words("school.rolled_back" if night.rolled_back else f"school.{night.verdict or 'ended'}")


def badge(night: Night, words: Words) -> str:
    """How it ended, in a word or two."""
    return words("school.badge_rolled_back" if night.rolled_back else f"school.badge_{night.verdict or night.state}")


def kind_of(night: Night) -> str:
    """Its colour."""
    if night.rolled_back is not None:
        return str(VerdictKind.REJECTED)
    if night.state in {NightState.FAILED, NightState.INTERRUPTED}:
        return "failed"
    return str(night.verdict) if night.verdict else str(night.state)


def _reason(night: Night, words: Words) -> str:
    """As the night's report says it in this language; errors and older nights have the English one only."""
    told = (night.report or {}).get(f"reason_{words.language}") if night.verdict else None
    return str(told or translated(night.reason, words))


def _numbers(report: Mapping[str, Any], words: Words) -> str:
    cells = ""
    for name, shape in NUMBERS.items():
        if isinstance(report.get(name), int | float):
            value = shape.format(report[name])
            shown = words("school.tokens", count=value) if name in IN_TOKENS else value
            label = html.escape(words(f"school.figure_{name}"))
            under = _interval(report, words) if name == "win_rate" else ""
            cells += f'<div class="tile"><b>{html.escape(shown)}</b><span>{label}</span>{under}</div>'
    return f'<div class="tiles">{cells}</div>' if cells else ""


def _interval(report: Mapping[str, Any], words: Words) -> str:
    """Between what and what the win rate lies; older reports have the lower end only."""
    low, high = (report.get(name) for name in INTERVAL)
    if not isinstance(low, int | float):
        return ""
    if not isinstance(high, int | float):
        sentence = words("school.interval_low", low=f"{low:.0%}")
    else:
        sentence = words("school.interval", low=f"{low:.0%}", high=f"{high:.0%}")
    return f"<small>{html.escape(sentence)}</small>"


def _guards(report: Mapping[str, Any], words: Words) -> str:
    guards: Mapping[str, Any] = report.get("guards") or {}
    if not guards:
        return ""
    rows = "".join(_guard(name, guard, report, words) for name, guard in guards.items())
    titles = ("guard", "guard_figure", "guard_limit", "guard_result")
    head = "".join(f"<th>{html.escape(words(f'school.{title}'))}</th>" for title in titles)
    held = sum(bool(guard["holds"]) for guard in guards.values())
    title = words("school.guards_all" if held == len(guards) else "school.guards_some", held=held, count=len(guards))
    table = f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
    return _fold("guards", title, words("school.guards_info"), table, is_open=held < len(guards))


def _guard(name: str, guard: Mapping[str, Any], report: Mapping[str, Any], words: Words) -> str:
    shape, bound = GUARDS.get(name, (TWO, ""))
    if name == "length":
        bound = "least" if report.get("candidate_length", 0) < report.get("champion_length", 0) else "most"
    limit = shape.format(max(guard["limit"], 0.0))  # what was forgiven may have led below 0
    told = words(f"school.at_{bound}", limit=limit) if bound else limit
    title = words(f"school.guard_{name}") if words.knows(f"school.guard_{name}") else name
    result = "holds" if guard["holds"] else "broken"
    return (
        f"<tr><td>{html.escape(title)}</td><td>{html.escape(shape.format(guard['value']))}</td>"
        f'<td>{html.escape(told)}</td><td><span class="badge {result}">'
        f"{html.escape(words(f'school.guard_{result}'))}</span></td></tr>"
    )


def _samples(samples: Any, words: Words) -> str:
    """Prompts with the replies before and after, side by side where there is room."""
    found: Sequence[Mapping[str, Any]] = samples or []
    rows = "".join(_sample(sample, words) for sample in found)
    return f'<ol class="samples">{rows}</ol>' if rows else ""


def _sample(sample: Mapping[str, Any], words: Words) -> str:
    margin = ""
    if isinstance(sample.get("margin"), int | float):
        told = words("school.margin", margin=format(sample["margin"], "+.2f"))
        margin = f"<small>{html.escape(told)}</small>"
    sides = "".join(
        f"<div><b>{html.escape(words(f'school.{side}'))}</b>"
        f'<p class="users-own">{html.escape(str(sample[side]).strip()) or _no_words(words)}</p></div>'
        for side in ("before", "after")
    )
    prompt = html.escape(str(sample["prompt"]).strip())
    return f'<li><p class="asked users-own">{prompt}</p>{margin}<div class="sides">{sides}</div></li>'


def _no_words(words: Words) -> str:
    return f'<i class="quiet">{html.escape(words("school.no_words"))}</i>'


def _fold(name: str, title: str, info: str, body: str, *, is_open: bool = False) -> str:
    """A part that can be folded; nothing for an empty one."""
    if not body:
        return ""
    told = f'<p class="quiet">{html.escape(info)}</p>' if info else ""
    opened = " open" if is_open else ""
    return f'<details class="fold {name}"{opened}><summary>{html.escape(title)}</summary>{told}{body}</details>'
