"""A school after five nights: versions with folders and true receipts, duels between them, one on probation.

v5 (answers, on probation beside v3)
| v4 (rejected: people took it back)
v3 (answered before)
| v2 (held; a judgement that made it was deleted since)
v1 (answered before)
initial
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from nightschool.browsing import FeedbackKind
from nightschool.coevolution import COEVOLUTION
from nightschool.feedback import FeedbackStore
from nightschool.files import MANIFEST, sha256_of, whole_folder, write_json
from nightschool.ids import utc_now
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
from nightschool.said import Said
from nightschool.schema import FeedbackDatabase
from training.receipt_check import receipts_for, receipts_to_json, training_set_sha256
from training.receipts import judgements_of, split_of_snapshot

V1, V2, V3, V4, V5 = "v1-3f9a12c0", "v2-b07d55e1", "v3-91c4e8aa", "v4-5d20f713", "v5-c6e1a94b"
PEOPLE = ("ann", "bob", "cleo", "dan", "eve", "finn")
STRENGTH = {INITIAL: 0.0, V1: 0.5, V2: 0.4, V3: 1.1, V4: 0.2, V5: 2.4}
TEXTS = ("The yeast eats sugar and breathes out gas, so the dough swells.", "Because it is warm there.")


@dataclass(frozen=True)
class Exam:
    """What a night is to have found."""

    win_rate: float
    low: float
    high: float
    kl: float


class Lineage:
    """Builds it. The same seed gives the same votes."""

    def __init__(self, database: FeedbackDatabase, folder: Path, texts: Sequence[str] = TEXTS) -> None:
        self._database = database
        self._folder = folder
        self._texts = texts
        self._store, self._registry = FeedbackStore(database), VersionRegistry(database)
        self._book = NightBook(database)
        self._chance = Random(7)
        self._asked = 0

    def build(self, duels: int = 6) -> None:
        """`duels`: how many of each pair of versions are decided."""
        self.judge(INITIAL, INITIAL, 3)
        self.night(V1, INITIAL, VerdictKind.PROMOTED, Exam(0.71, 0.63, 0.79, 2.31), days=9)
        zoe = self.judge(V1, INITIAL, 1, people=("zoe",))
        self.judge(V1, INITIAL, duels)
        self.night(V2, V1, VerdictKind.HELD, Exam(0.52, 0.44, 0.6, 2.9), days=7)
        self._store.set_consent("zoe", False)
        self.judge(V2, V1, duels)
        self.night(V3, V1, VerdictKind.PROMOTED, Exam(0.64, 0.56, 0.72, 3.4), days=5)
        self.judge(V3, V1, duels)
        self.judge(V3, INITIAL, duels)
        self.night(V4, V3, VerdictKind.PROMOTED, Exam(0.59, 0.51, 0.67, 4.75), days=3)
        self.judge(V4, V3, duels)
        taken_back = Said(
            f"People prefer {V3} to {V4} in duels (1 : 6 votes, evidence 12.4 of 10).",
            f"在对决中大家更喜欢 {V3}，而不是 {V4}（1 : 6 票，证据 12.4，满 10 即退回）。",
        )
        probation = self._registry.probation()
        assert probation is not None
        self._registry.roll_back(probation, taken_back)
        with self._database.write() as db:
            db.execute("UPDATE promotions SET created_at = ? WHERE previous_id = ?", [_days_ago(2), V4])
        self.night(V5, V3, VerdictKind.PROMOTED, Exam(0.66, 0.58, 0.74, 3.9), days=1)
        self.judge(V5, V3, duels)
        self._store.erase_feedback(FeedbackKind.DUEL, zoe[0], "zoe")

    def judge(self, one: str, other: str, count: int, people: Sequence[str] = PEOPLE) -> list[str]:
        """Decided duels of two versions, and a thumb for each; the ids of the duels."""
        made = []
        for number in range(count):
            person = people[number % len(people)]
            self._asked += 1
            question = f"Question {self._asked} of {person}: why?"
            talk = self._store.start_conversation(person, question)
            asked = self._store.add_message(talk, None, Message("user", question))
            versions = [one, other] if number % 2 else [other, one]
            texts = [f"{text} ({self._asked})" for text in self._texts]
            replies = [self._reply(talk, asked, version, text) for version, text in zip(versions, texts, strict=True)]
            duel = self._store.start_duel(talk, asked, person, *replies)
            self._store.decide_duel(duel, person, self._outcome(*versions))
            if number % 3 == 0:
                self._store.set_thumb(replies[0], person, ThumbValue.UP if number % 2 else ThumbValue.DOWN)
            made.append(duel)
        return made

    def night(self, name: str, parent: str, verdict: VerdictKind, exam: Exam, *, days: int) -> None:
        """A night that made a version some days ago from everything judged so far."""
        snapshot = self._store.snapshot()
        split = split_of_snapshot(snapshot)
        judgements = judgements_of(snapshot, split)
        reason = _reason(verdict, exam)
        report = {
            "version": name,
            "reason": reason.en,
            "reason_zh": reason.zh,
            "verdict": verdict,
            "champion_before": parent,
            "prompts": 128,
            "win_rate": exam.win_rate,
            "win_rate_low": exam.low,
            "win_rate_high": exam.high,
            "kl": exam.kl,
            "judgements": len(judgements.sources()),
            "pairs": len(judgements.pairs),
            "thumbs": len(judgements.thumbs),
            "training_set": training_set_sha256(judgements),
        }
        with whole_folder(self._folder / name) as folder:
            write_json(folder / "receipts.json", receipts_to_json(receipts_for(judgements, snapshot, split)))
            write_json(folder / "config.json", {"training_set": report["training_set"]})
            write_json(folder / "report.json", report)
        digest = sha256_of(self._folder / name / MANIFEST)
        night = self._book.start("normal", 0, practice=False)
        version = Version(name, parent, utc_now(), night, "base", digest, verdict)
        promoted = verdict is VerdictKind.PROMOTED
        self._registry.add(
            version,
            judgements.sources(),
            promote_because=reason.en if promoted else None,
            rival=parent if promoted else None,
        )
        self._book.finish(night, NightState.DONE, verdict, reason.en, version_id=name, report=report)
        self._date_back(name, night, days)

    def _outcome(self, left: str, right: str) -> DuelOutcome:
        lead = STRENGTH[left] - STRENGTH[right] + self._chance.gauss(0, 0.9)
        if abs(lead) < 0.15:
            return DuelOutcome.TIE
        return DuelOutcome.LEFT if lead > 0 else DuelOutcome.RIGHT

    def _reply(self, talk: str, asked: str, version: str, text: str) -> str:
        reply = self._store.start_reply(talk, asked, version, Sampling(), 1, [1, self._asked], show=False)
        self._store.finish_reply(reply, text, [*[len(text)] * len(text.split()), 2], ReplyStatus.DONE)
        return reply

    def _date_back(self, name: str, night: str, days: int) -> None:
        """As if the night had been so long ago; the thumbs and votes that are compared with it were today."""
        then = _days_ago(days)
        with self._database.write() as db:
            db.execute("UPDATE versions SET created_at = ? WHERE id = ?", [then, name])
            db.execute("UPDATE nights SET started_at = ?, ended_at = ? WHERE id = ?", [then, then, night])
            db.execute("UPDATE promotions SET created_at = ? WHERE version_id = ?", [then, name])
            db.execute("UPDATE probations SET started_at = ? WHERE version_id = ?", [then, name])
            db.execute("UPDATE versions SET created_at = '2026-01-01T09:00:00.000000+00:00' WHERE id = 'initial'")


def opinions(chance: Random) -> dict[str, Any]:
    """Scores of 32 replies of each version by each version's reward model, as a night keeps them."""
    scores = {
        judge: {version: [chance.gauss(strength, 1.0) for _ in range(32)] for version, strength in STRENGTH.items()}
        for judge in STRENGTH
        if judge != INITIAL
    }
    return {"of": {}, "replies": {version: [[]] * 32 for version in STRENGTH}, "scores": scores, "left_out": {}}


