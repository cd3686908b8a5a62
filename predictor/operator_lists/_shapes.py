"""Smooth functions of a kernel's shape: random cosines, whose weighted sums are samples of a Gaussian process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from predictor.operator_lists._kernels import CONVOLUTIONS, KINDS, FloatArray, KernelTable

Block = tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]
"""Kernels of one group, by number, and their features. Shapes: (n,) and (n, width)."""

_GROUPS: Sequence[tuple[float, tuple[str, ...]]] = (
    (1.0, CONVOLUTIONS),
    (0.5, ("depthwise",)),
    (0.5, tuple(kind for kind in KINDS if kind not in (*CONVOLUTIONS, "depthwise"))),
)
"""Share of the cosines of each group of kinds; more where more different shapes occur."""

_LANES = (4, 8, 16, 32, 64)
_DEGREES = 5
"""Degrees of freedom of the frequencies: Student's t gives the rough functions of a Matern kernel."""


@dataclass(frozen=True, eq=False)
class ShapeFeatures:
    """A fixed draw of cosines.

    Attributes:
        frequencies: Of each group. Shape: (n_coordinates, n_cosines).
        phases: Of each group, in radians. Shape: (n_cosines,).
        octaves: Shapes this many doublings apart are nearly unlike each other.
    """

    frequencies: tuple[FloatArray, ...]
    phases: tuple[FloatArray, ...]
    octaves: float

    @classmethod
    def drawn(cls, seed: int, *, cosines: int = 500, octaves: float = 2.0) -> ShapeFeatures:
        """Draw the cosines; the same seed gives the same.

        Args:
            seed: Of the draw.
            cosines: How many convolutions get; the other groups get half as many.
            octaves: Shapes this many doublings apart are nearly unlike each other.
        """
        rng = np.random.default_rng(seed)
        width = 9 + 2 * len(_LANES) + len(KINDS)
        frequencies, phases = [], []
        for share, _ in _GROUPS:
            count = round(share * cosines)
            tails = np.sqrt(rng.chisquare(_DEGREES, count) / _DEGREES)
            frequencies.append(rng.standard_normal((width, count)) / tails)
            phases.append(rng.uniform(0.0, 2.0 * np.pi, count))
        return cls(tuple(frequencies), tuple(phases), octaves)

    @property
    def width(self) -> int:
        """Number of features: all kinds' own constants, then the cosines."""
        return len(KINDS) + sum(len(phases) for phases in self.phases)

    def of(self, kernels: KernelTable) -> list[Block]:
        """Return the cosines of kernels, group by group; each kernel has those of its own group and no others."""
        points = _coordinates(kernels, self.octaves).astype(np.float32)
        blocks = []
        for (_, kinds), frequencies, phases in zip(_GROUPS, self.frequencies, self.phases, strict=True):
            own = np.flatnonzero(kernels.is_kind(*kinds))
            waves = points[own] @ frequencies.astype(np.float32)
            waves += phases.astype(np.float32)
            np.cos(waves, out=waves)
            waves *= np.float32(np.sqrt(2.0 / len(phases)))
            blocks.append((own, waves))
        return blocks


def _coordinates(kernels: KernelTable, reach: float) -> FloatArray:
    """Return where kernels lie; a distance of 1 is far for this purpose. Shape: (n, n_coordinates)."""

    def octaves(amount: FloatArray) -> FloatArray:
        return np.asarray(np.log2(np.maximum(amount, 1.0)) / reach)

    cells = kernels.out_height * kernels.out_width
    columns = [
        octaves(cells) / 2,
        octaves(kernels.channels),
        octaves(kernels.filters),
        2 * octaves(kernels.window),
        2 * octaves(kernels.stride),
        octaves(kernels.height * kernels.width * kernels.channels) / 2,
        octaves(cells * kernels.filters) / 2,
    ]
    for lanes in _LANES:
        for channels in (kernels.channels, kernels.filters):
            columns.append(2 * np.minimum(np.ceil(channels / lanes) * lanes / np.maximum(channels, 1.0) - 1.0, 1.0))
    for lanes in _LANES[:2]:
        columns.append(np.ceil(kernels.out_width / lanes) * lanes / np.maximum(kernels.out_width, 1.0) - 1.0)
    return np.column_stack([*columns, np.eye(len(KINDS))[kernels.kind]])
