"""Owns what is known of an architecture before it is trained: predicted latency, MACs, parameters.

Each different architecture is predicted once in a search, and new ones are predicted in one batch. A predictor that
takes counts of kernels is asked for those, so that nothing is lowered; any other is asked for networks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from search.space import G, KernelCounts, SearchSpace

if TYPE_CHECKING:
    from predictor import NetworkPredictions, Prediction
    from profiler.kernels import FusionRules, Kernel
    from profiler.network import Network

_CHUNK = 16_384
"""Genotypes that are counted at once: some 10 MB, and more would only leave the processor's caches."""


class LatencyPredictor(Protocol):
    """Whatever predicts latency of networks; `predictor.NetworkPredictor` is one."""

    def predict_many(self, networks: Sequence[Network], *, allow_unknown: bool) -> Sequence[Prediction]:
        """Return one prediction for each network, in order.

        Args:
            networks: What to predict.
            allow_unknown: Whether a network with kernels that nobody knows gets a prediction that says so
                (`in_domain` is false) instead of an error.
        """
        ...


@runtime_checkable
class KernelCountsPredictor(LatencyPredictor, Protocol):
    """A predictor that tells latencies from counts of kernels as well; `predictor.NetworkPredictor` is one."""

    @property
    def fusion(self) -> FusionRules:
        """What it takes for one kernel."""
        ...

    def predict_counts(
        self, kernels: Sequence[Kernel], counts: KernelCounts, *, allow_unknown: bool
    ) -> NetworkPredictions:
        """Return for each row of counts what predict_many says of a network with so many of each kernel."""
        ...


class PredictedLatency(Protocol):
    """What a search reads of a prediction, in ms."""

    @property
    def latency_ms(self) -> float:
        """Predicted latency."""
        ...

    @property
    def low_ms(self) -> float:
        """Lower end of its interval."""
        ...

    @property
    def high_ms(self) -> float:
        """Upper end."""
        ...

    @property
    def in_domain(self) -> bool:
        """Whether there is evidence for every kernel."""
        ...


@dataclass(frozen=True, slots=True)
class LatencyInterval:
    """One entry of a batch; see PredictedLatency for what stands in it.

    Attributes:
        latency_ms: Predicted latency.
        low_ms: Lower end of its interval.
        high_ms: Upper end.
        in_domain: Whether there is evidence for every kernel.
    """

    latency_ms: float
    low_ms: float
    high_ms: float
    in_domain: bool


@dataclass(frozen=True, slots=True)
class Assessment:
    """An architecture before training.

    Attributes:
        prediction: Predicted latency with its interval, and whether there is evidence for it.
        macs: Multiply-accumulate operations of one run.
        parameters: Number of weights.
    """

    prediction: PredictedLatency
    macs: int
    parameters: int


def predict_batch(
    space: SearchSpace[G], predictor: KernelCountsPredictor, genotypes: Sequence[G] | npt.NDArray[Any]
) -> NetworkPredictions:
    """Predict many genotypes at once; where the space counts kernels without lowering, none is lowered.

    Args:
        space: The space.
        predictor: Predicts its networks.
        genotypes: Of the space, or an array of them where it has such. Length n.

    Returns:
        One entry a genotype; those with kernels that nobody knows are not in domain. Time grows with n, and memory
        by 25 bytes a genotype, beside what one chunk of them takes.
    """
    from predictor import NetworkPredictions

    starts = range(0, max(len(genotypes), 1), _CHUNK)
    parts = [_predict_chunk(space, predictor, genotypes[start : start + _CHUNK])[2] for start in starts]
    return NetworkPredictions(
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("latency_ms", "low_ms", "high_ms", "in_domain")
        )
    )


def _predict_chunk(
    space: SearchSpace[G], predictor: KernelCountsPredictor, genotypes: Sequence[G] | npt.NDArray[Any]
) -> tuple[tuple[Kernel, ...], KernelCounts, NetworkPredictions]:
    # A network out of the predictor's domain is a candidate that breaks the constraint, not an error.
    kernels, counts = space.kernel_counts(genotypes, predictor.fusion)
    return kernels, counts, predictor.predict_counts(kernels, counts, allow_unknown=True)


class Assessor(Generic[G]):
    """Assesses genotypes of one space under one predictor and remembers what it saw.

    Args:
        space: Where the genotypes are from.
        predictor: Predicts the latency of what they lower to.
    """

    def __init__(self, space: SearchSpace[G], predictor: LatencyPredictor) -> None:
        self._space, self._predictor = space, predictor
        self._known: dict[str, Assessment] = {}

    def assess(self, genotypes: Sequence[G]) -> list[Assessment]:
        """Return one assessment for each genotype, in order; only unseen ones are predicted."""
        unseen = {genotype.key: genotype for genotype in genotypes if genotype.key not in self._known}
        if unseen:
            new = list(unseen.values())
            if isinstance(self._predictor, KernelCountsPredictor):
                found = self._by_counts(self._predictor, new)
            else:
                found = self._by_networks(self._predictor, new)
            self._known |= zip(unseen, found, strict=True)
        return [self._known[genotype.key] for genotype in genotypes]

    def unknown(self, genotype: G) -> tuple[str, ...]:
        """Return descriptions of the kernels of a genotype that there is no evidence for."""
        return self._predictor.predict_many([self._space.lower(genotype)], allow_unknown=True)[0].out_of_domain

    def _by_counts(self, predictor: KernelCountsPredictor, genotypes: Sequence[G]) -> list[Assessment]:
        found: list[Assessment] = []
        for start in range(0, len(genotypes), _CHUNK):
            kernels, counts, latencies = _predict_chunk(self._space, predictor, genotypes[start : start + _CHUNK])
            costs = [kernel.network.cost() for kernel in kernels]
            amounts = np.array([[cost.macs, cost.parameters] for cost in costs], dtype=np.int64)
            macs, parameters = (counts.astype(np.int64) @ amounts).T.tolist()
            columns = (latencies.latency_ms, latencies.low_ms, latencies.high_ms, latencies.in_domain)
            rows = zip(*(column.tolist() for column in columns), strict=True)
            found += map(Assessment, (LatencyInterval(*row) for row in rows), macs, parameters)
        return found

    def _by_networks(self, predictor: LatencyPredictor, genotypes: Sequence[G]) -> list[Assessment]:
        """Assess by lowering; different genotypes may lower to the same network, which is predicted once."""
        networks = [self._space.lower(genotype) for genotype in genotypes]
        different = {network.key: network for network in networks}
        predictions = predictor.predict_many(list(different.values()), allow_unknown=True)
        by_key = dict(zip(different, predictions, strict=True))
        costs = [network.cost() for network in networks]
        return [
            Assessment(by_key[network.key], cost.macs, cost.parameters)
            for network, cost in zip(networks, costs, strict=True)
        ]
