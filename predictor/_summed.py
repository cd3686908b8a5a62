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
        spread, known, inside = domain_evidence(self.domains, kernels)
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
        return times_factors(plain, mean, loadings, left_out, self._fixed_ms)

    @property
    def _fixed_ms(self) -> float:
        return self.base.call_ms if isinstance(self.base, PricedCosts) else 0.0


def times_factors(
    plain: Estimate, mean: FloatArray, loadings: FloatArray, left_out: FloatArray, fixed_ms: float
) -> Estimate:
    """Return an estimate times factors.

    Args:
        plain: The base's.
        mean: Log factors. Shape: (n,).
        loadings: Their shared errors. Shape: (n, r).
        left_out: Variance of their own errors. Shape: (n,).
        fixed_ms: Part of each latency that the factor leaves as it is, >= 0.
    """
    latency_ms = fixed_ms + (plain.latency_ms - fixed_ms) * np.exp(mean)
    own = np.sqrt(plain.spread**2 + INTERVAL_DEVIATIONS**2 * left_out)
    return Estimate(latency_ms, np.minimum(own, _MOST_SPREAD), plain.known, plain.in_domain, loadings)


def domain_evidence(
    domains: Mapping[str, Domain], kernels: Sequence[Kernel]
) -> tuple[FloatArray, npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return half-widths that distance from rows adds, whether families were in rows, and whether configurations were.

    Three arrays of shape (len(kernels),).
    """
    spread = np.full(len(kernels), _UNKNOWN_SPREAD)
    known, inside = np.zeros(len(kernels), dtype=np.bool_), np.zeros(len(kernels), dtype=np.bool_)
    members: dict[str, list[int]] = {}
    for index, kernel in enumerate(kernels):
        members.setdefault(kernel.family, []).append(index)
    for family, indices in members.items():
        if domain := domains.get(family):
            own = [kernels[index] for index in indices]
            points = coordinates(own)
            further = INTERVAL_DEVIATIONS * domain.further_deviation(own, points)
            spread[indices] = np.minimum(further, _MOST_SPREAD)
            known[indices], inside[indices] = True, domain.covers(own, points)
    return spread, known, inside


def domains_of(kernels: Sequence[Kernel]) -> dict[str, Domain]:
    """Return the domain of each family, sorted by name."""
    members: dict[str, list[Kernel]] = {}
    for kernel in kernels:
        members.setdefault(kernel.family, []).append(kernel)
    return {family: Domain.of(own) for family, own in sorted(members.items())}
