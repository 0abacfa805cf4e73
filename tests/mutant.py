"""The record of a mutant: a bug that the tests must find. The lists are in `mutants_of_*`."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """In `file`, `old` (which stands there exactly once) becomes `new`; then one of `tests` (for pytest) fails."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


def mutants_of(file: str, *tests: str) -> Callable[[str, str, str], Mutant]:
    """Makes mutants of one file, found by the same tests: of a name, the old text and the new one."""
    return lambda name, old, new: Mutant(name, file, old, new, tests)
