"""The store of what people say and judge: conversations, replies, thumbs, duels. The only writer of those tables.

A conversation is a tree of messages: a regeneration adds a sibling, nothing is overwritten, and `leaf_id` names the end
of the branch that is shown. Every method that takes a person refuses rows of somebody else as if they did not exist.
"""

import json
import random
from collections.abc import Sequence
from typing import Any

import sqlite_utils

from nightschool.errors import BadInput
from nightschool.ids import new_id, utc_now
from nightschool.records import (
    Conversation,
    Duel,
    DuelOutcome,
    FeedbackSnapshot,
    Message,
    Preference,
    Reply,
    ReplyStatus,
    Sampling,
    Thumb,
    ThumbValue,
    Turn,
)
from nightschool.schema import FeedbackDatabase

TITLE_LENGTH = 60


class FeedbackStore:
    """Conversations and judgements in `feedback.db`. Raises `BadInput` for ids that are unknown or somebody else's."""

    def __init__(self, database: FeedbackDatabase) -> None:
        self._database = database

    # ---- conversations -------------------------------------------------------------------------------------------

    def start_conversation(self, person_id: str, first_words: str) -> str:
        """A new, empty conversation titled by the first words; returns its id."""
        conversation_id = new_id()
        with self._database.write() as db:
            _ensure_person(db, person_id)
            db.table("conversations").insert(
                {
                    "id": conversation_id,
                    "person_id": person_id,
                    "title": _title(first_words),
                    "created_at": utc_now(),
                    "leaf_id": None,
                }
            )
        return conversation_id

    def conversation(self, conversation_id: str, person_id: str) -> Conversation:
        row = self._one("SELECT * FROM conversations WHERE id = ? AND person_id = ?", conversation_id, person_id)
        if row is None:
            raise BadInput("This conversation is not yours or does not exist; start a new one.")
        return Conversation(**row)

    def conversations(self, person_id: str) -> list[Conversation]:
        """All of one person's conversations, newest first."""
        rows = self._database.read().query(
            "SELECT * FROM conversations WHERE person_id = ? ORDER BY created_at DESC, id DESC", [person_id]
        )
        return [Conversation(**row) for row in rows]

    def add_message(self, conversation_id: str, parent_id: str | None, message: Message) -> str:
        """Append a message under `parent_id` (None: the first one) and make it the shown end; returns its id."""
        message_id = new_id()
        with self._database.write() as db:
            _insert_message(db, message_id, conversation_id, parent_id, message)
            db.table("conversations").update(conversation_id, {"leaf_id": message_id})
        return message_id

    def branch(self, conversation_id: str, leaf_id: str | None, person_id: str) -> list[Turn]:
        """The turns from the first message to `leaf_id`, oldest first, with this person's thumbs."""
        if leaf_id is None:
            return []
        rows = self._database.read().query(
            """WITH RECURSIVE branch(id, depth) AS (
                SELECT :leaf, 0
                UNION ALL
                SELECT m.parent_id, depth + 1 FROM branch JOIN messages m ON m.id = branch.id
                WHERE m.parent_id IS NOT NULL
            )
            SELECT m.id, m.parent_id, m.role, m.text, m.created_at, r.status, r.version, t.value AS thumb,
                   (SELECT count(*) FROM messages s WHERE s.parent_id = m.parent_id AND s.role = m.role) AS siblings
            FROM branch
            JOIN messages m ON m.id = branch.id AND m.conversation_id = :conversation
            JOIN conversations c ON c.id = m.conversation_id AND c.person_id = :person
            LEFT JOIN replies r ON r.id = m.id
            LEFT JOIN thumbs t ON t.reply_id = m.id AND t.person_id = :person AND t.replaced_at IS NULL
            ORDER BY branch.depth DESC""",
            {"leaf": leaf_id, "conversation": conversation_id, "person": person_id},
        )
        return [_turn(row) for row in rows]

    def show_branch(self, conversation_id: str, leaf_id: str) -> None:
        """Make `leaf_id` the end of the branch that is shown."""
        with self._database.write() as db:
            db.table("conversations").update(conversation_id, {"leaf_id": leaf_id})

    # ---- replies -------------------------------------------------------------------------------------------------

    def start_reply(
        self,
        conversation_id: str,
        question_id: str,
        version: str,
        sampling: Sampling,
        seed: int,
        prompt_ids: Sequence[int],
        *,
        show: bool,
    ) -> str:
        """Insert the reply's rows before its first token (so that it can be voted on while it streams); its id.

        `show` makes it the end of the shown branch; the two replies of a duel are shown only once decided.
        """
        reply_id = new_id()
        with self._database.write() as db:
            _insert_message(db, reply_id, conversation_id, question_id, Message("assistant", ""))
            db.table("replies").insert(
                {
                    "id": reply_id,
                    "version": version,
                    "temperature": sampling.temperature,
                    "max_new_tokens": sampling.max_new_tokens,
                    "seed": seed,
                    "prompt_ids": json.dumps(list(prompt_ids)),
                    "token_ids": "[]",
                    "status": ReplyStatus.STREAMING,
                }
            )
            if show:
                db.table("conversations").update(conversation_id, {"leaf_id": reply_id})
        return reply_id

    def finish_reply(
        self,
        reply_id: str,
        text: str,
        token_ids: Sequence[int],
        status: ReplyStatus,
        *,
        first_token_seconds: float | None = None,
        seconds: float | None = None,
    ) -> None:
        """Write the text and tokens of a reply that ended, whichever way it ended."""
        with self._database.write() as db:
            db.table("messages").update(reply_id, {"text": text})
            db.table("replies").update(
                reply_id,
                {
                    "token_ids": json.dumps(list(token_ids)),
                    "status": status,
                    "first_token_seconds": first_token_seconds,
                    "seconds": seconds,
                },
            )

    def close_abandoned_replies(self) -> int:
        """Mark replies still `streaming` as stopped: their server died. Called once by a server that starts."""
        with self._database.write() as db:
            cursor = db.execute("UPDATE replies SET status = 'stopped' WHERE status = 'streaming'")
            return int(cursor.rowcount)

    def reply(self, reply_id: str) -> Reply:
        row = self._one(
            f"SELECT {_REPLY_COLUMNS} FROM replies r JOIN messages m ON m.id = r.id WHERE r.id = ?", reply_id
        )
        if row is None:
            raise BadInput("This reply does not exist; reload the page.")
        return _reply(row)

    # ---- thumbs --------------------------------------------------------------------------------------------------

    def set_thumb(self, reply_id: str, person_id: str, value: ThumbValue | None) -> None:
        """Set, change or (None) take back this person's thumb on a reply in a conversation of theirs."""
        with self._database.write() as db:
            owned = db.execute(
                """SELECT 1 FROM replies r JOIN messages m ON m.id = r.id
                   JOIN conversations c ON c.id = m.conversation_id WHERE r.id = ? AND c.person_id = ?""",
                [reply_id, person_id],
            ).fetchone()
            if owned is None:
                raise BadInput("This reply is not in a conversation of yours; reload the page and vote there.")
            active = db.execute(
                "SELECT value FROM thumbs WHERE reply_id = ? AND person_id = ? AND replaced_at IS NULL",
                [reply_id, person_id],
            ).fetchone()
            if (active[0] if active else None) == value:
                return  # the same click twice is one vote
            db.execute(
                "UPDATE thumbs SET replaced_at = ? WHERE reply_id = ? AND person_id = ? AND replaced_at IS NULL",
                [utc_now(), reply_id, person_id],
            )
            if value is not None:
                db.table("thumbs").insert(
                    {
                        "id": new_id(),
                        "reply_id": reply_id,
                        "person_id": person_id,
                        "value": value,
                        "created_at": utc_now(),
                    }
                )

    # ---- duels ---------------------------------------------------------------------------------------------------

    def start_duel(
        self, conversation_id: str, question_id: str, person_id: str, left_reply: str, right_reply: str
    ) -> str:
        """Record that two replies meet, on which sides; returns the duel's id."""
        duel_id = new_id()
        with self._database.write() as db:
            db.table("duels").insert(
                {
                    "id": duel_id,
                    "conversation_id": conversation_id,
                    "question_id": question_id,
                    "person_id": person_id,
                    "left_reply": left_reply,
                    "right_reply": right_reply,
                    "created_at": utc_now(),
                }
            )
        return duel_id

    def open_duel(self, conversation_id: str, person_id: str) -> Duel | None:
        """The undecided duel about the conversation's shown end, if there is one with two replies to judge."""
        row = self._one(
            """SELECT d.id FROM duels d JOIN conversations c ON c.id = d.conversation_id AND c.leaf_id = d.question_id
               WHERE d.conversation_id = ? AND d.person_id = ? AND d.outcome IS NULL ORDER BY d.id DESC LIMIT 1""",
            conversation_id,
            person_id,
        )
        if row is None:
            return None
        duel = self.duel(row["id"], person_id)
        return duel if duel.left.text.strip() and duel.right.text.strip() else None

    def duel(self, duel_id: str, person_id: str) -> Duel:
        row = self._one("SELECT * FROM duels WHERE id = ? AND person_id = ?", duel_id, person_id)
        if row is None:
            raise BadInput("This duel is not yours or does not exist; reload the page.")
        return self._duel(row)

    def decide_duel(self, duel_id: str, person_id: str, outcome: DuelOutcome) -> Duel:
        """Decide a duel once; the chosen reply (on a tie or both bad: one of them by chance) continues the talk.

        Raises `BadInput` when the duel was decided before, is somebody else's, or its replies are not both written.
        """
        with self._database.write() as db:
            row = next(db.query("SELECT * FROM duels WHERE id = ? AND person_id = ?", [duel_id, person_id]), None)
            if row is None:
                raise BadInput("This duel is not yours or does not exist; reload the page.")
            if row["outcome"] is not None:
                raise BadInput("This duel was already decided; a duel takes one vote.")
            unfinished = db.execute(
                """SELECT count(*) FROM replies r JOIN messages m ON m.id = r.id
                   WHERE r.id IN (?, ?) AND (r.status IN ('streaming', 'failed') OR trim(m.text) = '')""",
                [row["left_reply"], row["right_reply"]],
            ).fetchone()[0]
            if unfinished:
                raise BadInput("Both answers must be written before the duel can be decided; wait, or ask again.")
            chosen = {DuelOutcome.LEFT: row["left_reply"], DuelOutcome.RIGHT: row["right_reply"]}.get(
                outcome, random.choice([row["left_reply"], row["right_reply"]])
            )
            db.table("duels").update(duel_id, {"outcome": outcome, "decided_at": utc_now()})
            db.table("conversations").update(row["conversation_id"], {"leaf_id": chosen})
        return self.duel(duel_id, person_id)

    def import_preferences(self, person_id: str, preferences: Sequence[Preference]) -> int:
        """Store preferences made elsewhere as decided duels, each in a conversation of its own, all or none.

        Returns how many were new: a preference whose key is known already is left out.
        """
        added = 0
        with self._database.write() as db:
            _ensure_person(db, person_id)
            for preference in preferences:
                if db.execute("SELECT 1 FROM duels WHERE import_key = ?", [preference.key]).fetchone() is None:
                    _insert_preference(db, person_id, preference)
                    added += 1
        return added

    # ---- reading for the night -----------------------------------------------------------------------------------

    def snapshot(self) -> FeedbackSnapshot:
        """All decided duels and active thumbs as of one moment; votes that come later wait for the next night."""
        with self._database.snapshot() as db:
            taken_at = utc_now()
            replies = {
                row["id"]: _reply(row)
                for row in db.query(
                    f"""SELECT {_REPLY_COLUMNS} FROM replies r JOIN messages m ON m.id = r.id
                    WHERE r.id IN (SELECT left_reply FROM duels WHERE outcome IS NOT NULL
                                   UNION SELECT right_reply FROM duels WHERE outcome IS NOT NULL
                                   UNION SELECT reply_id FROM thumbs WHERE replaced_at IS NULL)"""
                )
            }
            duels = [
                _duel(row, replies) for row in db.query("SELECT * FROM duels WHERE outcome IS NOT NULL ORDER BY id")
            ]
            thumbs = [
                Thumb(
                    id=row["id"],
                    person_id=row["person_id"],
                    conversation_id=row["conversation_id"],
                    value=ThumbValue(row["value"]),
                    created_at=row["created_at"],
                    reply=replies[row["reply_id"]],
                )
                for row in db.query(
                    """SELECT t.*, m.conversation_id FROM thumbs t JOIN messages m ON m.id = t.reply_id
                       WHERE t.replaced_at IS NULL ORDER BY t.id"""
                )
            ]
            openings = {
                row["conversation_id"]: row["text"]
                for row in db.query(
                    "SELECT conversation_id, text, min(id) FROM messages WHERE role = 'user' GROUP BY conversation_id"
                )
            }
        return FeedbackSnapshot(taken_at, tuple(duels), tuple(thumbs), openings)

    def counts(self) -> tuple[int, int]:
        """How many decided duels and active thumbs there are."""
        row = self._one(
            """SELECT (SELECT count(*) FROM duels WHERE outcome IS NOT NULL) AS duels,
                      (SELECT count(*) FROM thumbs WHERE replaced_at IS NULL) AS thumbs"""
        )
        assert row is not None  # an aggregate always has one row
        return int(row["duels"]), int(row["thumbs"])

    def _one(self, sql: str, *parameters: Any) -> dict[str, Any] | None:
        return next(self._database.read().query(sql, list(parameters)), None)

    def _duel(self, row: dict[str, Any]) -> Duel:
        return _duel(row, {side: self.reply(side) for side in (row["left_reply"], row["right_reply"])})


