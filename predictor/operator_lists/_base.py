"""The base that extrapolates: a kernel costs its amounts of work at prices that are never negative."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from predictor.operator_lists._kernels import KIND_INDEX, KINDS, FloatArray, KernelTable, OperatorLists
from predictor.operator_lists._terms import (
    FORMS,
    MEMORY_BOUND,
    READINGS,
    columns_of,
    input_elements,
    macs,
    output_elements,
    physical_terms,
)

SHRINKAGES = (1e-4, 1e-3, 1e-2)
"""Weights of the pull towards small prices, relative to each term's share; it settles collinear terms."""

_FAMILY_SHARE = 0.5
"""Of what the networks of one family have in common, this share is put down to the family and tells nothing of prices:
its networks repeat one skeleton, so their errors are no independent errors (generalised least squares)."""

_FEW_LABELS = 20.0
"""A family with this many networks counts half as much as one with many."""

_LEAST_SHARE = 1e-6
"""No kernel costs less than this share of a typical network: work never costs nothing."""

_FUSED_SHARE = 0.5
"""Of the stand-in's price, for a pass that a runtime computes within the kernel before it, for nothing, or alone; the
middle is wrong by the least."""

_MAY_BE_FUSED = ("activation", "normalised")

_STAND_INS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "activation": ("add",),
        "normalised": ("add",),
        "hard_swish": ("activation", "add"),
        "add": ("normalised", "hard_swish"),
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
"""Kinds that go over their data in the same way: the mean of what they would cost stands in for a kind never seen.

A batch norm or a ReLU is one or two simple operations an element, as an addition is. No runtime of the time computes a
hard swish within the kernel before it, nor the ReLU after a squeeze-excite.
"""


@dataclass(frozen=True)
class Pricing:
    """One way to find prices.

    Attributes:
        form: Groups of terms, one of FORMS.
        reading: One of READINGS.
        shrinkage: One of SHRINKAGES.
    """

    form: frozenset[str]
    reading: str
    shrinkage: float


PRICINGS = tuple(
    Pricing(form, reading, shrinkage) for form in FORMS for reading in READINGS for shrinkage in SHRINKAGES
)


@dataclass(frozen=True, eq=False)
class PhysicalBase:
    """Prices of work.

    Attributes:
        prices: ms a unit of each physical term. Shape: (n_terms,).
        constant_ms: Cost of a network before its first kernel.
        per_element: ms an element moved, for kinds that nothing stands in for.
        per_mac: ms a multiply-accumulate, likewise.
        least_ms: No kernel costs less.
        seen: Which kinds had rows. Shape: (len(KINDS),).
    """

    prices: FloatArray
    constant_ms: float
    per_element: float
    per_mac: float
    least_ms: float
    seen: npt.NDArray[np.bool_]

    def kernel_ms(self, kernels: KernelTable) -> FloatArray:
        """Return what each kernel costs, > 0; kinds never seen by stand-ins, or by bytes and MACs. Shape: (n,)."""
        return self.priced(kernels, priced_terms(kernels, self.seen))

    def priced(self, kernels: KernelTable, terms: FloatArray) -> FloatArray:
        """Return the same from their `priced_terms`. Shape: (n,)."""
        return np.asarray(np.maximum(terms @ self.prices + self.bound_ms(kernels), self.least_ms))

    def bound_ms(self, kernels: KernelTable) -> FloatArray:
        """Return what kernels without a price cost, by elements moved and MACs; 0 for the others. Shape: (n,)."""
        bare = np.flatnonzero(~_has_price(self.seen)[kernels.kind])
        bound_ms = np.zeros(len(kernels))
        if len(bare):
            own = kernels.selected(bare)
            moved = input_elements(own) + output_elements(own)
            bound_ms[bare] = self.per_element * moved + self.per_mac * macs(own)
        return bound_ms


