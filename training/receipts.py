"""What people did -> judgements, each naming the row it came from.

| what was done | becomes | weight |
|---|---|---|
| duel: left or right | a pair | 1 |
| duel: tie | a tie | 1 |
| duel: both bad | a tie, and a thumb down for each | 0.5 each |
| ranking of K, ties allowed | all its pairs and ties | 2 / K each: K - 1 facts in all |
| thumb | a thumb | 0.5 |
| thumb down, then up on a later reply to the same question | the pair, in place of both thumbs | 1 |
| correction | a pair: the person's text over the reply | 0.5, and at most a fifth of all pairs |

Replies with the same tokens teach nothing about each other and make no pair; a correction that changes less than 3 % of
the letters makes none. Of votes of one person on the same texts the last one counts.
"""

from collections import defaultdict
from collections.abc import Iterable
from itertools import combinations

from rapidfuzz.distance import Levenshtein

from nightschool.records import (
    IMPORTER,
    Correction,
    Duel,
    DuelOutcome,
    FeedbackSnapshot,
    Ranking,
    Reply,
    Thumb,
    ThumbValue,
)
from training.judgements import NOBODY, PROMPT_TOKENS, Answer, Judgements, PairJudgement, Preferred, ThumbJudgement
from training.split import Side, Split, split_of

TIE_WEIGHT_OF_BOTH_BAD = 0.5
THUMB_WEIGHT = 0.5
CORRECTION_WEIGHT = 0.5
LEAST_CHANGE = 0.03
"""Share of letters a correction must change."""
MOST_CORRECTIONS = 0.2
"""Share of the pairs' weight: a reward model would else learn to tell people from machines."""
FEW_OTHERS = 10.0
REPLY_TOKENS = 512
"""Of a longer reply (an imported one) the beginning is read."""


def judged_conversations(snapshot: FeedbackSnapshot) -> list[str]:
    """The conversations in which somebody judged something, each once, sorted."""
    rows: list[Duel | Thumb | Ranking | Correction] = [*snapshot.duels, *snapshot.thumbs]
    rows += [*snapshot.rankings, *snapshot.corrections]
    return sorted({row.conversation_id for row in rows})


def split_of_snapshot(snapshot: FeedbackSnapshot) -> Split:
    """The side of every conversation; a judged one without a question of its own stands for itself by its id."""
    own_ids = {conversation: conversation for conversation in judged_conversations(snapshot)}
    return split_of(own_ids | snapshot.openings, snapshot.sides)


def judgements_of(snapshot: FeedbackSnapshot, split: Split | None = None) -> Judgements:
    """Everything people judged, as judgements; replies without a token are left out. The split is the snapshot's."""
    split = split or split_of_snapshot(snapshot)
    duels = [_of_duel(duel, *_place(split, duel.conversation_id)) for duel in snapshot.duels]
    rankings = [_of_ranking(ranking, *_place(split, ranking.conversation_id)) for ranking in snapshot.rankings]
    thumbs = _of_thumbs(snapshot.thumbs, split)
    so_far = _last_votes(sum([*duels, *rankings, thumbs], Judgements((), ())))
    corrections = [
        pair
        for correction in snapshot.corrections
        if (pair := _of_correction(correction, *_place(split, correction.conversation_id))) is not None
    ]
    return so_far + Judgements(_bounded(corrections, sum(pair.weight for pair in so_far.pairs)), ())


def _place(split: Split, conversation: str) -> tuple[str, Side]:
    return split.component_of_conversation[conversation], split.side_of_conversation[conversation]


def _of_duel(duel: Duel, component: str, side: Side) -> Judgements:
    if not duel.left.token_ids or not duel.right.token_ids:
        return Judgements((), ())
    left, right = answer_of(duel.left), answer_of(duel.right)
    imported = duel.left.version is None and duel.right.version is None
    person = NOBODY if imported else duel.person_id
    where = (component, side, ("duel", duel.id), person, duel.decided_at or "")
    differ = left.token_ids != right.token_ids
    if duel.outcome is DuelOutcome.BOTH_BAD:
        tie = PairJudgement(left, right, Preferred.TIE, TIE_WEIGHT_OF_BOTH_BAD, *where)
        downs = tuple(ThumbJudgement(answer, False, THUMB_WEIGHT, *where) for answer in (left, right))
        return Judgements((tie,) if differ else (), downs)
    preferred = {
        DuelOutcome.LEFT: Preferred.LEFT,
        DuelOutcome.RIGHT: Preferred.RIGHT,
        DuelOutcome.TIE: Preferred.TIE,
    }[duel.outcome]  # type: ignore[index]
    return Judgements((PairJudgement(left, right, preferred, 1.0, *where),) if differ else (), ())


