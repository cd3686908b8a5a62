"""One family of kernels (all convolutions, all additions, ...): base, residual, calibration and domain."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from predictor._conformal import HeldOut, calibrated_factor
from predictor._domain import DEVIATION_PER_OCTAVE, Domain, octaves_outside
from predictor._features import FloatArray, coordinates, terms
from predictor._gaussian import GaussianResidual
from predictor._physical import base_latency, fit_costs
from predictor._trees import TreeResidual
from profiler.kernels import Kernel

ROWS_FOR_OWN_BASE = 10
"""With fewer rows than about the number of terms, a family borrows the base of all families, and its process
keeps the prior's length scales."""

ROWS_FOR_TREES = 900
"""Above this a Gaussian process gets slow (cubic) and trees have caught up."""

ROWS_FOR_NESTED_SEARCH = 100
"""Up to so many rows, length scales are searched again in every fold: found on all rows they would have seen
the rows held out, and intervals calibrated on these hold only 65 to 80 % instead of 90 %."""

_LEAVE_ONE_OUT_ROWS = 9
_FOLDS = 5
_LEAST_ROWS_HELD_OUT = 4
_MOST_SPREAD = math.log(100.0)
"""Half-width of an interval, in log latency, at which it says nothing any more."""

_CHUNK = 512


@dataclass(frozen=True, eq=False)
class FamilyModel:
    """Predicts kernels of one family.

    Attributes:
        domain: What was measured.
        costs: Costs of the physical base, see fit_costs.
        residual: Learned correction of the base, in log latency.
        factor: Standard deviations that make an interval of nominal coverage.
        doubtful: Coordinates of rows whose labels contradict one another. Shape: (d, len(COORDINATES)).
        doubts: Half of each such row's range of labels, in log latency. Shape: (d,).
    """

    domain: Domain
    costs: FloatArray
    residual: GaussianResidual | TreeResidual
    factor: float
    doubtful: FloatArray
    doubts: FloatArray

    def predict(self, kernels: Sequence[Kernel]) -> tuple[FloatArray, FloatArray, npt.NDArray[np.bool_]]:
        """Return latency in ms, half-width of the 90 % interval of its logarithm, and whether there is evidence.

        Args:
            kernels: Kernels of this family.
        """
        chunks = [self._predict(kernels[start : start + _CHUNK]) for start in range(0, len(kernels), _CHUNK)]
        latency, spread, inside = zip(*chunks, strict=True)
        return np.concatenate(latency), np.concatenate(spread), np.concatenate(inside)

    def _predict(self, kernels: Sequence[Kernel]) -> tuple[FloatArray, FloatArray, npt.NDArray[np.bool_]]:
        points, work = coordinates(kernels), terms(kernels)
        mean, deviation = self.residual.predict(_columns(self.residual, points, work))
        latency = base_latency(self.costs, work) * np.exp(mean)
        outside = DEVIATION_PER_OCTAVE * octaves_outside(self.domain.rows, points)
        spread = self.factor * np.sqrt(deviation**2 + outside**2)
        spread = np.where(self.domain.measured_kind(kernels), spread, spread + DEVIATION_PER_OCTAVE)
        spread = np.minimum(np.hypot(spread, self._doubt(points)), _MOST_SPREAD)
        return latency, spread, self.domain.covers(kernels, points)

    def _doubt(self, points: FloatArray) -> FloatArray:
        """Return by what contradictory labels widen the intervals of kernels near them. Shape: (m,)."""
        if not len(self.doubts):
            return np.zeros(len(points))
        distance = np.sqrt(((points[:, None, :] - self.doubtful[None, :, :]) ** 2).sum(axis=2))
        return np.asarray((self.doubts * np.exp(-distance)).max(axis=1))


