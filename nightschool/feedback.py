"""The store of what people say and judge. The only writer of conversations, replies, judgements, consent and sides.

A conversation is a tree of messages: a regeneration adds a sibling, nothing is overwritten, and `leaf_id` names the end
of the branch that is shown. Every method that takes a person refuses rows of somebody else as if they did not exist.

The longer work is done by functions on the open database, which only this store calls: `feedback_judging` (thumbs,
rankings, corrections), `feedback_reading` (what the night reads) and `feedback_import` (preferences made elsewhere).
"""

import json
import random
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from nightschool import feedback_judging
from nightschool.errors import BadInput
from nightschool.feedback_import import add_preferences
from nightschool.feedback_reading import duel_votes, duels_with, failures, read_snapshot, thumbs_down
from nightschool.feedback_rows import (
    SELECT_REPLIES,
    duel_of,
    ensure_person,
    insert_message,
    reply_of,
    title_of,
    turn_of,
)
from nightschool.ids import new_id, utc_now
from nightschool.probation import Standing, Vote, standing
from nightschool.records import (
    Conversation,
    Duel,
    DuelOutcome,
    FeedbackSnapshot,
    Message,
    Preference,
    Probation,
    Reply,
    ReplyStatus,
    Sampling,
    ThumbValue,
    Turn,
)
from nightschool.schema import FeedbackDatabase

JUDGEMENT_TABLES = {"duel": "duels", "thumb": "thumbs", "ranking": "rankings", "correction": "corrections"}
"""Kind of a judgement's source -> the table its row is in."""


class FeedbackStore:
    """Conversations and judgements in `feedback.db`. Raises `BadInput` for ids that are unknown or somebody else's."""

    def __init__(self, database: FeedbackDatabase) -> None:
        self._database = database

    # ---- people --------------------------------------------------------------------------------------------------

    def set_consent(self, person_id: str, may_learn: bool) -> None:
        """Record whether what this person says and judges may be learned from; somebody new is recorded too."""
        with self._database.write() as db:
            ensure_person(db, person_id)
            db.table("people").update(person_id, {"consent": int(may_learn)})

    def consent(self, person_id: str) -> bool:
        """Whether what this person says and judges may be learned from: yes, until they say no."""
        row = self._one("SELECT consent FROM people WHERE id = ?", person_id)
        return row is None or bool(row["consent"])

    def not_to_be_learned_from(self, sources: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
        """Those judgements, by (kind, id) of their rows, whose person has said no since or whose row is gone."""
        allowed: set[tuple[str, str]] = set()
        for kind, table in JUDGEMENT_TABLES.items():
            ids = [row_id for source, row_id in sources if source == kind]
            rows = self._database.read().query(
                f"""SELECT j.id FROM {table} j JOIN people p ON p.id = j.person_id
                    WHERE p.consent = 1 AND j.id IN (SELECT value FROM json_each(?))""",
                [json.dumps(ids)],
            )
            allowed |= {(kind, row["id"]) for row in rows}
        return set(sources) - allowed

    # ---- conversations -------------------------------------------------------------------------------------------

    def start_conversation(self, person_id: str, first_words: str) -> str:
        """A new, empty conversation titled by the first words; returns its id."""
        conversation_id = new_id()
        with self._database.write() as db:
            ensure_person(db, person_id)
            db.table("conversations").insert(
                {
                    "id": conversation_id,
                    "person_id": person_id,
                    "title": title_of(first_words),
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
            insert_message(db, message_id, conversation_id, parent_id, message)
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
        return [turn_of(row) for row in rows]

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
            insert_message(db, reply_id, conversation_id, question_id, Message("assistant", ""))
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
        row = self._one(f"{SELECT_REPLIES} WHERE r.id = ?", reply_id)
        if row is None:
            raise BadInput("This reply does not exist; reload the page.")
        return reply_of(row)

    # ---- thumbs, rankings, corrections ---------------------------------------------------------------------------

    def set_thumb(self, reply_id: str, person_id: str, value: ThumbValue | None) -> None:
        """Set, change or (None) take back this person's thumb on a reply in a conversation of theirs."""
        with self._database.write() as db:
            feedback_judging.set_thumb(db, reply_id, person_id, value)

    def rank(self, person_id: str, reply_ids: Sequence[str], ranks: Sequence[int]) -> str:
        """Record a person's order of 2 to 8 written replies to one question of theirs; returns the ranking's id.

        `ranks` stand in the order of `reply_ids`: 1 for the best, equal ranks are ties, gaps are allowed. An earlier
        ranking of the same question is kept; the night reads the newest one. Raises `BadInput` for anything else.
        """
        with self._database.write() as db:
            return feedback_judging.add_ranking(db, person_id, reply_ids, ranks)

    def correct(self, reply_id: str, person_id: str, text: str, token_ids: Sequence[int]) -> str:
        """Record what a person would have answered in place of a reply; returns the correction's id.

        `token_ids` are the text's, end-of-turn token included. It replaces this person's earlier correction of the
        reply, which stays as history. Raises `BadInput` for an empty or unchanged text, a reply that is still being
        written or is somebody else's.
        """
        with self._database.write() as db:
            return feedback_judging.add_correction(db, reply_id, person_id, text, token_ids)

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
        with self._database.write() as db:
            return add_preferences(db, person_id, preferences)

    # ---- for the night -------------------------------------------------------------------------------------------

    def keep_sides(self, sides: Mapping[str, str]) -> None:
        """Record on which side (train, validation, exam) each conversation lies, all or none."""
        with self._database.write() as db:
            for conversation_id, side in sides.items():
                db.execute(
                    """INSERT INTO split_sides (conversation_id, side, decided_at) VALUES (?, ?, ?)
                       ON CONFLICT (conversation_id) DO UPDATE
                       SET side = excluded.side, decided_at = excluded.decided_at WHERE side <> excluded.side""",
                    [conversation_id, side, utc_now()],
                )

    def duels_with(self, version: str) -> dict[str, int]:
        """How many decided duels a version had with each other one."""
        return duels_with(self._database.read(), version)

    def said_of(self, probation: Probation) -> Standing:
        """What people said of a version on probation since it began."""
        version, rival = probation.version_id, probation.rival_id
        with self._database.snapshot() as db:
            votes = [Vote(person, moment[:10], won) for person, moment, won in duel_votes(db, version, rival)]
            own = thumbs_down(db, version)  # it was registered when its probation began
            before = thumbs_down(db, rival, until=probation.started_at)[::-1]
            return standing(votes, (own, before), failures(db, version))

    def snapshot(self) -> FeedbackSnapshot:
        """What consenting people had judged at one moment; votes that come later wait for the next night."""
        with self._database.snapshot() as db:
            return read_snapshot(db)

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
        return duel_of(row, {side: self.reply(side) for side in (row["left_reply"], row["right_reply"])})
