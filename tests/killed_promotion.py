"""A version is written, registered and promoted by a process that kills itself at its k-th step: for the tests.

`python -m tests.killed_promotion FOLDER`: for k = 1, 2, ... a copy of FOLDER (a database with a champion) is given to a
child of fork, which writes the folder of the version `new`, registers it as champion, rolls back to `old` and promotes
`new` again, and dies of SIGKILL at its k-th step. A step is whatever Python does with files (open, rename, chmod,
mkdir, remove, fsync, ...) and every statement that SQLite runs. After each death one line of JSON tells what was found.
"""

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from nightschool.errors import DamagedVersion
from nightschool.feedback import FeedbackStore
from nightschool.files import MANIFEST, sha256_of, whole_folder, write_json
from nightschool.records import INITIAL, VerdictKind, Version
from nightschool.registry import VersionRegistry
from nightschool.schema import FeedbackDatabase
from nightschool.version_check import check_files

OLD, NEW = "old", "new"
FILE_EVENTS = ("open", "os.", "shutil.", "tempfile.", "fcntl.")


def write_version(versions: Path, name: str, day: int) -> Version:
    """A folder as a night leaves it (the weights are any bytes: these tests load none) and its record."""
    with whole_folder(versions / name) as folder:
        (folder / "policy").mkdir()
        (folder / "policy" / "adapter_model.safetensors").write_bytes(name.encode() * 1000)
        write_json(folder / "config.json", {"version": name})
    digest = sha256_of(versions / name / MANIFEST)
    return Version(name, INITIAL, f"9999-01-0{day}", None, "base", digest, VerdictKind.PROMOTED)


def promote(folder: Path) -> None:
    """What is killed somewhere in its middle."""
    with contextlib.closing(FeedbackDatabase(folder / "feedback.db")) as database:
        registry = VersionRegistry(database)
        version = write_version(folder / "versions", NEW, 2)
        registry.add(replace(version, parent_id=OLD), sources_in(database), promote_because="better")
        registry.promote(OLD, "rolled back")
        registry.promote(NEW, "promoted again")


def sources_in(database: FeedbackDatabase) -> list[tuple[str, str]]:
    """Every duel, as receipts."""
    return [("duel", duel.id) for duel in FeedbackStore(database).snapshot().duels]


class Steps:
    """Counts the steps of this process and ends it at the `last` one."""

    def __init__(self, last: int) -> None:
        self.done, self.last = 0, last

    def step(self, *_: object) -> None:
        self.done += 1
        if self.done == self.last:
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(self) -> None:
        sys.addaudithook(lambda event, _: self.step() if event.startswith(FILE_EVENTS) else None)
        os.fsync = _counted(os.fsync, self.step)
        connect = sqlite3.connect

        def watched(*given: object, **named: object) -> sqlite3.Connection:
            connection: sqlite3.Connection = connect(*given, **named)  # type: ignore[call-overload]
            connection.set_trace_callback(self.step)
            return connection

        sqlite3.connect = watched  # type: ignore[assignment]


def _counted(call: Callable[[int], None], step: Callable[[], None]) -> Callable[[int], None]:
    def counted(descriptor: int) -> None:
        step()
        call(descriptor)

    return counted


def found_after(folder: Path) -> dict[str, object]:
    """What a server that starts now would find."""
    with contextlib.closing(FeedbackDatabase(folder / "feedback.db")) as database:
        registry = VersionRegistry(database)
        champion = registry.champion()
        sound = True
        for version in registry.list():
            try:
                check_files(folder / "versions" / version.id, version)
            except DamagedVersion:
                sound = False
        return {
            "champion": champion.id,
            "versions": [version.id for version in registry.list()],
            "sound": sound,
            "receipts": len(registry.receipts(NEW)) if NEW in {each.id for each in registry.list()} else 0,
            "integrity": database.read().execute("PRAGMA integrity_check").fetchone()[0],
        }


def deaths(start: Path) -> Iterator[dict[str, object]]:
    for last in range(1, 10_000):
        folder = start.with_name(f"{start.name}-{last}")
        shutil.copytree(start, folder)
        child = os.fork()
        if child == 0:
            Steps(last).watch()
            try:
                promote(folder)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        ended = "killed" if os.WIFSIGNALED(status) else os.waitstatus_to_exitcode(status)
        yield {"step": last, "ended": ended, **found_after(folder)}
        shutil.rmtree(folder)
        if not os.WIFSIGNALED(status):
            return


if __name__ == "__main__":
    for found in deaths(Path(sys.argv[1])):
        print(json.dumps(found), flush=True)
