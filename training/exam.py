"""The exam: candidate and champion answer the same held-out prompts with the same seed; an examiner compares them.

The examiner is a reward model fitted to judgements of its own, so it shares no label with the one PPO trained against;
a prompt that was judged is scored without its fold of those labels. A reply counts as won when the
examiner scores the candidate's higher, as half when equal. Bounds come from drawing whole components of prompts
(`exam_statistics`); what the figures mean is decided in `verdict`.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import count
from typing import Any

import torch
from torch import Tensor

from nightschool.model import BaseModel, fingerprint
from training.conduct import Conduct, Spoken, conduct
from training.cross_fit import NO_FOLDS, CrossFit
from training.exam_statistics import DRAWS, clustered_bounds, length_controlled, sign_test
from training.judgements import Answer
from training.neutral_texts import perplexity_ratio
from training.policy import Policy
from training.reading import answer_sequences, groups_of_one_width
from training.reward_model import GROUP, RewardHead, RewardModel
from training.rollout import DRAWN_TOGETHER, Drawing, draw, evaluate
from training.sequences import groups_by_length
from training.trunk import SplitModel
from training.word_probabilities import token_logps_and_entropies

ENTROPY_REPLIES = 64
"""Replies over which the initial model's entropy is averaged: thousands of tokens."""
WORST = 3
CHAMPION_DRAWN, CANDIDATE_DRAWN, EVALUATED, READ = 0.25, 0.5, 0.7, 0.85
"""How far the exam is, about, once each side's replies are drawn, the candidate's evaluated, all read."""
TIMES_TOLD = 32
"""How often each part tells at most how far it is."""


@dataclass(frozen=True)
class Jury:
    """Who looks at the replies: PPO's reward model, the examiner, and heads fitted to draws of the same judgements."""

    reward_model: RewardModel
    examiner: RewardModel
    heads: tuple[RewardHead, ...] = ()
    """They read the examiner's features. How far they disagree tells how far replies lie from what was judged."""
    folds: CrossFit = NO_FOLDS
    """The examiner without each fold of its labels: no label scores its own prompt."""

    def examined(self, pooled: Tensor, components: Sequence[str]) -> Tensor:
        """The examiner's scores of replies to prompts of these components. [replies, size] -> [replies], float64."""
        return self.folds.scores(self.examiner.head, pooled, components)


@dataclass(frozen=True)
class Questions:
    """What an exam asks: prompts, the component each belongs to, and how often each is answered."""

    prompts: Sequence[tuple[int, ...]]
    components: Sequence[str]
    replies: int = 1


@dataclass(frozen=True)
class ExamResult:
    """What the exam found; `champion` is before the night, `candidate` after."""

    prompts: int
    replies: int
    """To each prompt, by each side."""
    components: int
    win_rate: float
    win_rate_low: float
    win_rate_high: float
    """Each bound holds one-sided with 95 % confidence, here and below."""
    gain: float
    gain_low: float
    gain_high: float
    """By how much the examiner scores the candidate's replies higher, in its standard deviations."""
    sign_wins: int
    sign_losses: int
    sign_p: float
    """Exact sign test over components, one-sided."""
    length_controlled: float
    """The win rate that would be left if both sides wrote equally long replies."""
    reward_before: float
    reward_after: float
    """Mean z of the reward model that PPO trained against (the proxy), champion and candidate."""
    examiner_before: float
    examiner_after: float
    kl: float
    """Candidate to the initial model, nats per reply."""
    entropy: float
    entropy_initial: float
    """Nats per token: the candidate in its own replies, the initial model in the champion's."""
    perplexity: float
    """On neutral texts, as a multiple of the initial model's."""
    doubt_before: float | None
    doubt_after: float | None
    """Mean standard deviation of the jury's heads on the replies of champion and candidate; None without heads."""
    heads_for: int
    heads: int
    """How many heads score the candidate's replies higher on average, of how many."""
    base_untouched: bool
    champion: Conduct
    candidate: Conduct
    worst: tuple[int, ...] = ()
    """Places of the replies that lost most, the worst first, one of each prompt."""
    worst_margins: tuple[float, ...] = ()
    """By how much the examiner scores them lower than the champion's: below 0."""
    proxy_win_rate: float | None = None
    """The share won by the reward model that PPO trained against. None: the night began before this was measured."""
    proxy_win_rate_low: float | None = None
    proxy_win_rate_high: float | None = None
    prompts_judged: int | None = None
    """To how many prompts the examiner knows labels; each was scored without its fold of them. None: by the whole
    examiner (too few labels for folds, or a night that began before there were any)."""

    def as_dict(self) -> dict[str, object]:
        """For reports: conduct as `champion_length`, `candidate_length` and so on."""
        hidden = {"champion", "candidate", "worst", "worst_margins"}
        flat = {name: value for name, value in asdict(self).items() if name not in hidden}
        for side in ("champion", "candidate"):
            flat |= {f"{side}_{name}": value for name, value in asdict(getattr(self, side)).items()}
        return flat


