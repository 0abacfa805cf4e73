"""Live probation: champion and challenger meet in duels of people until the votes speak clearly. Pure functions.

The evidence of one person's votes is the e-process

    E(w, l) = 2^n * 2 * integral from 1/2 to 1 of p^w (1-p)^l dp = sum_{k<=w} C(n+1, k) / ((n+1) C(n, w)),  n = w + l,

a test martingale while both versions are equally good: it may be looked at after every vote and exceeds 20 with a
chance of at most 1 in 20, however long one looks (Ville). Votes of one person depend on each other, so each person has
an evidence of their own, of at most three votes a day, and what counts is the average over people: an average of
e-values is one whatever they have to do with each other, a product is not. Ties say nothing.

Thumbs are looked at in the same way: the k-th thumb on the version since its probation began against the k-th newest
that its rival had until then; where only one of both is down, it counts like a vote. Replies that fail or are empty win
a bet against 1 in 20.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import fmean

from nightschool.records import Probation
from nightschool.said import Said

PROMOTE_AT = 20.0
ROLL_BACK_AT = 10.0
THUMBS_AT = 20.0
"""Higher than for duels: thumbs of the two versions are not given to the same question."""
FAILURES_AT = 10_000.0
"""Four in a row, or about eleven replies of a version that fails half of the time; by chance, where 1 in 20 fails, not
before some ten thousand replies."""
FAILURES_USUAL, FAILURES_BET = 0.05, 0.5
"""Of replies that fail or are empty: what is forgiven, and what the bet is on."""
VOTES_A_DAY = 3


class Fate(StrEnum):
    """How a probation ended."""

    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"
    ENDED = "ended"  # by hand, or because a newer version took its place


@dataclass(frozen=True)
class Vote:
    """One person's choice between the version on probation and its rival."""

    person: str
    day: str
    won: bool
    """Whether the version on probation was preferred."""


@dataclass(frozen=True)
class Standing:
    """What people said so far of a version on probation."""

    wins: int
    losses: int
    for_it: float
    against_it: float
    """Evidence from duels; 1: none yet."""
    thumbs_against: float
    failures_against: float


def evidence(wins: int, losses: int) -> float:
    """E(wins, losses): how strongly votes speak for the side that won `wins` of them. 1 without a vote."""
    votes = wins + losses
    return sum(math.comb(votes + 1, k) for k in range(wins + 1)) / ((votes + 1) * math.comb(votes, wins))


def standing(
    votes: Sequence[Vote], thumbs: tuple[Sequence[bool], Sequence[bool]], failures: Sequence[bool]
) -> Standing:
    """What has been said. votes: in order of time; thumbs: whether each is down, on the version and on its rival.

    failures: whether each reply of the version failed or was empty, in order of time.
    """
    wins, losses = Counter[str](), Counter[str]()
    for vote in counted(votes):
        (wins if vote.won else losses)[vote.person] += 1
    people = sorted(wins.keys() | losses.keys())
    pairs = [(own, other) for own, other in zip(*thumbs, strict=False) if own != other]
    downs = sum(own for own, _ in pairs)
    return Standing(
        wins=wins.total(),
        losses=losses.total(),
        for_it=fmean(evidence(wins[person], losses[person]) for person in people) if people else 1.0,
        against_it=fmean(evidence(losses[person], wins[person]) for person in people) if people else 1.0,
        thumbs_against=evidence(downs, len(pairs) - downs),
        failures_against=bet_against(failures),
    )


def counted(votes: Iterable[Vote]) -> list[Vote]:
    """The votes that count: the first three of each person and day."""
    given, kept = Counter[tuple[str, str]](), []
    for vote in votes:
        given[vote.person, vote.day] += 1
        if given[vote.person, vote.day] <= VOTES_A_DAY:
            kept.append(vote)
    return kept


def bet_against(failures: Iterable[bool]) -> float:
    """What a bet has made that half of the replies fail, where 1 in 20 may.

    Begun anew whenever it has lost (a CUSUM of likelihood ratios), so that a version that breaks late is seen too.
    """
    worth = 1.0
    for failed in failures:
        ratio = FAILURES_BET / FAILURES_USUAL if failed else (1 - FAILURES_BET) / (1 - FAILURES_USUAL)
        worth = max(worth * ratio, 1.0)
        if worth >= FAILURES_AT:
            break
    return worth


def fate_of(probation: Probation, found: Standing) -> tuple[Fate, Said] | None:
    """Whether the probation ends now, and why; None while it is open."""
    version, rival = probation.version_id, probation.rival_id
    won = f"{found.wins} : {found.losses}"
    if found.failures_against >= FAILURES_AT:
        return Fate.ROLLED_BACK, Said(
            f"Too many replies of {version} failed or were empty; {rival} answers.",
            f"{version} 的回答失败或为空的太多；改由 {rival} 回答。",
        )
    if found.against_it >= ROLL_BACK_AT:
        return Fate.ROLLED_BACK, Said(
            f"People prefer {rival} to {version} in duels ({won} votes, evidence {found.against_it:.1f} of "
            f"{ROLL_BACK_AT:.0f}).",
            f"在对决中大家更喜欢 {rival}，而不是 {version}（{won} 票，证据 {found.against_it:.1f}，"
            f"满 {ROLL_BACK_AT:.0f} 即退回）。",
        )
    if found.thumbs_against >= THUMBS_AT:
        return Fate.ROLLED_BACK, Said(
            f"{version} gets more thumbs down than {rival} (evidence {found.thumbs_against:.1f} of {THUMBS_AT:.0f}).",
            f"{version} 收到的踩多于 {rival}（证据 {found.thumbs_against:.1f}，满 {THUMBS_AT:.0f} 即退回）。",
        )
    if found.for_it >= PROMOTE_AT:
        return Fate.PROMOTED, Said(
            f"People prefer {version} to {rival} in duels ({won} votes, evidence {found.for_it:.1f} of "
            f"{PROMOTE_AT:.0f}).",
            f"在对决中大家更喜欢 {version}，而不是 {rival}（{won} 票，证据 {found.for_it:.1f}，"
            f"满 {PROMOTE_AT:.0f} 即上线）。",
        )
    return None
