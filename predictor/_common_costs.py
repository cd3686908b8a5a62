"""What measured devices agree on about kernels: the base that a new device's costs are found from.

Every source device splits a kernel's latency into a call and work. The base is the geometric mean of the sources'
work. A new device may differ from it in the directions in which sources differ, in those in which sources do not know
their own kernels, and in each amount of work that a kernel consists of.
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

_MOST_DOUBTS, _DOUBTS_KEPT = 40, 0.999
"""Directions in which a source does not know its own kernels: so many, or what holds this share of their variance."""

_LEAST_CONSTANT = 0.005
"""A network's constant, as a share of the smallest network of a source: a constant of 0 could not be scaled."""


_CONTRAST, _TERM = 1.0, 0.3
"""A new device may lie as far beyond a source as the sources lie apart; the physical terms differ as families do."""


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
        directions: How sources differ from it, in log, the share that each physical term has in it, and, in standard
            deviations, what sources do not know of several kernels together. Shape: (n, directions).
        variance: Of the logarithm of the mean, from what the sources do not know of a kernel alone.
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
        doubts: For each source, the directions that most of its shared errors lie in. Shapes: (r, m), where the
            loadings of its estimates have r columns.
    """

    sources: tuple[SourceDevice, ...]
    term_costs: FloatArray
    doubts: tuple[FloatArray, ...]

    @classmethod
    def of(cls, sources: Sequence[SourceDevice], kernels: Sequence[Kernel]) -> Self:
        """Join sources.

        Args:
            sources: The devices, at least one.
            kernels: Kernels like those that will be asked for, at least one: on them the physical terms are weighed.
        """
        megabytes = activation_megabytes(kernels)
        found = [_source_work(source, kernels, megabytes) for source in sources]
        mean_ms = np.exp(np.mean([work.log_ms for work in found], axis=0))
        doubts = tuple(_main_directions(work.loadings) for work in found)
        return cls(tuple(sources), fit_costs(terms(kernels), mean_ms)[:-1], doubts)

    @property
    def priors(self) -> tuple[float, ...]:
        """Standard deviation of a new device in each direction, in log latency for each unit of it."""
        doubts: int = sum(directions.shape[1] for directions in self.doubts)
        return (_CONTRAST,) * self.contrasts + (_TERM,) * len(TERMS) + (1.0,) * doubts

    @property
    def contrasts(self) -> int:
        """Number of directions in which sources differ from one another."""
        return len(self.sources) if len(self.sources) > 1 else 0

    def work(self, kernels: Sequence[Kernel]) -> CommonWork:
        """Return what the sources say of kernels."""
        megabytes = activation_megabytes(kernels)
        found = [_source_work(source, kernels, megabytes) for source in self.sources]
        count = len(found)
        logs = np.array([work.log_ms for work in found])
        mean = logs.mean(axis=0)
        parts = terms(kernels) * self.term_costs
        shares = parts / np.maximum(parts.sum(axis=1, keepdims=True), np.finfo(np.float64).tiny)
        contrasts = (logs - mean).T[:, : self.contrasts]
        # The mean's error is that of each source, shared out.
        shared = [work.loadings @ directions / count for work, directions in zip(found, self.doubts, strict=True)]
        left = [
            (work.loadings**2).sum(axis=1) / count**2 - (kept**2).sum(axis=1)
            for work, kept in zip(found, shared, strict=True)
        ]
        own = np.sum([work.variance for work in found], axis=0) / count**2
        return CommonWork(
            work_ms=np.exp(mean),
            directions=np.hstack([contrasts, shares, *shared]),
            variance=own + np.maximum(np.sum(left, axis=0), 0.0),
            megabytes=megabytes,
            known=np.all([work.known for work in found], axis=0),
            in_domain=np.all([work.in_domain for work in found], axis=0),
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


@dataclass(frozen=True, eq=False)
class _SourceWork:
    """What one source says of kernels: log work, variance of its own and loadings of its shared errors, evidence."""

    log_ms: FloatArray
    variance: FloatArray
    loadings: FloatArray
    known: npt.NDArray[np.bool_]
    in_domain: npt.NDArray[np.bool_]


def _source_work(source: SourceDevice, kernels: Sequence[Kernel], megabytes: FloatArray) -> _SourceWork:
    estimate, composition = source.costs.estimate(kernels), source.composition
    alone_ms = estimate.latency_ms
    work_ms = np.maximum(composition.contributions(alone_ms, megabytes), composition.scale * _LEAST_SHARE * alone_ms)
    # The error of a latency is one of its work, for the call is known far better: all the more of a small work.
    share = composition.scale * alone_ms / work_ms
    deviation = share * estimate.whole_spread / INTERVAL_DEVIATIONS
    share = share * np.minimum(1.0, _MOST_DEVIATION / np.maximum(deviation, np.finfo(np.float64).tiny))
    variance = (share * estimate.spread / INTERVAL_DEVIATIONS) ** 2
    return _SourceWork(
        np.log(work_ms), variance, share[:, None] * estimate.loadings, estimate.known, estimate.in_domain
    )


def _main_directions(loadings: FloatArray) -> FloatArray:
    """Return the directions that hold nearly all of shared errors. Shapes: (n, r) to (r, m), m <= r."""
    if not loadings.any():
        return np.zeros((loadings.shape[1], 0))
    _, sizes, directions = np.linalg.svd(loadings, full_matrices=False)
    held = np.cumsum(sizes**2) / np.sum(sizes**2)
    count = min(int(np.searchsorted(held, _DOUBTS_KEPT)) + 1, _MOST_DOUBTS, len(sizes))
    return np.ascontiguousarray(directions[:count].T)


def _geometric(values: Sequence[float]) -> float:
    """Return the geometric mean of values >= 0; 0 when one of them is."""
    return float(np.exp(np.mean(np.log(values)))) if min(values) > 0 else 0.0
