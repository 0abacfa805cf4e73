"""Going back part of a night's way, where plain texts surprise the policy too much.

What a policy gained rises with the square root of its drift and levels off, what it unlearned of plain texts goes on
rising: so a point between where the night began and where it ended keeps most of the gain and less of the loss (Rame et
al. 2024, https://arxiv.org/abs/2406.16768: interpolation towards the initialisation). The exam then asks the policy
that is left as it would any other.
"""

from collections.abc import Callable, Mapping

from torch import Tensor

from training.neutral_texts import perplexity_ratio
from training.policy import Policy

SHARES = (0.9, 0.8, 0.7, 0.6, 0.5)
"""Of the way, tried in this order where the whole is too long."""
MOST_SURPRISE = 1.08
"""Times as much as the initial model; the exam rejects beyond 1.10 (`training.guards`)."""


def shorten_(
    policy: Policy, begun: Mapping[str, Tensor], measure: Callable[[Policy], float] = perplexity_ratio
) -> tuple[float, float]:
    """Leave the policy at the largest share of its way at which `measure` is low enough: (share, what it says there).

    `begun`: the weights the night began with, by PEFT's names. Where no share is enough the whole way stays.
    """
    ended = policy.copy()
    whole = measure(policy)
    if whole <= MOST_SURPRISE:
        return 1.0, whole
    for share in SHARES:
        policy.take_over_({name: begun[name].lerp(tensor, share) for name, tensor in ended.items()})
        if (found := measure(policy)) <= MOST_SURPRISE:
            return share, found
    policy.take_over_(ended)
    return 1.0, whole
