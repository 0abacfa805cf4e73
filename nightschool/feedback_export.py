"""Feedback as examples for trainers elsewhere. Part of the feedback store.

| format | from | is |
|---|---|---|
| trl-preference | duels with a winner; rankings: each two of unequal rank; corrections over the reply | pairs |
| kto | thumbs; both answers of a duel judged both bad | liked or not |
| sft | corrections; answers with a thumb up | to imitate |

What is exported is what a night would read: only of people who consent. Ties have no place in these formats. Answers
without a text, and pairs of the same text twice, are left out.
"""

import json
from collections import defaultdict
from collections.abc import Iterator
from itertools import combinations

import sqlite_utils

from nightschool.examples import Example, Labelled, Pair, Shown, TrainerFormat, fault_of
from nightschool.feedback_reading import read_snapshot
from nightschool.records import DuelOutcome, FeedbackSnapshot, Message, Reply, ReplyStatus, ThumbValue

Prompts = dict[str, tuple[Message, ...]]
"""Reply -> the conversation that it answers."""


def read_examples(db: sqlite_utils.Database, shape: TrainerFormat, person_id: str | None) -> list[Example]:
    """Everything of one person, or (None) of everybody, inside the caller's read transaction; oldest first by kind."""
    snapshot = read_snapshot(db)
    prompts = _prompts(db, _replies(snapshot))
    if shape is TrainerFormat.PREFERENCE:
        return [*_pairs(snapshot, prompts, person_id)]
    if shape is TrainerFormat.KTO:
        return [*_labelled(snapshot, prompts, person_id)]
    return [*_shown(snapshot, prompts, person_id)]


def _pairs(snapshot: FeedbackSnapshot, prompts: Prompts, person_id: str | None) -> Iterator[Pair]:
    for duel in snapshot.duels:
        if duel.outcome in (DuelOutcome.LEFT, DuelOutcome.RIGHT) and person_id in (None, duel.person_id):
            sides = (duel.left, duel.right) if duel.outcome is DuelOutcome.LEFT else (duel.right, duel.left)
            yield from _pair(prompts, sides[0], sides[0].text, sides[1].text)
    for ranking in snapshot.rankings:
        if person_id in (None, ranking.person_id):
            ranked = sorted(zip(ranking.ranks, ranking.replies, strict=True), key=lambda one: one[0])
            for (better_rank, better), (worse_rank, worse) in combinations(ranked, 2):
                if better_rank < worse_rank:
                    yield from _pair(prompts, better, better.text, worse.text)
    for correction in snapshot.corrections:
        if person_id in (None, correction.person_id):
            yield from _pair(prompts, correction.reply, correction.text, correction.reply.text)


def _pair(prompts: Prompts, reply: Reply, chosen: str, rejected: str) -> Iterator[Pair]:
    if reply.id in prompts and chosen != rejected and not fault_of(chosen) and not fault_of(rejected):
        yield Pair(prompts[reply.id], chosen, rejected)


def _labelled(snapshot: FeedbackSnapshot, prompts: Prompts, person_id: str | None) -> Iterator[Labelled]:
    judged = [
        (thumb.reply, thumb.value is ThumbValue.UP) for thumb in snapshot.thumbs if person_id in (None, thumb.person_id)
    ]
    judged += [
        (reply, False)
        for duel in snapshot.duels
        if duel.outcome is DuelOutcome.BOTH_BAD and person_id in (None, duel.person_id)
        for reply in (duel.left, duel.right)
    ]
    for reply, label in judged:
        if _is_usable(reply, prompts):
            yield Labelled(prompts[reply.id], reply.text, label)


def _shown(snapshot: FeedbackSnapshot, prompts: Prompts, person_id: str | None) -> Iterator[Shown]:
    for correction in snapshot.corrections:
        is_wanted = person_id in (None, correction.person_id) and correction.reply.id in prompts
        if is_wanted and not fault_of(correction.text):
            yield Shown(prompts[correction.reply.id], correction.text)
    for thumb in snapshot.thumbs:
        is_liked = thumb.value is ThumbValue.UP and person_id in (None, thumb.person_id)
        if is_liked and _is_usable(thumb.reply, prompts):
            yield Shown(prompts[thumb.reply.id], thumb.reply.text)


def _is_usable(reply: Reply, prompts: Prompts) -> bool:
    return reply.id in prompts and reply.status is not ReplyStatus.FAILED and not fault_of(reply.text)


def _replies(snapshot: FeedbackSnapshot) -> set[str]:
    ids = {reply.id for duel in snapshot.duels for reply in (duel.left, duel.right)}
    ids |= {reply.id for ranking in snapshot.rankings for reply in ranking.replies}
    ids |= {thumb.reply.id for thumb in snapshot.thumbs}
    return ids | {correction.reply.id for correction in snapshot.corrections}


def _prompts(db: sqlite_utils.Database, reply_ids: set[str]) -> Prompts:
    """What each reply answers, as the model saw it: the conversation's system prompt, corrections that were made by
    then in place of replies, and no failed or empty reply. It always ends with a user's message.
    """
    ids = json.dumps(sorted(reply_ids))
    found: defaultdict[str, list[Message]] = defaultdict(list)
    for row in db.query(
        """SELECT m.id, c.system_prompt AS text FROM messages m JOIN conversations c ON c.id = m.conversation_id
           WHERE c.system_prompt <> '' AND m.id IN (SELECT value FROM json_each(?))""",
        [ids],
    ):
        found[row["id"]].append(Message("system", row["text"]))
    for row in db.query(
        """WITH RECURSIVE above(reply, at, id, height) AS (
               SELECT m.id, m.created_at, m.parent_id, 1 FROM messages m WHERE m.id IN (SELECT value FROM json_each(?))
               UNION ALL
               SELECT above.reply, above.at, m.parent_id, height + 1 FROM above JOIN messages m ON m.id = above.id
           )
           SELECT above.reply, m.role, coalesce(k.text, m.text) AS text FROM above JOIN messages m ON m.id = above.id
           LEFT JOIN replies r ON r.id = m.id
           LEFT JOIN corrections k ON k.reply_id = m.id AND k.created_at < above.at
                                      AND (k.replaced_at IS NULL OR k.replaced_at > above.at)
           WHERE r.status IS NULL OR r.status <> 'failed' OR k.id IS NOT NULL ORDER BY above.reply, height DESC""",
        [ids],
    ):
        if not fault_of(row["text"]):
            found[row["reply"]].append(Message(row["role"], row["text"]))
    return {reply: tuple(messages) for reply, messages in found.items() if messages[-1].role == "user"}
