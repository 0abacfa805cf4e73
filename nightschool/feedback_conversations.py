"""A person's conversations: the list, the search, renaming, deleting, and which branch is shown. Part of the store.

A message is reachable unless it is a reply of a duel that is still to be decided: looking at those one by one would
go round the duel.
"""

import re
from collections import defaultdict
from typing import Any

import sqlite_utils

from nightschool.errors import BadInput
from nightschool.feedback_rows import conversation_of, style_columns, title_of, turn_of
from nightschool.ids import utc_now
from nightschool.records import Conversation, FoundConversation, Style, Turn

NOT_YOURS = "This conversation is not yours or does not exist; start a new one."

FOUND = 50
"""How many conversations a search gives at most."""
MOST_WORDS = 8
SHORTEST_INDEXED = 3
"""The index holds every three letters in a row; a shorter word is looked for letter by letter."""
AROUND = 36
"""How many letters of a message stand after a found word; half as many before it, so that two narrow lines hold it."""

OF_CHAT = "NOT EXISTS (SELECT 1 FROM ranking_rounds WHERE conversation_id = c.id)"
"""The condition that a conversation is not one of the Rank page's."""

_LAST_AT = "(SELECT max(created_at) FROM messages WHERE conversation_id = c.id) AS last_at"


# ---- the list ------------------------------------------------------------------------------------------------------


def listed(db: sqlite_utils.Database, person_id: str) -> list[Conversation]:
    rows = db.query(
        f"""SELECT c.*, {_LAST_AT} FROM conversations c WHERE c.person_id = ? AND c.deleted_at IS NULL AND {OF_CHAT}
            ORDER BY coalesce(last_at, c.created_at) DESC, c.id DESC""",
        [person_id],
    )
    return [conversation_of(row) for row in rows]


def search(db: sqlite_utils.Database, person_id: str, text: str) -> list[FoundConversation]:
    words = text.replace("\0", " ").split()[:MOST_WORDS]
    if not words:
        return []
    conditions, parameters = [], [person_id]
    for word in words:
        in_title, in_message, in_correction = (_holds(*place) for place in _PLACES)
        conditions.append(
            f"""c.id IN (
                SELECT c.id FROM conversations c WHERE c.person_id = ? AND {in_title[_is_short(word)]}
                UNION SELECT c.id FROM messages m JOIN conversations c ON c.id = m.conversation_id
                WHERE c.person_id = ? AND {in_message[_is_short(word)]}
                UNION SELECT c.id FROM corrections k JOIN messages m ON m.id = k.reply_id
                JOIN conversations c ON c.id = m.conversation_id
                WHERE c.person_id = ? AND k.replaced_at IS NULL AND {in_correction[_is_short(word)]}
            )"""
        )
        parameters += [person_id, _pattern(word)] * len(_PLACES)
    rows = list(
        db.query(
            f"""SELECT c.*, {_LAST_AT} FROM conversations c
                WHERE c.person_id = ? AND c.deleted_at IS NULL AND {OF_CHAT} AND {" AND ".join(conditions)}
                ORDER BY coalesce(last_at, c.created_at) DESC, c.id DESC LIMIT {FOUND}""",
            parameters,
        )
    )
    return [FoundConversation(conversation_of(row), _excerpt(db, row["id"], words)) for row in rows]


_PLACES = (("conversations", "c", "title"), ("messages", "m", "text"), ("corrections", "k", "text"))


def _holds(table: str, alias: str, column: str) -> tuple[str, str]:
    """The condition that a column holds a word: by the index, and for words too short for it."""
    return (
        f"{alias}.rowid IN (SELECT rowid FROM {table}_fts WHERE {table}_fts MATCH ?)",
        f"{alias}.{column} LIKE ? ESCAPE '\\'",
    )


def _is_short(word: str) -> bool:
    return len(word) < SHORTEST_INDEXED


def _pattern(word: str) -> str:
    """The word as a phrase of the index, or as a LIKE pattern."""
    if _is_short(word):
        return "%" + re.sub(r"([\\%_])", r"\\\1", word) + "%"
    return '"' + word.replace('"', '""') + '"'


