"""Bugs of what people's acts become: judgements, their weights, and the side they lie on."""

from tests.mutant import mutants_of

_snapshot = mutants_of("nightschool/feedback_reading.py", "tests/test_rankings_and_corrections.py")
_receipts = mutants_of("training/receipts.py", "tests/test_receipts.py", "tests/test_judgements.py")
_weights = mutants_of("training/weights.py", "tests/test_weights.py")
_split = mutants_of("training/split.py", "tests/test_split.py", "tests/test_judgements.py")

JUDGEMENTS_MUTANTS = (
    _receipts("each pair of a ranking counts whole", "weight = 2 / len(ranked) if ranked else 0.0", "weight = 1.0"),
    _receipts(
        "rankings read upside down",
        "Preferred.LEFT if left_rank < right_rank",
        "Preferred.LEFT if left_rank > right_rank",
    ),
    _receipts("ties in rankings lost", "Preferred.TIE if left_rank == right_rank else better", "better"),
    _receipts(
        "both bad are two thumbs up",
        "ThumbJudgement(answer, False, THUMB_WEIGHT, *where) for",
        "ThumbJudgement(answer, True, THUMB_WEIGHT, *where) for",
    ),
    _receipts("both bad is a whole tie", "Preferred.TIE, TIE_WEIGHT_OF_BOTH_BAD", "Preferred.TIE, 1.0"),
    _receipts("sides of a duel swapped", "DuelOutcome.LEFT: Preferred.LEFT", "DuelOutcome.LEFT: Preferred.RIGHT"),
    _receipts("equal texts make a pair", "differ = left.token_ids != right.token_ids", "differ = True"),
    _receipts(
        "equal texts of a ranking make a pair",
        "        if left.token_ids == right.token_ids:\n            continue\n",
        "",
    ),
    _receipts(
        "imported pairs belong to one person",
        "person = NOBODY if imported else duel.person_id",
        "person = duel.person_id",
    ),
    _receipts("first vote counts", "last[key] = max(", "last[key] = min("),
    _receipts("thumbs of a thought-over duel stay", "return kept.where(lambda j: j.source not in gone)", "return kept"),
    _receipts("a pair from thumbs keeps its thumbs", "                waiting.pop()\n", ""),
    _receipts(
        "the disliked reply preferred",
        "                        answer_of(thumb.reply),\n                        answer_of(disliked.reply),",
        "                        answer_of(disliked.reply),\n                        answer_of(thumb.reply),",
    ),
    _receipts(
        "only one of two thumbs named as source", '                        also=(("thumb", disliked.id),),\n', ""
    ),
    _receipts("corrections not bounded", "    if mass <= most:", "    if True:"),
    _receipts(
        "a changed comma is a correction", "correction.reply.text) < LEAST_CHANGE", "correction.reply.text) < 0.0"
    ),
    _receipts(
        "the original preferred to the correction",
        "PairJudgement(corrected, original, Preferred.LEFT",
        "PairJudgement(original, corrected, Preferred.LEFT",
    ),
    _receipts(
        "beginning of a long prompt kept", "reply.prompt_ids[-PROMPT_TOKENS:]", "reply.prompt_ids[:PROMPT_TOKENS]"
    ),
    _receipts(
        "thumbs of other people make a pair",
        "by_question[thumb.person_id, thumb.question_id or thumb.reply.id]",
        'by_question["", thumb.question_id or thumb.reply.id]',
    ),
    _weights("age ignored", "_without_copies(_aged(judgements, now))", "_without_copies(judgements)"),
    _weights(
        "cap off",
        "return capped(_without_copies(_aged(judgements, now)))",
        "return _without_copies(_aged(judgements, now))",
    ),
    _weights(
        "copies counted in full", "capped(_without_copies(_aged(judgements, now)))", "capped(_aged(judgements, now))"
    ),
    _weights(
        "cap over all sides together",
        "sum((_capped(judgements.on(side)) for side in Side), Judgements((), ()))",
        "_capped(judgements)",
    ),
    _weights("old judgements count more", "0.5 ** (max(days, 0)", "2.0 ** (max(days, 0)"),
    _weights("old judgements count nothing", ", LEAST_AGE_WEIGHT)\n", ", 0.0)\n"),
    _weights(
        "imported judgements capped",
        "        if judgement.person != NOBODY:\n            mass",
        "        if True:\n            mass",
    ),
    _weights("unknown people make no room", "below = unknown", "below = 0.0"),
    _weights(
        "few people share like many", "share = max(SHARE_OF_ONE, SHARES_OF_FEW / len(held))", "share = SHARE_OF_ONE"
    ),
    _weights("people foretold by themselves", "j.person not in left_out and j.weight > 0", "j.weight > 0"),
    _weights("a ranking counts all its pairs as facts", "facts_of_ranking(len(act)) / len(act)", "1.0"),
    _weights(
        "those against the rest trusted most", "weights = {person: max(leaning, 0.0)", "weights = {person: abs(leaning)"
    ),
    _weights("every crowd taken for one of two minds", "HONEST = (0.7, 0.8, 0.9, 0.97)", "HONEST = (0.7,)"),
    _weights("every crowd taken for one of one mind", "HONEST = (0.7, 0.8, 0.9, 0.97)", "HONEST = (0.97,)"),
    _weights("few votes are enough to be judged by", "margins.acts < LEAST_OF_PERSON", "margins.acts < 1"),
    _split(
        "kept sides ignored",
        "before = {Side(kept[conversation]) for conversation in conversations if conversation in kept}",
        "before: set[Side] = set()",
    ),
    _split("exam beats train", "(Side.TRAIN, Side.EXAM, Side.VALIDATION)", "(Side.EXAM, Side.TRAIN, Side.VALIDATION)"),
    _split(
        "validation beats exam", "(Side.TRAIN, Side.EXAM, Side.VALIDATION)", "(Side.TRAIN, Side.VALIDATION, Side.EXAM)"
    ),
    _split("templates are one component", "len(variants[number]) <= MOST_VARIANTS", "len(variants[number]) <= 10**9"),
    _split("near-duplicates on different sides", "numbers = clusters(texts)", "numbers = list(range(len(texts)))"),
    _split("sides by the conversation's name", "or hashed_side(key)", "or hashed_side(conversations[0])"),
    _split("other shares", "if bucket < TRAIN_SHARE:", "if bucket < TRAIN_SHARE + 30:"),
    _split(
        "what is kept is not told",
        "if kept.get(conversation) != self.side_of_conversation[conversation]",
        "if conversation not in kept",
    ),
    _snapshot("consent ignored", "WHERE consent = 1)", "WHERE consent >= 0)"),
)
