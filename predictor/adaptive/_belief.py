"""What rows say of kernels: a mean latency, and how errors of the logarithm go together.

A family's log latency is a physical base plus a Gaussian process, as in the predictor, and a level that all its
kernels share. Families are independent. Before there are rows, the base is that of a small phone core and the process
the prior's, so that a first batch is chosen by the same rule as all others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Self

import numpy as np

from predictor._family import ROWS_FOR_OWN_BASE
from predictor._features import COORDINATES, TERMS, FloatArray
from predictor._gaussian import GaussianResidual
from predictor._physical import base_latency, fit_costs
from predictor.adaptive._configurations import Configurations

_NOMINAL_MS: Mapping[str, float] = MappingProxyType(
    {"call": 2e-3, "macs": 0.1, "input_bytes": 0.1, "output_bytes": 0.1, "weight_bytes": 0.1}
)
"""Costs before any row: 10 GMAC/s, 10 GB/s and 2 us a call, a big core of a phone. Only shares follow from them."""

_NOMINAL_FLOOR_MS = 1e-3

_LEVEL_BORROWED, _LEVEL_OWN = 0.3, 0.1
"""Deviation of a family's level from its base, in log latency: with a base borrowed from other families, and with one
of its own, which rows in a corner of the space do not settle."""

_MOST_ROWS = 1200
"""Rows that a family's covariance is solved for; the cost grows with the cube, and choices hardly change."""

_CHUNK = 1024


@dataclass(frozen=True, eq=False)
class FamilyBelief:
    """What is believed of one family.

    Attributes:
        costs: Costs of the physical base, see fit_costs.
        process: The correction, with the measured rows; none of these before there are any.
        level: Standard deviation of what all kernels of the family share.
    """

    costs: FloatArray
    process: GaussianResidual
    level: float

    def mean_log(self, points: FloatArray) -> FloatArray:
        """Return the correction of the base's logarithm. Shape: (m,), of points of shape (m, d)."""
        if len(self.process.rows) == 0:
            return np.zeros(len(points))
        parts = [self.process.predict(points[start : start + _CHUNK])[0] for start in range(0, len(points), _CHUNK)]
        return np.concatenate(parts) if parts else np.zeros(0)

    def covariance(self, left: FloatArray, right: FloatArray) -> FloatArray:
        """Return the covariance of log latencies, given the rows. Shape: (len(left), len(right))."""
        return self._prior(left, right) - self._explained(left).T @ self._explained(right)

    def weighted_covariance(self, left: FloatArray, right: FloatArray, weights: FloatArray) -> FloatArray:
        """Return covariance(left, right) @ weights, without holding all of the covariance at once.

        Args:
            left: Coordinates. Shape: (m, d).
            right: Coordinates. Shape: (n, d).
            weights: One column a sum over the right. Shape: (n, k).

        Returns:
            Shape: (m, k).
        """
        explained = self._explained(right) @ weights
        parts = [
            self._prior(chunk, right) @ weights - self._explained(chunk).T @ explained
            for chunk in (left[start : start + _CHUNK] for start in range(0, len(left), _CHUNK))
        ]
        return np.vstack(parts) if parts else np.zeros((0, weights.shape[1]))

    def _prior(self, left: FloatArray, right: FloatArray) -> FloatArray:
        return self.process.covariance(left, right) + self.level**2

    def _explained(self, points: FloatArray) -> FloatArray:
        """Return what rows tell of points, in units of independent deviations. Shape: (rows, m)."""
        from scipy.linalg import solve_triangular

        cross = self._prior(self.process.rows, points)
        return np.asarray(solve_triangular(self._root, cross, lower=True)) if len(cross) else cross

    @cached_property
    def _root(self) -> FloatArray:
        covariance = self._prior(self.process.rows, self.process.rows)
        covariance[np.diag_indices_from(covariance)] += self.process.noise**2
        return np.asarray(np.linalg.cholesky(covariance))


@dataclass(frozen=True, eq=False)
class KernelBelief:
    """What is believed of all kernels of a device.

    Attributes:
        families: Belief by family, of those that were measured.
        pooled_costs: Base of a family that was not.
    """

    families: Mapping[str, FamilyBelief]
    pooled_costs: FloatArray

    @classmethod
    def before_rows(cls) -> Self:
        """Return what is believed before anything was measured."""
        return cls({}, np.array([*(_NOMINAL_MS.get(term, 0.0) for term in TERMS), _NOMINAL_FLOOR_MS]))

    @classmethod
    def fit(cls, measured: Configurations, latency_ms: FloatArray, *, seed: int = 0) -> Self:
        """Learn from rows.

        Args:
            measured: Different kernels that were measured; none gives what is believed before.
            latency_ms: Their latencies, all > 0. Shape: (len(measured),).
            seed: Chooses the rows that length scales are searched on when there are many.
        """
        if len(measured) == 0:
            return cls.before_rows()
        from threadpoolctl import threadpool_limits

        pooled_costs = fit_costs(measured.work, latency_ms)
        with threadpool_limits(1):
            families = {
                family: _fit_family(measured.take(rows), latency_ms[rows], pooled_costs, seed)
                for family, rows in measured.members.items()
            }
        return cls(families, pooled_costs)

    @property
    def call_ms(self) -> float:
        """What a call is believed to cost when there is hardly any work."""
        calls = [family.costs[0] for family in self.families.values()] or [self.pooled_costs[0]]
        return float(np.median(calls))

    def family(self, name: str) -> FamilyBelief:
        """Return the belief of a family, measured or not."""
        found = self.families.get(name)
        if found is None:
            return FamilyBelief(self.pooled_costs, _prior_process(), _LEVEL_BORROWED)
        return found

    def latency_ms(self, kernels: Configurations) -> FloatArray:
        """Return the latencies that are expected, in ms. Shape: (len(kernels),)."""
        found = np.empty(len(kernels))
        for name, rows in kernels.members.items():
            family = self.family(name)
            found[rows] = base_latency(family.costs, kernels.work[rows]) * np.exp(family.mean_log(kernels.points[rows]))
        return found


def _prior_process() -> GaussianResidual:
    """Return the process that a family has before its first row."""
    origin = np.zeros((1, len(COORDINATES)))
    return GaussianResidual.fit(origin, np.zeros(1), 0, search=False).refitted(origin[:0], np.empty(0))


def _fit_family(measured: Configurations, latency_ms: FloatArray, pooled_costs: FloatArray, seed: int) -> FamilyBelief:
    """Fit the family's own base, or bring the pooled one to its level, and a process on what is left."""
    own = len(measured) >= ROWS_FOR_OWN_BASE
    costs = fit_costs(measured.work, latency_ms) if own else pooled_costs
    residuals = np.log(latency_ms / base_latency(costs, measured.work))
    if not own:
        shift = float(np.median(residuals))
        costs, residuals = costs * np.exp(shift), residuals - shift
    process = GaussianResidual.fit(measured.points, residuals, seed, search=own)
    if len(measured) > _MOST_ROWS:
        kept = np.sort(np.random.default_rng(seed).permutation(len(measured))[:_MOST_ROWS])
        process = process.refitted(measured.points[kept], residuals[kept])
    return FamilyBelief(costs, process, _LEVEL_OWN if own else _LEVEL_BORROWED)
