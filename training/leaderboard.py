"""The leaderboard from the store: which duels count as contests, and the table that is printed.

A duel counts when two different versions met in it and somebody who may be learned from decided it. Both bad is a tie:
neither was preferred.
"""

from collections.abc import Sequence

from nightschool.records import Duel, DuelOutcome, Version
from nightschool.standings import Leaderboard, Rating, StyleEffect
from training.contests import Contest
from training.judgements import Preferred
from training.ratings import rate
from training.style import lead, style_of

OUTCOMES = {
    DuelOutcome.LEFT: Preferred.LEFT,
    DuelOutcome.RIGHT: Preferred.RIGHT,
    DuelOutcome.TIE: Preferred.TIE,
    DuelOutcome.BOTH_BAD: Preferred.TIE,
}


def leaderboard(versions: Sequence[Version], duels: Sequence[Duel]) -> Leaderboard:
    """All versions, rated by the duels people decided."""
    return rate([version.id for version in versions], contests_of(duels))


def contests_of(duels: Sequence[Duel]) -> list[Contest]:
    """Decided duels between two different versions of ours; imported ones were written by none."""
    return [
        Contest(
            duel.left.version,
            duel.right.version,
            OUTCOMES[duel.outcome],
            duel.person_id,
            duel.conversation_id,
            lead(style_of(duel.left), style_of(duel.right)),
        )
        for duel in duels
        if duel.outcome is not None
        and duel.left.version is not None
        and duel.right.version is not None
        and duel.left.version != duel.right.version
    ]


def in_lines(board: Leaderboard, champion: str) -> list[str]:
    """The leaderboard as a table a person can read."""
    if not board.duels:
        return ["No duel between two versions is decided yet; judge some in the chat."]
    people = "1 person" if board.people == 1 else f"{board.people} people"
    lines = [
        f"{board.duels} duels decided by {people}; 95 % intervals by drawing {board.drawn}; the initial model is at "
        "1000.",
        "rank   version          rating     interval  style aside  duels  won-tied-lost",
    ]
    lines += [_line(rating, champion) for rating in board.ratings]
    if any(rating.rank is None and rating.rating is not None for rating in board.ratings):
        lines.append("No rank: the votes cannot tell that version from any other yet.")
    if any(rating.rating is None for rating in board.ratings):
        lines.append("No rating: no duel connects that version with the others.")
    return [*lines, *map(_effect, board.styles), "", *_matrix(board)]


STYLES_TOLD = {
    "length": "an answer half as long again",
    "headings": "one with headings against one without",
    "lists": "one with a list against one without",
    "bold": "one with bold words against one without",
}


def _effect(style: StyleEffect) -> str:
    """What a style does by itself."""
    return (
        f"Style alone, between equal versions: {STYLES_TOLD[style.name]} wins {style.share:.0%} of decided duels "
        f"({style.low:.0%} to {style.high:.0%})."
    )


def _matrix(board: Leaderboard) -> list[str]:
    """Who beat whom: the share that the row won of its duels with the column (ties as half), and how many they were."""
    width = max(len(version) for version in board.versions)
    head = "  ".join(f"{_short(version):>9}" for version in board.versions)
    lines = [f"{'won against':<{width}}  {head}".rstrip()]
    for version, shares, meetings in zip(board.versions, board.win_shares, board.meetings, strict=True):
        cells = ["." if share is None else f"{share:.0%} of {met}" for share, met in zip(shares, meetings, strict=True)]
        lines.append(f"{version:<{width}}  " + "  ".join(f"{cell:>9}" for cell in cells))
    return lines


def _short(version: str) -> str:
    """`v12` of `v12-1a2b3c4d`: the number says which."""
    return version.split("-", 1)[0][:9]


def _line(rating: Rating, champion: str) -> str:
    mark = "*" if rating.version == champion else " "
    rank = "-" if rating.rank is None else str(rating.rank)
    number = "-" if rating.rating is None else f"{rating.rating:.0f}"
    interval = "" if rating.low is None or rating.high is None else f"{rating.low:.0f}..{rating.high:.0f}"
    aside = "-" if rating.controlled is None else f"{rating.controlled:.0f}"
    score = f"{rating.wins}-{rating.ties}-{rating.losses}"
    return f"{rank:>4} {mark} {rating.version:<16} {number:>6}  {interval:>11}  {aside:>11}  {rating.duels:>5}  {score}"
