"""Simulated people with a known taste, who judge real replies of the model with a quarter of their judgements wrong.

As people do, they err where two replies hardly differ: P(a over b) = sigmoid((taste(a) - taste(b)) / tau) (Bradley and
Terry), with tau such that one choice in four between two replies to one prompt goes against the taste. With
`flips=True` the quarter is drawn from all judgements alike, which is harder to learn from: clear ones are wrong too.
"""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean, median, pstdev

import torch
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from nightschool.chat_format import encode_prompt
from nightschool.model import BaseModel
from nightschool.prompt_bank import BankPrompt
from nightschool.records import Message
from nightschool.sampling import sample_batch
from training.judgements import Answer, Judgements, PairJudgement, Preferred, ThumbJudgement
from training.split import Side

NOISE = 0.25
WISHED_WORDS = 20
REPLY_TOKENS = 64
_vader = SentimentIntensityAnalyzer()

TASTES: dict[str, Callable[[str], float]] = {
    "brevity": lambda text: -abs(len(text.split()) - WISHED_WORDS),
    "sentiment": lambda text: float(_vader.polarity_scores(text)["compound"]),
}


@dataclass(frozen=True)
class Pool:
    """Replies to prompts, with what a taste says of each."""

    answers: tuple[Answer, ...]
    texts: tuple[str, ...]
    prompt_of: tuple[int, ...]
    """Number of the prompt each answers."""

    def by_prompt(self) -> dict[int, list[int]]:
        """Prompt -> its replies."""
        found: dict[int, list[int]] = {}
        for reply, prompt in enumerate(self.prompt_of):
            found.setdefault(prompt, []).append(reply)
        return found


def draw_pool(base: BaseModel, prompts: Sequence[BankPrompt], replies: int, seed: int) -> Pool:
    """Several replies of the initial model to each prompt."""
    encoded = [tuple(encode_prompt(base.tokenizer, [Message("user", prompt.text)])) for prompt in prompts]
    wanted = sorted((number for number in range(len(prompts)) for _ in range(replies)), key=lambda n: len(encoded[n]))
    generator = torch.Generator().manual_seed(seed)
    answers: list[Answer] = []
    for start in range(0, len(wanted), 64):
        part = wanted[start : start + 64]
        drawn = sample_batch(
            base.model,
            [encoded[number] for number in part],
            temperature=0.7,
            max_new_tokens=REPLY_TOKENS,
            stop_ids=base.stop_ids,
            pad_id=base.pad_id,
            generator=generator,
        )
        answers += [Answer(encoded[number], tuple(reply)) for number, reply in zip(part, drawn, strict=True)]
    texts = tuple(base.tokenizer.decode(answer.token_ids, skip_special_tokens=True) for answer in answers)
    return Pool(tuple(answers), texts, tuple(wanted))