def _told(
    progress: Callable[[float, str], None],
    check: Callable[[], None],
    what: str,
    start: float,
    end: float,
    steps: int,
) -> Callable[[], None]:
    """A check at each of so many steps that tells from time to time how far the exam is, from `start` to `end`."""
    done, between = count(), max(steps // TIMES_TOLD, 1)

    def step() -> None:
        check()
        if (number := next(done)) % between == 0:
            progress(start + (end - start) * min(number / steps, 1.0), what)

    return step


def examine(
    policy: Policy,
    champion: object,
    jury: Jury,
    questions: Questions,
    drawing: Drawing,
    seed: int,
    check: Callable[[], None] = lambda: None,
    progress: Callable[[float, str], None] = lambda share, what: None,
) -> tuple[ExamResult, list[Answer], list[Answer]]:
    """Draw from both, compare; returns the result and the replies of champion and candidate, prompt by prompt."""
    split, base = policy.split, policy.split.base
    wanted = [prompt for prompt in questions.prompts for _ in range(questions.replies)]
    components = [component for component in questions.components for _ in range(questions.replies)]
    steps = drawing.max_new_tokens * len(groups_by_length([len(prompt) for prompt in wanted], DRAWN_TOGETHER))
    told = partial(_told, progress, check)
    at_old = told("champion's answers", 0.0, CHAMPION_DRAWN, steps)
    at_new = told("candidate's answers", CHAMPION_DRAWN, CANDIDATE_DRAWN, steps)
    at_comparing = told("comparing", CANDIDATE_DRAWN, EVALUATED, -(-len(wanted) // GROUP))
    old = draw(split, champion, wanted, drawing, torch.Generator().manual_seed(seed), at_old)
    new = draw(split, policy.twin(), wanted, drawing, torch.Generator().manual_seed(seed), at_new)
    rollout = evaluate(policy, jury.reward_model, new, drawing, replies=questions.replies, check=at_comparing)
    progress(EVALUATED, "comparing")
    pooled_old, pooled_new = jury.examiner.pooled(old), jury.examiner.pooled(new)
    progress(READ, "comparing")
    judged_old, judged_new = jury.examined(pooled_old, components), jury.examined(pooled_new, components)
    margins = judged_new - judged_old
    rewards_old, rewards_new = _rewards(jury, old, pooled_old), _rewards(jury, new, pooled_new)
    proxy = clustered_bounds(wins_of(rewards_new - rewards_old), components, seed)
    leads = torch.tensor([len(b.token_ids) - len(a.token_ids) for a, b in zip(old, new, strict=True)]).double()
    doubt_before, doubt_after, heads_for = disagreement(jury.heads, pooled_old, pooled_new)
    before, after = _conducts(base, old, new)
    worst = lost_most(margins, questions.replies)
    result = ExamResult(
        prompts=len(questions.prompts),
        replies=questions.replies,
        components=len(set(components)),
        **compared(margins, components, leads, seed),
        reward_before=float(rewards_old.mean()),
        reward_after=float(rewards_new.mean()),
        examiner_before=float(judged_old.mean()),
        examiner_after=float(judged_new.mean()),
        kl=rollout.mean_kl(),
        entropy=rollout.mean_entropy(),
        entropy_initial=initial_entropy(split, old[:: -(-len(old) // ENTROPY_REPLIES)], drawing.temperature),
        perplexity=perplexity_ratio(policy),
        doubt_before=doubt_before,
        doubt_after=doubt_after,
        heads_for=heads_for,
        heads=len(jury.heads),
        base_untouched=fingerprint(base.model) == base.fingerprint,
        champion=before,
        candidate=after,
        worst=worst,
        worst_margins=tuple(margins[list(worst)].tolist()),
        proxy_win_rate=proxy.mean,
        proxy_win_rate_low=proxy.low,
        proxy_win_rate_high=proxy.high,
        prompts_judged=jury.folds.judged(questions.components),
    )
    return result, old, new


def wins_of(margins: Tensor) -> Tensor:
    """1 for a reply that scores higher, one half for equal scores. [replies] -> [replies], float64."""
    return (margins > 0).double() + 0.5 * (margins == 0).double()


def lost_most(margins: Tensor, replies: int) -> tuple[int, ...]:
    """Places of the worst reply to each of the (at most three) prompts that lost most. margins [prompts * replies]."""
    worst = margins.view(-1, replies).min(1)
    prompts = worst.values.argsort(stable=True)[:WORST].tolist()
    return tuple(prompt * replies + int(worst.indices[prompt]) for prompt in prompts if worst.values[prompt] < 0)


def compared(
    margins: Tensor, components: Sequence[str], leads: Tensor, seed: int, draws: int = DRAWS
) -> dict[str, Any]:
    """What the examiner's margins show: the fields of `ExamResult` from `win_rate` to `length_controlled`.

    margins, leads [replies]: by how much the candidate's reply scores higher, and by how many tokens it is longer.
    """
    wins = wins_of(margins)
    rate, gain = (clustered_bounds(values, components, seed, draws) for values in (wins, margins))
    signs = sign_test(margins, components)
    return {
        "win_rate": rate.mean,
        "win_rate_low": rate.low,
        "win_rate_high": rate.high,
        "gain": gain.mean,
        "gain_low": gain.low,
        "gain_high": gain.high,
        "sign_wins": signs.wins,
        "sign_losses": signs.losses,
        "sign_p": signs.p,
        "length_controlled": length_controlled(wins, leads),
    }


def disagreement(
    heads: Sequence[RewardHead], old: Tensor, new: Tensor
) -> tuple[float, float, int] | tuple[None, None, int]:
    """Mean standard deviation of the heads' scores on old and new replies, and how many heads find the new better.

    Each head's scores are told in its own standard deviations of the old replies. old, new [replies, size].
    """
    if not heads:
        return None, None, 0
    scales = [head.normalised(old) for head in heads]
    before = torch.stack([head.scores(old) for head in scales])  # [heads, replies]
    after = torch.stack([head.scores(new) for head in scales])
    better = int((after.mean(1) > before.mean(1)).sum())
    return float(before.std(0, correction=0).mean()), float(after.std(0, correction=0).mean()), better


@torch.no_grad()
def initial_entropy(split: SplitModel, answers: Sequence[Answer], temperature: float) -> float:
    """Mean entropy of the initial model over the tokens of replies, in nats per token."""
    total, tokens = 0.0, 0
    for group in groups_of_one_width(answers):
        sequences = answer_sequences([answers[index] for index in group], split.base.pad_id)
        states = split.top(split.reference, split.trunk(sequences.ids))
        before = sequences.at_responses(states, shift=-1)
        _, entropies = token_logps_and_entropies(
            before, split.base.model.lm_head, sequences.response_ids(), temperature
        )
        total += float(entropies.double().sum())
        tokens += len(before)
    return total / tokens


def question_of(base: BaseModel, prompt_ids: Sequence[int]) -> str:
    """The last message of a prompt as text, with the word the template puts before it: what the script is told from."""
    ends = [place for place, token in enumerate(prompt_ids) if token in base.stop_ids]
    start, stop = (ends[-2] + 1 if len(ends) > 1 else 0), (ends[-1] if ends else len(prompt_ids))
    return str(base.tokenizer.decode(list(prompt_ids[start:stop]), skip_special_tokens=True))


def _rewards(jury: Jury, answers: Sequence[Answer], pooled: Tensor) -> Tensor:
    """Scores by PPO's reward model; where it reads the same states as the examiner they are not computed again."""
    model = jury.reward_model
    if model.adapter_top is not None or model.split is not jury.examiner.split:
        return model.scores(answers)
    return model.head.scores(pooled) - model.doubt(pooled)


def _conducts(base: BaseModel, old: Sequence[Answer], new: Sequence[Answer]) -> tuple[Conduct, Conduct]:
    counted = [min(len(a.token_ids), len(b.token_ids)) for a, b in zip(old, new, strict=True)]
    questions = {prompt: question_of(base, prompt) for prompt in {answer.prompt_ids for answer in old}}

    def spoken(answers: Sequence[Answer]) -> list[Spoken]:
        texts = [str(base.tokenizer.decode(list(answer.token_ids), skip_special_tokens=True)) for answer in answers]
        rows = zip(answers, texts, counted, strict=True)
        return [Spoken(a, questions[a.prompt_ids], text, a.prompt_ids, count) for a, text, count in rows]

    return conduct(spoken(old), base.stop_ids), conduct(spoken(new), base.stop_ids)
