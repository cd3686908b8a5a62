"""What measured devices agree on about kernels: the base that a new device's costs are found from.

Every source device splits a kernel's latency into a call and work. The base is the geometric mean of the sources'
work; where sources differ from it, and what amounts of work it consists of, are directions in which a new device may
differ, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from predictor._composition import Composition
from predictor._costs import INTERVAL_DEVIATIONS, KernelCosts
from predictor._features import TERMS, FloatArray, activation_megabytes, terms
from predictor._physical import fit_costs
from profiler.kernels import Kernel

_LEAST_SHARE = 0.02
"""Share of a kernel's latency alone that is taken as work where a source's call leaves none: no work costs nothing."""

_MOST_DEVIATION = 1.0
"""Of a source's log work: where a call is nearly all of a latency, its error says nothing more beyond this."""

_LEAST_CONSTANT = 0.005
"""A network's constant, as a share of the smallest network of a source: a constant of 0 could not be scaled."""


@dataclass(frozen=True, eq=False)
class SourceDevice:
    """A device that another stands on.

    Attributes:
        device: Its name.
        costs: What its kernels cost.
        composition: What makes networks of them there.
    """

    device: str
    costs: KernelCosts
    composition: Composition


@dataclass(frozen=True, eq=False)
class CommonWork:
    """Work of kernels by the sources. All arrays have one entry a kernel.

    Attributes:
        work_ms: Geometric mean of what kernels add to a network on the sources, > 0.
        directions: How sources differ from it, in log, and the share that each physical term has in it.
            Shape: (n, sources + len(TERMS)), or without the sources for a single one.
        variance: Of the logarithm of the mean, from what the sources do not know themselves.
        megabytes: Activations read and written.
        known: Whether every source has measured the family.
        in_domain: Whether every source has measured configurations like it.
    """

    work_ms: FloatArray
    directions: FloatArray
    variance: FloatArray
    megabytes: FloatArray
    known: npt.NDArray[np.bool_]
    in_domain: npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class CommonCosts:
    """What sources agree on.

    Attributes:
        sources: The devices, at least one.
        term_costs: Costs of the physical terms that explain the common work best. Shape: (len(TERMS),).
    """

    sources: tuple[SourceDevice, ...]
    term_costs: FloatArray

    @classmethod
    def of(cls, sources: Sequence[SourceDevice], kernels: Sequence[Kernel]) -> Self:
        """Join sources.

        Args:
            sources: The devices, at least one.
            kernels: Kernels like those that will be asked for, at least one: on them the physical terms are weighed.
        """
        plain = cls(tuple(sources), np.zeros(len(TERMS)))
        return cls(plain.sources, fit_costs(terms(kernels), plain.work(kernels).work_ms)[:-1])

    @property
    def directions(self) -> int:
        """Number of directions."""
        return self.contrasts + len(TERMS)

    @property
    def contrasts(self) -> int:
        """Number of directions in which sources differ from one another."""
        return len(self.sources) if len(self.sources) > 1 else 0

    def work(self, kernels: Sequence[Kernel]) -> CommonWork:
        """Return what the sources say of kernels."""
        megabytes = activation_megabytes(kernels)
        found = [_source_work(source, kernels, megabytes) for source in self.sources]
        logs = np.array([log_ms for log_ms, _, _, _ in found])
        mean = logs.mean(axis=0)
        variance = np.mean([own for _, own, _, _ in found], axis=0) / len(found)
        parts = terms(kernels) * self.term_costs
        shares = parts / np.maximum(parts.sum(axis=1, keepdims=True), np.finfo(np.float64).tiny)
        contrasts = (logs - mean).T[:, : self.contrasts]
        return CommonWork(
            work_ms=np.exp(mean),
            directions=np.hstack([contrasts, shares]),
            variance=variance,
            megabytes=megabytes,
            known=np.all([known for _, _, known, _ in found], axis=0),
            in_domain=np.all([inside for _, _, _, inside in found], axis=0),
        )

    def composition(self) -> Composition:
        """Return how kernels make networks on the usual source: means of the sources', geometric ones of factors."""
        own = [source.composition for source in self.sources]
        return Composition(
            scale=_geometric([one.scale for one in own]),
            call_ms=_geometric([one.call_ms for one in own]),
            handover_ms=_geometric([one.handover_ms for one in own]),
            constant_ms=_geometric([max(one.constant_ms, _LEAST_CONSTANT * one.smallest_ms) for one in own]),
            networks=0,
            smallest_ms=0.0,
            largest_ms=0.0,
            factor=1.0,
            least_share=0.0,
        )


def _source_work(
    source: SourceDevice, kernels: Sequence[Kernel], megabytes: FloatArray
) -> tuple[FloatArray, FloatArray, npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return log work, its variance, and whether family and configuration are known to a source."""
    estimate, composition = source.costs.estimate(kernels), source.composition
    alone_ms = estimate.latency_ms
    work_ms = np.maximum(composition.contributions(alone_ms, megabytes), composition.scale * _LEAST_SHARE * alone_ms)
    # The error of a latency is one of its work: the call is known far better.
    share = composition.scale * alone_ms / work_ms
    deviation = np.minimum(share * estimate.whole_spread / INTERVAL_DEVIATIONS, _MOST_DEVIATION)
    return np.log(work_ms), deviation**2, estimate.known, estimate.in_domain


def _geometric(values: Sequence[float]) -> float:
    """Return the geometric mean of values >= 0; 0 when one of them is."""
    return float(np.exp(np.mean(np.log(values)))) if min(values) > 0 else 0.0
