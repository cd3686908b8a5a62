"""The learned correction: a smooth factor on every kernel's cost, learned through the sum from whole networks.

Each kernel costs base * exp(w . features(shape)). Of that only sums over networks are measured, so the factors are
found by Gauss-Newton steps on the log of the sum, each a Bayesian ridge regression: w has a normal prior at 0, so that
a kernel unlike all that were measured keeps the base's cost, and its variance says how little is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.sparse import csr_array

from predictor.operator_lists._kernels import KINDS, FloatArray, KernelTable, OperatorLists
from predictor.operator_lists._shapes import Block, ShapeFeatures

NOISE = 0.02
"""Log error that a whole network repeats to, typically."""

_HUBER = 2.0
"""Residuals beyond this many deviations pull with constant force: labels hold throttled runs."""

_LARGEST_LEVERAGE = 0.9

_ROWS_AT_ONCE = 2000
"""Networks whose deviations are solved for together; it bounds memory."""

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
class CostedNetworks:
    """Networks with all that a correction needs of their kernels.

    Attributes:
        counts: How often each network executes each kernel. Shape: (n_networks, len(kernels)).
        kernels: The kernels.
        blocks: Their features.
        base_ms: What each costs before correction. Shape: (len(kernels),).
        constant_ms: Cost of a network before its first kernel.
    """

    counts: csr_array
    kernels: KernelTable
    blocks: Sequence[Block]
    base_ms: FloatArray
    constant_ms: float

    @classmethod
    def of(cls, features: ShapeFeatures, networks: OperatorLists, base: CostBase) -> CostedNetworks:
        """Prepare networks."""
        kernels = networks.kernels
        return cls(networks.counts, kernels, features.of(kernels), base.kernel_ms(kernels), base.constant_ms)

    def selected(self, rows: npt.NDArray[Any]) -> CostedNetworks:
        """Return some of the networks, by mask or number, with all kernels."""
        return replace(self, counts=csr_array(self.counts[rows]))

    def kernel_ms(self, weights: FloatArray) -> FloatArray:
        """Return what each kernel costs after correction. Shape: (len(kernels),)."""
        return np.asarray(self.base_ms * _factors(self.kernels, self.blocks, weights))

    def network_ms(self, weights: FloatArray) -> FloatArray:
        """Return what each network costs after correction. Shape: (n_networks,)."""
        return np.asarray(self.counts @ self.kernel_ms(weights) + self.constant_ms)

    def linearised(self, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return latencies, and how their logs change with each weight. Shapes: (n_networks,), (n_networks, width)."""
        cost_ms = self.kernel_ms(weights)
        total_ms = np.asarray(self.counts @ cost_ms + self.constant_ms)
        slopes = _slopes(self.counts, self.kernels, self.blocks, cost_ms)
        slopes /= total_ms[:, None]
        return total_ms, slopes


