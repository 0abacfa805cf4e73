"""What the next night would use: counted by the real command in the background, anew only when the store changed."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from demo.outlook import COUNT_SECONDS, LOOK_SECONDS, RETRY_SECONDS, Counted, Outlook
from nightschool.feedback import FeedbackStore
from nightschool.records import DuelOutcome, ReplyStatus, ThumbValue
from nightschool.schema import FeedbackDatabase
from tests.talks import ANN, start_talk
from tests.test_needs import judge

JUDGED = {"duel": 4, "ranking": 1, "thumb": 1, "correction": 1, "regeneration": 0}
"""What `judge` judges."""


class Clock:
    """A clock that is put forward by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def counted(outlook: Outlook, holds: Callable[[Counted | str | None], bool]) -> Counted | str | None:
    deadline = time.monotonic() + 60
    while not holds(found := outlook.look()):
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
    return found


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_it_is_counted_as_a_night_would_and_again_once_somebody_judged(
    store: FeedbackStore, database: FeedbackDatabase, clock: Clock
) -> None:
    judge(store, ANN)
    outlook = Outlook(store, db=database.path, environment={}, clock=clock)
    assert outlook.look() is None
    found = counted(outlook, lambda found: found is not None)
    assert isinstance(found, Counted)
    assert found.kinds == {kind: (count, count) for kind, count in JUDGED.items()}
    assert found.new == 7
    assert found.training <= 8.0  # all four duels, three facts of a ranking, half a thumb, half a correction
    assert found.missing > 0
    talk = start_talk(store, "Is this a good one?")
    for token, value in ((1001, ThumbValue.DOWN), (1002, ThumbValue.UP)):
        reply = talk.answer("", show=False)
        store.finish_reply(reply, f"answer {token}", [token], ReplyStatus.DONE)
        store.set_thumb(reply, ANN, value)
    clock.now += COUNT_SECONDS
    found = counted(outlook, lambda found: isinstance(found, Counted) and found.kinds["regeneration"] == (1, 1))
    assert isinstance(found, Counted)
    assert found.kinds["thumb"] == (1, 1)  # the two are one judgement, of another kind


def test_nothing_is_counted_twice_and_the_store_is_not_looked_at_at_every_tick(
    store: FeedbackStore, database: FeedbackDatabase, clock: Clock, tmp_path: Path
) -> None:
    calls, looks = tmp_path / "calls", []
    command = [sys.executable, "-c", STAND_IN, str(calls)]

    class Watched(FeedbackStore):
        def fingerprint(self) -> str:
            looks.append(clock.now)
            return super().fingerprint()

    outlook = Outlook(Watched(database), db=database.path, environment={}, command=command, clock=clock)
    counted(outlook, lambda found: isinstance(found, Counted))
    for _ in range(50):
        outlook.look()
    assert len(looks) == 1
    clock.now += LOOK_SECONDS
    outlook.look()
    assert len(looks) == 2
    assert calls.read_text() == "x"


def test_what_fails_is_a_sentence_and_is_tried_again_later(
    store: FeedbackStore, database: FeedbackDatabase, clock: Clock
) -> None:
    command = [sys.executable, "-c", "import sys; sys.exit('There is no model here.')"]
    outlook = Outlook(store, db=database.path, environment={}, command=command, clock=clock)
    assert counted(outlook, lambda found: found is not None) == "There is no model here."
    outlook._command = [sys.executable, "-c", STAND_IN, str(database.path.with_name("calls"))]
    clock.now += RETRY_SECONDS - 1
    assert outlook.look() == "There is no model here."
    clock.now += 1 + LOOK_SECONDS
    counted(outlook, lambda found: isinstance(found, Counted))


STAND_IN = """
import json, sys
open(sys.argv[1], 'a').write('x')
print(json.dumps({'kinds': {}, 'new_judgements': 0, 'training_judgements': 0, 'missing_judgements': 67,
                  'is_rebuild': False}))
"""


def test_the_fingerprint_changes_with_every_kind_of_change(store: FeedbackStore) -> None:
    seen = [store.fingerprint()]

    def is_new() -> bool:
        seen.append(store.fingerprint())
        return seen[-1] != seen[-2]

    judge(store, ANN)
    assert is_new()
    assert not is_new()
    liked = start_talk(store, "Is this good?").answer("yes", show=False)
    store.set_thumb(liked, ANN, ThumbValue.UP)
    assert is_new()
    store.set_thumb(liked, ANN, ThumbValue.DOWN)
    assert is_new()
    talk = start_talk(store, "Another?")
    duel = store.start_duel(talk.id, talk.question, ANN, talk.answer("a", show=False), talk.answer("b", show=False))
    assert not is_new()
    store.decide_duel(duel, ANN, DuelOutcome.TIE)
    assert is_new()
    store.set_deleted(talk.id, ANN, True)
    assert is_new()
    store.set_consent(ANN, False)
    assert is_new()
    assert seen[-1] == seen[0]  # nothing counts, as at first
