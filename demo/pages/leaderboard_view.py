"""The leaderboard as HTML text: ratings with their intervals, and who beat whom as a heat map.

Colours go from orange (lost) over none (even) to blue (won), which people who do not tell red from green can tell; each
cell has its figure besides.
"""

import html
from collections.abc import Sequence

from demo.catalogue import Words
from demo.leaderboards import Board
from demo.translation import translated
from nightschool.standings import Leaderboard, Rating

STEP = 50
"""Points between two marks of the scale, at least."""
MOST_MARKS = 6
STRONGEST = 62
"""Per cent of colour in a cell that won or lost everything: the figure stays readable."""


def leaderboard(board: Board, champion: str, words: Words) -> str:
    """The whole section."""
    note = "" if board.is_current and not board.fault else f'<p class="quiet" role="status">{_note(board, words)}</p>'
    found = board.standings
    if found is None:
        return note
    if not found.duels:
        return note or f'<p class="quiet">{_text(words, "no_duels")}</p>'
    return note + _table(found, champion, words) + _matrix(found, words)


def _note(board: Board, words: Words) -> str:
    if board.fault:
        return html.escape(translated(board.fault, words))
    return _text(words, "board_old" if board.standings is not None else "board_first")


# ---- ratings ---------------------------------------------------------------------------------------------------------


def _table(found: Leaderboard, champion: str, words: Words) -> str:
    scale = scale_of(found.ratings)
    dressed = bool(found.styles)
    rows = "".join(_row(rating, champion, scale, words, dressed=dressed) for rating in found.ratings)
    columns = ("rank", "version", "rating", "interval", *(["style"] if dressed else []), "duels", "score")
    head = "".join(f'<th scope="col" class="{name}">{_text(words, f"column_{name}")}</th>' for name in columns)
    unit = words("versions.people" if found.drawn == "people" else "versions.conversations")
    key = "board_told_one" if found.people == 1 else "board_told"
    told = _text(words, key, duels=found.duels, people=found.people, unit=unit)
    notes = ""
    if any(rating.rank is None and rating.rating is not None for rating in found.ratings):
        notes += f" {_text(words, 'no_rank')}"
    if any(rating.rating is None for rating in found.ratings):
        notes += f" {_text(words, 'no_rating')}"
    axis = _axis(scale)
    return (
        f'<p class="quiet">{told}{notes}</p><div class="scroll"><table class="ratings"><thead><tr>{head}</tr></thead>'
        f'<tbody>{rows}</tbody><tfoot aria-hidden="true"><tr><td colspan="3"></td><td class="interval">{axis}</td>'
        f'<td colspan="{3 if dressed else 2}"></td></tr></tfoot></table></div>{_styles(found, words)}'
    )


def _styles(found: Leaderboard, words: Words) -> str:
    """What "style aside" means, and what each style does by itself."""
    if not found.styles:
        return ""
    effects = [
        _text(
            words,
            f"style_{effect.name}",
            share=f"{effect.share:.0%}",
            low=f"{effect.low:.0%}",
            high=f"{effect.high:.0%}",
        )
        for effect in found.styles
    ]
    return (
        f'<p class="quiet styles">{_text(words, "style_told")} {_text(words, "style_effects")}</p>'
        f'<ul class="quiet styles"><li>{"</li><li>".join(effects)}</li></ul>'
    )


