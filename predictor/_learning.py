"""Training rows -> costs and composition: from kernels, from whole networks, or from both together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from predictor._card import FamilyCard, NetworkEvidence, kernel_family_cards, summed_family_cards
from predictor._composition import Composition, Parts, fit_composition, fit_composition_once
from predictor._correction import Base, Corrected, correct
from predictor._costs import KernelCosts
from predictor._features import FloatArray, activation_megabytes, coordinates, terms
from predictor._groups import network_groups
from predictor._kernels import KernelModel, fit_kernel_model
from predictor._prices import WorkPrices, class_names
from predictor._rows import LEAST_KERNEL_ROWS, LEAST_NETWORK_ROWS, TrainingRows
from predictor._summed import PricedCosts, SummedCosts, domain_spread, domains_of
from predictor._through_sum import LabelledRows, count_kernels
from profiler.kernels import Fuser, Kernel

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_NETWORKS_TO_CORRECT = 20
"""Whole networks below which they settle how kernels compose, and correct no kernel."""


@dataclass(frozen=True, eq=False)
class Learned:
    """What a network predictor is made of.

    Attributes:
        costs: What prices kernels.
        composition: What makes networks of them.
        families: What is known of each family.
        networks: How networks held out were met.
    """

    costs: KernelCosts
    composition: Composition
    families: tuple[FamilyCard, ...]
    networks: NetworkEvidence


def learn(rows: TrainingRows, fuser: Fuser, *, seed: int) -> Learned:
    """Learn from all rows there are: kernels family by family when there are enough, else through sums."""
    from threadpoolctl import threadpool_limits

    bags = [fuser(network) for network in rows.networks]
    with threadpool_limits(1):
        if len(rows.kernels) < LEAST_KERNEL_ROWS or _mostly_foreign(rows.kernels, bags):
            return _learn_from_sums(rows, bags, seed)
        return _learn_from_kernels(rows, bags, seed)


def _mostly_foreign(kernels: Sequence[Kernel], bags: Sequence[Sequence[Kernel]]) -> bool:
    """Return whether most of many networks hold families that no row of a kernel is of."""
    families = {kernel.family for kernel in kernels}
    foreign = sum(any(kernel.family not in families for kernel in bag) for bag in bags)
    return len(bags) >= LEAST_NETWORK_ROWS and foreign > len(bags) / 2


def _learn_from_kernels(rows: TrainingRows, bags: Sequence[Sequence[Kernel]], seed: int) -> Learned:
    """Learn the kernel model, how kernels compose, and, from enough networks, what to correct through the sum."""
    model, held_out = fit_kernel_model(rows.kernels, rows.kernel_ms, rows.kernel_doubts, seed=seed)
    families = kernel_family_cards(model, held_out)
    known = [index for index, bag in enumerate(bags) if all(kernel.family in model.families for kernel in bag)]
    kernels, counts = count_kernels([bags[index] for index in known])
    latency_ms = rows.network_ms[known]
    groups = network_groups(kernels, counts)
    if len(known) >= _NETWORKS_TO_CORRECT:
        networks = LabelledRows(kernels, counts, np.zeros(len(known), dtype=np.bool_), latency_ms)
        fitted = correct(networks, _ModelBase(model, kernels), groups, points=coordinates(kernels), seed=seed)
        costs = model if fitted.factors is None else SummedCosts(model, fitted.factors)
        return Learned(costs, fitted.composition, families, _evidence(fitted, groups))
    parts = _parts(model, kernels)
    composition, alone = fit_composition(parts, counts, latency_ms, model.call_ms)
    if groups is None:
        return Learned(model, composition, families, NetworkEvidence(alone))
    grouped, apart = fit_composition(parts, counts, latency_ms, model.call_ms, groups)
    composition = replace(composition, factor=max(composition.factor, grouped.factor))
    return Learned(model, composition, families, NetworkEvidence(alone, apart, int(groups.max()) + 1))


def _learn_from_sums(rows: TrainingRows, bags: Sequence[Sequence[Kernel]], seed: int) -> Learned:
    """Learn prices of work and factors on them; a kernel alone is a network of one kernel."""
    alone = [(kernel,) for kernel in rows.kernels]
    kernels, counts = count_kernels([*alone, *bags])
    latency_ms = np.concatenate([rows.kernel_ms, rows.network_ms])
    table = LabelledRows(kernels, counts, np.zeros(len(latency_ms), dtype=np.bool_), latency_ms)
    groups = network_groups(kernels, counts)
    base = _PriceBase(kernels)
    fitted = correct(table, base, groups, points=base.points, seed=seed)
    priced = base.costs(table)
    families = summed_family_cards(priced.domains)
    costs = priced if fitted.factors is None else SummedCosts(priced, fitted.factors)
    return Learned(costs, fitted.composition, families, _evidence(fitted, groups))


class _ModelBase:
    """The kernel model as it is, composed as some networks show."""

    def __init__(self, model: KernelModel, kernels: Sequence[Kernel]) -> None:
        self._parts, self._call_ms = _parts(model, kernels), model.call_ms

    def __call__(self, rows: LabelledRows) -> Base:
        composition = fit_composition_once(self._parts, rows.counts, rows.latency_ms, self._call_ms)
        return Base(self._parts.latency_ms, self._parts.spread, 0.0, composition, judges_itself=True)


class _PriceBase:
    """Prices fitted on some rows of the same kernels."""

    def __init__(self, kernels: Sequence[Kernel]) -> None:
        self.points = coordinates(kernels)
        self._kernels, self._work, self._classes = kernels, terms(kernels), class_names(kernels)

    def costs(self, rows: LabelledRows) -> PricedCosts:
        """Return prices and domains of some rows."""
        used = np.unique(rows.counts.indices)
        domains = domains_of([self._kernels[index] for index in used], self.points[used])
        return PricedCosts(WorkPrices.fit(rows, self._work, self._classes), domains)

    def __call__(self, rows: LabelledRows) -> Base:
        costs = self.costs(rows)
        prices, call_ms = costs.prices, costs.call_ms
        latency_ms = prices.inside_ms_of(self._work, prices.class_indices(self._classes)) + call_ms
        spread = domain_spread(costs.domains, self._kernels, self.points)
        composition = priced_composition(prices, latency_ms, rows.counts)
        return Base(latency_ms, spread, call_ms, composition, judges_itself=False)


def priced_composition(prices: WorkPrices, latency_ms: FloatArray, counts: csr_array) -> Composition:
    """Return the composition of priced kernels: each alone pays the call that a network pays once."""
    totals = counts @ latency_ms
    call_ms = prices.constant_ms
    return Composition(
        scale=1.0,
        call_ms=call_ms,
        handover_ms=0.0,
        constant_ms=call_ms,
        networks=len(totals),
        smallest_ms=float(totals.min()),
        largest_ms=float(totals.max()),
        factor=1.0,
        least_share=0.0,
    )


def _parts(model: KernelModel, kernels: Sequence[Kernel]) -> Parts:
    estimate = model.estimate(kernels)
    return Parts(estimate.latency_ms, estimate.spread, activation_megabytes(kernels), estimate.loadings)


def _evidence(fitted: Corrected, groups: np.ndarray | None) -> NetworkEvidence:
    count = 0 if groups is None else int(groups.max()) + 1
    return NetworkEvidence(fitted.alone, fitted.groups, count, fitted.strength)
