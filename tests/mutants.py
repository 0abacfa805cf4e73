"""Mutation testing (oracle 17): known bugs are put into a copy of the tree, one at a time; the named tests must fail.

`python -m tests.mutants` runs all of `mutants_of_*`; `--only` takes names of mutants or of the files they change;
`--list` names them. A mutant is killed when its tests pass without it and at least one of them fails with it: an error
while the tests are collected or a selection that is empty proves nothing. Exit code 1 when any survived.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.mutant import Mutant
from tests.mutants_of_coevolution import COEVOLUTION_MUTANTS
from tests.mutants_of_engine import ENGINE_MUTANTS
from tests.mutants_of_exam import EXAM_MUTANTS
from tests.mutants_of_judgements import JUDGEMENTS_MUTANTS
from tests.mutants_of_loop import LOOP_MUTANTS
from tests.mutants_of_ppo import PPO_MUTANTS
from tests.mutants_of_reward import REWARD_MUTANTS
from tests.mutants_of_school import SCHOOL_MUTANTS
from tests.mutants_of_versions import VERSIONS_MUTANTS
from tests.pytest_server import PytestServer, pytest_server

MUTANTS: tuple[Mutant, ...] = (
    *ENGINE_MUTANTS,
    *PPO_MUTANTS,
    *LOOP_MUTANTS,
    *REWARD_MUTANTS,
    *JUDGEMENTS_MUTANTS,
    *EXAM_MUTANTS,
    *SCHOOL_MUTANTS,
    *VERSIONS_MUTANTS,
    *COEVOLUTION_MUTANTS,
)
TREE = Path(__file__).resolve().parent.parent
SECONDS = 600


def main(words: Sequence[str] | None = None) -> int:
    """Run the mutants asked for: 0 when all were killed, 1 when one was not, 2 for a name nobody has."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="names of mutants, or of the files they change")
    parser.add_argument("--list", action="store_true", help="name the mutants and run nothing")
    given = parser.parse_args(words)
    known = {name for mutant in MUTANTS for name in (mutant.name, mutant.file)}
    if unknown := sorted(set(given.only or ()) - known):
        print(f"There is no mutant called {', '.join(unknown)}; --list names them.", file=sys.stderr)
        return 2
    chosen = [m for m in MUTANTS if not given.only or m.name in given.only or m.file in given.only]
    if given.list:
        print("\n".join(f"{mutant.name:44} {mutant.file:32} {' '.join(mutant.tests)}" for mutant in chosen))
        return 0
    faults = list(survivors(chosen))
    print(f"{len(chosen) - len(faults)} of {len(chosen)} mutants killed." + "".join(f"\n  {each}" for each in faults))
    return 1 if faults else 0


def survivors(mutants: Sequence[Mutant]) -> Iterator[str]:
    """A sentence for each mutant that was not killed; a line is printed for every one."""
    with copied_tree() as tree, pytest_server() as server:
        passing: dict[tuple[str, ...], bool] = {}
        for mutant in mutants:
            started = time.monotonic()
            if mutant.tests not in passing:
                passing[mutant.tests] = outcome(server, tree, mutant.tests) == "passed"
            fault = _fault(server, tree, mutant) if passing[mutant.tests] else "its tests do not pass without it"
            print(
                f"{'SURVIVED' if fault else 'killed  '} {mutant.name} ({time.monotonic() - started:.0f} s)", flush=True
            )
            if fault:
                yield f"{mutant.name}: {fault}"


def _fault(server: PytestServer, tree: Path, mutant: Mutant) -> str | None:
    """Why a mutant was not killed; None when it was. The tree is left as it was."""
    path = tree / mutant.file
    text = path.read_text(encoding="utf-8")
    if complaint := misplaced(mutant, text):
        return complaint
    path.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")
    try:
        found = outcome(server, tree, mutant.tests)
    finally:
        path.write_text(text, encoding="utf-8")
    return None if found == "failed" else f"its tests {found} ({' '.join(mutant.tests)})"


def misplaced(mutant: Mutant, text: str) -> str | None:
    """A sentence when the text to be changed does not stand in the file exactly once, or the change is none."""
    found = text.count(mutant.old)
    if found != 1:
        return f"its old text stands {found} times in {mutant.file}, not once; write it anew"
    return "its new text is the old one" if mutant.old == mutant.new else None


def outcome(server: PytestServer, tree: Path, tests: Sequence[str]) -> str:
    """What pytest says of the selected tests: passed, failed, or what else happened."""
    done = server.run(tree, ["-x", "-q", *tests], SECONDS)
    if done.code is None:
        return f"did not end within {SECONDS} s"
    if done.code == 0:
        return "passed"
    if done.code == 1 and re.search(r"^\d+ failed|, \d+ failed", done.said, re.MULTILINE):
        return "failed"
    return f"ended with exit code {done.code}: {done.said.strip().splitlines()[-1:]}"


@contextmanager
def copied_tree() -> Iterator[Path]:
    """The files that git knows, as they are now, in a folder of their own."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=TREE, capture_output=True, text=True, check=True).stdout
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        for name in filter(None, listed.split("\0")):
            if (TREE / name).is_file():
                (Path(folder) / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(TREE / name, Path(folder) / name)
        yield Path(folder)


if __name__ == "__main__":
    sys.exit(main())