def _of_ranking(ranking: Ranking, component: str, side: Side) -> Judgements:
    where = (component, side, ("ranking", ranking.id), ranking.person_id, ranking.created_at)
    ranked = [(answer_of(reply), rank) for reply, rank in zip(ranking.replies, ranking.ranks, strict=True)]
    ranked = [(answer, rank) for answer, rank in ranked if answer.token_ids]
    weight = 2 / len(ranked) if ranked else 0.0
    pairs = []
    for (left, left_rank), (right, right_rank) in combinations(ranked, 2):
        if left.token_ids == right.token_ids:
            continue
        better = Preferred.LEFT if left_rank < right_rank else Preferred.RIGHT
        pairs.append(PairJudgement(left, right, Preferred.TIE if left_rank == right_rank else better, weight, *where))
    return Judgements(tuple(pairs), ())


def _of_thumbs(thumbs: Iterable[Thumb], split: Split) -> Judgements:
    """Thumbs by themselves, but for a dislike and a liked later reply to the same question: those are pairs."""
    by_question: defaultdict[tuple[str, str], list[Thumb]] = defaultdict(list)
    for thumb in thumbs:
        if thumb.reply.token_ids:
            by_question[thumb.person_id, thumb.question_id or thumb.reply.id].append(thumb)
    pairs: list[PairJudgement] = []
    alone: list[ThumbJudgement] = []
    for group in by_question.values():
        group.sort(key=lambda thumb: (thumb.reply.created_at, thumb.reply.id))
        waiting: list[Thumb] = []
        for thumb in group:
            where = _of_thumb(split, thumb)
            disliked = waiting[-1] if waiting and thumb.value is ThumbValue.UP else None
            if thumb.value is ThumbValue.DOWN:
                waiting.append(thumb)
            elif disliked is None or disliked.reply.token_ids == thumb.reply.token_ids:
                alone.append(ThumbJudgement(answer_of(thumb.reply), True, THUMB_WEIGHT, *where))
            else:
                waiting.pop()
                pairs.append(
                    PairJudgement(
                        answer_of(thumb.reply),
                        answer_of(disliked.reply),
                        Preferred.LEFT,
                        1.0,
                        *where,
                        also=(("thumb", disliked.id),),
                    )
                )
        for thumb in waiting:
            where = _of_thumb(split, thumb)
            alone.append(ThumbJudgement(answer_of(thumb.reply), False, THUMB_WEIGHT, *where))
    return Judgements(tuple(pairs), tuple(alone))


def _of_thumb(split: Split, thumb: Thumb) -> tuple[str, Side, tuple[str, str], str, str]:
    """Where a thumb's judgement belongs, and whose it is."""
    person = NOBODY if thumb.person_id == IMPORTER else thumb.person_id
    return (*_place(split, thumb.conversation_id), ("thumb", thumb.id), person, thumb.created_at)


def _of_correction(correction: Correction, component: str, side: Side) -> PairJudgement | None:
    if not correction.token_ids or not correction.reply.token_ids:
        return None
    if Levenshtein.normalized_distance(correction.text, correction.reply.text) < LEAST_CHANGE:
        return None
    original = answer_of(correction.reply)
    corrected = Answer(original.prompt_ids, correction.token_ids[:REPLY_TOKENS])
    if corrected == original:
        return None
    where = (component, side, ("correction", correction.id), correction.person_id, correction.created_at)
    return PairJudgement(corrected, original, Preferred.LEFT, CORRECTION_WEIGHT, *where)


def _bounded(corrections: list[PairJudgement], others: float) -> tuple[PairJudgement, ...]:
    """Corrections, weighed down to at most a fifth of all pairs, as if there were ten others at least."""
    mass = sum(pair.weight for pair in corrections)
    most = max(others, FEW_OTHERS) * MOST_CORRECTIONS / (1 - MOST_CORRECTIONS)
    if mass <= most:
        return tuple(corrections)
    return Judgements(tuple(corrections), ()).reweighted(lambda pair: most / mass).pairs


def _last_votes(judgements: Judgements) -> Judgements:
    """Of one person's votes of one kind on the same texts, those of the last act; imported ones are many people's."""
    last: dict[object, tuple[str, tuple[str, str]]] = {}
    for judgement in judgements.all:
        key = _texts(judgement)
        last[key] = max(last.get(key, ("", ("", ""))), (judgement.created_at, judgement.source))
    kept = judgements.where(lambda j: j.person == NOBODY or last[_texts(j)][1] == j.source)
    gone = {pair.source for pair in judgements.pairs} - {pair.source for pair in kept.pairs}
    return kept.where(lambda j: j.source not in gone)  # a both-bad that was thought over takes its thumbs along


def _texts(judgement: PairJudgement | ThumbJudgement) -> object:
    if isinstance(judgement, PairJudgement):
        return judgement.person, judgement.source[0], frozenset({judgement.left, judgement.right})
    return judgement.person, judgement.source[0], judgement.answer


def answer_of(reply: Reply) -> Answer:
    """A reply as the reward model reads it."""
    return Answer(reply.prompt_ids[-PROMPT_TOKENS:], reply.token_ids[:REPLY_TOKENS])
