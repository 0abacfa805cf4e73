"""What the Versions page shows of versions, as HTML text: who answers, who is on probation, and the tree of all.

Everything that comes from rows is escaped here and nowhere else.
"""

import html
import math
from collections.abc import Mapping

from demo.catalogue import Words
from demo.rails import Rail
from demo.translation import translated
from demo.version_room import Album, Watched
from demo.version_states import Standing, State
from nightschool.probation import FAILURES_AT, PROMOTE_AT, ROLL_BACK_AT, THUMBS_AT, VOTES_A_DAY
from nightschool.records import INITIAL, Figures, Version

AT_ONCE = 12
"""Versions shown at once; older ones are folded away."""


# ---- who answers -----------------------------------------------------------------------------------------------------


def now_card(album: Album, words: Words, *, may_act: bool) -> str:
    """The version that answers, since when, and the way back to the one before."""
    champion = album.champion
    term = album.standings[champion.id].terms[-1:]
    since = f'<span class="quiet">{_text(words, "since", moment=when(term[0].since, words))}</span>' if term else ""
    back = ""
    if may_act and album.before is not None:
        key = "let_again" if album.is_later(album.before.id) else "roll_back_to"
        label = _text(words, key, version=album.before.id)
        back = button("rollback", album.before.id, label, "secondary")
    body = f"<div><span>{_text(words, 'answers_now')}</span><b>{html.escape(champion.id)}</b>{since}</div>"
    return f'<section class="now">{body}{back}</section>'


def probation_card(watched: Watched | None, words: Words, *, may_act: bool) -> str:
    """How the version on probation stands: votes, and the evidence against its limits; nothing where there is none."""
    if watched is None:
        return ""
    probation, said = watched.probation, watched.said
    names = {"version": _bold(probation.version_id), "rival": _bold(probation.rival_id)}
    key = "probation_answers" if watched.answers else "probation_waits"
    told = words("versions.no_votes")
    if said.wins + said.losses:
        told = words("versions.probation_votes", wins=said.wins, losses=said.losses)
    meters = (
        _meter("evidence_for", said.for_it, PROMOTE_AT, "for", words)
        + _meter("evidence_against", said.against_it, ROLL_BACK_AT, "against", words)
        + _meter("evidence_thumbs", said.thumbs_against, THUMBS_AT, "against", words)
        + _meter("evidence_failures", said.failures_against, FAILURES_AT, "against", words)
    )
    acts = ""
    if may_act:
        acts = (
            '<div class="acts">'
            + button("confirm", probation.version_id, _text(words, "confirm", version=probation.version_id), "primary")
            + button("takeback", probation.version_id, _text(words, "take_back", version=probation.version_id), "stop")
            + "</div>"
        )
    began = _text(words, "probation_since", moment=when(probation.started_at, words))
    return (
        f'<section class="watched"><h2>{_text(words, "probation")}</h2>'
        f"<p>{words(f'versions.{key}', **names)} {began}</p>"
        f"<p><b>{html.escape(told)}</b> {_text(words, 'counting', most=VOTES_A_DAY)}</p>"
        f'<dl class="meters">{meters}</dl>{acts}</section>'
    )


def _meter(name: str, found: float, limit: float, kind: str, words: Words) -> str:
    """Evidence on its way to a limit. Evidence multiplies, so the bar is of its logarithm; 1 and less is nothing."""
    share = min(max(math.log(max(found, 1.0)) / math.log(limit), 0.0), 1.0)
    label, shown = _text(words, name), f"{found:,.1f} / {limit:,.0f}"
    return (
        f'<dt>{label}</dt><dd><div class="meter {kind}" role="meter" aria-label="{label}" aria-valuemin="0" '
        f'aria-valuemax="100" aria-valuenow="{share:.0%}" aria-valuetext="{shown}">'
        f'<i style="width:{share:.1%}"></i></div><span>{shown}</span></dd>'
    )


# ---- the tree --------------------------------------------------------------------------------------------------------


