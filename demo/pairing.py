"""Which versions meet in a duel or a ranking, and where each stands. Pure: the same generator gives the same choice.

Most duels ask the question the next night needs answered (is the newest version better than the one that answers?);
some go back to an earlier version, so that a slow decline over several nights would show. Before the first night the
initial version meets itself: two samples of one version still teach which answer is liked.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from nightschool.records import INITIAL, VerdictKind, Version

NEWEST_SHARE = 0.7
"""Share of duels against the newest other version; the rest go to earlier ones."""


@dataclass(frozen=True)
class Pair:
    """The versions that write the two sides of one duel."""

    left: Version
    right: Version


def pair_versions(versions: Sequence[Version], champion: Version, chance: random.Random) -> Pair:
    """Draw a duel from all registered `versions` (oldest first): the champion against another, sides by chance."""
    sides = [champion, _opponent(versions, champion, chance)]
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


def _opponent(versions: Sequence[Version], champion: Version, chance: random.Random) -> Version:
    others = [version for version in versions if version.id != champion.id and may_be_served(version)]
    if not others:
        return champion
    newest, earlier = others[-1], others[:-1]
    if not earlier or chance.random() < NEWEST_SHARE:
        return newest
    return chance.choice(earlier)


def may_be_served(version: Version) -> bool:
    """The base itself, or a version whose files were registered and that the exam did not reject."""
    if version.id == INITIAL:
        return True
    return version.manifest_sha256 is not None and version.verdict is not VerdictKind.REJECTED
