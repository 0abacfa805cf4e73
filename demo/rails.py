"""How a list of versions, newest first, is drawn as a tree: a dot a row, and lines down to what each grew from. Pure.

Lines run in lanes. The leftmost lane belongs to the champion and what it grew from; other versions branch off to the
right. All children of one version share the line that leads to it, so a long row of rejected versions stays narrow.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from nightschool.records import Version


@dataclass(frozen=True)
class Rail:
    """The lines beside one version."""

    lane: int
    """Of its dot, from 0 at the left."""
    has_line_above: bool
    """Whether a younger version grew from it."""
    has_line_below: bool
    """Whether its own lane goes on to the one it grew from."""
    joins: int | None
    """The lane that leads to the one it grew from, where that is another one."""
    begins: bool
    """Whether the joined lane begins here."""
    merges: tuple[int, ...]
    """Other lanes from above that end here: younger versions grew from it, too."""
    passing: tuple[int, ...]
    """Lanes that go by."""


def rails_of(versions: Sequence[Version], champion: str) -> list[Rail]:
    """One rail for each of the versions, which are all there are, newest first."""
    awaited: list[str | None] = [champion]  # lane -> the version to which it leads
    begun = {0: False}
    return [_rail(version, awaited, begun) for version in versions]


def _rail(version: Version, awaited: list[str | None], begun: dict[int, bool]) -> Rail:
    """The next rail; the lanes are brought up to date."""
    leading = [lane for lane, name in enumerate(awaited) if name == version.id]
    lane, *merges = leading or [_free_lane(awaited)]
    has_line_above = bool(leading) and begun[lane]
    for ended in (lane, *merges):
        awaited[ended] = None
    passing = tuple(other for other, name in enumerate(awaited) if name is not None and begun[other])
    joins, begins = None, False
    if version.parent_id in awaited and version.parent_id is not None and lane != 0:
        joins = awaited.index(version.parent_id)
        begins, begun[joins] = not begun[joins], True
    elif version.parent_id is not None:
        awaited[lane], begun[lane] = version.parent_id, True
    return Rail(lane, has_line_above, awaited[lane] is not None, joins, begins, tuple(merges), passing)


def _free_lane(awaited: list[str | None]) -> int:
    """The leftmost free lane right of the champion's."""
    for lane in range(1, len(awaited)):
        if awaited[lane] is None:
            return lane
    awaited.append(None)
    return len(awaited) - 1