def scale_of(ratings: Sequence[Rating]) -> tuple[float, float, list[float]]:
    """(lowest, highest, marks) of an axis that holds every interval, with round marks."""
    lows = [rating.low for rating in ratings if rating.low is not None] or [1000.0]
    highs = [rating.high for rating in ratings if rating.high is not None] or [1000.0]
    step = STEP
    while (max(highs) - min(lows)) / step > MOST_MARKS:
        step *= 2
    first, last = int(min(lows) // step), int(-(-max(highs) // step))
    marks = [float(step * number) for number in range(first, max(last, first + 1) + 1)]
    return marks[0], marks[-1], marks


def _row(rating: Rating, champion: str, scale: tuple[float, float, list[float]], words: Words, *, dressed: bool) -> str:
    name = html.escape(rating.version)
    mark = f' <span class="badge answers">{_text(words, "state_answers")}</span>' if rating.version == champion else ""
    score = f"{rating.wins}–{rating.ties}–{rating.losses}"
    aside = _aside(rating)
    narrow = _text(words, "score_narrow", duels=rating.duels, score=score)
    style = ""
    if dressed:
        narrow += f"<br>{_text(words, 'style_narrow', rating=aside)}"
        style = f'<td class="style">{aside}</td>'
    number, interval = "–", ""
    if rating.rating is not None and rating.low is not None and rating.high is not None:
        number = f"{rating.rating:.0f}"
        interval = _interval(rating.rating, rating.low, rating.high, scale)
    return (
        f'<tr><td class="rank">{"–" if rating.rank is None else rating.rank}</td>'
        f'<th scope="row" class="version"><span>{name}</span>{mark}<small class="narrow">{narrow}</small></th>'
        f'<td class="rating">{number}</td><td class="interval">{interval}</td>{style}'
        f'<td class="duels">{rating.duels}</td><td class="score">{score}</td></tr>'
    )


def _aside(rating: Rating) -> str:
    """The rating with style aside and its interval."""
    if rating.controlled is None or rating.controlled_low is None or rating.controlled_high is None:
        return "–"
    return f"{rating.controlled:.0f} ({rating.controlled_low:.0f} – {rating.controlled_high:.0f})"


def _interval(rating: float, low: float, high: float, scale: tuple[float, float, list[float]]) -> str:
    at = [_place(value, scale) for value in (rating, low, high)]
    label = f"{low:.0f} – {high:.0f}"
    lines = "".join(f'<s style="left:{_place(mark, scale):.2%}"></s>' for mark in scale[2])
    return (
        f'<span class="interval-plot" role="img" aria-label="{label}" title="{label}">{lines}'
        f'<i style="left:{at[1]:.2%};width:{at[2] - at[1]:.2%}"></i><u style="left:{at[0]:.2%}"></u></span>'
    )


def _axis(scale: tuple[float, float, list[float]]) -> str:
    marks = "".join(f'<span style="left:{_place(mark, scale):.2%}">{mark:.0f}</span>' for mark in scale[2])
    return f'<span class="axis">{marks}</span>'


def _place(value: float, scale: tuple[float, float, list[float]]) -> float:
    """Where a rating lies on the axis, from 0 to 1."""
    return (value - scale[0]) / (scale[1] - scale[0])


# ---- the matrix ------------------------------------------------------------------------------------------------------


def _matrix(found: Leaderboard, words: Words) -> str:
    """Who beat whom, of the versions that met somebody."""
    met = [place for place, row in enumerate(found.meetings) if any(row)]
    head = "".join(
        f'<th scope="col" title="{html.escape(found.versions[place])}">{html.escape(short(found.versions[place]))}</th>'
        for place in met
    )
    rows = "".join(
        f'<tr><th scope="row">{html.escape(found.versions[row])}</th>'
        + "".join(_cell(found, row, column, words) for column in met)
        + "</tr>"
        for row in met
    )
    legend = (
        f'<div class="legend" aria-hidden="true"><span>{_text(words, "legend_lost")}</span><i></i>'
        f"<span>{_text(words, 'legend_won')}</span></div>"
    )
    return (
        f"<h3>{_text(words, 'matrix')}</h3><p class='quiet'>{_text(words, 'matrix_told')}</p>"
        f'<div class="scroll"><table class="matrix"><thead><tr><td></td>{head}</tr></thead><tbody>{rows}</tbody>'
        f"</table></div>{legend}"
    )


def _cell(found: Leaderboard, row: int, column: int, words: Words) -> str:
    share, met = found.win_shares[row][column], found.meetings[row][column]
    if row == column:
        return '<td class="self"></td>'
    if share is None:
        return f'<td class="unmet"><span aria-label="{_text(words, "never_met")}">·</span></td>'
    strength = round(abs(share - 0.5) * 2 * STRONGEST)
    kind = "won" if share > 0.5 else "lost" if share < 0.5 else "even"
    label = _text(
        words, "cell", row=found.versions[row], column=found.versions[column], share=f"{share:.0%}", duels=met
    )
    return (
        f'<td class="{kind}" style="--strength:{strength}%" title="{label}"><b>{share:.0%}</b>'
        f"<small>{_text(words, 'of_duels', duels=met)}</small></td>"
    )


def short(version: str) -> str:
    """`v12` of `v12-1a2b3c4d`."""
    return version.split("-", 1)[0]


def _text(words: Words, key: str, **values: object) -> str:
    return html.escape(words(f"versions.{key}", **values))
