"""What the commands share: errors as one sentence, and a database that is closed again."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from nightschool.errors import NightSchoolError
from nightschool.schema import FeedbackDatabase
from nightschool.settings import Settings


@contextmanager
def opened(settings: Settings) -> Iterator[FeedbackDatabase]:
    """The settings' database for the length of the block."""
    database = FeedbackDatabase(settings.db)
    try:
        yield database
    finally:
        database.close()


@contextmanager
def told() -> Iterator[None]:
    """Errors of the error tree as one sentence and exit status 1; anything else keeps its traceback."""
    try:
        yield
    except NightSchoolError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(1) from error
