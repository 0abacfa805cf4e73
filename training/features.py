"""Pooled states of many texts, one row each, in memory or in a file: a fit reads them chunk by chunk.

So the memory of a fit does not grow with the judgements. Sums are in float64.
"""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from training.scratch import ScratchFile

CHUNK = 256
"""Rows held as float64 at a time: 256 x 1,152 are 2.4 MB, which stay in the processor's cache. (Blocks eight times as
large, taken and given back thousands of times in a fit, probably pulled the heap apart: docs/log.md, 2026-12-01.)"""


class Features:
    """A matrix [texts, size] of float32, known by what a linear fit needs of it."""

    def __init__(self, texts: int, size: int, read: Callable[[int, int], Tensor], axes: Tensor | None = None) -> None:
        """`read(start, stop)` gives rows; for `axes` see `along`."""
        self.texts = texts
        self.size = size
        self.axes = torch.zeros(0, size, dtype=torch.float64) if axes is None else axes
        self._read = read

    @classmethod
    def of(cls, matrix: Tensor) -> "Features":
        """A matrix held in memory. [texts, size], float32."""
        return cls(matrix.shape[0], matrix.shape[1], lambda start, stop: matrix[start:stop])

    def along(self, axes: Tensor) -> "Features":
        """The same rows, with directions in which a fit may go more easily. axes [axes, size], float64."""
        return Features(self.texts, self.size, self._read, axes)

    @classmethod
    def in_file(cls, file: ScratchFile, texts: int, size: int) -> "Features":
        """A matrix held as raw float32 in a file."""

        def read(start: int, stop: int) -> Tensor:
            if start == stop:
                return torch.zeros(0, size)
            raw = file.read(4 * size * start, 4 * size * (stop - start))
            return torch.frombuffer(raw, dtype=torch.float32).view(-1, size)

        return cls(texts, size, read)

    def __len__(self) -> int:
        return self.texts

    def rows(self, indices: Sequence[int]) -> Tensor:
        """Chosen rows, in the order asked for. -> [indices, size]."""
        found = torch.empty(len(indices), self.size)
        for place, index in enumerate(indices):
            found[place] = self._read(index, index + 1)[0]
        return found

    def matrix(self) -> Tensor:
        """All rows in memory: for few texts. -> [texts, size], float32."""
        return self._read(0, self.texts)

    def dot(self, direction: Tensor) -> Tensor:
        """Each text's product with a direction. [size] -> [texts], float64."""
        found = torch.empty(self.texts, dtype=torch.float64)
        for rows, part in self._chunks():
            found[rows] = part @ direction
        return found

    def weighted_sum(self, weights: Tensor) -> Tensor:
        """Sum of rows times weights. [texts] -> [size], float64."""
        total = torch.zeros(self.size, dtype=torch.float64)
        for rows, part in self._chunks():
            total += weights[rows] @ part
        return total

    def moments(self, counts: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation, each row counted as often as told. counts [texts] -> [size], [size]."""
        total = counts.sum()
        mean = self.weighted_sum(counts) / total
        squares = torch.zeros(self.size, dtype=torch.float64)
        for rows, part in self._chunks():
            squares += counts[rows] @ part.sub_(mean).square_()  # `part` is a copy
        return mean, (squares / total).sqrt()

    def _chunks(self) -> Iterator[tuple[slice, Tensor]]:
        for start in range(0, self.texts, CHUNK):
            stop = min(start + CHUNK, self.texts)
            yield slice(start, stop), self._read(start, stop).to(torch.float64, copy=True)


class FeatureWriter:
    """Rows written into a scratch file, in any order of their places."""

    def __init__(self, texts: int, size: int) -> None:
        self._file, self._texts, self._size = ScratchFile(), texts, size

    def put(self, places: Sequence[int], rows: Tensor) -> None:
        """Write rows [places, size] at their places."""
        for place, row in zip(places, rows.float().numpy(), strict=True):
            self._file.write(4 * place * self._size, row.tobytes())

    def features(self) -> Features:
        """What was written. Every place must have been."""
        return Features.in_file(self._file, self._texts, self._size)
