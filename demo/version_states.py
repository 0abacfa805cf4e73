"""What has become of each version: who answers, who did, who waits, who is shown no more. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from nightschool.probation import Fate
from nightschool.records import INITIAL, Probation, Term, VerdictKind, Version


class State(StrEnum):
    """Of several that hold, the first in this order."""

    RETIRED = "retired"  # taken out of service for good: judgements that made it were deleted
    ANSWERS = "answers"  # the champion
    PROBATION = "probation"  # waits for people's duels
    QUARANTINED = "quarantined"  # people's votes or the owner took it back: it is shown in no duel
    BEFORE = "before"  # it answered before, and may again
    REJECTED = "rejected"
    HELD = "held"
    WAITING = "waiting"  # made, and nothing was decided


@dataclass(frozen=True)
class Standing:
    """One version's state, and what belongs to it."""

    state: State
    is_watched: bool
    """Whether people's duels may still take it back, or let it answer."""
    terms: tuple[Term, ...]
    """When it answered."""
    taken_back: Probation | None
    """The probation that ended its service, where one did."""


def states_of(
    versions: Sequence[Version], champion: str, terms: Sequence[Term], probations: Sequence[Probation]
) -> Mapping[str, Standing]:
    """Version -> its standing."""
    return {version.id: _standing(version, champion, terms, probations) for version in versions}


def _standing(version: Version, champion: str, terms: Sequence[Term], probations: Sequence[Probation]) -> Standing:
    own = tuple(term for term in terms if term.version == version.id)
    watched = [each for each in probations if each.version_id == version.id]
    is_watched = any(each.ended_at is None for each in watched)
    taken_back = next((each for each in watched if each.fate == Fate.ROLLED_BACK), None)
    if version.retired_at is not None:
        state = State.RETIRED
    elif version.id == champion:
        state = State.ANSWERS
    elif is_watched:
        state = State.PROBATION
    elif taken_back is not None:
        state = State.QUARANTINED
    elif own or version.id == INITIAL:
        state = State.BEFORE
    else:
        state = _of_verdict(version.verdict)
    return Standing(state, is_watched, own, taken_back if state is State.QUARANTINED else None)


def _of_verdict(verdict: VerdictKind | None) -> State:
    if verdict is VerdictKind.REJECTED:
        return State.REJECTED
    return State.HELD if verdict is VerdictKind.HELD else State.WAITING
