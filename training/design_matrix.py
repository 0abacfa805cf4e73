"""The standardised features of the texts that a fit is about, in as few numbers as they can be told.

A head is w . (x - mean) / scale. With fewer texts than features, all that a ridge-regularised fit can find lies in the
span of the texts (the representer theorem): so they are turned into its coordinates once (a QR decomposition), and each
step of the fit multiplies a small square matrix. A turn changes neither rewards nor |w|. Many texts stay where they
are, and are read chunk by chunk.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from training.features import Features

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
    """Texts in coordinates of their span or standardised [texts, size of the fit]; or a table too large to hold."""
    basis: Tensor | None
    """Of the span of the texts [features, coordinates]; None: the coordinates are the standardised features."""

    @classmethod
    def of(cls, features: Features, counts: Tensor) -> "Design":
        """counts [texts]: how often each text is judged."""
        used, total = counts.nonzero()[:, 0], counts.sum().clamp(min=1.0)
        if len(used) * features.size > IN_MEMORY:
            mean, scale = features.moments(counts)
            return cls(mean, scale.clamp(min=LEAST_SCALE), counts, torch.arange(len(counts)), features, None)
        counts, place = counts[used], torch.zeros(len(counts), dtype=torch.long)
        place[used] = torch.arange(len(used))
        rows = features.rows(used.tolist()).double()
        mean = counts @ rows / total
        rows -= mean
        scale = (counts @ rows.square() / total).sqrt().clamp(min=LEAST_SCALE)
        rows /= scale
        if len(used) >= features.size:
            return cls(mean, scale, counts, place, rows, None)
        basis, coordinates = torch.linalg.qr(rows.T)
        return cls(mean, scale, counts, place, coordinates.T.contiguous(), basis)

    @property
    def size(self) -> int:
        """Numbers that are fitted."""
        return len(self.mean) if self.basis is None else self.basis.shape[1]

    def coordinates(self, direction: Tensor) -> Tensor:
        """A direction in raw features, as far as the texts tell it, as it is fitted. [features] -> [size]."""
        weight = direction * self.scale
        return weight if self.basis is None else self.basis.T @ weight

    def weight(self, fitted: Tensor) -> Tensor:
        """What was fitted, over standardised features. [size] -> [features]."""
        return fitted if self.basis is None else self.basis @ fitted

    def rewards(self, fitted: Tensor) -> Tensor:
        """Rewards of the texts, whose mean (by counts) is 0. [size] -> [texts]."""
        if isinstance(self.table, Features):
            direction = fitted / self.scale
            return self.table.dot(direction) - self.mean @ direction
        return self.table @ fitted

    def pull(self, gradient: Tensor) -> Tensor:
        """The gradient at what is fitted from that at the rewards. [texts] -> [size]."""
        if isinstance(self.table, Features):
            return (self.table.weighted_sum(gradient) - gradient.sum() * self.mean) / self.scale
        return gradient @ self.table
