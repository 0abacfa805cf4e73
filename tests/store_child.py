"""A second process at the same database, as a night beside the chat; tests start it, talk to it and kill it.

`open`: for each path read from stdin, open that database, say "opened", close it.
`write THREADS ROWS PATH`: each thread starts ROWS conversations and prints each one's id once it is acknowledged.
"""

import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from nightschool.feedback import FeedbackStore
from nightschool.schema import FeedbackDatabase


def say(words: str) -> None:
    """One line, whole even when several threads write."""
    os.write(1, f"{words}\n".encode())


def paths_from_stdin() -> Iterator[Path]:
    say("ready")
    for line in sys.stdin:
        yield Path(line.rstrip("\n"))


def main(mode: str, *rest: str) -> None:
    if mode == "open":
        for path in paths_from_stdin():
            with closing(FeedbackDatabase(path)):
                say("opened")
        return
    threads, rows, path = int(rest[0]), int(rest[1]), Path(rest[2])
    with closing(FeedbackDatabase(path)) as database, ThreadPoolExecutor(threads) as pool:
        store = FeedbackStore(database)

        def write(thread: int) -> None:
            for row in range(rows):
                say(store.start_conversation(f"person {thread}", f"row {row} of {os.getpid()}"))

        for done in [pool.submit(write, thread) for thread in range(threads)]:
            done.result()


if __name__ == "__main__":
    main(*sys.argv[1:])
