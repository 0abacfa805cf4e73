"""The standardised features of the texts that a fit is about, in as few numbers as they can be told.

A head is w . (x - mean) / scale. With fewer texts than features, all that a ridge-regularised fit can find lies in the
span of the texts (the representer theorem): so they are turned into its coordinates once (a QR decomposition), and each
step of the fit multiplies a small square matrix. A turn changes neither rewards nor |w|. Many texts stay where they
are, and are read chunk by chunk.

Where the features have axes, each is a number more that is fitted: how far a text lies along it. The prior of a head
is then N(0, I + B'B) in place of N(0, I), B being the axes, and half of what it expects of a reward lies along them. A
head is still one direction: what was found along the axes is added into it.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from training.features import CHUNK, Features

IN_MEMORY = 4_000_000
"""Numbers of features held in memory as float64 (32 MB): 3,500 texts of 1,152."""
LEAST_SCALE = 1e-6


@dataclass(frozen=True)
class Design:
    """Texts as a fit sees them; texts that no judgement is about are left out where they are held in memory."""

    mean: Tensor
    scale: Tensor
    """Of the features, each text counted as often as it is judged. [size]."""
    counts: Tensor
    """How often each text of the design is judged. [texts]."""
    place: Tensor
    """Of each text of the table in the design; of those left out, anything. [texts of the table]."""
    table: Tensor | Features
    """Texts in coordinates of their span or standardised, then along the axes [texts, size of the fit]; or a table too
    large to hold."""
    basis: Tensor | None
    """Of the span of the texts [features, coordinates]; None: the coordinates are the standardised features."""
    axes: Tensor
    """Directions over standardised features, so long that the texts vary along all of them together as they do in all
    features. [axes, features]."""

    @classmethod
    def of(cls, features: Features, counts: Tensor) -> "Design":
        """counts [texts]: how often each text is judged."""
        used, total = counts.nonzero()[:, 0], counts.sum().clamp(min=1.0)
        if len(used) * features.size > IN_MEMORY:
            mean, scale = features.moments(counts)
            scale = scale.clamp(min=LEAST_SCALE)
            axes = _unit(features.axes, scale)
            along = torch.empty(len(counts), len(axes), dtype=torch.float64)
            for number, axis in enumerate(axes):
                along[:, number] = features.dot(axis / scale) - mean @ (axis / scale)
            axes = _stretched(axes, along, counts / total)
            return cls(mean, scale, counts, torch.arange(len(counts)), features, None, axes)
        counts, place = counts[used], torch.zeros(len(counts), dtype=torch.long)
        place[used] = torch.arange(len(used))
        table = torch.empty(len(used), features.size + len(features.axes), dtype=torch.float64)
        rows = table[:, : features.size]
        for part, some in zip(rows.split(CHUNK), used.split(CHUNK), strict=True):
            part.copy_(features.rows(some.tolist()))
        mean = counts @ rows / total
        rows -= mean
        squares = sum(share @ part.square() for share, part in zip(counts.split(CHUNK), rows.split(CHUNK), strict=True))
        scale = (squares / total).sqrt().clamp(min=LEAST_SCALE)
        rows /= scale
        axes = _unit(features.axes, scale)
        axes = _stretched(axes, rows @ axes.T, counts / total)
        along_axes = rows @ axes.T
        table[:, features.size :] = along_axes
        if len(used) >= features.size:
            return cls(mean, scale, counts, place, table, None, axes)
        basis, coordinates = torch.linalg.qr(rows.T)
        return cls(mean, scale, counts, place, torch.cat([coordinates.T, along_axes], 1), basis, axes)

    @property
    def size(self) -> int:
        """Numbers that are fitted."""
        return (len(self.mean) if self.basis is None else self.basis.shape[1]) + len(self.axes)

    def coordinates(self, direction: Tensor) -> Tensor:
        """A direction in raw features, as far as the texts tell it, as it is fitted: in the shortest way to tell it.

        [features] -> [size].
        """
        weight, axes = direction * self.scale, self.axes
        if self.basis is not None:
            weight, axes = self.basis.T @ weight, axes @ self.basis
        square = torch.eye(len(axes), dtype=torch.float64) + axes @ axes.T
        along = torch.linalg.solve(square, axes @ weight)
        return torch.cat([weight - along @ axes, along])

    def weight(self, fitted: Tensor) -> Tensor:
        """What was fitted, over standardised features. [size] -> [features]."""
        own, along = fitted.tensor_split([self.size - len(self.axes)])
        return (own if self.basis is None else self.basis @ own) + along @ self.axes

    def rewards(self, fitted: Tensor) -> Tensor:
        """Rewards of the texts, whose mean (by counts) is 0. [size] -> [texts]."""
        if isinstance(self.table, Features):
            direction = self.weight(fitted) / self.scale
            return self.table.dot(direction) - self.mean @ direction
        return self.table @ fitted

    def pull(self, gradient: Tensor) -> Tensor:
        """The gradient at what is fitted from that at the rewards. [texts] -> [size]."""
        if isinstance(self.table, Features):
            own = (self.table.weighted_sum(gradient) - gradient.sum() * self.mean) / self.scale
            return torch.cat([own, self.axes @ own])
        return gradient @ self.table


def _unit(axes: Tensor, scale: Tensor) -> Tensor:
    """Axes over standardised features, of length 1; what no text differs in tells nothing of them."""
    axes = torch.where(scale > LEAST_SCALE, axes / scale, 0.0)
    return axes / axes.norm(dim=1, keepdim=True).clamp(min=LEAST_SCALE)


def _stretched(axes: Tensor, along: Tensor, shares: Tensor) -> Tensor:
    """Axes of such lengths that the texts' variances along them sum to the number of features, each the same.

    An axis along which the texts do not differ becomes 0. along [texts, axes], shares [texts] of the texts.
    """
    spread = (shares @ along.square()).sqrt()
    length = torch.where(spread > LEAST_SCALE, math.sqrt(axes.shape[1] / max(len(axes), 1)) / spread, 0.0)
    return axes * length[:, None]