def priced_terms(kernels: KernelTable, seen: npt.NDArray[np.bool_], terms: FloatArray | None = None) -> FloatArray:
    """Return physical terms by which kernels are priced: those of their stand-ins for kinds never seen.

    Args:
        kernels: The kernels.
        seen: Which kinds have prices of their own. Shape: (len(KINDS),).
        terms: physical_terms(kernels) where they are at hand; they are not changed.

    Returns:
        Shape: (len(kernels), n_terms).
    """
    terms = physical_terms(kernels) if terms is None else terms
    unseen = np.flatnonzero(~seen[kernels.kind])
    if not len(unseen):
        return terms
    terms = terms.copy()
    for kind in np.unique(kernels.kind[unseen]).tolist():
        rows = unseen[kernels.kind[unseen] == kind]
        stand_ins = _stand_ins(KINDS[kind], seen)
        own = kernels.selected(rows)
        costs = [physical_terms(replace(own, kind=np.full(len(rows), stand_in))) for stand_in in stand_ins]
        share = _FUSED_SHARE if KINDS[kind] in _MAY_BE_FUSED else 1.0
        terms[rows] = share * np.mean(costs, axis=0) if costs else 0.0
    return terms


def network_ms_by_base(
    kernels: KernelTable, counts: csr_array, bases: Sequence[PhysicalBase], terms: FloatArray | None = None
) -> FloatArray:
    """Return what networks cost by each of several bases. Shape: (len(bases), n_networks).

    Args:
        kernels: The kernels.
        counts: How often each network executes each kernel. Shape: (n_networks, len(kernels)).
        bases: Bases that have seen the same kinds, at least one.
        terms: physical_terms(kernels) where they are at hand.
    """
    work = counts @ priced_terms(kernels, bases[0].seen, terms)
    bounds = counts @ np.stack([base.bound_ms(kernels) for base in bases], axis=1)
    prices = np.stack([base.prices for base in bases], axis=1)
    constants = np.array([base.constant_ms for base in bases])
    return np.asarray(np.maximum(work @ prices + bounds + constants, bases[0].least_ms).T)


def _stand_ins(kind: str, seen: npt.NDArray[np.bool_]) -> list[int]:
    return [KIND_INDEX[name] for name in _STAND_INS.get(kind, ()) if seen[KIND_INDEX[name]]]


