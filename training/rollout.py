"""Replies drawn from the policy with everything PPO needs to learn from them.

The log-probabilities `old` are not those seen while sampling: they are computed afterwards by the same code, in the
same padded layout as in the updates, so that the ratio is exactly 1 before the first step.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nightschool.sampling import sample_batch
from training.critic import critic_features
from training.judgements import Answer
from training.policy import Policy, reference_logps
from training.reading import POOL_TOKENS, answer_sequences
from training.reward_model import GROUP, RewardModel
from training.sequences import Sequences, groups_by_length
from training.trunk import SplitModel

SCORE_LIMIT = 5.0
"""Scores are kept within +-5 standard deviations of the initial model's: beyond lies what the model never saw."""


@dataclass(frozen=True)
class RolloutGroup:
    """Replies that share one padded layout, kept through all epochs.

    trunk [batch, width, size]; old, reference, running [batch, steps]; features [batch, steps, size + 2];
    scores, finished [batch]. `scores` are the reward model's z, within limits, without the penalty.
    """

    sequences: Sequences
    trunk: Tensor
    old: Tensor
    reference: Tensor
    features: Tensor
    running: Tensor
    scores: Tensor
    finished: Tensor
    entropy: float


@dataclass(frozen=True)
class Rollout:
    groups: tuple[RolloutGroup, ...]

    def mean_score(self) -> float:
        """Mean of the reward model's z, without penalties."""
        return float(torch.cat([group.scores for group in self.groups]).mean())

    def mean_kl(self) -> float:
        """Mean KL to the initial model in nats per reply: k1 summed over its tokens."""
        return float(torch.cat([(group.old - group.reference).sum(1) for group in self.groups]).mean())

    def mean_length(self) -> float:
        """Response tokens per reply, the end-of-turn token included."""
        return float(torch.cat([group.sequences.response_lengths for group in self.groups]).float().mean())

    def finished_share(self) -> float:
        """Share of replies that ended by themselves."""
        return float(torch.cat([group.finished for group in self.groups]).float().mean())

    def mean_entropy(self) -> float:
        """Mean entropy per token in nats."""
        return sum(group.entropy for group in self.groups) / len(self.groups)


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
    for group in groups_by_length([len(prompt) for prompt in prompts], 64):
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
    reward_model: RewardModel,
    prompts: Sequence[Sequence[int]],
    drawing: Drawing,
    generator: torch.Generator,
    check: Callable[[], None] = lambda: None,
) -> Rollout:
    """Draw one reply to each prompt from the policy and evaluate it."""
    answers = draw(policy.split, policy.twin(), prompts, drawing, generator, check)
    return evaluate(policy, reward_model, answers, drawing, check)


def evaluate(
    policy: Policy,
    reward_model: RewardModel,
    answers: Sequence[Answer],
    drawing: Drawing,
    check: Callable[[], None] = lambda: None,
) -> Rollout:
    """Old and reference log-probabilities, scores and critic features of given replies."""
    lengths = [len(answer.prompt_ids) + len(answer.token_ids) for answer in answers]
    groups = []
    for group in groups_by_length(lengths, GROUP):
        check()
        groups.append(_evaluate_group(policy, reward_model, [answers[index] for index in group], drawing))
    return Rollout(tuple(groups))


@torch.no_grad()
def _evaluate_group(
    policy: Policy, reward_model: RewardModel, answers: Sequence[Answer], drawing: Drawing
) -> RolloutGroup:
    split, head = policy.split, reward_model.head
    sequences = answer_sequences(answers, split.base.pad_id)
    trunk = split.trunk(sequences.ids)
    base_states = split.top(split.reference, trunk)
    judged = sequences.at_responses(reward_model.states(split, sequences.ids, trunk, base_states))
    shares = sequences.unpack(head.token_shares(judged))  # [batch, steps]
    doubt = reward_model.doubt(sequences.unpack(judged.float()).sum(1) / POOL_TOKENS)
    scores = (shares.sum(1) + head.constant - doubt).clamp(-SCORE_LIMIT, SCORE_LIMIT).float()
    running = (shares.cumsum(1) - shares + head.constant).float()
    before = sequences.unpack(sequences.at_responses(base_states, shift=-1).float())
    old, entropy = policy.logps_and_entropy(trunk, sequences, drawing.temperature)
    return RolloutGroup(
        sequences=sequences,
        trunk=trunk,
        old=old,
        reference=reference_logps(split, base_states, sequences, drawing.temperature),
        features=critic_features(before, running, drawing.max_new_tokens),
        running=running,
        scores=scores,
        finished=torch.tensor([answer.token_ids[-1] in split.base.stop_ids for answer in answers]),
        entropy=entropy,
    )
