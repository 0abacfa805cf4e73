"""Who meets whom in a duel, for every set of versions that Hypothesis can think of."""

import random

from hypothesis import given
from hypothesis import strategies as st

from demo.pairing import may_be_served, pair_versions, versions_to_rank
from nightschool.records import INITIAL, VerdictKind, Version

VERDICTS = st.sampled_from([VerdictKind.PROMOTED, VerdictKind.HELD, VerdictKind.REJECTED, None])


def version(name: str, verdict: VerdictKind | None = None, *, has_files: bool = True) -> Version:
    return Version(name, INITIAL, "2026-01-01", None, "base", "sha" if has_files else None, verdict)


BASE = version(INITIAL, has_files=False)


@st.composite
def schools(draw: st.DrawFn) -> tuple[list[Version], Version]:
    """Some registered versions, oldest first, and a champion among them."""
    trained = [
        version(f"v{number}", verdict, has_files=draw(st.booleans()))
        for number, verdict in enumerate(draw(st.lists(VERDICTS, max_size=6)), start=1)
    ]
    versions = [BASE, *trained]
    return versions, draw(st.sampled_from(versions))


@given(schools(), st.integers())
def test_the_champion_meets_a_registered_version_that_may_be_served(
    school: tuple[list[Version], Version], seed: int
) -> None:
    versions, champion = school
    pair = pair_versions(versions, champion, random.Random(seed))
    assert champion in {pair.left, pair.right}
    for side in {pair.left, pair.right} - {champion, BASE}:
        assert side in versions
        assert side.manifest_sha256 is not None
        assert side.verdict is not VerdictKind.REJECTED


@given(schools(), st.integers())
def test_the_same_seed_draws_the_same_pair(school: tuple[list[Version], Version], seed: int) -> None:
    versions, champion = school
    first = pair_versions(versions, champion, random.Random(seed))
    assert pair_versions(versions, champion, random.Random(seed)) == first


def test_a_fresh_install_compares_the_initial_version_with_itself() -> None:
    pair = pair_versions([BASE], BASE, random.Random(0))
    assert (pair.left, pair.right) == (BASE, BASE)


def test_the_champion_stands_on_each_side_equally_often() -> None:
    # 2,000 fair draws: standard deviation 22.4, so 5 of them is 112.
    chance, versions = random.Random(1), [BASE, version("v1")]
    left = sum(pair_versions(versions, versions[1], chance).left.id == "v1" for _ in range(2000))
    assert abs(left - 1000) < 112


def test_seven_duels_in_ten_are_against_the_newest_other_version() -> None:
    # 2,000 draws at 0.7: mean 1,400, standard deviation 20.5, so 5 of them is 103.
    chance = random.Random(2)
    versions = [BASE, version("v1"), version("v2"), version("v3", VerdictKind.HELD)]
    opponents = []
    for _ in range(2000):
        pair = pair_versions(versions, versions[2], chance)
        opponents.append(pair.left.id if pair.right.id == "v2" else pair.right.id)
    assert abs(opponents.count("v3") - 1400) < 103
    assert set(opponents) == {"v3", "v1", INITIAL}


def test_a_rejected_version_never_meets_anybody() -> None:
    chance = random.Random(3)
    versions = [BASE, version("v1"), version("v2", VerdictKind.REJECTED)]
    met = set()
    for _ in range(200):
        pair = pair_versions(versions, BASE, chance)
        met |= {pair.left.id, pair.right.id}
    assert met == {INITIAL, "v1"}


# ---- rankings --------------------------------------------------------------------------------------------------------


@given(schools(), st.integers(3, 4), st.integers())
def test_a_ranking_has_the_champion_the_initial_version_and_nobody_who_may_not_be_served(
    school: tuple[list[Version], Version], count: int, seed: int
) -> None:
    versions, champion = school
    seats = versions_to_rank(versions, champion, count, random.Random(seed))
    assert len(seats) == count
    assert {champion, BASE} <= set(seats)
    for version in set(seats) - {champion}:
        assert version in versions
        assert may_be_served(version)
    servable = {version for version in versions if may_be_served(version)} | {champion}
    assert len(set(seats)) == min(count, len(servable))  # nobody writes twice while somebody else could
    assert seats == versions_to_rank(versions, champion, count, random.Random(seed))


def test_a_fresh_install_ranks_the_initial_version_with_itself() -> None:
    assert versions_to_rank([BASE], BASE, 4, random.Random(0)) == [BASE] * 4


def test_the_newest_other_version_is_always_ranked_and_an_earlier_one_by_chance() -> None:
    chance = random.Random(4)
    versions = [BASE, *(version(f"v{number}") for number in range(1, 6))]
    earlier = set()
    for _ in range(100):
        seats = {seat.id for seat in versions_to_rank(versions, versions[4], 4, chance)}
        assert {"v4", "v5", INITIAL} <= seats
        earlier |= seats - {"v4", "v5", INITIAL}
    assert earlier == {"v1", "v2", "v3"}


def test_the_champion_stands_on_each_seat_equally_often() -> None:
    # 2,000 fair draws of one seat in four: standard deviation 19.4, so 5 of them is 97.
    chance, versions = random.Random(5), [BASE, version("v1"), version("v2"), version("v3")]
    seats = [[seat.id for seat in versions_to_rank(versions, versions[2], 4, chance)].index("v2") for _ in range(2000)]
    assert all(abs(seats.count(place) - 500) < 97 for place in range(4))
