"""The losses, as pure functions of tensors.

Legend
    r       reward of a reply, a scalar                     d      r_a - r_b
    nu      how likely ties are (Davidson)                  delta  reward at which thumbs turn from down to up
    logp    log-probability of a drawn token, at the sampling temperature
    A       advantage                                       V, R   value, return
Masks are named for what True means; sums over a mask are divided by its count in the whole minibatch (`count`), not in
the part at hand, so that gradient accumulation gives the gradient of the minibatch.
"""

import torch
from torch import Tensor
from torch.nn import functional

LEFT, RIGHT, TIE = 0, 1, 2
"""Outcome of a pair, as the class index of `pair_losses`."""


def pair_losses(d: Tensor, outcome: Tensor, log_nu: Tensor, smoothing: float) -> Tensor:
    """Davidson's model of pairs and ties as a 3-way softmax over (d/2, -d/2, log nu).

    d [pairs], outcome [pairs] of LEFT, RIGHT or TIE, log_nu scalar -> losses [pairs]. With nu -> 0 this is
    -log sigmoid(d) (Bradley-Terry). `smoothing` is the assumed share of flipped labels: it mixes in the loss of the
    swapped outcome; a tie swapped is a tie.
    """
    log_p = functional.log_softmax(_davidson(d, log_nu), -1)
    swapped = torch.where(outcome == TIE, outcome, 1 - outcome)
    given = -log_p.gather(-1, outcome[:, None])[:, 0]
    flipped = -log_p.gather(-1, swapped[:, None])[:, 0]
    return (1 - smoothing) * given + smoothing * flipped


def _davidson(d: Tensor, log_nu: Tensor) -> Tensor:
    return torch.stack([d / 2, -d / 2, log_nu.expand_as(d)], -1)  # [pairs, 3]


def thumb_losses(r: Tensor, is_up: Tensor, delta: Tensor, smoothing: float) -> Tensor:
    """-log sigmoid(+-(r - delta)) with label smoothing. r, is_up [thumbs], delta scalar -> [thumbs]."""
    sign = torch.where(is_up, 1.0, -1.0)
    margin = sign * (r - delta)
    return (1 - smoothing) * functional.softplus(-margin) + smoothing * functional.softplus(margin)


def pair_gradients(d: Tensor, outcome: Tensor, log_nu: Tensor, smoothing: float) -> tuple[Tensor, Tensor]:
    """Derivatives of each of `pair_losses` by d and by log_nu. -> [pairs], [pairs]."""
    p = torch.softmax(_davidson(d, log_nu), -1)
    left, right, tie = ((outcome == kind).to(d.dtype) for kind in (LEFT, RIGHT, TIE))
    aimed_left = (1 - smoothing) * left + smoothing * right
    aimed_right = (1 - smoothing) * right + smoothing * left
    return (p[:, LEFT] - aimed_left - p[:, RIGHT] + aimed_right) / 2, p[:, TIE] - tie


def thumb_gradients(r: Tensor, is_up: Tensor, delta: Tensor, smoothing: float) -> Tensor:
    """Derivatives of each of `thumb_losses` by r; those by delta are the opposite. -> [thumbs]."""
    return torch.sigmoid(r - delta) - (smoothing + (1 - 2 * smoothing) * is_up.to(r.dtype))


def policy_loss(new: Tensor, old: Tensor, advantages: Tensor, is_response: Tensor, clip: float, count: int) -> Tensor:
    """PPO's clipped objective, to be minimised: -E[min(ratio A, clip(ratio) A)]. All [batch, steps] -> scalar.

    The log-ratio is bounded by +-20 so that one wild token cannot overflow. `old` and `advantages` carry no gradient.
    """
    ratio = torch.exp((new - old).clamp(-20.0, 20.0))
    clipped = ratio.clamp(1 - clip, 1 + clip)
    losses = torch.maximum(-advantages * ratio, -advantages * clipped)
    return torch.where(is_response, losses, 0.0).sum() / count


def ends_loss(ends: Tensor, reference_ends: Tensor, is_response: Tensor, count: int) -> Tensor:
    """KL from the initial model's chance that a reply ends here to the policy's, where that is lower. -> scalar.

    `ends`, `reference_ends`: log-probabilities [batch, steps] of the tokens that end a reply. Ending more often than
    the initial model costs nothing.
    """
    ends, reference_ends = (logps.clamp(-30.0, -1e-6) for logps in (ends, reference_ends))
    chance = reference_ends.exp()
    goes_on = torch.log1p(-chance) - torch.log1p(-ends.exp())
    kl = chance * (reference_ends - ends) + (1 - chance) * goes_on
    return torch.where(is_response & (ends < reference_ends), kl, 0.0).sum() / count


def value_loss(
    values: Tensor, old_values: Tensor, returns: Tensor, is_response: Tensor, clip: float, count: int
) -> Tensor:
    """Half the squared error, values moving at most `clip` from the old ones. All [batch, steps] -> scalar."""
    near = old_values + (values - old_values).clamp(-clip, clip)
    losses = torch.maximum((values - returns) ** 2, (near - returns) ** 2)
    return 0.5 * torch.where(is_response, losses, 0.0).sum() / count


def k1(logp: Tensor, reference_logp: Tensor) -> Tensor:
    """Unbiased estimate of KL(policy || reference) per drawn token: the one that goes into the reward."""
    return logp - reference_logp


def k3(logp: Tensor, reference_logp: Tensor) -> Tensor:
    """Same mean as `k1`, never negative, less variance: for logs and early stops only.

    In the reward it makes PPO converge to another policy than the one that is wanted (measured on the tabular toy).
    """
    k = logp - reference_logp
    return torch.exp(-k) - 1 + k
