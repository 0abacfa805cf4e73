"""PPO of a language model written plainly, the way the well-known implementations do it: what ours is measured against.

After openai/lm-human-preferences and TRL's former PPOTrainer, with LoRA by PEFT: one adapter for the policy and one for
the critic, on all layers; the reference and the reward model are the whole base with the adapters off; nothing is kept
from one forward to the next but log-probabilities, values and scores. The mathematics (GAE, whitening, clipped losses)
is the training's own, so that the two differ in how it is computed only.

Where those programs would be slower or larger, this one is not: the roles share one base in memory; policy and critic
go backward one after the other; log-softmax is taken on the replies' columns; old, reference, values and scores are
computed 8 replies at a time; `generate` keeps no scores, and reads the last position by index (see `draw`).
"""

import random
import time
import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import Tensor, nn

from nightschool.model import BaseModel
from nightschool.sampling import LAST
from training.advantages import AdaptiveKl, gae, token_rewards, whiten
from training.losses import k1, k3, policy_loss, value_loss
from training.policy import ALPHA, RANK
from training.ppo_settings import PpoSettings
from training.reading import POOL_TOKENS
from training.reward_model import GROUP, RewardHead
from training.rollout import SCORE_LIMIT, Drawing
from training.trunk import LORA_TARGETS

VALUE_COEFFICIENT = 0.1
"""Weight of the critic's loss in the sum of both (Ziegler et al. 2019)."""


@dataclass(frozen=True)
class Replies:
    """Prompts padded on the left, replies on the right: all replies begin in one column.

    ids, is_token [batch, context + steps]; `context` is the width of the prompts.
    """

    ids: Tensor
    is_token: Tensor
    context: int

    def finished(self, stop_ids: Collection[int]) -> Tensor:
        """Which replies ended by themselves. [batch]"""
        stops = torch.isin(self.ids[:, self.context :], torch.tensor(sorted(stop_ids)))
        return (stops & self.is_response).any(1)

    @property
    def is_response(self) -> Tensor:
        """[batch, steps]"""
        return self.is_token[:, self.context :]

    def at(self, rows: Tensor) -> "Replies":
        """Some of the replies, in the same width."""
        return Replies(self.ids[rows], self.is_token[rows], self.context)

    def inputs(self) -> dict[str, Any]:
        """What the model's forward is given."""
        positions = (self.is_token.long().cumsum(1) - 1).clamp(min=0)
        return {
            "input_ids": self.ids,
            "attention_mask": self.is_token.long(),
            "position_ids": positions,
            "use_cache": False,
        }


@dataclass(frozen=True)
class Evaluation:
    """old, reference, values [batch, steps]; scores [batch], without the penalty."""

    old: Tensor
    reference: Tensor
    values: Tensor
    scores: Tensor


class ActorCritic:
    """A base with two LoRA adapters, `policy` and `critic`, and a linear value head."""

    def __init__(self, base: BaseModel, seed: int) -> None:
        config = LoraConfig(
            r=RANK, lora_alpha=ALPHA, lora_dropout=0.0, target_modules=LORA_TARGETS, task_type="CAUSAL_LM"
        )
        self.base = base
        with torch.random.fork_rng(), warnings.catch_warnings():
            torch.manual_seed(seed)
            warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*", category=FutureWarning)
            self.model: PeftModel = get_peft_model(base.model, config, adapter_name="policy")
            self.model.add_adapter("critic", config)
            self.model.eval()
            self.value_head = nn.Linear(base.model.config.hidden_size, 1)
        nn.init.zeros_(self.value_head.weight)
        nn.init.zeros_(self.value_head.bias)

    def weights(self) -> list[nn.Parameter]:
        """Both adapters and the value head."""
        return [w for name, w in self.model.named_parameters() if "lora_" in name] + list(self.value_head.parameters())

    @contextmanager
    def as_role(self, role: str) -> Iterator[None]:
        """Within it the model is the `policy`, the `critic` or, without adapters, the `base`; as PEFT runs them."""
        half = self.base.model.dtype == torch.bfloat16
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            if role == "base":
                with self.model.disable_adapter():
                    yield
            else:
                self.model.set_adapter(role)
                yield

    def logps(self, replies: Replies, temperature: float) -> Tensor:
        """Of the role at hand: log-probabilities of the replies' tokens under softmax(logits / T). [batch, steps]"""
        logits = self.model(**replies.inputs()).logits[:, replies.context - 1 : -1]
        every = torch.log_softmax(logits.float() / temperature, -1)  # [batch, steps, words]
        return every.gather(-1, replies.ids[:, replies.context :, None])[..., 0]

    def states(self, replies: Replies) -> Tensor:
        """Of the role at hand: final states, without the output layer. [batch, context + steps, size]"""
        inner: Any = self.model.get_base_model().model  # the adapters are put into its layers
        return inner(**replies.inputs()).last_hidden_state

    def values(self, replies: Replies) -> Tensor:
        """Of the critic: the value of the state before each reply token. [batch, steps]"""
        return self.value_head(self.states(replies)[:, replies.context - 1 : -1].float())[..., 0]