_REPLY_COLUMNS = "r.id, r.version, m.text, r.status, r.prompt_ids, r.token_ids, m.created_at"


def _reply(row: dict[str, Any]) -> Reply:
    return Reply(
        id=row["id"],
        version=row["version"],
        text=row["text"],
        status=ReplyStatus(row["status"]),
        prompt_ids=tuple(json.loads(row["prompt_ids"])),
        token_ids=tuple(json.loads(row["token_ids"])),
        created_at=row["created_at"],
    )


def _duel(row: dict[str, Any], replies: dict[str, Reply]) -> Duel:
    return Duel(
        id=row["id"],
        conversation_id=row["conversation_id"],
        question_id=row["question_id"],
        person_id=row["person_id"],
        left=replies[row["left_reply"]],
        right=replies[row["right_reply"]],
        outcome=DuelOutcome(row["outcome"]) if row["outcome"] else None,
        decided_at=row["decided_at"],
    )


def _turn(row: dict[str, Any]) -> Turn:
    return Turn(
        id=row["id"],
        parent_id=row["parent_id"],
        role=row["role"],
        text=row["text"],
        created_at=row["created_at"],
        status=ReplyStatus(row["status"]) if row["status"] else None,
        version=row["version"],
        thumb=ThumbValue(row["thumb"]) if row["thumb"] else None,
        sibling_count=max(row["siblings"], 1),
    )


