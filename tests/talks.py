"""A conversation to judge, and twenty clicks at once: what the tests of the feedback store share."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from nightschool.errors import BadInput
from nightschool.feedback import FeedbackStore
from nightschool.records import INITIAL, Message, ReplyStatus, Sampling
from nightschool.schema import FeedbackDatabase

ANN, BOB = "ann", "bob"
CLICKS = 20


@dataclass(frozen=True)
class Talk:
    """A conversation with one question; Ann's, unless said otherwise."""

    store: FeedbackStore
    id: str
    question: str

    def answer(self, text: str, *, show: bool = True, status: ReplyStatus = ReplyStatus.DONE) -> str:
        reply = self.store.start_reply(self.id, self.question, INITIAL, Sampling(), 7, [1, 2, 3], show=show)
        if status is not ReplyStatus.STREAMING:
            self.store.finish_reply(reply, text, [4, 5], status, first_token_seconds=0.5, seconds=1.5)
        return reply

    def duel(self, left: str = "left text", right: str = "right text", **how: ReplyStatus) -> tuple[str, str, str]:
        """(duel, left reply, right reply), both written unless said otherwise."""
        replies = self.answer(left, show=False, **how), self.answer(right, show=False)
        return self.store.start_duel(self.id, self.question, ANN, *replies), *replies

    def texts(self) -> list[str]:
        leaf = self.store.conversation(self.id, ANN).leaf_id
        return [turn.text for turn in self.store.branch(self.id, leaf, ANN)]


def start_talk(store: FeedbackStore, question: str = "How do magnets work?", person: str = ANN) -> Talk:
    conversation = store.start_conversation(person, question)
    return Talk(store, conversation, store.add_message(conversation, None, Message("user", question)))


def rows(database: FeedbackDatabase, sql: str) -> list[dict[str, object]]:
    return list(database.read().query(sql))


def at_once(click: Callable[[], object]) -> tuple[list[object], list[BadInput]]:
    """What 20 clicks at once returned, and how those that were refused were refused."""

    def attempt(_: int) -> object:
        try:
            return click()
        except BadInput as refusal:
            return refusal

    with ThreadPoolExecutor(CLICKS) as pool:
        outcomes = list(pool.map(attempt, range(CLICKS)))
    return (
        [outcome for outcome in outcomes if not isinstance(outcome, BadInput)],
        [outcome for outcome in outcomes if isinstance(outcome, BadInput)],
    )
