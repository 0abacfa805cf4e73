"""What has become of a version, told from its row, the terms of champions, and probations."""

from dataclasses import replace
from typing import Any

import pytest

from demo.version_states import Standing, State, states_of
from nightschool.records import INITIAL, Probation, Term, VerdictKind, Version

V1 = Version("v1", INITIAL, "2026-01-02", "n1", "base", "sha", VerdictKind.PROMOTED)
BEGAN = Term(INITIAL, "2026-01-01", None)


def standing_of(version: Version, *, champion: str = INITIAL, **known: Any) -> Standing:
    terms, probations = known.get("terms", [BEGAN]), known.get("probations", [])
    return states_of([version], champion, terms, probations)[version.id]


def test_the_champion_answers_and_may_be_on_probation_at_once() -> None:
    terms = [Term(INITIAL, "2026-01-01", "2026-01-02"), Term("v1", "2026-01-02", None)]
    found = standing_of(V1, champion="v1", terms=terms, probations=[Probation("v1", INITIAL, "2026-01-02")])
    assert (found.state, found.is_watched, found.terms) == (State.ANSWERS, True, (terms[1],))


@pytest.mark.parametrize(
    ("verdict", "state"),
    [
        (VerdictKind.HELD, State.HELD),
        (VerdictKind.REJECTED, State.REJECTED),
        (None, State.WAITING),
    ],
)
def test_a_version_that_never_answered_is_what_its_verdict_says(verdict: VerdictKind | None, state: State) -> None:
    assert standing_of(replace(V1, verdict=verdict)).state is state


def test_one_that_waits_for_people_is_on_probation() -> None:
    waiting = replace(V1, verdict=VerdictKind.PROBATION)
    assert standing_of(waiting, probations=[Probation("v1", INITIAL, "2026-01-02")]).state is State.PROBATION


def test_what_people_took_back_is_quarantined_until_it_answers_again() -> None:
    ended = Probation("v1", INITIAL, "2026-01-02", "2026-01-03", "rolled_back", "They do not want it.", "大家不想要。")
    terms = [Term(INITIAL, "a", "b"), Term("v1", "b", "c"), Term(INITIAL, "c", None)]
    rejected = replace(V1, verdict=VerdictKind.REJECTED)
    found = standing_of(rejected, terms=terms, probations=[ended])
    assert (found.state, found.taken_back) == (State.QUARANTINED, ended)
    again = standing_of(rejected, champion="v1", terms=terms, probations=[ended])
    assert (again.state, again.taken_back) == (State.ANSWERS, None)


def test_one_that_answered_and_was_followed_answered_before() -> None:
    terms = [Term(INITIAL, "a", "b"), Term("v1", "b", "c"), Term("v2", "c", None)]
    assert standing_of(V1, champion="v2", terms=terms).state is State.BEFORE
    assert standing_of(Version(INITIAL, None, "a", None, None, None, None), champion="v2", terms=terms).state is (
        State.BEFORE
    )


def test_retired_goes_before_everything() -> None:
    retired = replace(V1, retired_at="2026-01-09")
    assert standing_of(retired, champion="v1").state is State.RETIRED