def fit_family(
    kernels: Sequence[Kernel], latency_ms: FloatArray, pooled_costs: FloatArray, doubts: FloatArray, *, seed: int
) -> tuple[FamilyModel, HeldOut]:
    """Learn one family.

    Args:
        kernels: Different kernels of the family. Length n >= 1.
        latency_ms: Their latencies, all > 0. Shape: (n,).
        pooled_costs: Base of all families together, for a family with too few rows for its own.
        doubts: Half the range of each kernel's labels, in log latency; 0 where they agree. Shape: (n,).
        seed: Of folds and regressors.

    Returns:
        The model, and how models like it did on rows held out.
    """
    points, work = coordinates(kernels), terms(kernels)
    borrowed = pooled_costs if len(kernels) < ROWS_FOR_OWN_BASE else None
    costs = _base(work, latency_ms, borrowed)
    residuals = np.log(latency_ms / base_latency(costs, work))
    residual: GaussianResidual | TreeResidual
    if len(kernels) > ROWS_FOR_TREES:
        residual = TreeResidual.fit(np.hstack([points, _logarithms(work)]), residuals, seed)
    else:
        residual = GaussianResidual.fit(points, residuals, seed, search=borrowed is None)
    held_out = _hold_out(points, work, latency_ms, borrowed, residual, seed)
    factor = calibrated_factor(held_out.scores)
    unsure = doubts > 0
    return FamilyModel(Domain.of(kernels), costs, residual, factor, points[unsure], doubts[unsure]), held_out


def _base(work: FloatArray, latency_ms: FloatArray, borrowed: FloatArray | None) -> FloatArray:
    """Fit the family's own base, or bring a borrowed one to the level of the few rows there are."""
    if borrowed is None:
        return fit_costs(work, latency_ms)
    level = np.exp(np.median(np.log(latency_ms / base_latency(borrowed, work))))
    return np.asarray(borrowed * level)


def _hold_out(
    points: FloatArray,
    work: FloatArray,
    latency_ms: FloatArray,
    borrowed: FloatArray | None,
    fitted: GaussianResidual | TreeResidual,
    seed: int,
) -> HeldOut:
    """Cross-validate the base and what corrects it."""
    count = len(latency_ms)
    if count < _LEAST_ROWS_HELD_OUT:
        return HeldOut(np.empty(0), np.empty(0))
    order = np.random.default_rng(seed).permutation(count)
    fold = order % (count if count <= _LEAVE_ONE_OUT_ROWS else _FOLDS)
    scores, errors = np.empty(count), np.empty(count)
    columns = _columns(fitted, points, work)
    for index in np.unique(fold):
        test, train = fold == index, fold != index
        costs = _base(work[train], latency_ms[train], borrowed)
        residuals = np.log(latency_ms[train] / base_latency(costs, work[train]))
        again = _fit_again(
            fitted, columns[train], residuals, seed, search=borrowed is None and count <= ROWS_FOR_NESTED_SEARCH
        )
        mean, deviation = again.predict(columns[test])
        outside = DEVIATION_PER_OCTAVE * octaves_outside(points[train], points[test])
        deviation = np.sqrt(deviation**2 + outside**2)
        log_error = mean + np.log(base_latency(costs, work[test]) / latency_ms[test])
        scores[test], errors[test] = np.abs(log_error) / deviation, np.expm1(log_error)
    return HeldOut(scores, errors)


def _fit_again(
    fitted: GaussianResidual | TreeResidual, columns: FloatArray, residuals: FloatArray, seed: int, *, search: bool
) -> GaussianResidual | TreeResidual:
    """Fit the same kind of regressor to a fold; a process searches its length scales again, or keeps them."""
    if isinstance(fitted, TreeResidual):
        return TreeResidual.fit(columns, residuals, seed)
    return GaussianResidual.fit(columns, residuals, seed) if search else fitted.refitted(columns, residuals)


def _columns(residual: GaussianResidual | TreeResidual, points: FloatArray, work: FloatArray) -> FloatArray:
    """Return what a regressor reads: a process the coordinates, trees the logarithms of the work as well."""
    return np.hstack([points, _logarithms(work)]) if isinstance(residual, TreeResidual) else points


def _logarithms(work: FloatArray) -> FloatArray:
    return np.asarray(np.log2(work + 1e-9))
