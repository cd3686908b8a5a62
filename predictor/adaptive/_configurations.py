"""Kernels as arrays: described once, selected by index ever after."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import numpy.typing as npt

from predictor._features import FloatArray, coordinates, terms
from profiler.kernels import Kernel

IndexArray = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Configurations:
    """Kernels with their coordinates and their work.

    Attributes:
        kernels: The kernels. Length n.
        points: Where they lie among configurations. Shape: (n, len(COORDINATES)).
        work: Amounts of work that they ask for. Shape: (n, len(TERMS)).
    """

    kernels: tuple[Kernel, ...]
    points: FloatArray
    work: FloatArray

    @classmethod
    def of(cls, kernels: Iterable[Kernel]) -> Self:
        """Describe kernels, in the order given."""
        kernels = tuple(kernels)
        return cls(kernels, coordinates(kernels), terms(kernels))

    def __len__(self) -> int:
        """Return the number of kernels."""
        return len(self.kernels)

    def take(self, indices: IndexArray) -> Configurations:
        """Return some of the kernels, in the order of the indices."""
        return Configurations(tuple(self.kernels[index] for index in indices), self.points[indices], self.work[indices])

    def joined(self, other: Configurations) -> Configurations:
        """Return these kernels and then the other ones."""
        return Configurations(
            self.kernels + other.kernels, np.vstack([self.points, other.points]), np.vstack([self.work, other.work])
        )

    @cached_property
    def members(self) -> dict[str, IndexArray]:
        """Indices of the kernels of each family, families in alphabetical order."""
        found: dict[str, list[int]] = {}
        for index, kernel in enumerate(self.kernels):
            found.setdefault(kernel.family, []).append(index)
        return {family: np.array(found[family], dtype=np.intp) for family in sorted(found)}
