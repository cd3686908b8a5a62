"""Where there is evidence: the configurations of one family that were measured, and how far others lie from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from predictor._features import COORDINATES, SIZES, FloatArray, coordinates
from profiler.kernels import Kernel

DEVIATION_PER_OCTAVE = 0.25
"""Extra standard deviation, in log latency, for each octave outside the measured range, and for a kind of a known
family that was never measured."""

_RANGE_TOLERANCE = 0.5
"""How far outside the measured range, in octaves (or in shares), a configuration still counts as inside."""

_LEAST_REACH = 1.5
"""Nearest measured configuration that still is evidence, in octaves, however dense the rows are."""

_CHUNK = 512
_MOST_ROWS = 4096


@dataclass(frozen=True, eq=False)
class Domain:
    """Measured configurations of one family.

    Attributes:
        kinds: Kinds that were measured, sorted.
        rows: Coordinates of the measured configurations. Shape: (n, len(COORDINATES)).
        reach: Distance to the nearest row beyond which a configuration is out of domain, in octaves.
    """

    kinds: tuple[str, ...]
    rows: FloatArray
    reach: float

    @classmethod
    def of(cls, kernels: Sequence[Kernel], points: FloatArray | None = None) -> Self:
        """Return the domain of different kernels of one family, at least one; points are their coordinates."""
        points = coordinates(kernels) if points is None else points
        if len(points) > _MOST_ROWS:
            # Those on the rim, which set the ranges, and an even share of the rest.
            rim = {*points.argmin(axis=0).tolist(), *points.argmax(axis=0).tolist()}
            even = np.linspace(0, len(points) - 1, _MOST_ROWS - len(rim)).astype(int).tolist()
            points = points[sorted(rim | set(even))]
        return cls(tuple(sorted({kernel.kind for kernel in kernels})), points, reach_of(points))

    def measured_kind(self, kernels: Sequence[Kernel]) -> npt.NDArray[np.bool_]:
        """Return whether each kernel's kind was measured. Shape: (len(kernels),)."""
        return np.array([kernel.kind in self.kinds for kernel in kernels], dtype=np.bool_)

    def covers(self, kernels: Sequence[Kernel], points: FloatArray) -> npt.NDArray[np.bool_]:
        """Return whether there is evidence for kernels at these coordinates. Shape: (len(kernels),)."""
        near = np.concatenate(
            [nearest(self.rows, points[start : start + _CHUNK]) for start in range(0, len(points), _CHUNK)]
        )
        inside = octaves_outside(self.rows, points) == 0.0
        return np.asarray(self.measured_kind(kernels) & (near <= self.reach) & inside)

    def further_deviation(self, kernels: Sequence[Kernel], points: FloatArray) -> FloatArray:
        """Return the deviation, in log latency, that distance and an unmeasured kind add. Shape: (len(kernels),)."""
        octaves = octaves_outside(self.rows, points) + ~self.measured_kind(kernels)
        return np.asarray(DEVIATION_PER_OCTAVE * octaves)

    def ranges(self) -> dict[str, tuple[float, float]]:
        """Return least and greatest value of each coordinate that varies or is a size, sizes as they are."""
        low, high = self.rows.min(axis=0), self.rows.max(axis=0)
        found = {}
        for index, name in enumerate(COORDINATES):
            ends = [float(low[index]), float(high[index])]
            if name in SIZES:
                ends = [round(2.0**end, 3) for end in ends]
            if ends[0] != ends[1] or (name in SIZES and ends[0] != 1.0):
                found[name] = (ends[0], ends[1])
        return found


def octaves_outside(rows: FloatArray, points: FloatArray) -> FloatArray:
    """Return how far points lie outside the rows' ranges, on the coordinate where it is farthest. Shape: (m,)."""
    below = rows.min(axis=0) - _RANGE_TOLERANCE - points
    above = points - rows.max(axis=0) - _RANGE_TOLERANCE
    return np.asarray(np.maximum(np.maximum(below, above), 0.0).max(axis=1))


def nearest(rows: FloatArray, points: FloatArray) -> FloatArray:
    """Return the distance of each point to its nearest row. Shape: (m,)."""
    squares = (points**2).sum(axis=1)[:, None] + (rows**2).sum(axis=1)[None, :] - 2 * points @ rows.T
    return np.asarray(np.sqrt(np.maximum(squares.min(axis=1), 0.0)))


def reach_of(rows: FloatArray) -> float:
    """Return twice the usual distance between neighbouring rows, or the least reach when they are dense."""
    if not 2 <= len(rows) <= _CHUNK:
        return _LEAST_REACH
    squares = ((rows[:, None, :] - rows[None, :, :]) ** 2).sum(axis=2)
    np.fill_diagonal(squares, np.inf)
    return max(_LEAST_REACH, 2.0 * float(np.quantile(np.sqrt(squares.min(axis=1)), 0.95)))