@dataclass(frozen=True, eq=False)
class Correction:
    """Factors of kernels.

    Attributes:
        features: Functions of the shape.
        weights: Posterior mean. Shape: (features.width,).
        factor: Lower Cholesky factor of the posterior's inverse covariance. Shape: (width, width).
        noise: Log error that was taken for noise.
    """

    features: ShapeFeatures
    weights: FloatArray
    factor: FloatArray
    noise: float = NOISE

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
        """Learn the factors, as `learned` does, for networks that are not prepared."""
        return cls.learned(features, CostedNetworks.of(features, networks, base), latency_ms, strengths, steps)

    @classmethod
    def learned(
        cls,
        features: ShapeFeatures,
        networks: CostedNetworks,
        latency_ms: FloatArray,
        strengths: Sequence[Strength],
        steps: int = 3,
        noise: float = NOISE,
    ) -> list[Correction]:
        """Learn the factors, for several strengths of the prior from one linearisation.

        Args:
            features: Functions of the shape.
            networks: Measured networks.
            latency_ms: Measured latencies. Shape: (len(networks),).
            strengths: Priors; the last is the one that the linearisation follows.
            steps: Gauss-Newton steps.
            noise: Log error that a whole network repeats to, or is missed by in any case.

        Returns:
            One correction for each strength.
        """
        weights = np.zeros(features.width)
        for step in range(steps):
            total_ms, slopes = networks.linearised(weights)
            residual = np.log(latency_ms / total_ms)
            limit = _HUBER * noise * (3.0 if step == 0 else 1.0)
            root = np.sqrt(np.minimum(1.0, limit / np.maximum(np.abs(residual), 1e-12))) / noise
            # Of an array with itself the product is computed for one triangle only.
            slopes *= root[:, None]
            gram = slopes.T @ slopes
            target = slopes.T @ (root * residual) + gram @ weights
            if step < steps - 1:
                weights = _posterior(gram, target, _prior_precision(features, strengths[-1]))[0]
        solved = [_posterior(gram, target, _prior_precision(features, strength)) for strength in strengths]
        return [cls(features, weights, factor, noise) for weights, factor in solved]

    def factors(self, kernels: KernelTable) -> FloatArray:
        """Return the factor on each kernel's base cost. Shape: (len(kernels),)."""
        return _factors(kernels, self.features.of(kernels), self.weights)

    def network_ms(self, networks: OperatorLists, base: CostBase) -> FloatArray:
        """Return latencies in ms as `predict` does, without their deviations, for far less work. Shape: (n,)."""
        return CostedNetworks.of(self.features, networks, base).network_ms(self.weights)

    def predict(self, networks: OperatorLists, base: CostBase) -> tuple[FloatArray, FloatArray]:
        """Return latencies in ms and the standard deviations of their logs that come from unknown factors.

        Args:
            networks: Networks to predict.
            base: What kernels cost before correction.
        """
        return self.spread(CostedNetworks.of(self.features, networks, base))

    def spread(self, networks: CostedNetworks) -> tuple[FloatArray, FloatArray]:
        """Return the same for prepared networks. Shapes: (n_networks,)."""
        total_ms, slopes = networks.linearised(self.weights)
        deviations = [
            np.sqrt((solve_triangular(self.factor, part.T, lower=True) ** 2).sum(axis=0))
            for part in np.split(slopes, range(_ROWS_AT_ONCE, len(slopes), _ROWS_AT_ONCE))
        ]
        return total_ms, np.concatenate(deviations)

    def left_out_scale(self, deviation: FloatArray) -> FloatArray:
        """Return by what residuals of training rows grow when each is left out. Shape: (n,).

        Args:
            deviation: As `predict` gives it for the training rows.
        """
        return 1.0 / (1.0 - np.minimum((deviation / self.noise) ** 2, _LARGEST_LEVERAGE))


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
        logs[own] += features @ weights[start:stop].astype(np.float32)
        start = stop
    limit = np.log(_LARGEST_FACTOR)
    return np.asarray(np.exp(np.clip(logs, -limit, limit)))


def _slopes(counts: csr_array, kernels: KernelTable, blocks: Sequence[Block], cost_ms: FloatArray) -> FloatArray:
    """Return how networks' latencies change with each weight, in ms. Shape: (n_networks, width)."""
    entries = np.arange(len(kernels))
    kinds = csr_array((cost_ms, (entries, kernels.kind)), shape=(len(kernels), len(KINDS)))
    slopes = np.empty((counts.shape[0], len(KINDS) + sum(features.shape[1] for _, features in blocks)))
    slopes[:, : len(KINDS)] = (counts @ kinds).toarray()
    single = counts.astype(np.float32)
    start = len(KINDS)
    for own, features in blocks:
        stop = start + features.shape[1]
        # Sums of hundreds of terms of one network lose nothing that matters in single precision.
        slopes[:, start:stop] = single[:, own] @ (features * cost_ms[own, None].astype(np.float32))
        start = stop
    return slopes
