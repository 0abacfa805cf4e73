"""What the screenshots show: a small school with a person who chatted, judged and ranked, in one language.

The answers are written here, not by a model: so the pictures are the same each time, and in both languages.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from demo.catalogue import Language
from nightschool.feedback import FeedbackStore
from nightschool.ids import utc_now
from nightschool.prompt_bank import bank_half
from nightschool.records import (
    INITIAL,
    DuelOutcome,
    Message,
    NightState,
    ReplyStatus,
    Sampling,
    ThumbValue,
    VerdictKind,
    Version,
)
from nightschool.registry import NightBook, VersionRegistry
from nightschool.schema import FeedbackDatabase
from training.night_lock import night_lock

TEXTS: dict[str, Any] = json.loads(Path(__file__).with_name("scene.json").read_text(encoding="utf-8"))
STAGES = {
    "judgements": 0.4,
    "model": 3.1,
    "initial replies": 41.2,
    "reward model": 18.5,
    "ppo": 219.8,
    "exam": 88.0,
    "verdict": 0.1,
    "coevolution": 12.4,
}
"""What a night did, in seconds."""
DAYS_AGO = (1, 2, 2, 3, 5, 6)
"""When the person judged what they judged before today."""
GUARDS = {
    "base": (1.0, 1.0),
    "drift": (3.41, 12.0),
    "entropy": (1.72, 0.98),
    "perplexity": (1.03, 1.1),
    "length": (61.0, 116.0),
    "finished": (0.83, 0.44),
    "empty": (0.0, 0.03),
    "looping": (0.02, 0.06),
    "variety": (0.79, 0.7),
    "script": (0.98, 0.91),
    "copies": (0.01, 0.07),
    "doubt": (0.52, 0.71),
}
"""Figure and limit of each."""
REPORT: dict[str, Any] = {
    "win_rate": 0.66,
    "win_rate_low": 0.57,
    "win_rate_high": 0.74,
    "reward_model_accuracy": 0.71,
    "kl": 3.412,
    "reward_before": -0.021,
    "reward_after": 0.864,
    "champion_length": 58,
    "candidate_length": 61,
    "guards": {name: {"value": value, "limit": limit, "holds": True} for name, (value, limit) in GUARDS.items()},
}
VERDICT = "It is better: the candidate wins 66% of 128 exam prompts (with 95 % confidence at least 57%)."
HELD = (
    "It is not shown to be better: the candidate wins 52% of 128 exam prompts (with 95 % confidence at least 43%), and "
    "that lower bound must be above 50%. The champion stays."
)
VERSIONS = ("v1", "v2")
LOSSES = (0.690, 0.668, 0.655, 0.649, 0.651)
ACCURACIES = (0.61, 0.64, 0.68, 0.71, 0.70)
ITERATIONS = (
    {"reward": -0.02, "kl": 0.0, "length": 58.1, "entropy": 1.94, "clip_fraction": 0.031, "finished": 0.42},
    {"reward": 0.21, "kl": 0.9, "length": 59.8, "entropy": 1.89, "clip_fraction": 0.064, "finished": 0.55},
    {"reward": 0.47, "kl": 2.1, "length": 62.3, "entropy": 1.80, "clip_fraction": 0.071, "finished": 0.71},
    {"reward": 0.78, "kl": 3.2, "length": 61.2, "entropy": 1.73, "clip_fraction": 0.058, "finished": 0.80},
)
SECONDS = 54.9
"""Of each iteration."""


def open_school(database: FeedbackDatabase) -> None:
    """Two nights that made a version each; the second one answers."""
    registry, book = VersionRegistry(database), NightBook(database)
    samples = {"samples": TEXTS["samples"], "worst": TEXTS["worst"]}
    for number, (name, kind) in enumerate(zip(VERSIONS, (VerdictKind.HELD, VerdictKind.PROMOTED), strict=True)):
        night = book.start("quick", number, practice=False)
        for position, (stage, seconds) in enumerate(STAGES.items()):
            book.start_stage(night, position, stage)
            book.end_stage(night, position, NightState.DONE, seconds, "")
        _tell(book, night, len(ITERATIONS))
        parent = VERSIONS[number - 1] if number else INITIAL
        registry.add(Version(name, parent, utc_now(), night, "base", name, kind), [])
        reason = VERDICT if kind is VerdictKind.PROMOTED else HELD
        told = REPORT | samples if kind is VerdictKind.PROMOTED else REPORT | {"win_rate": 0.52, "win_rate_low": 0.43}
        book.finish(night, NightState.DONE, kind, reason, version_id=name, report=told)
        _date_back_night(database, night, len(VERSIONS) - number)
    registry.promote(VERSIONS[-1], VERDICT)


@contextmanager
def at_work(database: FeedbackDatabase) -> Iterator[None]:
    """A night in the middle of PPO, for as long as the block lasts: whoever holds the lock is at work.

    Its rows are taken out again, so that the other pictures do not show it.
    """
    book = NightBook(database)
    with night_lock(database.path):
        night = book.start("quick", 3, practice=False)
        for position, (stage, seconds) in enumerate(STAGES.items()):
            book.start_stage(night, position, stage)
            if stage == "ppo":
                break
            book.end_stage(night, position, NightState.DONE, seconds, "")
        done = len(ITERATIONS) - 1
        _tell(book, night, done)
        book.stage_progress(night, position, done / len(ITERATIONS), f"iteration {done} of at most {len(ITERATIONS)}")
        try:
            yield
        finally:
            with database.write() as db:
                for table in ("night_metrics", "night_log", "night_stages"):
                    db.execute(f"DELETE FROM {table} WHERE night_id = ?", [night])
                db.execute("DELETE FROM nights WHERE id = ?", [night])


def _tell(book: NightBook, night: str, iterations: int) -> None:
    """The log and the curves of a night."""
    book.log(night, "94 pairs and 21 thumbs to learn from.")
    for look, (loss, accuracy) in enumerate(zip(LOSSES, ACCURACIES, strict=True)):
        book.metrics(night, "reward model", look, {"log_loss": loss, "accuracy": accuracy})
    book.log(night, "The reward model predicts 71% of 34 pairs it was not trained on; log-loss 0.649.")
    for number, figures in enumerate(ITERATIONS[:iterations], 1):
        book.metrics(night, "ppo", number, figures | {"seconds": SECONDS})
        book.log(
            night,
            f"iteration {number}: reward {figures['reward']:+.2f}, KL {figures['kl']:.2f}, "
            f"{figures['length']:.0f} tokens, {figures['finished']:.0%} finished, {SECONDS:.0f} s",
        )


def _date_back_night(database: FeedbackDatabase, night: str, days: int) -> None:
    """So many days ago, at half past two."""
    began = (datetime.now(UTC) - timedelta(days=days)).replace(hour=2, minute=30, second=0)
    ended = began + timedelta(seconds=sum(STAGES.values()))
    with database.write() as db:
        db.execute(
            "UPDATE nights SET started_at = ?, ended_at = ? WHERE id = ?",
            [began.isoformat(timespec="microseconds"), ended.isoformat(timespec="microseconds"), night],
        )


@dataclass(frozen=True)
class Scene:
    """One person's school life."""

    store: FeedbackStore
    database: FeedbackDatabase
    person: str
    language: Language

    def play(self) -> None:
        """Everything that the pages show, judgements of some days; the duel and the conversation are the newest."""
        texts = TEXTS[self.language]
        for days, small in zip(DAYS_AGO, texts["earlier"], strict=True):
            self._judge(small, days)
        self._ranking(texts["ranking"])
        self._duel(texts["duel"])
        self._conversation(texts["conversation"])

    def _talk(self, question: str) -> tuple[str, str]:
        conversation = self.store.start_conversation(self.person, question)
        return conversation, self.store.add_message(conversation, None, Message("user", question))

    def _answer(self, place: tuple[str, str], text: str, version: str, *, show: bool = True) -> str:
        reply = self.store.start_reply(*place, version, Sampling(), 1, [1], show=show)
        self.store.finish_reply(reply, text, list(range(len(text.split()))), ReplyStatus.DONE)
        return reply

    def _conversation(self, turns: list[str]) -> None:
        conversation, question = self._talk(turns[0])
        first = self._answer((conversation, question), turns[1], VERSIONS[-1])
        self.store.set_thumb(first, self.person, ThumbValue.UP, reasons=["clear"])
        question = self.store.add_message(conversation, first, Message("user", turns[2]))
        self._answer((conversation, question), turns[3], VERSIONS[-1])

    def _duel(self, texts: list[str]) -> None:
        conversation, question = self._talk(texts[0])
        sides = [
            self._answer((conversation, question), text, name, show=False)
            for text, name in zip(texts[1:], VERSIONS, strict=True)
        ]
        self.store.start_duel(conversation, question, self.person, *sides)

    def _ranking(self, texts: list[str]) -> None:
        prompt = next(one for one in bank_half("train", self.language) if one.text == texts[0])
        round_id, conversation, question = self.store.start_round(self.person, prompt.id, self.language, prompt.text)
        writers = (*VERSIONS, INITIAL, VERSIONS[-1])
        replies = [
            self._answer((conversation, question), text, name, show=False)
            for text, name in zip(texts[1:], writers, strict=True)
        ]
        self.store.seat_replies(round_id, replies)

    def _judge(self, small: list[str], days: int) -> None:
        """A conversation of some days ago, and what the person thought of its answers."""
        place = self._talk(small[1])
        first = self._answer(place, small[2], VERSIONS[0])
        if small[0] == "correction":
            self.store.correct(first, self.person, small[3], list(small[3].encode()))
        elif small[0] in {"left", "tie"}:
            other = self._answer(place, small[3], VERSIONS[1], show=False)
            duel = self.store.start_duel(*place, self.person, first, other)
            self.store.decide_duel(duel, self.person, DuelOutcome(small[0]))
        else:
            reasons = ["helpful"] if small[0] == "up" else ["wrong"]
            self.store.set_thumb(first, self.person, ThumbValue(small[0]), reasons=reasons, comment=small[3])
        self._date_back(place[0], days)

    def _date_back(self, conversation: str, days: int) -> None:
        then = (datetime.now(UTC) - timedelta(days=days)).isoformat(timespec="microseconds")
        replies = "(SELECT id FROM messages WHERE conversation_id = :conversation)"
        with self.database.write() as db:
            for statement in (
                "UPDATE conversations SET created_at = :then WHERE id = :conversation",
                "UPDATE messages SET created_at = :then WHERE conversation_id = :conversation",
                f"UPDATE thumbs SET created_at = :then WHERE reply_id IN {replies}",
                f"UPDATE corrections SET created_at = :then WHERE reply_id IN {replies}",
                "UPDATE duels SET created_at = :then, decided_at = :then WHERE conversation_id = :conversation",
            ):
                db.execute(statement, {"then": then, "conversation": conversation})
