"""Predicts kernels run alone, family by family, and bounds those of families that were never measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from predictor._conformal import HeldOut
from predictor._costs import Estimate
from predictor._family import FamilyModel, fit_family
from predictor._features import FloatArray, terms
from predictor._physical import base_latency, fit_costs
from profiler.kernels import Kernel

_UNKNOWN_QUANTILE = 0.95
_LEAST_UNKNOWN_SPREAD = np.log(4.0)
"""A bound for an unknown kind is at least a factor of 4 either way."""


@dataclass(frozen=True, eq=False)
class KernelModel:
    """All families of one device.

    Attributes:
        families: Model by family.
        pooled_costs: Physical base of all families together.
        pooled_spread: Half-width, in log latency, for a kernel of unknown kind.
        call_ms: What an invocation costs when there is hardly any work.
    """

    families: Mapping[str, FamilyModel]
    pooled_costs: FloatArray
    pooled_spread: float
    call_ms: float

    def estimate(self, kernels: Sequence[Kernel]) -> Estimate:
        """Predict kernels of any kind; unknown ones from their bytes and work by the pooled base."""
        count = len(kernels)
        latency = base_latency(self.pooled_costs, terms(kernels))
        spread = np.full(count, self.pooled_spread)
        known, inside = np.zeros(count, dtype=bool), np.zeros(count, dtype=bool)
        members: dict[str, list[int]] = {}
        for index, kernel in enumerate(kernels):
            members.setdefault(kernel.family, []).append(index)
        for family, indices in members.items():
            if model := self.families.get(family):
                answer = model.predict([kernels[index] for index in indices])
                latency[indices], spread[indices], inside[indices] = answer
                known[indices] = True
        return Estimate(latency, spread, known, inside, loadings=np.zeros((count, 0)))


def fit_kernel_model(
    kernels: Sequence[Kernel], latency_ms: FloatArray, doubts: FloatArray | None = None, *, seed: int
) -> tuple[KernelModel, Mapping[str, HeldOut]]:
    """Learn every family, and how each did on rows held out.

    Args:
        kernels: Different kernels. Length n.
        latency_ms: Their latencies, all > 0. Shape: (n,).
        doubts: Half the range of each kernel's labels, in log latency; None where they agree. Shape: (n,).
        seed: Of folds and regressors.
    """
    from threadpoolctl import threadpool_limits

    work = terms(kernels)
    pooled_costs = fit_costs(work, latency_ms)
    residuals = np.abs(np.log(latency_ms / base_latency(pooled_costs, work)))
    spread = max(2.0 * float(np.quantile(residuals, _UNKNOWN_QUANTILE)), float(_LEAST_UNKNOWN_SPREAD))
    members: dict[str, list[int]] = {}
    for index, kernel in enumerate(kernels):
        members.setdefault(kernel.family, []).append(index)
    doubts = np.zeros(len(kernels)) if doubts is None else doubts
    families, held_out = {}, {}
    # Thousands of small factorisations: more threads only wait for one another, ten times longer on a busy machine.
    with threadpool_limits(1):
        for family, indices in sorted(members.items()):
            chosen = [kernels[index] for index in indices]
            families[family], held_out[family] = fit_family(
                chosen, latency_ms[indices], pooled_costs, doubts[indices], seed=seed
            )
    return KernelModel(families, pooled_costs, spread, _call_latency(families, latency_ms)), held_out


def _call_latency(families: Mapping[str, FamilyModel], latency_ms: FloatArray) -> float:
    """Estimate the cost of a call: the median family's cost without work, at most the cheapest row's."""
    calls = [float(model.costs[0]) for model in families.values()]
    return min(float(np.median(calls)), float(latency_ms.min()))