def _days_ago(days: int) -> str:
    return (datetime.now(UTC) - timedelta(days=days)).isoformat(timespec="microseconds")


def _reason(verdict: VerdictKind, exam: Exam) -> Said:
    won = f"{exam.win_rate:.0%}", f"{exam.low:.0%}"
    if verdict is VerdictKind.PROMOTED:
        return Said(
            f"It is better: the candidate wins {won[0]} of 128 exam prompts (with 95 % confidence at least {won[1]}).",
            f"新版本更好：候选版本赢得 128 道考题中的 {won[0]}（95% 置信下限为 {won[1]}）。",
        )
    return Said(
        f"It is not shown to be better: the candidate wins {won[0]} of 128 exam prompts (with 95 % confidence at least "
        f"{won[1]}), and that lower bound must be above 50%. The champion stays.",
        f"未能证明新版本更好：候选版本赢得 128 道考题中的 {won[0]}（95% 置信下限为 {won[1]}），而该下限须高于 50%。"
        "继续由现任版本回答。",
    )


def add_lineage(database: FeedbackDatabase, folder: Path, duels: int = 6, texts: Sequence[str] = TEXTS) -> None:
    """Five versions in an empty database, and their folders."""
    Lineage(database, folder, texts).build(duels)
    (folder / COEVOLUTION).write_text(json.dumps(opinions(Random(0))), encoding="utf-8")
