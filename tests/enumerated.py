"""A world small enough to be enumerated, for the real transformer, rollout, PPO and LoRA (oracle 15).

Four letters and an end, replies of at most three tokens, three prompts of unequal length. Every reply's probability can
be added up, so the optimum of "reward - beta KL" and how near a policy comes to it are known exactly.

`python -m tests.enumerated [ITERATIONS]` tells the share of the gap that is closed, for both baselines and two seeds.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from nightschool.model import BaseModel, fingerprint
from tests.training_fixtures import critic_settings
from training.judgements import Answer
from training.learner import Learner
from training.policy import Policy
from training.ppo import train
from training.ppo_settings import Baseline, Credit, PpoSettings, Step
from training.ppo_update import Surroundings
from training.reading import answer_sequences
from training.reward_model import Judged
from training.rollout import Drawing
from training.sequences import Sequences
from training.trunk import SplitModel

END, LETTERS, STEPS = 2, (3, 4, 5, 6), 3
PROMPTS = [(7, 3), (8, 4, 2, 5, 6), (9, 2, 2)]  # ends of turns inside, as in real conversations
WORDS = 24
NEVER = -30.0
"""Bias that keeps every other word from being drawn: its share is below 1e-12."""
DRAWING = Drawing(temperature=0.8, max_new_tokens=STEPS)
BETA, PENALTY = 0.4, 0.5


def _any_text(text: str, *, add_special_tokens: bool) -> dict[str, list[int]]:
    """A tokenizer for the probe that a base is checked with: its letters are not what this world is about."""
    return {"input_ids": [3 + ord(letter) % 16 for letter in text[:16]]}


def tiny_world(seed: int) -> BaseModel:
    """A random two-layer Llama in float32 that can only say four letters and the end."""
    torch.manual_seed(seed)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=WORDS,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=2,
            max_position_embeddings=32,
            eos_token_id=END,
            initializer_range=0.25,
            tie_word_embeddings=False,
        )
    ).eval()
    model.lm_head = _Spoken(model.lm_head)
    model.requires_grad_(False)
    return BaseModel("world", model, _any_text, fingerprint(model), frozenset({END}), 0)


class _Spoken(torch.nn.Linear):
    """An output layer whose bias forbids what is no letter."""

    def __init__(self, plain: torch.nn.Linear) -> None:
        super().__init__(plain.in_features, plain.out_features)
        with torch.no_grad():
            self.weight.copy_(plain.weight)
            self.bias.fill_(NEVER)
            self.bias[[END, *LETTERS]] = 0.0
            self.weight[[word for word in range(WORDS) if word not in {END, *LETTERS}]] = 0.0


def replies() -> list[tuple[int, ...]]:
    """Everything that can be said: up to two letters and an end, or three letters."""
    ended = [(END,), *((a, END) for a in LETTERS), *((a, b, END) for a in LETTERS for b in LETTERS)]
    return ended + [(a, b, c) for a in LETTERS for b in LETTERS for c in LETTERS]


class TableScorer:
    """A random reward for each prompt and reply, known exactly; random parts of it are its tokens' shares."""

    def __init__(self, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        every = [(prompt, reply) for prompt in PROMPTS for reply in replies()]
        self.table = dict(zip(every, torch.randn(len(every), generator=generator).tolist(), strict=True))

    def judge(
        self, policy: SplitModel, answers: Sequence[Answer], sequences: Sequences, trunk: Tensor, base: Tensor
    ) -> Judged:
        scores = torch.tensor([self.table[answer.prompt_ids, answer.token_ids] for answer in answers])
        words = torch.tensor([token / WORDS for token in range(WORDS)])  # any function of the token will do
        shares = sequences.unpack(words[sequences.response_ids()])
        return Judged(scores, shares, 0.3)


@dataclass(frozen=True)
class Standing:
    """Where a policy stands between the initial model and the optimum, averaged over the prompts."""

    objective: float
    best: float
    total: float
    """Sum of all replies' probabilities: 1."""

    def closed(self, before: "Standing") -> float:
        """Share of the gap between an earlier standing and the optimum that is closed."""
        return (self.objective - before.objective) / (before.best - before.objective)


def standing(policy: Policy, scorer: TableScorer) -> Standing:
    """Exact objective of a policy and the best there is: beta log sum ref exp(reward / beta)."""
    objectives, bests, totals = [], [], []
    for prompt in PROMPTS:
        answers = [Answer(prompt, reply) for reply in replies()]
        rewards = torch.tensor([scorer.table[prompt, reply] - PENALTY * (reply[-1] != END) for reply in replies()])
        logp = exact_logps(policy, answers)
        reference = exact_logps(Policy(policy.split, seed=99), answers)  # fresh: B = 0, so the initial model
        p = logp.exp()
        objectives.append(float((p * (rewards - BETA * (logp - reference))).sum()))
        bests.append(float(BETA * torch.logsumexp(reference + rewards / BETA, 0)))
        totals.append(float(p.sum()))
    count = len(PROMPTS)
    return Standing(sum(objectives) / count, sum(bests) / count, sum(totals) / count)


@torch.no_grad()
def exact_logps(policy: Policy, answers: Sequence[Answer]) -> Tensor:
    sequences = answer_sequences(answers, 0)
    return policy.logps(policy.split.trunk(sequences.ids), sequences, DRAWING.temperature).sum(1)


def with_critic(settings: PpoSettings) -> PpoSettings:
    """The score at the end, a critic as the baseline."""
    return settings


def as_shipped(settings: PpoSettings) -> PpoSettings:
    """Each token its share, compared with the other replies to the prompt; steps along the gradients."""
    grouped = replace(settings, credit=Credit.DENSE, baseline=Baseline.GROUP, replies=128)
    return replace(grouped, step=Step.MOMENTUM, learning_rate=0.05)


def solve(
    seed: int, iterations: int, change: Callable[[PpoSettings], PpoSettings] = with_critic
) -> tuple[Standing, Standing]:
    """PPO in that world: where it stood before and after."""
    split = SplitModel(tiny_world(seed), "all")
    policy, scorer = Policy(split, seed), TableScorer(seed)
    before = standing(policy, scorer)
    settings = change(
        critic_settings(
            iterations,
            DRAWING,
            episodes=384,
            minibatches=1,
            learning_rate=5e-3,
            beta=BETA,
            kl_target=1e9,
            kl_night=1e9,
            kl_total=1e9,
            missing_end_penalty=PENALTY,
            missing_end_steps=0,
            ends_kept=0.0,
            k3_limit=1.0,
        )
    )
    learner = Learner.fresh(policy, PROMPTS, settings, seed, first_night=True)
    learner.kl_control.low = learner.kl_control.high = BETA  # the optimum is that of one beta
    train(learner, scorer, settings, Surroundings())
    return before, standing(policy, scorer)


if __name__ == "__main__":
    for change in (with_critic, as_shipped):
        for seed in (0, 1):
            before, after = solve(seed, int(sys.argv[1]) if len(sys.argv) > 1 else 100, change)
            print(f"{change.__name__}, seed {seed}: {after.closed(before):.3f}", flush=True)