def _title(first_words: str) -> str:
    line = " ".join(first_words.split())
    return line if len(line) <= TITLE_LENGTH else line[: TITLE_LENGTH - 1].rstrip() + "…"


def _ensure_person(db: sqlite_utils.Database, person_id: str) -> None:
    db.table("people").insert({"id": person_id, "created_at": utc_now()}, ignore=True)


def _insert_message(
    db: sqlite_utils.Database, message_id: str, conversation_id: str, parent_id: str | None, message: Message
) -> None:
    db.table("messages").insert(
        {
            "id": message_id,
            "conversation_id": conversation_id,
            "parent_id": parent_id,
            "role": message.role,
            "text": message.content,
            "created_at": utc_now(),
        }
    )


def _insert_preference(db: sqlite_utils.Database, person_id: str, preference: Preference) -> None:
    conversation_id = new_id()
    db.table("conversations").insert(
        {
            "id": conversation_id,
            "person_id": person_id,
            "title": _title(preference.prompt[-1].content),
            "created_at": utc_now(),
            "leaf_id": None,
        }
    )
    question_id: str | None = None
    for message in preference.prompt:
        message_id = new_id()
        _insert_message(db, message_id, conversation_id, question_id, message)
        question_id = message_id
    reply_ids = []
    for text, token_ids in (preference.left, preference.right):
        reply_id = new_id()
        _insert_message(db, reply_id, conversation_id, question_id, Message("assistant", text))
        db.table("replies").insert(
            {
                "id": reply_id,
                "version": None,
                "prompt_ids": json.dumps(list(preference.prompt_ids)),
                "token_ids": json.dumps(list(token_ids)),
                "status": ReplyStatus.DONE,
            }
        )
        reply_ids.append(reply_id)
    db.table("duels").insert(
        {
            "id": new_id(),
            "conversation_id": conversation_id,
            "question_id": question_id,
            "person_id": person_id,
            "left_reply": reply_ids[0],
            "right_reply": reply_ids[1],
            "created_at": utc_now(),
            "outcome": preference.outcome,
            "decided_at": utc_now(),
            "import_key": preference.key,
        }
    )
    chosen = reply_ids[0] if preference.outcome is DuelOutcome.LEFT else reply_ids[1]
    db.table("conversations").update(conversation_id, {"leaf_id": chosen})
