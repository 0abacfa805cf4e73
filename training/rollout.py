"""Replies drawn from the policy with everything PPO needs to learn from them.

The log-probabilities `old` are not those seen while sampling: they are computed afterwards by the same code, in the
same padded layout as in the updates, so that the ratio is exactly 1 before the first step.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from nightschool.sampling import sample_batch
from training.conduct import loops
from training.critic import critic_features
from training.judgements import Answer
from training.policy import Policy, reference_logps_and_ends
from training.reading import answer_sequences, length_of, stacked, trunk_states
from training.reward_model import GROUP, Judged
from training.sequences import Sequences, groups_by_length
from training.trunk import SplitModel

DRAWN_TOGETHER = 64
"""Replies drawn in one batch."""
SCORE_LIMIT = 5.0
"""Scores are kept within +-5 standard deviations of the initial model's: beyond lies what the model never saw."""


class Scorer(Protocol):
    """What gives replies their scores: a reward model, or in benchmarks a reward that is known."""

    def judge(
        self,
        policy: SplitModel,
        answers: Sequence[Answer],
        sequences: Sequences,
        trunk_states: Tensor,
        base_states: Tensor,
    ) -> Judged:
        """Scores of replies whose states the policy's split has computed already: where they stand, and before them."""


@dataclass(frozen=True)
class RolloutGroup:
    """Replies that share one padded layout, kept through all epochs.

    rows [batch]: their places in the rollout; trunk [batch, width, size]; old, reference, reference_ends (of the tokens
    that end a reply) [batch, steps]; features [batch, steps, size + 2]; scores, watched, finished [batch]. `scores` are
    within limits and without the penalty, `watched` those of a scorer that only looks on.
    """

    rows: Tensor
    sequences: Sequences
    trunk: Tensor
    old: Tensor
    reference: Tensor
    reference_ends: Tensor
    features: Tensor
    judged: Judged
    scores: Tensor
    watched: Tensor | None
    finished: Tensor
    entropy: float


@dataclass(frozen=True)
class Rollout:
    """Episodes in the order of `answers`; `prompt_of` [episodes] numbers the prompts."""

    answers: tuple[Answer, ...]
    prompt_of: Tensor
    groups: tuple[RolloutGroup, ...]
    seconds_draw: float = 0.0
    seconds_evaluate: float = 0.0

    def episodes(self, select: Callable[[RolloutGroup], Tensor]) -> Tensor:
        """One tensor over all episodes, padded with zeros along the steps. -> [episodes] or [episodes, steps]."""
        parts = [select(group) for group in self.groups]
        shape = [len(self.answers), *(max(part.shape[1] for part in parts) for _ in parts[0].shape[1:])]
        joined = torch.zeros(shape, dtype=parts[0].dtype)
        for group, part in zip(self.groups, parts, strict=True):
            if part.dim() == 1:
                joined[group.rows] = part
            else:
                joined[group.rows, : part.shape[1]] = part
        return joined

    @property
    def is_response(self) -> Tensor:
        """[episodes, steps], steps being the longest reply's."""
        return self.episodes(lambda group: group.sequences.is_response)

    def kl(self) -> Tensor:
        """KL to the initial model of each reply in nats: k1 summed over its tokens. -> [episodes]."""
        return self.episodes(lambda group: (group.old - group.reference).sum(1))

    def mean_score(self) -> float:
        """Mean of the reward model's z, without penalties."""
        return float(self.episodes(lambda group: group.scores).mean())

    def mean_kl(self) -> float:
        """Mean KL to the initial model in nats per reply."""
        return float(self.kl().mean())

    def mean_length(self) -> float:
        """Response tokens per reply, the end-of-turn token included."""
        return float(self.episodes(lambda group: group.sequences.response_lengths).float().mean())

    def finished_share(self) -> float:
        """Share of replies that ended by themselves."""
        return float(self.episodes(lambda group: group.finished).float().mean())

    def looping(self) -> Tensor:
        """Which replies repeat themselves, as an exam tells it from tokens. -> [episodes], bool."""
        return torch.tensor([loops(answer.token_ids) for answer in self.answers])

    def mean_entropy(self) -> float:
        """Mean entropy per token in nats."""
        tokens = [int(group.sequences.response_lengths.sum()) for group in self.groups]
        return sum(g.entropy * count for g, count in zip(self.groups, tokens, strict=True)) / sum(tokens)


@dataclass(frozen=True)
class Drawing:
    """How replies are drawn, in rollouts and exams alike."""

    temperature: float
    max_new_tokens: int


