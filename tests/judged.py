"""A person's feedback of every kind in one conversation: what the tests of the Feedback page's store share."""

from dataclasses import dataclass

from nightschool.browsing import FeedbackFilter, FeedbackKind
from nightschool.feedback import FeedbackStore
from nightschool.records import DuelOutcome, ThumbValue
from tests.talks import ANN, Talk, start_talk

QUESTION = "How do magnets work?"


@dataclass(frozen=True)
class Judged:
    """Ids of what `judge_everything` stored."""

    talk: Talk
    up: str
    down: str
    duel: str
    both_bad: str
    ranking: str
    correction: str


def judge_everything(store: FeedbackStore, person: str = ANN, question: str = QUESTION) -> Judged:
    """A thumb up, a reasoned one down, a duel won by the left, one lost by both, a ranking of three, a correction."""
    talk = start_talk(store, question, person)
    liked, disliked, corrected = talk.answer("liked"), talk.answer("disliked"), talk.answer("poor")
    store.set_thumb(liked, person, ThumbValue.UP)
    store.set_thumb(disliked, person, ThumbValue.DOWN, reasons=["wrong"], comment="Not so.")
    duels = []
    for outcome, texts in ((DuelOutcome.LEFT, ("won", "lost")), (DuelOutcome.BOTH_BAD, ("bad", "worse"))):
        left, right = (talk.answer(text, show=False) for text in texts)
        duels.append(store.start_duel(talk.id, talk.question, person, left, right))
        store.decide_duel(duels[-1], person, outcome)
    ranked = [talk.answer(text) for text in ("second", "first", "also second")]
    ranking = store.rank(person, ranked, [2, 1, 2])
    correction = store.correct(corrected, person, "rich", [9])
    thumbs = store.feedback(FeedbackFilter(person_id=person, kind=FeedbackKind.THUMB))
    up, down = (next(item.id for item in thumbs if item.outcome == outcome) for outcome in ("up", "down"))
    return Judged(talk, up, down, duels[0], duels[1], ranking, correction)
