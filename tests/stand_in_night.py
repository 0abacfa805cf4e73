"""Stands in for `python -m training night` and `resume`: the same arguments, lock, rows and ears, no training.

`STAND_IN` says what happens: `verdict` ends with one, `waits` runs until it is stopped or killed, `deaf` runs until it
is killed, `silent` ends without a row, `stumbles` ends with a sentence and status 1 before it writes a row, `dawdles`
writes no row, `late` is asked to stop before it has a row, and writes it all the same.
"""

import argparse
import json
import os
import signal
import sys
import time
from contextlib import closing, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from nightschool.records import NightState, VerdictKind
from nightschool.registry import NightBook
from nightschool.schema import FeedbackDatabase
from training.stopping import stop_when_asked


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("verb", choices=["night", "resume"])
    parser.add_argument("--db", type=Path, required=True)
    parser.add_argument("--versions", type=Path, required=True)
    parser.add_argument("--effort", default="quick")
    parser.add_argument("--practice", action="store_true")
    given = parser.parse_args()
    behaviour = os.environ["STAND_IN"]
    if behaviour == "silent":
        return 3
    if behaviour == "dawdles":
        time.sleep(600)
    if behaviour == "late":
        stop_when_asked()
        with suppress(KeyboardInterrupt):
            print("Loading the model.", flush=True)
            time.sleep(600)
    if behaviour == "stumbles":
        print("Loading the model.")
        print("The model 'nobody/knows' could not be loaded; give another one.", file=sys.stderr)
        return 1
    if behaviour == "deaf":
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
    else:
        stop_when_asked()
    try:
        with FileLock(f"{given.db}.night.lock", timeout=0), closing(FeedbackDatabase(given.db)) as database:
            run(NightBook(database), given, behaviour)
    except Timeout:
        print("Another night is running on this database; wait until it ends.", file=sys.stderr)
        return 1
    return 0


def begin(book: NightBook, given: argparse.Namespace) -> str:
    last = book.last()
    if given.verb == "night" or last is None:
        return book.start(given.effort, 0, practice=given.practice)
    book.resume(last.id)
    return last.id


def run(book: NightBook, given: argparse.Namespace, behaviour: str) -> None:
    night_id = begin(book, given)
    seen = {
        "pid": os.getpid(),
        "session": os.getsid(0),
        "folder": os.getcwd(),
        "model": os.environ["NIGHTSCHOOL_MODEL"],
    }
    book.log(night_id, json.dumps({**seen, "versions": str(given.versions)}))
    book.start_stage(night_id, 0, "snapshot")
    book.stage_progress(night_id, 0, 0.5, "half of it")
    try:
        if behaviour == "late":
            raise KeyboardInterrupt
        while behaviour in {"waits", "deaf"}:
            time.sleep(0.05)
    except KeyboardInterrupt:
        reason = "The night was stopped by hand."
        book.finish(night_id, NightState.INTERRUPTED, None, reason, version_id=None, report={})
        return
    book.end_stage(night_id, 0, NightState.DONE, 0.1, "all of it")
    reason = "There were 3 judgements and 40 are needed; 37 are missing."
    book.finish(night_id, NightState.DONE, VerdictKind.SKIPPED, reason, version_id=None, report={"win_rate": 0.5})


if __name__ == "__main__":
    sys.exit(main())
