"""Replies being written: streams of texts whose rows are closed whichever way a stream ends.

What is written is stored every second, so that a server that is killed leaves what people have read.
"""

import logging
import random
import time
from collections.abc import Generator, Iterator, Sequence

from nightschool.engine import Engine, Piece
from nightschool.errors import NightSchoolError
from nightschool.feedback import FeedbackStore
from nightschool.records import ReplyStatus, Sampling, Version

STORED_EVERY = 1.0
"""Seconds between two writes of a reply that grows."""

log = logging.getLogger(__name__)


class BrokenReplyError(NightSchoolError):
    """The engine broke while it wrote; the cause is in the server's log."""


class Pen:
    """Writes one reply whose row was inserted before. Read `texts()` once and close it."""

    def __init__(self, store: FeedbackStore, reply_id: str, pieces: Iterator[Piece]) -> None:
        self.reply_id = reply_id
        self._store = store
        self._pieces = pieces
        self._text = ""
        self._token_ids: tuple[int, ...] = ()
        self._started = self._stored_at = time.monotonic()
        self._first_token_seconds: float | None = None

    def texts(self) -> Generator[str, None, None]:
        """The text so far, first an empty one. Closing the generator (stop, closed tab) stores what is there."""
        try:
            yield ""
            for piece in self._pieces:
                self._take(piece)
                yield piece.text
        except GeneratorExit:
            self._finish(ReplyStatus.STOPPED)
            raise
        except Exception as error:
            self._finish(ReplyStatus.FAILED)
            if isinstance(error, NightSchoolError):
                raise
            log.exception("Reply %s failed", self.reply_id)
            raise BrokenReplyError(
                "The answer could not be finished because the model stopped with an error; press Regenerate, and if it "
                "happens again, tell the owner (the cause is in the server's log)."
            ) from error
        else:
            self._finish(ReplyStatus.DONE)

    def _take(self, piece: Piece) -> None:
        self._text, self._token_ids = piece.text, piece.token_ids
        if piece.token_ids and self._first_token_seconds is None:
            self._first_token_seconds = time.monotonic() - self._started

        if piece.token_ids and time.monotonic() - self._stored_at >= STORED_EVERY:
            self._stored_at = time.monotonic()
            self._store.finish_reply(self.reply_id, self._text, self._token_ids, ReplyStatus.STREAMING)

    def _finish(self, status: ReplyStatus) -> None:
        close = getattr(self._pieces, "close", None)
        if close is not None:
            close()
        self._store.finish_reply(
            self.reply_id,
            self._text,
            self._token_ids,
            status,
            first_token_seconds=self._first_token_seconds,
            seconds=time.monotonic() - self._started,
        )


def pens_in_step(
    store: FeedbackStore,
    engine: Engine,
    chance: random.Random,
    versions: Sequence[Version],
    *,
    conversation_id: str,
    question_id: str,
    prompt_ids: Sequence[int],
    sampling: Sampling,
    show: bool,
) -> list[Pen]:
    """A pen for each version's reply to one question, drawn in step. Rows are inserted; `show` as in `start_reply`."""
    seeds = [chance.getrandbits(31) for _ in versions]
    replies = [
        store.start_reply(conversation_id, question_id, version.id, sampling, seed, prompt_ids, show=show)
        for version, seed in zip(versions, seeds, strict=True)
    ]
    streams = engine.stream_in_step(versions, prompt_ids, sampling, seeds)
    return [Pen(store, reply, stream) for reply, stream in zip(replies, streams, strict=True)]
