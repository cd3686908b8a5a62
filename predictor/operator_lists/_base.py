"""The base that extrapolates: a kernel costs its amounts of work at prices that are never negative."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from predictor.operator_lists._kernels import KIND_INDEX, KINDS, FloatArray, KernelTable, OperatorLists
from predictor.operator_lists._terms import MEMORY_BOUND, input_elements, macs, output_elements, physical_terms

_SHRINKAGE = 1e-4
"""Weight of the pull towards small prices, relative to each term's share; it settles collinear terms."""

_LEAST_SHARE = 1e-6
"""No kernel costs less than this share of a typical network: work never costs nothing."""


_POINTWISE_SHARE = 0.5
"""Of the stand-in's price, for a pointwise kind never seen: a runtime may compute it within the kernel before it, for
nothing, or alone; the middle is wrong by the least."""

_POINTWISE = ("activation", "normalised", "hard_swish")

_STAND_INS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "activation": ("normalised", "hard_swish", "add"),
        "normalised": ("activation", "hard_swish", "add"),
        "hard_swish": ("activation", "normalised", "add"),
        "shuffle": ("split", "concat"),
        "split": ("shuffle", "concat"),
        "concat": ("split", "shuffle"),
        "first": ("convn", "conv3", "conv1"),
        "conv3": ("convn", "conv1"),
        "convn": ("conv3", "conv1"),
        "conv1": ("conv3", "convn"),
        "max_pool": ("avg_pool",),
        "avg_pool": ("max_pool",),
    }
)
"""Kinds that go over their data in the same way, the most similar first: their prices bound a kind never seen."""


@dataclass(frozen=True, eq=False)
class PhysicalBase:
    """Prices of work.

    Attributes:
        prices: ms a unit of each physical term. Shape: (n_terms,).
        constant_ms: Cost of a network before its first kernel.
        per_element: ms an element moved, for kinds that were never seen.
        per_mac: ms a multiply-accumulate, likewise.
        least_ms: No kernel costs less.
        seen: Which kinds had rows. Shape: (len(KINDS),).
        form: Which groups of terms there are.
    """

    prices: FloatArray
    constant_ms: float
    per_element: float
    per_mac: float
    least_ms: float
    seen: npt.NDArray[np.bool_]
    form: frozenset[str]

    @classmethod
    def fit(cls, networks: OperatorLists, latency_ms: FloatArray, form: frozenset[str]) -> PhysicalBase:
        """Find the prices by non-negative least squares on relative errors.

        Args:
            networks: Measured networks.
            latency_ms: Their latencies, all > 0. Shape: (len(networks),).
            form: Which groups of terms, one of FORMS.
        """
        kernels = networks.kernels
        terms = physical_terms(kernels, form)
        work = np.column_stack([networks.counts @ terms, np.ones(len(networks))])
        used = (work > 0.0).any(axis=0)
        prices = np.zeros(work.shape[1])
        prices[used] = _non_negative(work[:, used] / latency_ms[:, None])
        seen = np.bincount(kernels.kind, minlength=len(KINDS)) > 0
        executed_ms = (terms @ prices[:-1]) * networks.counts.sum(axis=0)
        moved = (input_elements(kernels) + output_elements(kernels)) * networks.counts.sum(axis=0)
        bound = kernels.is_kind(*MEMORY_BOUND)
        if not executed_ms[bound].any():
            bound = np.ones(len(kernels), dtype=np.bool_)
        computed = (macs(kernels) * networks.counts.sum(axis=0))[~bound | bound.all()]
        return cls(
            prices=prices[:-1],
            constant_ms=float(prices[-1]),
            per_element=float(executed_ms[bound].sum() / moved[bound].sum()),
            per_mac=float(latency_ms.sum() / max(computed.sum(), 1.0)),
            least_ms=_LEAST_SHARE * float(np.median(latency_ms)),
            seen=seen,
            form=form,
        )

    def kernel_ms(self, kernels: KernelTable) -> FloatArray:
        """Return what each kernel costs, > 0; kinds never seen by what they move and compute. Shape: (n,)."""
        known = physical_terms(replace(kernels, kind=self._priced_as()[kernels.kind]), self.form) @ self.prices
        stands_in = kernels.is_kind(*_POINTWISE) & ~self.seen[kernels.kind]
        known = np.where(stands_in, _POINTWISE_SHARE, 1.0) * known
        moved = input_elements(kernels) + output_elements(kernels)
        bounded = self.per_element * moved + self.per_mac * macs(kernels)
        return np.asarray(
            np.maximum(np.where(self.seen[self._priced_as()[kernels.kind]], known, bounded), self.least_ms)
        )

    def _priced_as(self) -> npt.NDArray[np.int64]:
        """Return the kind whose prices each kind has: its own, or those of its stand-in. Shape: (len(KINDS),)."""
        kinds = np.arange(len(KINDS))
        for kind, stand_ins in _STAND_INS.items():
            candidates = [KIND_INDEX[name] for name in (kind, *stand_ins) if self.seen[KIND_INDEX[name]]]
            kinds[KIND_INDEX[kind]] = (*candidates, KIND_INDEX[kind])[0]
        return kinds


def _non_negative(relative: FloatArray) -> FloatArray:
    """Return non-negative x that brings `relative @ x` near 1. Shapes: (n, d) to (d,), all columns with entries.

    It is solved in the Cholesky factor of the normal equations, whose size is that of the terms, not the rows.
    """
    from scipy.optimize import nnls

    gram = relative.T @ relative
    scale = np.sqrt(np.diag(gram))
    share = relative.mean(axis=0)
    pull = _SHRINKAGE * len(relative) * (share / scale) ** 2
    factor = np.linalg.cholesky(gram / np.outer(scale, scale) + np.diag(pull + 1e-9))
    target = np.linalg.solve(factor, relative.sum(axis=0) / scale)
    solution, _ = nnls(factor.T, target, maxiter=30 * len(target))
    return np.asarray(solution / scale)


def network_ms(base: PhysicalBase, networks: OperatorLists) -> FloatArray:
    """Return the base's latencies of whole networks. Shape: (len(networks),)."""
    return np.asarray(networks.counts @ base.kernel_ms(networks.kernels) + base.constant_ms)
