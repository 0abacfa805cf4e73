"""How many judgements a night still needs: worked by hand, and the quick count compared with the night's own."""

import itertools

import pytest

from nightschool.feedback import FeedbackStore
from nightschool.ids import utc_now
from nightschool.needs import about_missing, missing_judgements
from nightschool.records import INITIAL, DuelOutcome, ReplyStatus, Sampling, Tally, ThumbValue, VerdictKind, Version
from nightschool.registry import VersionRegistry
from tests.talks import ANN, BOB, Talk, start_talk
from training.receipts import judgements_of
from training.shortage import shortage_of

NUMBERS = itertools.count()


@pytest.mark.parametrize(
    ("training", "new", "missing"),
    [
        (0, 0, 67),  # 40 to train on at 60 % are 66.7 in all
        (0, 500, 67),
        (39.5, 20, 1),  # 0.5 / 0.6 = 0.8
        (40, 20, 0),
        (40, 19, 1),
        (40, 0, 20),
        (31, 15, 15),  # 9 / 0.6 = 15 to train on, 5 new
        (34, 5, 15),  # 6 / 0.6 = 10 to train on, 15 new
        (1000, 1000, 0),
    ],
)
def test_a_night_needs_forty_to_train_on_and_twenty_new_ones(training: float, new: int, missing: int) -> None:
    assert missing_judgements(training, new) == missing


def test_before_the_sides_are_known_six_tenths_are_taken_to_train_on() -> None:
    assert about_missing(Tally(0, 0)) == 67
    assert about_missing(Tally(50, 30)) == 17  # 30 of 40 to train on: 10 / 0.6 = 16.7
    assert about_missing(Tally(67, 19)) == 1
    assert about_missing(Tally(67, 67)) == 0


def judge(store: FeedbackStore, person: str) -> None:
    """One of everything, each in a conversation of its own."""
    for outcome in DuelOutcome:
        talk = start_talk(store, f"{person}: which is better, {outcome}?", person)
        left, right = (_answer(store, talk, number) for number in (1, 2))
        store.decide_duel(store.start_duel(talk.id, talk.question, person, left, right), person, outcome)
    talk = start_talk(store, f"{person}: put these in order", person)
    order = [_answer(store, talk, number) for number in range(4)]
    store.rank(person, order, [1, 2, 3, 4])
    store.rank(person, order, [1, 1, 3, 4])  # the newest one counts
    talk = start_talk(store, f"{person}: is this good?", person)
    reply = _answer(store, talk, 1)
    store.set_thumb(reply, person, ThumbValue.DOWN)
    store.set_thumb(reply, person, ThumbValue.UP)  # one thumb
    talk = start_talk(store, f"{person}: what should it be?", person)
    store.correct(_answer(store, talk, 1), person, "something else entirely", [9, 9])


def _answer(store: FeedbackStore, talk: Talk, number: int) -> str:
    """A reply whose tokens nothing else has: of votes on the same texts the night counts one."""
    reply = talk.answer(f"answer {number}", show=False)
    store.finish_reply(reply, f"answer {number}", [4, 5, next(NUMBERS)], ReplyStatus.DONE)
    return reply


def test_the_quick_count_is_the_nights_own(store: FeedbackStore, registry: VersionRegistry) -> None:
    judge(store, ANN)
    judge(store, BOB)
    store.start_duel(*_unjudged(store))
    judgements = judgements_of(store.snapshot())
    tally = store.tally()
    # each: 4 duels, 3 facts of a ranking of 4, half a thumb, half a correction
    assert tally == Tally(2 * (4 + 3 + 0.5 + 0.5), 2 * 7)
    assert tally.facts == pytest.approx(judgements.effective())
    assert tally.new == len(judgements.sources()) == shortage_of(judgements, registry).new


def _unjudged(store: FeedbackStore) -> tuple[str, str, str, str, str]:
    talk = start_talk(store, "Not judged yet?")
    return talk.id, talk.question, ANN, talk.answer("one"), talk.answer("two")


def test_what_a_promoted_version_was_made_from_is_not_new(store: FeedbackStore, registry: VersionRegistry) -> None:
    judge(store, ANN)
    sources = judgements_of(store.snapshot()).sources()
    for name, verdict, used in (
        ("v1", VerdictKind.PROMOTED, sources[:3]),
        ("v2", VerdictKind.HELD, sources[3:]),  # nothing was learned for good
        ("v3", VerdictKind.PROMOTED, sources[2:4]),
    ):
        registry.add(Version(name, INITIAL, utc_now(), None, "base", name, verdict), used)
    assert store.tally().new == len(sources) - 4
    assert store.tally().new == shortage_of(judgements_of(store.snapshot()), registry).new


def test_what_people_who_said_no_judged_and_what_was_taken_back_is_not_counted(store: FeedbackStore) -> None:
    judge(store, ANN)
    judge(store, BOB)
    store.set_consent(BOB, False)
    assert store.tally() == Tally(8, 7)
    round_id, conversation, question = store.start_round(ANN, "en-story-001", "en", "Begin a story.")
    replies = [store.start_reply(conversation, question, INITIAL, Sampling(), 1, [1], show=False) for _ in range(3)]
    for number, reply in enumerate(replies):
        store.finish_reply(reply, f"text {number}", [number], ReplyStatus.DONE)
    store.seat_replies(round_id, replies)
    store.rank_round(round_id, ANN, replies, [1, 2, 3])
    assert store.tally() == Tally(10, 8)
    store.reopen_last_round(ANN, "en")
    assert store.tally() == Tally(8, 7)


def test_what_a_deleted_conversation_holds_is_not_counted(store: FeedbackStore) -> None:
    judge(store, ANN)
    for conversation in store.conversations(ANN):
        store.set_deleted(conversation.id, ANN, True)
        tally, judgements = store.tally(), judgements_of(store.snapshot())
        assert (tally.facts, tally.new) == (judgements.effective(), len(judgements.sources()))
    assert store.tally() == Tally(0, 0)