def draw(
    split: SplitModel,
    model: object,
    prompts: Sequence[Sequence[int]],
    drawing: Drawing,
    generator: torch.Generator,
    check: Callable[[], None] = lambda: None,
) -> list[Answer]:
    """One reply to each prompt, in the prompts' order; similar lengths are drawn together."""
    answers: list[Answer | None] = [None] * len(prompts)
    for group in groups_by_length([len(prompt) for prompt in prompts], DRAWN_TOGETHER):
        replies = sample_batch(
            model,
            [prompts[index] for index in group],
            temperature=drawing.temperature,
            max_new_tokens=drawing.max_new_tokens,
            stop_ids=split.base.stop_ids,
            pad_id=split.base.pad_id,
            generator=generator,
            check=check,
        )
        for index, reply in zip(group, replies, strict=True):
            answers[index] = Answer(tuple(prompts[index]), tuple(reply))
    return [answer for answer in answers if answer is not None]


def roll_out(
    policy: Policy,
    scorer: Scorer,
    prompts: Sequence[Sequence[int]],
    drawing: Drawing,
    generator: torch.Generator,
    *,
    replies: int = 1,
    watcher: Scorer | None = None,
    check: Callable[[], None] = lambda: None,
) -> Rollout:
    """Draw `replies` replies to each prompt from the policy and evaluate them."""
    began = time.monotonic()
    wanted = [prompt for prompt in prompts for _ in range(replies)]
    answers = draw(policy.split, policy.twin(), wanted, drawing, generator, check)
    seconds = time.monotonic() - began
    return evaluate(policy, scorer, answers, drawing, replies=replies, watcher=watcher, check=check, seconds=seconds)


def evaluate(
    policy: Policy,
    scorer: Scorer,
    answers: Sequence[Answer],
    drawing: Drawing,
    *,
    replies: int = 1,
    watcher: Scorer | None = None,
    check: Callable[[], None] = lambda: None,
    seconds: float = 0.0,
) -> Rollout:
    """Old and reference log-probabilities, scores and critic features of given replies, `replies` to each prompt."""
    began = time.monotonic()
    groups = []
    states = dict(enumerate(trunk_states(policy.split, answers, check)))  # each leaves it for its padded group
    for rows in groups_by_prompt(answers, replies):
        check()
        chosen = [answers[row] for row in rows]
        sequences = answer_sequences(chosen, policy.split.base.pad_id)
        trunk = stacked([states.pop(row) for row in rows], sequences.ids.shape[1])
        groups.append(_evaluate_group(policy, scorer, watcher, chosen, rows, sequences, trunk, drawing))
    prompt_of = torch.arange(len(answers)) // replies
    return Rollout(tuple(answers), prompt_of, tuple(groups), seconds, time.monotonic() - began)


def groups_by_prompt(answers: Sequence[Answer], replies: int) -> list[list[int]]:
    """Indices in groups of at most 8 of about equal length; the `replies` to a prompt, side by side, stay together.

    More than 8 to a prompt are parted by their own lengths. Raises ValueError where a prompt has fewer.
    """
    if len(answers) % replies:
        raise ValueError(f"{len(answers)} answers cannot be {replies} replies to each prompt.")
    lengths = [length_of(answer) for answer in answers]
    longest = [max(lengths[start : start + replies]) for start in range(0, len(answers), replies)]
    found = []
    for prompts in groups_by_length(longest, max(GROUP // replies, 1)):
        rows = [prompt * replies + reply for prompt in prompts for reply in range(replies)]
        rows.sort(key=lambda row: len(answers[row].token_ids) if replies > GROUP else 0)
        found += [rows[start : start + GROUP] for start in range(0, len(rows), GROUP)]
    return found


@torch.no_grad()
def _evaluate_group(
    policy: Policy,
    scorer: Scorer,
    watcher: Scorer | None,
    answers: Sequence[Answer],
    rows: Sequence[int],
    sequences: Sequences,
    trunk: Tensor,
    drawing: Drawing,
) -> RolloutGroup:
    split = policy.split
    base_states = split.top_at_replies(split.eager_reference, trunk, sequences)
    judged = scorer.judge(split, answers, sequences, trunk, base_states)
    before = sequences.unpack(sequences.at_responses(base_states, shift=-1).float())
    old, entropy = policy.logps_and_entropy(trunk, sequences, drawing.temperature)
    reference, reference_ends = reference_logps_and_ends(split, base_states, sequences, drawing.temperature)
    return RolloutGroup(
        rows=torch.tensor(rows),
        sequences=sequences,
        trunk=trunk,
        old=old,
        reference=reference,
        reference_ends=reference_ends,
        features=critic_features(before, judged.running, drawing.max_new_tokens),
        judged=judged,
        scores=judged.scores.clamp(-SCORE_LIMIT, SCORE_LIMIT),
        watched=watcher.judge(split, answers, sequences, trunk, base_states).scores if watcher else None,
        finished=torch.tensor([answer.token_ids[-1] in split.base.stop_ids for answer in answers]),
        entropy=entropy,
    )
