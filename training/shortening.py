"""Going back part of a night's way, where plain texts surprise the policy too much.

What a policy gained rises with the square root of its drift and levels off, what it unlearned of plain texts goes on
rising: so a point between where the night began and where it ended keeps most of the gain and less of the loss (Rame et
al. 2024, https://arxiv.org/abs/2406.16768: interpolation towards the initialisation). The exam then asks the policy
that is left as it would any other.
"""

from collections.abc import Callable, Mapping

from torch import Tensor

from training.guards import PERPLEXITY_LIMIT
from training.neutral_texts import perplexity_ratio
from training.policy import Policy

SHARES = (0.9, 0.8, 0.7, 0.6, 0.5)
"""Of the way, tried in this order where the whole is too long."""
MOST_SURPRISE = 1.08
"""Times as much as the initial model: a little below what the exam rejects."""


def shorten_(
    policy: Policy, begun: Mapping[str, Tensor], measure: Callable[[Policy], float] = perplexity_ratio
) -> tuple[float, float]:
    """Leave the policy at the largest share of its way at which `measure` is low enough: (share, what it says there).

    `begun`: the weights the night began with, by PEFT's names. Where no share is at most `MOST_SURPRISE`, the largest
    that the exam would not reject is taken; where there is none of these either, the whole way stays.
    """
    ended = policy.copy()
    found = {1.0: measure(policy)}

    def go_to_(share: float) -> None:
        walk_(policy, begun, ended, share)

    for share in SHARES:
        if min(found.values()) <= MOST_SURPRISE:
            break
        go_to_(share)
        found[share] = measure(policy)
    kept = next((share for limit in (MOST_SURPRISE, PERPLEXITY_LIMIT) for share in found if found[share] <= limit), 1.0)
    go_to_(kept)
    return kept, found[kept]


def walk_(policy: Policy, begun: Mapping[str, Tensor], ended: Mapping[str, Tensor], times: float) -> None:
    """Put the policy on the line through both weights, A and B of its LoRA each: at 1 where it ended."""
    policy.take_over_({name: begun[name].lerp(tensor, times) for name, tensor in ended.items()})
