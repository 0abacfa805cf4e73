"""BLEU and ROUGE-L beside the reward model: words shared with what people preferred."""

from training.judgements import Answer, Judgements, PairJudgement, Preferred
from training.split import Side
from training.word_overlap import overlap_agreement

TEXTS = {
    3: "the cat sat on the mat",
    4: "a dog ran",
    5: "the cat sat on a mat",
    6: "nothing of the kind was said by anybody",
    7: "猫坐在垫子上",
    8: "猫坐在椅子上",
    9: "完全不同",
}


def _pair(prompt: int, better: int, worse: int) -> PairJudgement:
    left, right = Answer((prompt,), (better,)), Answer((prompt,), (worse,))
    return PairJudgement(left, right, Preferred.LEFT, 1.0, str(prompt), Side.TRAIN, ("duel", f"{better}"))


def _agreement(references: list[PairJudgement], judged: list[PairJudgement]) -> dict[str, float | int | None]:
    return overlap_agreement(
        Judgements(tuple(references), ()), Judgements(tuple(judged), ()), lambda answer: TEXTS[answer.token_ids[0]]
    )


def test_the_reply_that_shares_words_with_a_preferred_one_wins() -> None:
    found = _agreement([_pair(1, 3, 4)], [_pair(1, 5, 6), _pair(2, 6, 5)])
    assert found == {"overlap_pairs": 2, "bleu_accuracy": 0.5, "rouge_l_accuracy": 0.5}


def test_chinese_is_compared_character_by_character() -> None:
    assert _agreement([_pair(1, 7, 4)], [_pair(1, 8, 9)])["rouge_l_accuracy"] == 1.0


def test_without_a_reference_nothing_is_claimed() -> None:
    assert _agreement([], [_pair(1, 5, 6)]) == {"overlap_pairs": 0, "bleu_accuracy": None, "rouge_l_accuracy": None}
