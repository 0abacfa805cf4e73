"""BLEU and ROUGE-L as judges of replies, beside the reward model: how often they agree with people.

Both count words shared with reference texts. The references are replies that people preferred on the training side:
those to the same prompt where there are any, else to other prompts. A yardstick, nothing is trained on it.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Sequence

from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics.bleu import BLEU

from training.judgements import Answer, Judgements, PairJudgement, Preferred

MOST_REFERENCES = 16
WORD = re.compile(r"[一-鿿]|[^\W一-鿿]+|[^\w\s]")
"""A word, a sign, or one Chinese character."""


class _Words:
    """Splits like `WORD`; the form rouge_score asks for."""

    def tokenize(self, text: str) -> list[str]:
        return WORD.findall(text.lower())


def overlap_agreement(
    references: Judgements, judged: Judgements, text_of: Callable[[Answer], str]
) -> dict[str, float | int | None]:
    """Share of decided pairs in which the preferred reply overlaps more with the references: flat, for reports.

    `references` and `judged` must not share conversations. Equal overlaps count half. None: no pair, or no reference.
    """
    liked = [preferred(pair) for pair in references.pairs if pair.preferred is not Preferred.TIE]
    to_prompt: defaultdict[tuple[int, ...], list[Answer]] = defaultdict(list)
    for answer in liked:
        to_prompt[answer.prompt_ids].append(answer)
    words, bleu = _Words(), BLEU(tokenize="none", effective_order=True)
    rouge = RougeScorer(["rougeL"], tokenizer=words)
    split = {answer: " ".join(words.tokenize(text_of(answer))) for answer in {*liked, *judged.answers()}}
    agreed = {"bleu": 0.0, "rouge_l": 0.0}
    pairs = [pair for pair in judged.pairs if pair.preferred is not Preferred.TIE] if liked else []
    for pair in pairs:
        texts = [split[answer] for answer in (to_prompt.get(pair.prompt) or liked)[:MOST_REFERENCES]]
        for name, score in (
            ("bleu", lambda text, texts=texts: bleu.sentence_score(text, texts).score),
            ("rouge_l", lambda text, texts=texts: _best_rouge(rouge, text, texts)),
        ):
            won, lost = score(split[preferred(pair)]), score(split[other(pair)])
            agreed[name] += (won > lost) + 0.5 * (won == lost)
    return {"overlap_pairs": len(pairs)} | {
        f"{name}_accuracy": total / len(pairs) if pairs else None for name, total in agreed.items()
    }


def preferred(pair: PairJudgement) -> Answer:
    """The side that was preferred (of a tie: the right one)."""
    return pair.left if pair.preferred is Preferred.LEFT else pair.right


def other(pair: PairJudgement) -> Answer:
    """The other side."""
    return pair.right if pair.preferred is Preferred.LEFT else pair.left


def _best_rouge(rouge: RougeScorer, text: str, references: Sequence[str]) -> float:
    return max(float(rouge.score(reference, text)["rougeL"].fmeasure) for reference in references)
