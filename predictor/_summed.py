"""Costs learned through sums: a base, times smooth factors that whole networks showed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from predictor._costs import INTERVAL_DEVIATIONS, Estimate
from predictor._domain import Domain
from predictor._features import FloatArray, coordinates
from predictor._kernels import KernelModel
from predictor._prices import WorkPrices
from predictor._through_sum import SummedFactors
from profiler.kernels import Kernel

_UNKNOWN_SPREAD = float(np.log(6.0))
"""Half-width for a family that was in no row: bounded from its bytes and work by the prices of all others."""

_MOST_SPREAD = float(np.log(100.0))


@dataclass(frozen=True, eq=False)
class PricedCosts:
    """Costs from prices of work: a kernel run alone is a network of one kernel.

    Attributes:
        prices: What work costs.
        domains: What rows held, by family.
    """

    prices: WorkPrices
    domains: Mapping[str, Domain]

    @property
    def call_ms(self) -> float:
        """What a network, or a kernel alone, costs beyond its work."""
        return self.prices.constant_ms

    def estimate(self, kernels: Sequence[Kernel]) -> Estimate:
        """Return latencies alone; uncertain by what lies outside of the rows, for the rest is learned by factors."""
        latency_ms = self.prices.inside_ms(kernels) + self.prices.constant_ms
        points = coordinates(kernels)
        spread = domain_spread(self.domains, kernels, points)
        known, inside = domain_evidence(self.domains, kernels, points)
        return Estimate(latency_ms, spread, known, inside, np.zeros((len(kernels), 0)))


@dataclass(frozen=True, eq=False)
class SummedCosts:
    """A base times factors.

    Attributes:
        base: What is corrected: prices, or the model of kernels measured alone.
        factors: What corrects it, and how sure it is of sums.
    """

    base: PricedCosts | KernelModel
    factors: SummedFactors

    @property
    def call_ms(self) -> float:
        """What a call costs that a kernel run alone pays and a network pays once."""
        return self.base.call_ms

    def estimate(self, kernels: Sequence[Kernel]) -> Estimate:
        """Return the base's costs times the factors, with the errors that the factors' weights share."""
        plain = self.base.estimate(kernels)
        mean, loadings, left_out = self.factors.joint(kernels)
        latency_ms, spread = times_factors(plain.latency_ms, plain.spread, mean, left_out, self._fixed_ms)
        return Estimate(latency_ms, spread, plain.known, plain.in_domain, loadings)

    @property
    def _fixed_ms(self) -> float:
        return self.base.call_ms if isinstance(self.base, PricedCosts) else 0.0


def times_factors(
    latency_ms: FloatArray, spread: FloatArray, mean: FloatArray, left_out: FloatArray, fixed_ms: float
) -> tuple[FloatArray, FloatArray]:
    """Return latencies and half-widths times factors. All arrays have shape (n,).

    Args:
        latency_ms: The base's.
        spread: Half-widths of the base's intervals, in log latency.
        mean: Log factors.
        left_out: Variance of their own errors.
        fixed_ms: Part of each latency that the factor leaves as it is, >= 0.
    """
    moved_ms = fixed_ms + (latency_ms - fixed_ms) * np.exp(mean)
    return moved_ms, np.minimum(np.sqrt(spread**2 + INTERVAL_DEVIATIONS**2 * left_out), _MOST_SPREAD)


def domain_spread(domains: Mapping[str, Domain], kernels: Sequence[Kernel], points: FloatArray) -> FloatArray:
    """Return the half-widths that distance from rows adds; large for families that were in no row. Shape: (n,)."""
    spread = np.full(len(kernels), _UNKNOWN_SPREAD)
    for family, indices in _members(kernels).items():
        if domain := domains.get(family):
            further = domain.further_deviation([kernels[index] for index in indices], points[indices])
            spread[indices] = np.minimum(INTERVAL_DEVIATIONS * further, _MOST_SPREAD)
    return spread


def domain_evidence(
    domains: Mapping[str, Domain], kernels: Sequence[Kernel], points: FloatArray
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return whether kernels' families were in rows, and whether configurations like them were. Shapes: (n,)."""
    known, inside = np.zeros(len(kernels), dtype=np.bool_), np.zeros(len(kernels), dtype=np.bool_)
    for family, indices in _members(kernels).items():
        if domain := domains.get(family):
            known[indices] = True
            inside[indices] = domain.covers([kernels[index] for index in indices], points[indices])
    return known, inside


def domains_of(kernels: Sequence[Kernel], points: FloatArray | None = None) -> dict[str, Domain]:
    """Return the domain of each family, sorted by name."""
    points = coordinates(kernels) if points is None else points
    return {
        family: Domain.of([kernels[index] for index in indices], points[indices])
        for family, indices in sorted(_members(kernels).items())
    }


def _members(kernels: Sequence[Kernel]) -> dict[str, list[int]]:
    members: dict[str, list[int]] = {}
    for index, kernel in enumerate(kernels):
        members.setdefault(kernel.family, []).append(index)
    return members
