"""Which versions meet in a duel or a ranking, and where each stands. Pure: the same generator gives the same choice.

Most duels ask the question the next night needs answered (is the newest version better than the one that answers?);
some go back to an earlier version, so that a slow decline over several nights would show. Of those the one that the
champion has met least comes up most, so that no version loses its connection with the others on the leaderboard.
Before the first night the initial version meets itself: two samples of one version still teach which answer is liked.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nightschool.records import INITIAL, Probation, VerdictKind, Version

NEWEST_SHARE = 0.7
"""Share of duels against the newest other version, or the other side of a probation; the rest go to the others."""


@dataclass(frozen=True)
class Pair:
    """The versions that write the two sides of one duel."""

    left: Version
    right: Version


def pair_versions(
    versions: Sequence[Version],
    champion: Version,
    chance: random.Random,
    met: Mapping[str, int],
    probation: Probation | None = None,
) -> Pair:
    """Draw a duel from all registered `versions` (oldest first): the champion against another, sides by chance.

    `met`: how many decided duels the champion had with each version; one that is not in it was never met. Of a
    probation in which the champion takes part, the other side comes first in place of the newest version.
    """
    return seated(champion, _opponent(versions, champion, chance, met, probation), chance)


def seated(one: Version, other: Version, chance: random.Random) -> Pair:
    """Two versions on sides drawn by chance."""
    sides = [one, other]
    chance.shuffle(sides)
    return Pair(*sides)


def versions_to_rank(
    versions: Sequence[Version], champion: Version, count: int, chance: random.Random
) -> list[Version]:
    """Who writes the replies of a ranking, in the order in which they are shown: a permutation by chance.

    The champion, the newest other version, the initial one, then earlier ones by chance; where there are too few, the
    champion writes again (another seed is another reply), then the others in turn.
    """
    others = [version for version in versions if version.id != champion.id and may_be_served(version)]
    initial = [version for version in others if version.id == INITIAL]
    trained = [version for version in others if version.id != INITIAL]
    earlier = trained[:-1]
    chosen = [champion, *trained[-1:], *initial, *chance.sample(earlier, len(earlier))][:count]
    seats = [chosen[place % len(chosen)] for place in range(count)]
    chance.shuffle(seats)
    return seats


def _opponent(
    versions: Sequence[Version],
    champion: Version,
    chance: random.Random,
    met: Mapping[str, int],
    probation: Probation | None,
) -> Version:
    others = [version for version in versions if version.id != champion.id and may_be_served(version)]
    if not others:
        return champion
    watched = {probation.version_id, probation.rival_id} - {champion.id} if probation else set()
    first = next((version for version in others if len(watched) == 1 and version.id in watched), others[-1])
    earlier = [version for version in others if version.id != first.id]
    if not earlier or chance.random() < NEWEST_SHARE:
        return first
    [opponent] = chance.choices(earlier, [1 / (1 + met.get(version.id, 0)) for version in earlier])
    return opponent


def may_be_served(version: Version) -> bool:
    """The base itself, or a version whose files were registered and that the exam did not reject."""
    if version.id == INITIAL:
        return True
    return version.manifest_sha256 is not None and version.verdict is not VerdictKind.REJECTED