def _has_price(seen: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return which kinds have a price of their own or a stand-in's. Shape: (len(KINDS),)."""
    return np.array([bool(seen[index]) or bool(_stand_ins(kind, seen)) for index, kind in enumerate(KINDS)])


@dataclass(frozen=True, eq=False)
class PriceEquations:
    """Normal equations of all terms by family, from which prices follow without going over the networks again.

    Attributes:
        families: Names of the families.
        grams: Of each family, the mean of products of relative work. Shape: (n_families, n_terms + 1, n_terms + 1).
        sums: The mean of relative work. Shape: (n_families, n_terms + 1).
        weights: How much each family counts. Shape: (n_families,).
        kinds: Which kinds each has. Shape: (n_families, len(KINDS)).
        memory: Sums over kernels that only move data: their terms, and last the elements moved. Shape: (n_families,
            n_terms + 1).
        macs: Multiply-accumulates of all other kernels. Shape: (n_families,).
        latencies_ms: Sum of latencies. Shape: (n_families,).
        typical_ms: Median latency.
    """

    families: npt.NDArray[np.str_]
    grams: FloatArray
    sums: FloatArray
    weights: FloatArray
    kinds: npt.NDArray[np.bool_]
    memory: FloatArray
    macs: FloatArray
    latencies_ms: FloatArray
    typical_ms: float

    @classmethod
    def of(
        cls, networks: OperatorLists, latency_ms: FloatArray, families: npt.NDArray[np.str_], terms: FloatArray
    ) -> PriceEquations:
        """Set up the equations.

        Args:
            networks: Measured networks.
            latency_ms: Their latencies, all > 0. Shape: (len(networks),).
            families: Their families. Shape: (len(networks),).
            terms: physical_terms(networks.kernels).
        """
        kernels = networks.kernels
        bound = kernels.is_kind(*MEMORY_BOUND)
        moved = input_elements(kernels) + output_elements(kernels)
        computed = np.where(bound, 0.0, macs(kernels))
        of_memory = np.column_stack([terms[bound], moved[bound]])
        names = np.unique(families)
        grams, sums, kinds, memory, work = [], [], [], [], []
        for name in names:
            rows = np.flatnonzero(families == name)
            counts = networks.counts[rows]
            relative = np.column_stack([counts @ terms, np.ones(len(rows))]) / latency_ms[rows, None]
            executed = np.asarray(counts.sum(axis=0)).ravel()
            grams.append(relative.T @ relative / len(rows))
            sums.append(relative.mean(axis=0))
            kinds.append(np.bincount(kernels.kind, weights=executed, minlength=len(KINDS)) > 0)
            memory.append(executed[bound] @ of_memory)
            work.append(executed @ computed)
        rows_of = np.array([(families == name).sum() for name in names])
        return cls(
            families=names,
            grams=np.stack(grams),
            sums=np.stack(sums),
            weights=rows_of / (rows_of + _FEW_LABELS),
            kinds=np.stack(kinds),
            memory=np.stack(memory),
            macs=np.array(work),
            latencies_ms=np.array([latency_ms[families == name].sum() for name in names]),
            typical_ms=float(np.median(latency_ms)),
        )

    def prices(self, pricing: Pricing, without: Sequence[str] = ()) -> FloatArray:
        """Return prices, the constant last: those whose sums come nearest to all latencies, in relative error.

        Args:
            pricing: How.
            without: Families that are left out.
        """
        kept = ~np.isin(self.families, list(without))
        weight = self.weights[kept]
        sums = self.sums[kept]
        gram = np.tensordot(weight, self.grams[kept], axes=1) - _FAMILY_SHARE * (sums.T * weight) @ sums
        share = weight @ sums
        used = np.append(columns_of(pricing.form, pricing.reading), True) & (share > 0.0)
        prices = np.zeros(len(share))
        prices[used] = _non_negative(gram[np.ix_(used, used)], share[used], pricing.shrinkage, float(weight.sum()))
        return prices

    def base(self, prices: FloatArray, without: Sequence[str] = ()) -> PhysicalBase:
        """Return the base of prices, as `prices` gives them without the same families."""
        kept = ~np.isin(self.families, list(without))
        *executed, moved = self.memory[kept].sum(axis=0)
        moved_ms = float(np.dot(executed, prices[:-1]))
        per_mac = float(self.latencies_ms[kept].sum()) / max(float(self.macs[kept].sum()), 1.0)
        return PhysicalBase(
            prices=prices[:-1],
            constant_ms=float(prices[-1]),
            per_element=moved_ms / moved if moved_ms > 0.0 else per_mac,
            per_mac=per_mac,
            least_ms=_LEAST_SHARE * self.typical_ms,
            seen=np.asarray(self.kinds[kept].any(axis=0)),
        )


def _non_negative(gram: FloatArray, share: FloatArray, shrinkage: float, weight: float) -> FloatArray:
    """Return non-negative prices from normal equations. Shapes: (d, d), (d,) to (d,).

    It is solved in the Cholesky factor of the equations, whose size is that of the terms, not the rows.
    """
    from scipy.optimize import nnls

    scale = np.sqrt(np.maximum(np.diag(gram), 1e-12 * share**2))
    pull = shrinkage * weight * (share / weight / scale) ** 2
    factor = np.linalg.cholesky(gram / np.outer(scale, scale) + np.diag(pull + 1e-9))
    target = np.linalg.solve(factor, (1.0 - _FAMILY_SHARE) * share / scale)
    solution, _ = nnls(factor.T, target, maxiter=100 * len(target))
    return np.asarray(solution / scale)
