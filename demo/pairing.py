"""Which two versions meet in a duel, and on which sides. Pure: the same versions and generator give the same pair.

Most duels ask the question the next night needs answered (is the newest version better than the one that answers?);
some go back to an earlier version, so that a slow decline over several nights would show. Of those the one that the
champion has met least comes up most, so that no version loses its connection with the others on the leaderboard.
Before the first night the initial version meets itself: two samples of one version still teach which answer is liked.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nightschool.records import INITIAL, VerdictKind, Version

NEWEST_SHARE = 0.7
"""Share of duels against the newest other version; the rest go to earlier ones."""


@dataclass(frozen=True)
class Pair:
    """The versions that write the two sides of one duel."""

    left: Version
    right: Version


def pair_versions(
    versions: Sequence[Version], champion: Version, chance: random.Random, met: Mapping[str, int]
) -> Pair:
    """Draw a duel from all registered `versions` (oldest first): the champion against another, sides by chance.

    `met`: how many decided duels the champion had with each version; one that is not in it was never met.
    """
    sides = [champion, _opponent(versions, champion, chance, met)]
    chance.shuffle(sides)
    return Pair(*sides)


def _opponent(versions: Sequence[Version], champion: Version, chance: random.Random, met: Mapping[str, int]) -> Version:
    others = [version for version in versions if version.id != champion.id and may_be_served(version)]
    if not others:
        return champion
    newest, earlier = others[-1], others[:-1]
    if not earlier or chance.random() < NEWEST_SHARE:
        return newest
    [opponent] = chance.choices(earlier, [1 / (1 + met.get(version.id, 0)) for version in earlier])
    return opponent


def may_be_served(version: Version) -> bool:
    """The base itself, or a version whose files were registered and that the exam did not reject."""
    if version.id == INITIAL:
        return True
    return version.manifest_sha256 is not None and version.verdict is not VerdictKind.REJECTED
