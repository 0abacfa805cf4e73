"""Several replies written at one pace: in turn, whatever becomes of one of them."""

import threading
from collections.abc import Iterator

from demo.drawing import Drawing
from demo.writing import Pen
from nightschool.engine import Piece
from nightschool.feedback import FeedbackStore
from nightschool.records import INITIAL, ReplyStatus, Sampling
from tests.talks import Talk


def pen(talk: Talk, pieces: Iterator[Piece]) -> Pen:
    reply = talk.store.start_reply(talk.id, talk.question, INITIAL, Sampling(), 7, [1], show=False)
    return Pen(talk.store, reply, pieces)


def counting(name: str, last: int, steps: list[str]) -> Iterator[Piece]:
    for number in range(1, last + 1):
        steps.append(name)
        yield Piece(f"{name}{number}", tuple(range(number)), number == last)


def breaking(name: str, steps: list[str]) -> Iterator[Piece]:
    yield from counting(name, 2, steps)
    raise RuntimeError("broke on purpose")


def status_of(store: FeedbackStore, pens: list[Pen]) -> list[tuple[str, ReplyStatus]]:
    replies = [store.reply(one.reply_id) for one in pens]
    return [(reply.text, reply.status) for reply in replies]


def test_each_writes_one_step_in_turn_and_is_stored_when_it_ends(talk: Talk) -> None:
    steps: list[str] = []
    pens = [pen(talk, counting(name, last, steps)) for name, last in (("a", 3), ("b", 1), ("c", 2))]
    drawing = Drawing(pens)
    assert drawing.texts == ("", "", "")
    drawing.run()
    assert drawing.over.is_set()
    assert drawing.texts == ("a3", "b1", "c2")
    assert steps == ["a", "b", "c", "a", "c", "a"]
    assert status_of(talk.store, pens) == [("a3", ReplyStatus.DONE), ("b1", ReplyStatus.DONE), ("c2", ReplyStatus.DONE)]


def test_one_that_breaks_does_not_stop_the_others(talk: Talk) -> None:
    steps: list[str] = []
    pens = [pen(talk, breaking("a", steps)), pen(talk, counting("b", 4, steps))]
    drawing = Drawing(pens)
    drawing.run()
    assert drawing.over.is_set()
    assert status_of(talk.store, pens) == [("a2", ReplyStatus.FAILED), ("b4", ReplyStatus.DONE)]


def test_what_is_written_is_kept_when_it_is_stopped(talk: Talk) -> None:
    steps: list[str] = []
    started = threading.Event()

    def endless(name: str) -> Iterator[Piece]:
        for piece in counting(name, 1_000_000, steps):
            started.set()
            yield piece

    pens = [pen(talk, endless("a")), pen(talk, endless("b"))]
    drawing = Drawing(pens)
    thread = threading.Thread(target=drawing.run)
    thread.start()
    assert started.wait(20)
    drawing.stop()
    thread.join(20)
    assert drawing.over.is_set()
    for text, status in status_of(talk.store, pens):
        assert status is ReplyStatus.STOPPED
        assert text
    assert abs(steps.count("a") - steps.count("b")) <= 1
