"""Versions and decided duels in a database, without a model."""

from nightschool.feedback import FeedbackStore
from nightschool.ids import utc_now
from nightschool.records import INITIAL, DuelOutcome, Message, ReplyStatus, Sampling, VerdictKind, Version
from nightschool.registry import VersionRegistry
from nightschool.schema import FeedbackDatabase


def add_version(database: FeedbackDatabase, name: str, verdict: VerdictKind = VerdictKind.PROMOTED) -> None:
    """Register a version of that name; it has no folder."""
    version = Version(name, INITIAL, utc_now(), None, "base", "sha", verdict)
    VersionRegistry(database).add(version, [("judged", name)])


def add_reply(store: FeedbackStore, person: str, version: str) -> tuple[str, str, str]:
    """A finished reply in a conversation of its own: (conversation, question, reply)."""
    conversation = store.start_conversation(person, "Why?")
    question = store.add_message(conversation, None, Message("user", "Why?"))
    return conversation, question, _reply(store, conversation, question, version)


def decided_duel(
    store: FeedbackStore, person: str, left: str, right: str, outcome: DuelOutcome, texts: tuple[str, str] = ("", "")
) -> str:
    """A duel of two versions that a person decided; its id. Given texts have as many tokens as words."""
    conversation = store.start_conversation(person, "Why?")
    question = store.add_message(conversation, None, Message("user", "Why?"))
    first, second = (_reply(store, conversation, question, *side) for side in zip((left, right), texts, strict=True))
    duel = store.start_duel(conversation, question, person, first, second)
    store.decide_duel(duel, person, outcome)
    return duel


def _reply(store: FeedbackStore, conversation: str, question: str, version: str, text: str = "") -> str:
    reply = store.start_reply(conversation, question, version, Sampling(), 0, [1, 2], show=False)
    tokens = list(range(len(text.split()))) or [5, 2]
    store.finish_reply(reply, text or f"a reply by {reply}", tokens, ReplyStatus.DONE)
    return reply