def tree(album: Album, words: Words, *, may_act: bool) -> str:
    """Every version, newest first, beside the lines of its descent; those past the first dozen are folded away."""
    lanes = max(max(rail.lane, rail.joins or 0, *rail.merges, *rail.passing) for rail in album.rails) + 1
    rows = [
        _row(version, rail, album, words, may_act=may_act)
        for version, rail in zip(album.versions, album.rails, strict=True)
    ]
    shown, older = rows[:AT_ONCE], rows[AT_ONCE:]
    folded = ""
    if older:
        more = _text(words, "older", count=len(older))
        folded = f'<details class="older"><summary>{more}</summary><ol class="tree">{"".join(older)}</ol></details>'
    return f'<div class="lineage" style="--lanes:{lanes}"><ol class="tree">{"".join(shown)}</ol>{folded}</div>'


def _row(version: Version, rail: Rail, album: Album, words: Words, *, may_act: bool) -> str:
    standing, figures = album.standings[version.id], album.figures.get(version.id)
    deleted = album.deleted.get(version.id, 0)
    name = html.escape(version.id)
    parts = [
        f'<div class="head"><b class="name">{name}</b>{_badges(version, standing, deleted, words)}'
        f"<time>{when(version.created_at, words)}</time></div>",
        _facts(version, figures, album.receipts.get(version.id, {}), words),
        _remarks(standing, figures, deleted, words),
        _acts(version, standing, deleted, words) if may_act else "",
    ]
    return (
        f'<li class="version {standing.state}" id="version-{name}">{_rail(rail, standing.state)}'
        f'<div class="body">{"".join(parts)}</div></li>'
    )


def _badges(version: Version, standing: Standing, deleted: int, words: Words) -> str:
    badges: list[tuple[str, str]] = [(standing.state, _text(words, f"state_{standing.state}"))]
    if standing.is_watched and standing.state is State.ANSWERS:
        badges.append((State.PROBATION, _text(words, "state_probation")))
    if deleted and standing.state is not State.RETIRED:
        badges.append(("tainted", _text(words, "tainted")))
    return "".join(f'<span class="badge {kind}">{text}</span>' for kind, text in badges)


def _facts(version: Version, figures: Figures | None, receipts: Mapping[str, int], words: Words) -> str:
    """Parent, night, exam, drift and size of the training set: what is known of them."""
    facts: list[tuple[str, str]] = []
    if version.parent_id is not None:
        parent = html.escape(version.parent_id)
        facts.append(("parent", f'<a href="#version-{parent}">{parent}</a>'))
    if figures is not None:
        facts.append(("night", f"{when(figures.started_at, words)}, {html.escape(_effort(figures, words))}"))
    if figures is not None and figures.verdict is not None:
        facts.append(("verdict", _text(words, f"verdict_{figures.verdict}")))
    if figures is not None and figures.win_rate is not None:
        facts.append(("exam", _exam(figures, words)))
    if figures is not None and figures.kl is not None:
        facts.append(("kl", f"<b>{figures.kl:.2f}</b>"))
    if figures is not None and figures.judgements is not None:
        facts.append(("training", f"<b>{sum(receipts.values()) or figures.judgements}</b>"))
    cells = "".join(f"<div><dt>{_text(words, f'fact_{name}')}</dt><dd>{value}</dd></div>" for name, value in facts)
    return f'<dl class="facts">{cells}</dl>' if facts else ""


def _effort(figures: Figures, words: Words) -> str:
    key = f"school.effort_{figures.effort}"
    effort = words(key) if words.knows(key) else figures.effort
    return words("school.effort_practice", effort=effort) if figures.practice else effort


def _exam(figures: Figures, words: Words) -> str:
    """The win rate, its bounds as numbers and as a bar with a mark at one half."""
    rate, low, high = figures.win_rate, figures.win_rate_low, figures.win_rate_high
    assert rate is not None
    if low is None or high is None:
        return f"<b>{rate:.0%}</b>"
    label = _text(words, "exam_label", low=f"{low:.0%}", high=f"{high:.0%}", prompts=figures.prompts or "?")
    return (
        f'<b>{rate:.0%}</b> <span class="range">{low:.0%}–{high:.0%}</span>'
        f'<span class="track" role="img" aria-label="{label}" title="{label}">'
        f'<i style="left:{low:.1%};width:{max(high - low, 0):.1%}"></i><u style="left:{rate:.1%}"></u></span>'
    )


