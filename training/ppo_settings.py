"""Hyper-parameters of PPO, checked once."""

import math
from dataclasses import dataclass
from enum import StrEnum

from training.rollout import Drawing


class Credit(StrEnum):
    """Where in a reply the reward model's score is paid out."""

    END = "end"  # all of it at the last token
    DENSE = "dense"  # each token its own share of the pooled head's sum


class Baseline(StrEnum):
    """What the returns are compared with."""

    CRITIC = "critic"
    GROUP = "group"  # the other replies to the same prompt


class Step(StrEnum):
    """What an update's step does with the gradient."""

    MOMENTUM = "momentum"  # all weights together go one length along it, and go on (after Cutkosky and Mehta 2020)
    ADAM = "adam"  # each weight goes as far as any other, however little is known of it (Kingma and Ba 2015)


@dataclass(frozen=True)
class PpoSettings:
    """From Schulman et al. 2017, Ziegler et al. 2019 and Ouyang et al. 2022, or from experiments (docs/log.md)."""

    iterations: int
    drawing: Drawing
    seconds: float = math.inf
    """Time box: no iteration begins that would probably end after it."""
    episodes: int = 64
    replies: int = 8
    """Replies drawn to each prompt of an iteration; the group baseline needs at least 2."""
    epochs: int = 1
    """Over the same replies: an iteration of one takes 0.6 of the time of one of four (docs/log.md, 2026-11-30)."""
    minibatches: int = 4
    step: Step = Step.MOMENTUM
    learning_rate: float = 4e-2
    """With `Step.MOMENTUM` how far a gradient of length one moves the LoRA's weights in its first step."""
    course: float = 6.0
    """Nats that the replies should move in a night: the learning rate is changed towards that. 0: it only falls.
    Chosen from how gain grows with drift (docs/log.md, 2026-12-01), not yet won against other lengths."""
    clip: float = 0.2
    credit: Credit = Credit.DENSE
    baseline: Baseline = Baseline.GROUP
    beta: float = 0.1
    kl_target: float = 6.0
    """Nats per reply that a night may drift before beta grows; over all nights, nine tenths of `kl_total`."""
    kl_night: float = 8.0
    """Nats that the replies may move in one night: the update after which they lie beyond is taken back, the last."""
    kl_total: float = 11.0
    """The same for the drift from the initial model in all nights together; the exam rejects beyond 12."""
    gamma: float = 0.97
    """Discount a token of whatever is paid later: shares of the score, KL, penalties."""
    lam: float = 1.0
    missing_end_penalty: float = 1.0
    """Of a reply that does not end by itself, in standard deviations of the reward: the most, reached when too few do
    for long."""
    missing_end_steps: int = 4
    """Steps in which it gets there, of which one is paid from the start; 0: all of it is always paid."""
    loop_penalty: float = 2.0
    """Of a reply that repeats itself, in standard deviations of the reward, at its last token: an exam rejected a night
    of which 9 % did (docs/log.md, 2026-12-01, last). Other sizes were not tried."""
    ends_kept: float = 3.0
    """Weight of the loss on ending less often than the initial model, token by token; ending more often is free."""
    critic_pretraining: int = 100
    k3_limit: float = 0.1
    """Epochs of an iteration end when the policy has moved this far from the one that drew the replies."""
    ptx: float = 0.1
    """Weight of the loss on texts people wrote or liked, where there are any (PPO-ptx)."""
    ptx_share: float = 0.1
    """Longest gradient of that loss, beside the reward's of the same step."""
    ptx_texts: int = 4
    """Such texts in each minibatch."""

    def __post_init__(self) -> None:
        if self.seconds <= 0:
            raise ValueError(f"The time box is {self.seconds:g} s; give it more than 0.")
        if self.episodes % self.replies:
            raise ValueError(f"{self.episodes} episodes cannot be {self.replies} replies to each prompt.")
        if self.baseline is Baseline.GROUP and self.replies < 2:
            raise ValueError("The group baseline compares replies to one prompt: draw at least 2 of each.")

    @property
    def prompts(self) -> int:
        """Prompts of one iteration."""
        return self.episodes // self.replies

    @property
    def kl_horizon(self) -> float:
        """Episodes in which beta can grow or shrink by a fifth: two rollouts, so that it acts within a night."""
        return 2.0 * self.episodes
