"""What a family's own networks have in common: a Gaussian process on the log residuals of one family.

The networks of a family repeat one skeleton, so what the sum of kernels gets wrong it gets wrong alike in all of them.
With no label of the family its effect is unknown, and its variance is what an interval must hold; with ten it is mostly
known; with a thousand it also follows what differs within the family.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.sparse import csr_array

from predictor.operator_lists._kernels import KINDS, FloatArray, KernelTable

_RESOLUTIONS = 9
_OCTAVES = 1.5
"""Costs of the parts of two networks this many doublings apart, in root mean square, make them unlike."""

_FINE_SHARE = 0.3
"""Standard deviation of what differs within a family over that of what it has in common."""

_LARGEST_RESIDUAL = 0.25


@dataclass(frozen=True, eq=False)
class FamilyEffect:
    """The effect of one family.

    Attributes:
        coordinates: Where its labelled networks lie, as `family_coordinates` gives them. Shape: (n, d).
        solved: Inverse covariance times residuals. Shape: (n,).
        factor: Lower Cholesky factor of their covariance. Shape: (n, n).
        spread: Standard deviation of what a family has in common.
    """

    coordinates: FloatArray
    solved: FloatArray
    factor: FloatArray
    spread: float

    @classmethod
    def fit(cls, coordinates: FloatArray, residuals: FloatArray, spread: float, noise: float) -> FamilyEffect:
        """Learn the effect.

        Args:
            coordinates: Of the labelled networks. Shape: (n, d), n >= 1.
            residuals: Log of measured over predicted latency. Shape: (n,).
            spread: Standard deviation of what a family has in common, in log latency.
            noise: Standard deviation to which a network repeats, likewise.
        """
        covariance = _covariance(coordinates, coordinates, spread)
        covariance[np.diag_indices(len(covariance))] += noise**2
        factor, _ = cho_factor(covariance, lower=True)
        limited = np.clip(residuals, -_LARGEST_RESIDUAL - spread, _LARGEST_RESIDUAL + spread)
        return cls(coordinates, cho_solve((factor, True), limited), factor, spread)

    def predict(self, coordinates: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the log effect, and the share of its prior variance that is left. Shape of each: (m,)."""
        between = _covariance(coordinates, self.coordinates, self.spread)
        explained = (between * cho_solve((self.factor, True), between.T).T).sum(axis=1)
        prior = self.spread**2 * (1.0 + _FINE_SHARE**2)
        return between @ self.solved, np.clip(1.0 - explained / prior, 0.0, 1.0)

    def left_out(self) -> FloatArray:
        """Return each labelled network's residual as the other networks do not explain it. Shape: (n,)."""
        root = solve_triangular(self.factor, np.eye(len(self.factor)), lower=True)
        return np.asarray(self.solved / (root**2).sum(axis=0))


def family_coordinates(counts: csr_array, kernels: KernelTable, kernel_ms: FloatArray) -> FloatArray:
    """Return where networks lie: log costs by kind and resolution, then shares of kinds. Shape: (n, d).

    Args:
        counts: How often each network executes each kernel. Shape: (n, len(kernels)).
        kernels: The kernels.
        kernel_ms: Cost of each, > 0. Shape: (len(kernels),).
    """
    resolution = np.rint(np.log2(np.maximum(kernels.out_height, 1.0))).astype(np.int64)
    part = kernels.kind * _RESOLUTIONS + np.minimum(resolution, _RESOLUTIONS - 1)
    entries = np.arange(len(kernels))
    parts = csr_array((kernel_ms, (entries, part)), shape=(len(kernels), len(KINDS) * _RESOLUTIONS))
    costs = (counts @ parts).toarray()
    total = costs.sum(axis=1, keepdims=True)
    shares = costs.reshape(len(costs), len(KINDS), _RESOLUTIONS).sum(axis=2) / total
    # A part of a thousandth of the whole may be there or not without a difference.
    return np.hstack([np.log2(costs / total + 1e-3), np.log2(total), shares])


def _covariance(left: FloatArray, right: FloatArray, spread: float) -> FloatArray:
    """Return what two networks of one family have in common: an offset, kinds' shares, and all that is near."""
    shares = slice(left.shape[1] - len(KINDS), None)
    left_shares, right_shares = (
        points[:, shares] / np.linalg.norm(points[:, shares], axis=1, keepdims=True) for points in (left, right)
    )
    common = 0.5 + 0.5 * left_shares @ right_shares.T
    used = max(int(((left != left[0]).any(axis=0) | (right != left[0]).any(axis=0)).sum()), 1)
    squares = (left**2).sum(axis=1)[:, None] + (right**2).sum(axis=1) - 2.0 * left @ right.T
    distance = np.sqrt(np.maximum(squares, 0.0) * (3.0 / used)) / _OCTAVES
    near = (1.0 + distance) * np.exp(-distance)
    return np.asarray(spread**2 * (common + _FINE_SHARE**2 * near))
