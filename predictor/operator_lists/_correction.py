"""The learned correction: a smooth factor on every kernel's cost, learned through the sum from whole networks.

Each kernel costs base * exp(w . features(shape)). Of that only sums over networks are measured, so the factors are
found by Gauss-Newton steps on the log of the sum, each a Bayesian ridge regression: w has a normal prior at 0, so that
a kernel unlike all that were measured keeps the base's cost, and its variance says how little is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.sparse import csr_array

from predictor.operator_lists._kernels import KINDS, FloatArray, KernelTable, OperatorLists
from predictor.operator_lists._shapes import Block, ShapeFeatures

_NOISE = 0.02
"""Log error that a whole network repeats to, typically."""

_HUBER = 2.0
"""Residuals beyond this many deviations pull with constant force: labels hold throttled runs."""

_LARGEST_LEVERAGE = 0.9

_LARGEST_FACTOR = 20.0


@dataclass(frozen=True)
class Strength:
    """Prior standard deviations of the log factors.

    Attributes:
        kinds: Of one factor for a whole kind of kernels.
        shapes: Of the smooth function of the shape, beyond that.
    """

    kinds: float
    shapes: float


class CostBase(Protocol):
    """What a correction corrects."""

    @property
    def constant_ms(self) -> float:
        """Cost of a network before its first kernel."""

    def kernel_ms(self, kernels: KernelTable) -> FloatArray:
        """Return what each kernel costs, in ms, > 0. Shape: (len(kernels),)."""


@dataclass(frozen=True, eq=False)
class Correction:
    """Factors of kernels.

    Attributes:
        features: Functions of the shape.
        weights: Posterior mean. Shape: (features.width,).
        factor: Lower Cholesky factor of the posterior's inverse covariance. Shape: (width, width).
    """

    features: ShapeFeatures
    weights: FloatArray
    factor: FloatArray

    @classmethod
    def fit(
        cls,
        features: ShapeFeatures,
        networks: OperatorLists,
        base: CostBase,
        latency_ms: FloatArray,
        strengths: Sequence[Strength],
        steps: int = 3,
    ) -> list[Correction]:
        """Learn the factors, for several strengths of the prior from one linearisation.

        Args:
            features: Functions of the shape.
            networks: Measured networks.
            base: What kernels cost before correction.
            latency_ms: Measured latencies. Shape: (len(networks),).
            strengths: Priors; the last is the one that the linearisation follows.
            steps: Gauss-Newton steps.

        Returns:
            One correction for each strength.
        """
        blocks = features.of(networks.kernels)
        base_ms = base.kernel_ms(networks.kernels)
        weights = np.zeros(features.width)
        for step in range(steps):
            cost_ms = base_ms * _factors(networks.kernels, blocks, weights)
            total_ms = networks.counts @ cost_ms + base.constant_ms
            slopes = _slopes(networks.counts, networks.kernels, blocks, cost_ms) / total_ms[:, None]
            residual = np.log(latency_ms / total_ms)
            limit = _HUBER * _NOISE * (3.0 if step == 0 else 1.0)
            precision = np.minimum(1.0, limit / np.maximum(np.abs(residual), 1e-12)) / _NOISE**2
            gram = slopes.T @ (slopes * precision[:, None])
            target = slopes.T @ (precision * (residual + slopes @ weights))
            if step < steps - 1:
                weights = _posterior(gram, target, _prior_precision(features, strengths[-1]))[0]
        solved = [_posterior(gram, target, _prior_precision(features, strength)) for strength in strengths]
        return [cls(features, weights, factor) for weights, factor in solved]

    def factors(self, kernels: KernelTable) -> FloatArray:
        """Return the factor on each kernel's base cost. Shape: (len(kernels),)."""
        return _factors(kernels, self.features.of(kernels), self.weights)

    def network_ms(self, networks: OperatorLists, base: CostBase) -> FloatArray:
        """Return latencies in ms as `predict` does, without their deviations, for far less work. Shape: (n,)."""
        cost_ms = base.kernel_ms(networks.kernels) * self.factors(networks.kernels)
        return np.asarray(networks.counts @ cost_ms + base.constant_ms)

    def predict(self, networks: OperatorLists, base: CostBase) -> tuple[FloatArray, FloatArray]:
        """Return latencies in ms and the standard deviations of their logs that come from unknown factors.

        Args:
            networks: Networks to predict.
            base: What kernels cost before correction.
        """
        blocks = self.features.of(networks.kernels)
        cost_ms = base.kernel_ms(networks.kernels) * _factors(networks.kernels, blocks, self.weights)
        total_ms = np.asarray(networks.counts @ cost_ms + base.constant_ms)
        slopes = _slopes(networks.counts, networks.kernels, blocks, cost_ms) / total_ms[:, None]
        spread = solve_triangular(self.factor, slopes.T, lower=True)
        return total_ms, np.sqrt((spread**2).sum(axis=0))

    def left_out_scale(self, deviation: FloatArray) -> FloatArray:
        """Return by what residuals of training rows grow when each is left out. Shape: (n,).

        Args:
            deviation: As `predict` gives it for the training rows.
        """
        return 1.0 / (1.0 - np.minimum((deviation / _NOISE) ** 2, _LARGEST_LEVERAGE))


def _prior_precision(features: ShapeFeatures, strength: Strength) -> FloatArray:
    deviations = np.full(features.width, strength.shapes)
    deviations[: len(KINDS)] = strength.kinds
    return 1.0 / deviations**2


def _posterior(gram: FloatArray, target: FloatArray, prior: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return mean and lower Cholesky factor of the inverse covariance."""
    precision = gram.copy()
    precision[np.diag_indices(len(precision))] += prior
    factor, _ = cho_factor(precision, lower=True)
    return cho_solve((factor, True), target), np.tril(factor)


def _factors(kernels: KernelTable, blocks: Sequence[Block], weights: FloatArray) -> FloatArray:
    logs = weights[kernels.kind]
    start = len(KINDS)
    for own, features in blocks:
        stop = start + features.shape[1]
        logs[own] += features @ weights[start:stop]
        start = stop
    limit = np.log(_LARGEST_FACTOR)
    return np.asarray(np.exp(np.clip(logs, -limit, limit)))


def _slopes(counts: csr_array, kernels: KernelTable, blocks: Sequence[Block], cost_ms: FloatArray) -> FloatArray:
    """Return how networks' latencies change with each weight, in ms. Shape: (n_networks, width)."""
    entries = np.arange(len(kernels))
    kinds = csr_array((cost_ms, (entries, kernels.kind)), shape=(len(kernels), len(KINDS)))
    columns = [(counts @ kinds).toarray()]
    for own, features in blocks:
        columns.append(counts[:, own] @ (features * cost_ms[own, None]))
    return np.concatenate(columns, axis=1)
