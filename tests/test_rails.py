"""The lines of descent beside a list of versions."""

import random

import pytest

from demo.rails import Rail, rails_of
from nightschool.records import INITIAL, Version


def version(name: str, parent: str | None) -> Version:
    return Version(name, parent, "2026-01-01", None, None, None, None)


def drawn(champion: str, *versions: tuple[str, str | None]) -> dict[str, Rail]:
    """Version -> its rail, of versions newest first."""
    made = [version(*each) for each in versions]
    return {each.id: rail for each, rail in zip(made, rails_of(made, champion), strict=True)}


def test_one_line_of_promoted_versions_is_one_lane() -> None:
    rails = drawn("v2", ("v2", "v1"), ("v1", INITIAL), (INITIAL, None))
    assert {rail.lane for rail in rails.values()} == {0}
    assert (rails["v2"].has_line_above, rails["v2"].has_line_below) == (False, True)
    assert (rails[INITIAL].has_line_above, rails[INITIAL].has_line_below) == (True, False)


def test_a_rejected_version_branches_off_to_the_right_of_the_line_that_answers() -> None:
    rails = drawn("v2", ("v3", "v1"), ("v2", "v1"), ("v1", INITIAL), (INITIAL, None))
    # v3 is newer than the champion v2 and grew from v1, too: its lane goes by v2 and ends in v1.
    assert (rails["v3"].lane, rails["v3"].has_line_below) == (1, True)
    assert (rails["v2"].lane, rails["v2"].passing) == (0, (1,))
    assert (rails["v1"].lane, rails["v1"].merges) == (0, (1,))


def test_children_of_one_version_share_its_line() -> None:
    names = [f"v{number}" for number in range(20, 1, -1)]
    rails = drawn("v1", *((name, "v1") for name in names), ("v1", INITIAL), (INITIAL, None))
    assert {rail.lane for name, rail in rails.items() if name in names} == {1}
    assert [rails[name].begins for name in names] == [True] + [False] * (len(names) - 1)
    assert all(rails[name].joins == 0 for name in names)
    assert rails["v1"].has_line_above


def test_after_going_back_to_the_initial_version_the_others_hang_beside_it() -> None:
    rails = drawn(INITIAL, ("v2", "v1"), ("v1", INITIAL), (INITIAL, None))
    assert (rails["v2"].lane, rails["v2"].has_line_below) == (1, True)
    assert (rails["v1"].lane, rails["v1"].joins, rails["v1"].begins) == (1, 0, True)
    assert (rails[INITIAL].lane, rails[INITIAL].has_line_above) == (0, True)


@pytest.mark.parametrize("seed", range(30))
def test_every_version_is_led_down_to_the_one_it_grew_from(seed: int) -> None:
    """Follow the lines of random trees as an eye does: from each dot down, they must end in the parent's dot."""
    chance = random.Random(seed)
    parents: dict[str, str | None] = {INITIAL: None}
    for number in range(1, 25):
        parents[f"v{number}"] = chance.choice([*parents])
    newest_first = [version(name, parent) for name, parent in reversed(parents.items())]
    rails = rails_of(newest_first, chance.choice([*parents]))
    for row, (each, rail) in enumerate(zip(newest_first, rails, strict=True)):
        if each.parent_id is None:
            continue
        lane = rail.lane if rail.has_line_below else rail.joins
        assert lane is not None
        for below, other in zip(newest_first[row + 1 :], rails[row + 1 :], strict=True):
            ends = (other.lane == lane and other.has_line_above) or lane in other.merges
            if ends:
                assert below.id == each.parent_id
                break
            assert lane in other.passing
        else:
            pytest.fail(f"the line of {each.id} ends nowhere")