def _remarks(standing: Standing, figures: Figures | None, deleted: int, words: Words) -> str:
    """Why the night decided so, why people took it back, what deleted judgements mean for it."""
    told = []
    if figures is not None and (reason := _reason(figures, words)):
        told.append(f'<p class="reason">{html.escape(reason)}</p>')
    if (ended := standing.taken_back) is not None:
        reason = ended.reason if words.language == "en" else ended.reason_zh
        told.append(f'<p class="reason">{_text(words, "taken_back", reason=reason)}</p>')
    if standing.terms and standing.terms[-1].until is not None:
        term = standing.terms[-1]
        told.append(
            f"<p>{_text(words, 'answered', since=when(term.since, words), until=when(str(term.until), words))}</p>"
        )
    if standing.state is State.RETIRED:
        told.append(f'<p class="taint">{_text(words, "retired_means", count=deleted)}</p>')
    elif deleted:
        told.append(f'<p class="taint">{_text(words, "tainted_means", count=deleted)}</p>')
    return "".join(told)


def _reason(figures: Figures, words: Words) -> str:
    """As the night's report says it in this language; older nights have the English one only."""
    if words.language == "en":
        return figures.reason
    return figures.reason_zh or translated(figures.reason, words)


def _acts(version: Version, standing: Standing, deleted: int, words: Words) -> str:
    may_answer = standing.state is not State.RETIRED and not deleted
    buttons = []
    if may_answer and standing.state is not State.ANSWERS:
        buttons.append(button("promote", version.id, _text(words, "promote"), "secondary"))
    if may_answer:
        buttons.append(button("try", version.id, _text(words, "try"), "secondary"))
    if version.id != INITIAL:
        buttons.append(button("receipts", version.id, _text(words, "receipts"), "secondary"))
    return f'<div class="acts">{"".join(buttons)}</div>' if buttons else ""


def _rail(rail: Rail, state: State) -> str:
    """The lines beside a row; its text says the same ("grew from"), so they are hidden from readers of screens."""
    lines = [f'<i class="v" style="--l:{lane}"></i>' for lane in rail.passing]
    above = [lane for lane in (rail.lane,) if rail.has_line_above] + [*rail.merges]
    below = [lane for lane in (rail.lane,) if rail.has_line_below] + [lane for lane in (rail.joins,) if rail.begins]
    lines += [f'<i class="v up" style="--l:{lane}"></i>' for lane in above]
    lines += [f'<i class="v down" style="--l:{lane}"></i>' for lane in below]
    for other in (*rail.merges, *(lane for lane in (rail.joins,) if lane is not None)):
        left, right = sorted((other, rail.lane))
        lines.append(f'<i class="h" style="--l:{left};--to:{right}"></i>')
    dot = f'<b class="dot {state}" style="--l:{rail.lane}"></b>'
    return f'<span class="rail" aria-hidden="true">{"".join(lines)}{dot}</span>'


# ---- inside ----------------------------------------------------------------------------------------------------------


def when(moment: str, words: Words) -> str:
    """A stored moment to the minute, UTC."""
    return _text(words, "moment", moment=moment[:16].replace("T", " "))


def button(act: str, version: str, label: str, kind: str, *, page: int = 0, enabled: bool = True) -> str:
    """A button that `versions.js` reports as `chosen`; its label is escaped already."""
    off = "" if enabled else " disabled"
    return (
        f'<button type="button" class="{kind}" data-act="{act}" data-version="{html.escape(version)}" '
        f'data-page="{page}"{off}>{label}</button>'
    )


def line(key: str, words: Words, **values: object) -> str:
    """A line of status."""
    return _text(words, key, **values)


def _text(words: Words, key: str, **values: object) -> str:
    return html.escape(words(f"versions.{key}", **values))


def _bold(text: str) -> str:
    return f"<b>{html.escape(text)}</b>"