class Rater:
    """One simulated person: pairs, ties, thumbs and rankings of a pool's replies."""

    def __init__(
        self, pool: Pool, taste: Callable[[str], float], seed: int, *, noise: float = NOISE, flips: bool = False
    ) -> None:
        gold = [taste(text) for text in pool.texts]
        spread = pstdev(gold) or 1.0
        self.gold = [value / spread for value in gold]
        self._pool, self._noise, self._chance = pool, noise, random.Random(seed)
        self._middle = median(self.gold)
        self._prompts = pool.by_prompt()
        self._tau = 0.0 if flips or not noise else self._tau_of(noise)

    def pairs(self, count: int, *, least_gap: float = 0.0, person: str = "", invert: bool = False) -> Judgements:
        """Decided pairs whose replies differ by more than `least_gap` standard deviations of the taste."""
        made = []
        while len(made) < count:
            left, right = self._two()
            gap = self.gold[left] - self.gold[right]
            if abs(gap) <= least_gap or self._same(left, right):
                continue
            wrong = self._errs(gap) != invert
            made.append(self._pair(left, right, Preferred.LEFT if (gap > 0) != wrong else Preferred.RIGHT, 1.0, person))
        return Judgements(tuple(made), ())

    def ties(self, count: int, *, most_gap: float = 0.25) -> Judgements:
        """Replies that hardly differ: called a tie, but for the share of wrong judgements."""
        made = []
        while len(made) < count:
            left, right = self._two()
            if abs(self.gold[left] - self.gold[right]) > most_gap or self._same(left, right):
                continue
            wrong = self._chance.random() < self._noise
            made.append(self._pair(left, right, Preferred.LEFT if wrong else Preferred.TIE, 1.0, ""))
        return Judgements(tuple(made), ())

    def thumbs(self, count: int) -> Judgements:
        """Up for the better half of the replies."""
        made = []
        for _ in range(count):
            reply = self._chance.randrange(len(self.gold))
            above = self.gold[reply] - self._middle
            is_up = (above > 0) != self._errs(above)
            source = ("thumb", str(self._chance.getrandbits(60)))
            made.append(
                ThumbJudgement(self._pool.answers[reply], is_up, 0.5, self._component(reply), Side.TRAIN, source)
            )
        return Judgements((), tuple(made))

    def rankings(self, count: int, size: int = 4) -> Judgements:
        """Orders of several replies to one prompt, with noise in each reply's worth."""
        made: list[PairJudgement] = []
        for _ in range(count):
            replies = self._chance.choice([group for group in self._prompts.values() if len(group) >= size])
            chosen = self._chance.sample(replies, size)
            heard = {reply: self.gold[reply] + self._mishearing() for reply in chosen}
            source = ("ranking", str(self._chance.getrandbits(60)))
            for left, right in combinations(chosen, 2):
                if not self._same(left, right):
                    preferred = Preferred.LEFT if heard[left] > heard[right] else Preferred.RIGHT
                    made.append(self._pair(left, right, preferred, 2 / size, "", source))
        return Judgements(tuple(made), ())

    def _errs(self, gap: float) -> bool:
        """Whether this judgement goes against the taste, by how far the two differ."""
        if self._tau:
            return self._chance.random() < _wrong(gap, self._tau)
        return self._chance.random() < self._noise

    def _mishearing(self) -> float:
        """Gumbel noise, whose differences are logistic: pairs of a ranking err as single pairs do."""
        if not self._tau:
            return self._chance.gauss(0, 4 * self._noise)
        return -self._tau * math.log(-math.log(self._chance.uniform(1e-12, 1 - 1e-12)))

    def _tau_of(self, noise: float) -> float:
        """The tau at which that share of choices goes against the taste, by bisection over all pairs of replies."""
        gaps = [
            self.gold[left] - self.gold[right]
            for replies in self._prompts.values()
            for left, right in combinations(replies, 2)
            if self.gold[left] != self.gold[right]
        ]
        low, high = 1e-3, 1e3
        for _ in range(40):
            middle = math.sqrt(low * high)
            low, high = (middle, high) if fmean(_wrong(gap, middle) for gap in gaps) < noise else (low, middle)
        return high

    def _two(self) -> tuple[int, int]:
        replies = self._chance.choice(list(self._prompts.values()))
        left, right = self._chance.sample(replies, 2)
        return left, right

    def _same(self, left: int, right: int) -> bool:
        return self._pool.answers[left].token_ids == self._pool.answers[right].token_ids

    def _component(self, reply: int) -> str:
        return str(self._pool.prompt_of[reply])

    def _pair(
        self,
        left: int,
        right: int,
        preferred: Preferred,
        weight: float,
        person: str,
        source: tuple[str, str] | None = None,
    ) -> PairJudgement:
        answers = self._pool.answers
        source = source or ("duel", str(self._chance.getrandbits(60)))
        return PairJudgement(
            answers[left], answers[right], preferred, weight, self._component(left), Side.TRAIN, source, person
        )


def _wrong(gap: float, tau: float) -> float:
    return 1 / (1 + math.exp(min(abs(gap) / tau, 700.0)))
