"""What the next night would use, as HTML text: how much of each kind, whether that is enough, how long it takes."""

import html
from collections.abc import Mapping

from demo.catalogue import Words
from demo.night_time import usual_seconds
from demo.outlook import Counted
from demo.pages.spoken import about
from demo.translation import translated
from nightschool.needs import LEAST_NEW, LEAST_TRAINING, TRAIN_SHARE


def counts_line(counted: Counted | str | None, champion: str, words: Words) -> str:
    """A tile for each kind of judgement with its new ones, and who answers now."""
    kinds = counted.kinds if isinstance(counted, Counted) else {}
    cells = "".join(
        _tile(str(count), f"kind_{kind}_one" if count == 1 else f"kind_{kind}", _new(new, words), words)
        for kind, (count, new) in kinds.items()
    )
    return cells + _tile(champion, "answers_now", "", words)


def outlook(counted: Counted | str | None, effort: str, measured: Mapping[str, float], words: Words) -> str:
    """Whether a night is worth running, with what it lacks, and how long it takes."""
    body = _worth(counted, words) + _quiet(html.escape(_duration(effort, measured, words)))
    kind = "waits" if not isinstance(counted, Counted) else "lacks" if counted.missing else "ready"
    return f'<div class="outlook {kind}">{body}</div>'


def _worth(counted: Counted | str | None, words: Words) -> str:
    if counted is None:
        return f"<p>{html.escape(words('school.counting'))}</p>"
    if isinstance(counted, str):
        return f"<p>{html.escape(words('school.not_counted', error=translated(counted, words)))}</p>"
    if not counted.missing:
        sentence = words("school.worth_it")
    elif counted.missing == 1:
        sentence = words("school.lacks_one")
    else:
        sentence = words("school.lacks", missing=counted.missing)
    rebuild = f"<p>{html.escape(words('school.rebuild'))}</p>" if counted.is_rebuild else ""
    meters = _meter("meter_training", counted.training, LEAST_TRAINING, words)
    if not counted.is_rebuild:
        meters = _meter("meter_new", counted.new, LEAST_NEW, words) + meters
    hint = _quiet(html.escape(words("school.lacks_hint", share=TRAIN_SHARE))) if counted.missing else ""
    return f'<p><b>{html.escape(sentence)}</b></p>{rebuild}<div class="meters">{meters}</div>{hint}'


def _quiet(text: str) -> str:
    return f'<p class="quiet">{text}</p>'


def _meter(key: str, value: float, least: int, words: Words) -> str:
    label = html.escape(words(f"school.{key}", value=f"{value:.0f}", least=least))
    width = f"width:{100 * min(value / least, 1.0):.0f}%"
    return (
        f'<div><span>{label}</span><div class="bar small" role="meter" aria-label="{label}" aria-valuemin="0" '
        f'aria-valuemax="{least}" aria-valuenow="{min(value, least):.0f}"><div style="{width}"></div></div></div>'
    )


def _duration(effort: str, measured: Mapping[str, float], words: Words) -> str:
    key = "takes_measured" if measured else "takes_usual"
    seconds = sum(usual_seconds(effort, measured).values())
    return words(f"school.{key}", effort=words(f"school.effort_{effort}"), time=about(seconds, words))


def _new(new: int, words: Words) -> str:
    return words("school.new_ones", new=new) if new else ""


def _tile(value: str, key: str, under: str, words: Words) -> str:
    small = f"<small>{html.escape(under)}</small>" if under else ""
    label = html.escape(words(f"school.{key}"))
    return f'<div class="tile"><b>{html.escape(value)}</b><span>{label}</span>{small}</div>'
