"""The mutants themselves: each can still be made, and a few of them are made, run and found at every test run."""

from dataclasses import replace

import pytest

from tests.mutants import MUTANTS, TREE, main, misplaced, survivors

SAMPLE = ("score one slot after the end", "KL rewarded", "kept sides ignored")
"""The quickest of those that would do the most harm; `make mutants` runs all."""


def test_names_are_different_and_every_change_can_be_made() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
    for mutant in MUTANTS:
        assert misplaced(mutant, (TREE / mutant.file).read_text(encoding="utf-8")) is None, mutant.name
        assert all((TREE / test).is_file() for test in mutant.tests if test.startswith("tests/")), mutant.name


def test_some_of_the_most_harmful_bugs_are_found_by_the_tests_that_should_find_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--only", *SAMPLE]) == 0
    told = capsys.readouterr().out
    assert told.count("killed   ") == 3
    assert "3 of 3 mutants killed." in told


def test_a_change_that_no_test_finds_is_told_as_a_survivor() -> None:
    [harmless] = [replace(mutant, new=mutant.old + "  # nothing") for mutant in MUTANTS if mutant.name == SAMPLE[0]]
    nowhere = replace(harmless, tests=("tests/test_advantages.py", "-k", "no such test"))
    broken = replace(harmless, new="last = (")
    found = list(survivors([harmless, nowhere, broken, replace(harmless, old="no such text")]))
    assert "its tests passed" in found[0]
    assert "do not pass without it" in found[1]
    assert "exit code" in found[2]  # an error while the tests are collected proves nothing
    assert "stands 0 times" in found[3]


def test_a_name_that_no_mutant_has_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--only", "no such mutant"]) == 2
    assert "no such mutant" in capsys.readouterr().err
    assert main(["--list", "--only", SAMPLE[0]]) == 0
    assert capsys.readouterr().out.startswith(SAMPLE[0])
