"""Stands in for `python -m training night`: the same arguments, lock and rows, no training.

`STAND_IN` says what happens: `verdict` ends with one, `waits` runs until it is killed, `silent` ends without a row,
`stumbles` ends with a sentence and status 1 before it writes a row.
"""

import argparse
import json
import os
import sys
import time
from contextlib import closing
from pathlib import Path

from filelock import FileLock, Timeout

from nightschool.records import NightState, VerdictKind
from nightschool.registry import NightBook
from nightschool.schema import FeedbackDatabase


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--db", type=Path, required=True)
    parser.add_argument("--versions", type=Path, required=True)
    parser.add_argument("--effort", required=True)
    parser.add_argument("--practice", action="store_true")
    given = parser.parse_args()
    behaviour = os.environ["STAND_IN"]
    if behaviour == "silent":
        return 3
    if behaviour == "stumbles":
        print("Loading the model.")
        print("The model 'nobody/knows' could not be loaded; give another one.", file=sys.stderr)
        return 1
    try:
        with FileLock(f"{given.db}.night.lock", timeout=0), closing(FeedbackDatabase(given.db)) as database:
            run(NightBook(database), given, behaviour)
    except Timeout:
        print("Another night is running on this database; wait until it ends.", file=sys.stderr)
        return 1
    return 0


def run(book: NightBook, given: argparse.Namespace, behaviour: str) -> None:
    night_id = book.start(given.effort, 0, practice=given.practice)
    seen = {
        "pid": os.getpid(),
        "session": os.getsid(0),
        "folder": os.getcwd(),
        "model": os.environ["NIGHTSCHOOL_MODEL"],
    }
    book.log(night_id, json.dumps({**seen, "versions": str(given.versions)}))
    book.start_stage(night_id, 0, "snapshot")
    book.stage_progress(night_id, 0, 0.5, "half of it")
    while behaviour == "waits":
        time.sleep(0.05)
    book.end_stage(night_id, 0, NightState.DONE, 0.1, "all of it")
    reason = "There were 3 judgements and 40 are needed; 37 are missing."
    book.finish(night_id, NightState.DONE, VerdictKind.SKIPPED, reason, version_id=None, report={"win_rate": 0.5})


if __name__ == "__main__":
    sys.exit(main())