def _excerpt(db: sqlite_utils.Database, conversation_id: str, words: list[str]) -> str:
    """The place of the first word that occurs in a message or correction."""
    rows = list(
        db.query(
            """SELECT m.text FROM messages m WHERE m.conversation_id = :id
               UNION ALL SELECT k.text FROM corrections k JOIN messages m ON m.id = k.reply_id
               WHERE m.conversation_id = :id AND k.replaced_at IS NULL""",
            {"id": conversation_id},
        )
    )
    for word in words:
        for row in rows:
            text = " ".join(row["text"].split())
            if (found := re.search(re.escape(word), text, re.IGNORECASE)) is not None:
                start, end = max(found.start() - AROUND // 2, 0), found.end() + AROUND
                return ("…" if start else "") + text[start:end].strip() + ("…" if end < len(text) else "")
    return ""


def insert(db: sqlite_utils.Database, conversation_id: str, person_id: str, first_words: str, style: Style) -> str:
    db.table("conversations").insert(
        {
            "id": conversation_id,
            "person_id": person_id,
            "title": title_of(first_words),
            "created_at": utc_now(),
            "leaf_id": None,
            **style_columns(style),
        }
    )
    return conversation_id


def rename(db: sqlite_utils.Database, conversation_id: str, person_id: str, title: str) -> None:
    if not title.strip():
        raise BadInput("The title was empty; write one, or leave the conversation as it is named.")
    _update(db, conversation_id, person_id, {"title": title_of(title)})


def set_deleted(db: sqlite_utils.Database, conversation_id: str, person_id: str, deleted: bool) -> None:
    _update(db, conversation_id, person_id, {"deleted_at": utc_now() if deleted else None})


def set_style(db: sqlite_utils.Database, conversation_id: str, person_id: str, style: Style) -> None:
    _update(db, conversation_id, person_id, style_columns(style))


def set_tried_version(db: sqlite_utils.Database, conversation_id: str, person_id: str, version: str | None) -> None:
    _update(db, conversation_id, person_id, {"tried_version": version})


def empty_trial(db: sqlite_utils.Database, person_id: str, version: str) -> str | None:
    """A conversation in which nothing was asked yet of the version that is tried in it."""
    row = db.execute(
        """SELECT max(id) FROM conversations
           WHERE person_id = ? AND tried_version = ? AND leaf_id IS NULL AND deleted_at IS NULL""",
        [person_id, version],
    ).fetchone()
    return str(row[0]) if row[0] is not None else None


def _update(db: sqlite_utils.Database, conversation_id: str, person_id: str, columns: dict[str, Any]) -> None:
    own = db.execute("SELECT 1 FROM conversations WHERE id = ? AND person_id = ?", [conversation_id, person_id])
    if own.fetchone() is None:
        raise BadInput(NOT_YOURS)
    db.table("conversations").update(conversation_id, columns)


def is_writing(db: sqlite_utils.Database, conversation_id: str) -> bool:
    found = db.execute(
        """SELECT 1 FROM messages m JOIN replies r ON r.id = m.id
           WHERE m.conversation_id = ? AND r.status = 'streaming' LIMIT 1""",
        [conversation_id],
    )
    return found.fetchone() is not None


# ---- branches ------------------------------------------------------------------------------------------------------


def branch(db: sqlite_utils.Database, conversation_id: str, leaf_id: str, person_id: str) -> list[Turn]:
    rows = list(
        db.query(
            """WITH RECURSIVE branch(id, depth) AS (
                SELECT :leaf, 0
                UNION ALL
                SELECT m.parent_id, depth + 1 FROM branch JOIN messages m ON m.id = branch.id
                WHERE m.parent_id IS NOT NULL
            )
            SELECT m.id, m.parent_id, m.role, m.text, m.created_at, r.status, r.version,
                   r.status = 'done' AND json_array_length(r.token_ids) >= r.max_new_tokens AS at_length_limit,
                   t.value AS thumb, t.reasons, t.comment, k.text AS correction
            FROM branch
            JOIN messages m ON m.id = branch.id AND m.conversation_id = :conversation
            JOIN conversations c ON c.id = m.conversation_id AND c.person_id = :person
            LEFT JOIN replies r ON r.id = m.id
            LEFT JOIN thumbs t ON t.reply_id = m.id AND t.person_id = :person AND t.replaced_at IS NULL
            LEFT JOIN corrections k ON k.reply_id = m.id AND k.person_id = :person AND k.replaced_at IS NULL
            ORDER BY branch.depth DESC""",
            {"leaf": leaf_id, "conversation": conversation_id, "person": person_id},
        )
    )
    children = _reachable_children(db, conversation_id, shown={row["id"] for row in rows})
    return [turn_of(row, tuple(children[row["parent_id"]])) for row in rows]


def show_message(db: sqlite_utils.Database, conversation_id: str, person_id: str, message_id: str) -> None:
    own = db.execute(
        """SELECT 1 FROM messages m JOIN conversations c ON c.id = m.conversation_id
           WHERE m.id = ? AND c.id = ? AND c.person_id = ? AND c.deleted_at IS NULL""",
        [message_id, conversation_id, person_id],
    ).fetchone()
    children = _reachable_children(db, conversation_id, shown=set())
    if own is None or not any(message_id in siblings for siblings in children.values()):
        raise BadInput("This message is not in a conversation of yours; reload the page.")
    leaf = message_id
    while children[leaf]:
        leaf = children[leaf][-1]
    db.table("conversations").update(conversation_id, {"leaf_id": leaf})


def _reachable_children(
    db: sqlite_utils.Database, conversation_id: str, *, shown: set[str]
) -> defaultdict[str | None, list[str]]:
    """Parent -> its children, oldest first, without the replies of undecided duels (but for those that are shown)."""
    rows = db.query(
        """SELECT m.id, m.parent_id, EXISTS (
               SELECT 1 FROM duels d WHERE d.conversation_id = m.conversation_id AND d.outcome IS NULL
               AND d.closed_at IS NULL AND m.id IN (d.left_reply, d.right_reply)
           ) AS undecided
           FROM messages m WHERE m.conversation_id = ? ORDER BY m.id""",
        [conversation_id],
    )
    children: defaultdict[str | None, list[str]] = defaultdict(list)
    for row in rows:
        if row["id"] in shown or not row["undecided"]:
            children[row["parent_id"]].append(row["id"])
    return children
