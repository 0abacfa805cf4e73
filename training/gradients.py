"""The seam through which the update takes its gradients: one process here.

An engine that spreads the work (Accelerate) gives the same methods: gradients and counts summed over its
processes. Nothing else in the update knows how many there are.
"""

from collections.abc import Sequence

from torch import Tensor, nn


class OneProcess:
    """Everything happens here."""

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of a loss that is already divided by the minibatch's count."""
        loss.backward()

    def total(self, count: int) -> int:
        """A count over all processes."""
        return count

    def clip_(self, weights: Sequence[nn.Parameter], limit: float) -> float:
        """Scale the gradients down to a norm of at most `limit`; the norm before."""
        return float(nn.utils.clip_grad_norm_(weights, limit))

    def to_length_one_(self, weights: Sequence[nn.Parameter]) -> float:
        """Scale the gradients to a norm of 1, or leave them where they are 0; the norm before."""
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        norm = float(nn.utils.get_total_norm(gradients))
        for gradient in gradients:
            gradient.div_(norm or 1.0)
        return norm
