"""The store of what people say and judge. The only writer of conversations, replies, judgements, consent and sides.

A conversation is a tree of messages: a regeneration adds a sibling, nothing is overwritten, and `leaf_id` names the end
of the branch that is shown. Every method that takes a person refuses rows of somebody else as if they did not exist.

The longer work is done by functions on the open database, which only this store calls: `feedback_conversations` (list,
search, branches), `feedback_judging` (thumbs, rankings, corrections), `feedback_duels` (how they end),
`feedback_rounds` (what is put to people to rank), `feedback_reading` (what the night reads), `feedback_tally` (how much
there is of it), `feedback_browsing` (what people look through), `feedback_import` and `feedback_export` (judgements
made or used elsewhere) and `feedback_erasing`.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from nightschool import (
    feedback_browsing,
    feedback_conversations,
    feedback_duels,
    feedback_erasing,
    feedback_judging,
    feedback_rounds,
)
from nightschool.browsing import Erasure, FeedbackCounts, FeedbackFilter, FeedbackItem, FeedbackKind
from nightschool.errors import BadInput, StoreError
from nightschool.examples import Example, TrainerFormat
from nightschool.feedback_export import read_examples
from nightschool.feedback_import import add_opinions, add_preferences
from nightschool.feedback_reading import (
    duel_votes,
    duels_mark,
    duels_with,
    failures,
    read_judged,
    read_snapshot,
    thumbs_down,
)
from nightschool.feedback_rows import (
    SELECT_REPLIES,
    conversation_of,
    duel_of,
    ensure_person,
    insert_message,
    reply_of,
)
from nightschool.feedback_tally import read_fingerprint, read_tally
from nightschool.ids import new_id, utc_now
from nightschool.probation import Standing, Vote, standing
from nightschool.records import (
    OWNERS_STYLE,
    Conversation,
    Duel,
    DuelOutcome,
    FeedbackSnapshot,
    FoundConversation,
    Message,
    Opinion,
    Preference,
    Probation,
    RankingRound,
    Reply,
    ReplyStatus,
    RoundOutcome,
    Sampling,
    Style,
    Tally,
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
        """Those judgements, by (kind, id) of their rows, that are not to be learned from any more.

        Their person has said no since, their conversation was deleted, or their row is gone.
        """
        allowed: set[tuple[str, str]] = set()
        by_reply = "(SELECT m.conversation_id FROM messages m WHERE m.id = j.reply_id)"
        for kind, table in JUDGEMENT_TABLES.items():
            ids = [row_id for source, row_id in sources if source == kind]
            place = by_reply if kind in {"thumb", "correction"} else "j.conversation_id"
            rows = self._database.read().query(
                f"""SELECT j.id FROM {table} j JOIN people p ON p.id = j.person_id
                    JOIN conversations c ON c.id = {place}
                    WHERE p.consent = 1 AND c.deleted_at IS NULL AND j.id IN (SELECT value FROM json_each(?))""",
                [json.dumps(ids)],
            )
            allowed |= {(kind, row["id"]) for row in rows}
        return set(sources) - allowed

    # ---- conversations -------------------------------------------------------------------------------------------

    def start_conversation(self, person_id: str, first_words: str, style: Style = OWNERS_STYLE) -> str:
        """A new, empty conversation titled by the first words; returns its id."""
        with self._database.write() as db:
            ensure_person(db, person_id)
            return feedback_conversations.insert(db, new_id(), person_id, first_words, style)

    def conversation(self, conversation_id: str, person_id: str) -> Conversation:
        row = self._one(
            f"""SELECT * FROM conversations c
                WHERE id = ? AND person_id = ? AND deleted_at IS NULL AND {feedback_conversations.OF_CHAT}""",
            conversation_id,
            person_id,
        )
        if row is None:
            raise BadInput(feedback_conversations.NOT_YOURS)
        return conversation_of(row)

    def conversations(self, person_id: str) -> list[Conversation]:
        """All of one person's conversations that are not deleted, the one last written in first."""
        return feedback_conversations.listed(self._database.read(), person_id)

    def search(self, person_id: str, words: str) -> list[FoundConversation]:
        """This person's conversations in whose title, messages or corrections every word occurs, newest first."""
        return feedback_conversations.search(self._database.read(), person_id, words)

    def rename(self, conversation_id: str, person_id: str, title: str) -> None:
        """Give a conversation another title. Raises `BadInput` for a blank one."""
        with self._database.write() as db:
            feedback_conversations.rename(db, conversation_id, person_id, title)

    def set_deleted(self, conversation_id: str, person_id: str, deleted: bool) -> None:
        """Delete a conversation, or take that back. Deleted, it is as good as missing; its judgements do not count."""
        with self._database.write() as db:
            feedback_conversations.set_deleted(db, conversation_id, person_id, deleted)

    def set_style(self, conversation_id: str, person_id: str, style: Style) -> None:
        """Keep with a conversation how it is to be answered."""
        with self._database.write() as db:
            feedback_conversations.set_style(db, conversation_id, person_id, style)

    def start_trial(self, person_id: str, version: str, title: str) -> str:
        """A conversation in which a version is tried, without a question; one that is still empty is taken again."""
        with self._database.write() as db:
            if (waiting := feedback_conversations.empty_trial(db, person_id, version)) is not None:
                return waiting
            ensure_person(db, person_id)
            made = feedback_conversations.insert(db, new_id(), person_id, title, OWNERS_STYLE)
            feedback_conversations.set_tried_version(db, made, person_id, version)
        return made

    def end_trial(self, conversation_id: str, person_id: str) -> None:
        """From the next reply on, whichever version answers everybody writes in this conversation too."""
        with self._database.write() as db:
            feedback_conversations.set_tried_version(db, conversation_id, person_id, None)

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
        return feedback_conversations.branch(self._database.read(), conversation_id, leaf_id, person_id)

    def show_branch(self, conversation_id: str, leaf_id: str) -> None:
        """Make `leaf_id` the end of the branch that is shown."""
        with self._database.write() as db:
            db.table("conversations").update(conversation_id, {"leaf_id": leaf_id})

    def show_message(self, conversation_id: str, person_id: str, message_id: str) -> None:
        """Show the newest branch that goes through a message. Raises `BadInput` where it is not in the conversation."""
        with self._database.write() as db:
            feedback_conversations.show_message(db, conversation_id, person_id, message_id)

    def is_writing(self, conversation_id: str, person_id: str) -> bool:
        """Whether a reply of a conversation is still being written."""
        self.conversation(conversation_id, person_id)
        return feedback_conversations.is_writing(self._database.read(), conversation_id)

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
        """Write the text and tokens of a reply that ended, whichever way, or (`STREAMING`) of one that still grows."""
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

    def set_thumb(
        self,
        reply_id: str,
        person_id: str,
        value: ThumbValue | None,
        *,
        reasons: Sequence[str] = (),
        comment: str = "",
    ) -> None:
        """Set, change or (None) take back this person's thumb, with its reasons, on a reply of their conversations."""
        with self._database.write() as db:
            feedback_judging.set_thumb(db, reply_id, person_id, value, reasons, comment)

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

    def withdraw_correction(self, reply_id: str, person_id: str) -> None:
        """Take this person's correction of a reply back; it stays as history."""
        with self._database.write() as db:
            feedback_judging.withdraw_correction(db, reply_id, person_id)

    # ---- rounds of the Rank page ---------------------------------------------------------------------------------

    def start_round(self, person_id: str, prompt_id: str, language: str, text: str) -> tuple[str, str, str]:
        """Put a prompt to a person in a conversation of its own; (round, conversation, question)."""
        with self._database.write() as db:
            round_id = feedback_rounds.add_round(db, person_id, prompt_id, language, text)
            return round_id, *feedback_rounds.place_of(db, round_id)

    def seat_replies(self, round_id: str, reply_ids: Sequence[str]) -> None:
        """Keep the order in which the replies of a round are first shown."""
        with self._database.write() as db:
            feedback_rounds.seat(db, round_id, reply_ids)

    def keep_seated(self, round_id: str, reply_ids: Sequence[str]) -> None:
        """Leave only these replies of a round to be put in order."""
        with self._database.write() as db:
            feedback_rounds.keep_seated(db, round_id, reply_ids)

    def open_rounds(self, person_id: str, language: str) -> list[str]:
        """The person's undecided rounds in one language, oldest first: the first one is shown."""
        return feedback_rounds.open_rounds(self._database.read(), person_id, language)

    def asked_prompts(self, person_id: str) -> list[str]:
        """The bank's prompts that this person was asked about, each as often as that."""
        return feedback_rounds.asked_prompts(self._database.read(), person_id)

    def ranking_round(self, round_id: str, person_id: str) -> RankingRound:
        with self._database.snapshot() as db:
            return feedback_rounds.read_round(db, round_id, person_id)

    def rank_round(self, round_id: str, person_id: str, reply_ids: Sequence[str], ranks: Sequence[int]) -> None:
        """Decide a round by an order of its replies, once; the same order again is the same one vote.

        Raises `BadInput` when it was decided otherwise, is somebody else's, or as `rank` does.
        """
        with self._database.write() as db:
            feedback_rounds.rank_round(db, round_id, person_id, reply_ids, ranks)

    def close_round(self, round_id: str, person_id: str, outcome: RoundOutcome) -> None:
        """End a round without an order. Raises `BadInput` when it was decided before or is somebody else's."""
        with self._database.write() as db:
            feedback_rounds.close_round(db, round_id, person_id, outcome)

    def reopen_last_round(self, person_id: str, language: str) -> str:
        """Take back the person's last order or skip in a language; the round that is open again."""
        with self._database.write() as db:
            return feedback_rounds.reopen_last(db, person_id, language)

    def has_decided_round(self, person_id: str, language: str) -> bool:
        """Whether there is an order or a skip to take back."""
        return feedback_rounds.last_decided(self._database.read(), person_id, language) is not None

    def count_ranked(self, person_id: str) -> int:
        """How many rounds the person put in order."""
        return feedback_rounds.count_ranked(self._database.read(), person_id)

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
               WHERE d.conversation_id = ? AND d.person_id = ? AND d.outcome IS NULL AND d.closed_at IS NULL
               ORDER BY d.id DESC LIMIT 1""",
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

    def ended_duel(self, duel_id: str, person_id: str) -> Duel | None:
        """The duel, if it takes no vote any more. Raises `BadInput` for somebody else's."""
        ended = "SELECT 1 AS ended FROM duels WHERE id = ? AND (outcome IS NOT NULL OR closed_at IS NOT NULL)"
        duel = self.duel(duel_id, person_id)
        return None if self._one(ended, duel_id) is None else duel

    def decide_duel(self, duel_id: str, person_id: str, outcome: DuelOutcome) -> Duel:
        """Decide a duel once; the chosen reply (on a tie or both bad: one of them by chance) continues the talk.

        The same decision again changes nothing. Raises `BadInput` when the duel was decided otherwise or declined
        before, is somebody else's, or its replies are not both written.
        """
        with self._database.write() as db:
            feedback_duels.decide(db, duel_id, person_id, outcome)
        return self.duel(duel_id, person_id)

    def decline_duel(self, duel_id: str, person_id: str) -> Duel:
        """End a duel without a decision, once; one of its replies, by chance, continues the talk.

        Raises as `decide_duel` does.
        """
        with self._database.write() as db:
            feedback_duels.decline(db, duel_id, person_id)
        return self.duel(duel_id, person_id)

    def void_duel(self, duel_id: str) -> None:
        """End a duel that cannot be judged, so that its replies stand beside the others."""
        with self._database.write() as db:
            feedback_duels.void(db, duel_id)

    def import_preferences(self, person_id: str, preferences: Sequence[Preference]) -> int:
        """Store preferences made elsewhere as decided duels, each in a conversation of its own, all or none.

        Returns how many were new: a preference whose key is known already is left out.
        """
        with self._database.write() as db:
            return add_preferences(db, person_id, preferences)

    def import_judgements(self, person_id: str, preferences: Sequence[Preference], opinions: Sequence[Opinion]) -> int:
        """Store preferences, and opinions as thumbs, as `import_preferences` does, all or none."""
        with self._database.write() as db:
            return add_preferences(db, person_id, preferences) + add_opinions(db, person_id, opinions)

    # ---- looking through feedback --------------------------------------------------------------------------------

    def feedback(self, wanted: FeedbackFilter, limit: int = -1, offset: int = 0) -> list[FeedbackItem]:
        """What people judged, newest first: `limit` items (-1: all) after the first `offset`."""
        return feedback_browsing.find_items(self._database.read(), wanted, limit, offset)

    def count_feedback(self, wanted: FeedbackFilter) -> FeedbackCounts:
        """How much of each kind there is."""
        return feedback_browsing.count_items(self._database.read(), wanted)

    def feedback_by_day(self, wanted: FeedbackFilter, minutes: int = 0) -> dict[str, FeedbackCounts]:
        """Day -> what was judged on it, oldest first; `minutes` is the local time's distance from UTC."""
        return feedback_browsing.count_days(self._database.read(), wanted, minutes)

    def judged_versions(self, person_id: str | None) -> list[str]:
        """The versions whose answers were judged by this person, or (None) by anybody."""
        return feedback_browsing.judged_versions(self._database.read(), person_id)

    def judging_people(self) -> list[tuple[str, int]]:
        """Everybody who judged something, with how much; the busiest first."""
        return feedback_browsing.judging_people(self._database.read())

    def examples(self, shape: TrainerFormat, person_id: str | None = None) -> list[Example]:
        """Feedback for a trainer elsewhere: one person's, or (None) everybody's who consents."""
        with self._database.snapshot() as db:
            return read_examples(db, shape, person_id)

    # ---- deleting for good ---------------------------------------------------------------------------------------

    def erase_feedback(self, kind: FeedbackKind, item_id: str, person_id: str | None) -> Erasure:
        """Delete one item of this person's, or (None) of anybody's, with its history.

        Raises `BadInput` when there is none of that id, or it is somebody else's.
        """
        with self._database.write() as db:
            erasure = feedback_erasing.erase_item(db, kind, item_id, person_id)
        self._database.scrub()
        return erasure

    def erase_person(self, person_id: str) -> Erasure:
        """Delete everything of a person: conversations, judgements, consent. No byte of it stays in the files.

        Raises `BadInput` while an answer of theirs is being written, `StoreError` when a reader kept the write-ahead
        log from being emptied: the rows are gone then, but their bytes are not yet.
        """
        with self._database.write() as db:
            erasure = feedback_erasing.erase_person(db, person_id)
        if not self._database.scrub():
            raise StoreError(
                "Your data is deleted, but its last traces lie in the write-ahead log, which is being read; delete "
                "again in a minute, or restart the program, which clears it."
            )
        return erasure

    # ---- for the night -------------------------------------------------------------------------------------------

    def keep_sides(self, sides: Mapping[str, str]) -> None:
        """Record on which side (train, validation, exam) each conversation lies, all or none."""
        with self._database.write() as db:
            for conversation_id, side in sides.items():
                db.execute(
                    """INSERT INTO split_sides (conversation_id, side, decided_at)
                       SELECT id, ?, ? FROM conversations WHERE id = ?  -- not one that was deleted meanwhile
                       ON CONFLICT (conversation_id) DO UPDATE
                       SET side = excluded.side, decided_at = excluded.decided_at WHERE side <> excluded.side""",
                    [side, utc_now(), conversation_id],
                )

    def duels_with(self, version: str) -> dict[str, int]:
        """How many decided duels a version had with each other one."""
        return duels_with(self._database.read(), version)

    def votes_between(self, version: str, rival: str) -> list[Vote]:
        """People's votes in duels of the two, oldest first; ties are left out."""
        return _votes(duel_votes(self._database.read(), version, rival))

    def duels_mark(self) -> str:
        """What says of which duels a leaderboard was made: with the same mark it would come out the same."""
        return duels_mark(self._database.read())

    def said_of(self, probation: Probation) -> Standing:
        """What people said of a version on probation since it began."""
        version, rival = probation.version_id, probation.rival_id
        with self._database.snapshot() as db:
            votes = _votes(duel_votes(db, version, rival))
            own = thumbs_down(db, version)  # it was registered when its probation began
            before = thumbs_down(db, rival, until=probation.started_at)[::-1]
            return standing(votes, (own, before), failures(db, version))

    def snapshot(self) -> FeedbackSnapshot:
        """What consenting people had judged at one moment; votes that come later wait for the next night."""
        with self._database.snapshot() as db:
            return read_snapshot(db)

    def tally(self) -> Tally:
        """How much people who consent had judged by now."""
        return read_tally(self._database.read())

    def fingerprint(self) -> str:
        """Changes when what the next night would read changes; cheap."""
        return read_fingerprint(self._database.read())

    def judged(self, sources: Collection[tuple[str, str]]) -> FeedbackSnapshot:
        """These judgements, by (kind, id) of their rows, as they were made; what was deleted since is left out."""
        with self._database.snapshot() as db:
            return read_judged(db, sources)

    def has_judgement(self, judgement_id: str) -> bool:
        """Whether there is a thumb, duel, ranking or correction of this id."""
        tables = JUDGEMENT_TABLES.values()
        return any(self._one(f"SELECT id FROM {table} WHERE id = ?", judgement_id) for table in tables)

    def erased_at(self, judgement_id: str) -> str | None:
        """When a judgement was deleted for good, if it was."""
        row = self._one("SELECT erased_at FROM erased_sources WHERE source_id = ?", judgement_id)
        return str(row["erased_at"]) if row else None

    def counts(self) -> tuple[int, int]:
        """How many decided duels and active thumbs there are in conversations that are not deleted."""
        row = self._one(
            """SELECT (SELECT count(*) FROM duels d JOIN conversations c ON c.id = d.conversation_id
                       WHERE d.outcome IS NOT NULL AND c.deleted_at IS NULL) AS duels,
                      (SELECT count(*) FROM thumbs t JOIN messages m ON m.id = t.reply_id
                       JOIN conversations c ON c.id = m.conversation_id
                       WHERE t.replaced_at IS NULL AND c.deleted_at IS NULL) AS thumbs"""
        )
        assert row is not None  # an aggregate always has one row
        return int(row["duels"]), int(row["thumbs"])

    def _one(self, sql: str, *parameters: Any) -> dict[str, Any] | None:
        return next(self._database.read().query(sql, list(parameters)), None)

    def _duel(self, row: dict[str, Any]) -> Duel:
        return duel_of(row, {side: self.reply(side) for side in (row["left_reply"], row["right_reply"])})


def _votes(rows: list[tuple[str, str, bool]]) -> list[Vote]:
    return [Vote(person, moment[:10], won) for person, moment, won in rows]