def train(
    actor: ActorCritic,
    head: RewardHead,
    prompts: Sequence[Sequence[int]],
    settings: PpoSettings,
    seed: int,
    record: Callable[[int, dict[str, float]], None],
) -> list[dict[str, float]]:
    """Train both adapters in place; returns (and records as they come) the figures of each iteration."""
    chance, generator = random.Random(seed), torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)  # `generate` draws from the global generator
    optimiser = torch.optim.AdamW(
        actor.weights(), lr=settings.learning_rate, betas=(0.9, 0.95), eps=1e-5, weight_decay=0.0
    )
    kl_control = AdaptiveKl(settings.beta, settings.kl_target, settings.kl_horizon)
    history = []
    for iteration in range(settings.iterations):
        for group in optimiser.param_groups:
            group["lr"] = settings.learning_rate * (1 - iteration / settings.iterations)
        started = time.monotonic()
        replies = draw(actor, chance.sample(list(prompts), settings.episodes), settings.drawing)
        drawn = time.monotonic()
        evaluation = evaluate(actor, head, replies, settings.drawing.temperature)
        evaluated = time.monotonic()
        figures = update_(actor, optimiser, replies, evaluation, settings, kl_control.beta, generator)
        ended = time.monotonic()
        kl = float((k1(evaluation.old, evaluation.reference) * replies.is_response).sum(1).mean())
        kl_control.update_(kl, settings.episodes)
        figures |= {
            "reward": float(evaluation.scores.mean()),
            "kl": kl,
            "finished": float(replies.finished(actor.base.stop_ids).float().mean()),
            "length": float(replies.is_response.sum(1).float().mean()),
            "seconds": ended - started,
            "seconds_draw": drawn - started,
            "seconds_evaluate": evaluated - drawn,
            "seconds_update": ended - evaluated,
        }
        history.append(figures)
        record(iteration + 1, figures)
    return history


@torch.no_grad()
def draw(actor: ActorCritic, prompts: Sequence[Sequence[int]], drawing: Drawing) -> Replies:
    """One reply to each prompt by the library's `generate`, all prompts at once, the LoRA not merged.

    Left to itself `generate` passes `logits_to_keep=1`, for which torch copies the output layer once per row: 6 s and
    3.5 GB for 64 prompts that no implementation of PPO has to answer for.
    """
    base = actor.base
    context = max(len(prompt) for prompt in prompts)
    ids = torch.tensor([[base.pad_id] * (context - len(prompt)) + list(prompt) for prompt in prompts])
    is_prompt = torch.arange(context)[None] >= context - torch.tensor([[len(prompt)] for prompt in prompts])
    with actor.as_role("policy"):
        ids = actor.model.generate(
            input_ids=ids,
            attention_mask=is_prompt.long(),
            do_sample=True,
            temperature=drawing.temperature,
            top_k=0,
            top_p=1.0,
            max_new_tokens=drawing.max_new_tokens,
            eos_token_id=sorted(base.stop_ids),
            pad_token_id=base.pad_id,
            logits_to_keep=LAST,
        )
    stops = torch.isin(ids[:, context:], torch.tensor(sorted(base.stop_ids))).long()
    is_response = stops.cumsum(1) - stops == 0  # the token that ends a reply belongs to it
    return Replies(ids, torch.cat([is_prompt, is_response], 1), context)


@torch.no_grad()
def evaluate(actor: ActorCritic, head: RewardHead, replies: Replies, temperature: float) -> Evaluation:
    """Four whole forwards of each reply: policy, reference, critic and reward model."""
    parts = []
    for rows in torch.arange(len(replies.ids)).split(GROUP):
        part = replies.at(rows)
        with actor.as_role("policy"):
            old = actor.logps(part, temperature)
        with actor.as_role("base"):
            reference = actor.logps(part, temperature)
        with actor.as_role("critic"):
            values = actor.values(part)
        with actor.as_role("base"):
            states = actor.states(part)[:, part.context :].float()
        pooled = (states * part.is_response[..., None]).sum(1) / POOL_TOKENS
        scores = head.scores(pooled).clamp(-SCORE_LIMIT, SCORE_LIMIT).float()
        parts.append((old, reference, values, scores))
    return Evaluation(*(torch.cat(column) for column in zip(*parts, strict=True)))


def update_(
    actor: ActorCritic,
    optimiser: torch.optim.Optimizer,
    replies: Replies,
    evaluation: Evaluation,
    settings: PpoSettings,
    beta: float,
    generator: torch.Generator,
) -> dict[str, float]:
    """The clipped epochs over one rollout, in shuffled minibatches of whole replies, 8 at a time."""
    mask, old, old_values = replies.is_response, evaluation.old, evaluation.values
    unfinished = ~replies.finished(actor.base.stop_ids)
    scores = evaluation.scores - settings.missing_end_penalty * unfinished.float()
    rewards = token_rewards(k1(old, evaluation.reference), scores, mask, beta)
    advantages, returns = gae(rewards, old_values, mask, settings.gamma, settings.lam)
    advantages = whiten(advantages, mask)
    first_error, moved = None, 0.0
    for _ in range(settings.epochs):
        moved = 0.0
        for minibatch in torch.randperm(len(mask), generator=generator).tensor_split(settings.minibatches):
            count = int(mask[minibatch].sum())
            optimiser.zero_grad()
            for rows in minibatch.split(GROUP):
                part, is_response = replies.at(rows), mask[rows]
                with actor.as_role("policy"):
                    new = actor.logps(part, settings.drawing.temperature)
                    loss = policy_loss(new, old[rows], advantages[rows], is_response, settings.clip, count)
                loss.backward()
                with actor.as_role("critic"):
                    values = actor.values(part)
                    loss = value_loss(values, old_values[rows], returns[rows], is_response, settings.clip, count)
                (VALUE_COEFFICIENT * loss).backward()
                difference = (new.detach() - old[rows])[is_response]
                first_error = float(difference.abs().max()) if first_error is None else first_error
                moved += float(k3(old[rows], new.detach())[is_response].sum())
            nn.utils.clip_grad_norm_(actor.weights(), 1.0)
            optimiser.step()
    return {"first_ratio_error": first_error or 0.0, "k3_to_old": moved / int(mask.sum()), "epochs": settings.epochs}
