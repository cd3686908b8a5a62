"""Owns what is known of an architecture before it is trained: predicted latency, MACs, parameters.

Each different network is lowered and predicted once in a search, and new ones are predicted in one batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol

from search.space import G, SearchSpace

if TYPE_CHECKING:
    from predictor import Prediction
    from profiler.network import Network


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


@dataclass(frozen=True, slots=True)
class Assessment:
    """An architecture before training.

    Attributes:
        network_key: Content key of the lowered network; equal for genotypes that lower to the same one.
        prediction: Predicted latency with its interval, and whether there is evidence for it.
        macs: Multiply-accumulate operations of one run.
        parameters: Number of weights.
    """

    network_key: str
    prediction: Prediction
    macs: int
    parameters: int


class Assessor(Generic[G]):
    """Assesses genotypes of one space under one predictor and remembers what it saw.

    Args:
        space: Lowers the genotypes.
        predictor: Predicts the latency of what they lower to.
    """

    def __init__(self, space: SearchSpace[G], predictor: LatencyPredictor) -> None:
        self._space, self._predictor = space, predictor
        self._by_network: dict[str, Assessment] = {}
        self._by_genotype: dict[str, Assessment] = {}

    def assess(self, genotypes: Sequence[G]) -> list[Assessment]:
        """Return one assessment for each genotype, in order; only unseen networks are predicted."""
        unseen = {genotype.key: genotype for genotype in genotypes if genotype.key not in self._by_genotype}
        networks = {key: self._space.lower(genotype) for key, genotype in unseen.items()}
        self._predict([network for network in networks.values() if network.key not in self._by_network])
        for key, network in networks.items():
            self._by_genotype[key] = self._by_network[network.key]
        return [self._by_genotype[genotype.key] for genotype in genotypes]

    def _predict(self, networks: Sequence[Network]) -> None:
        different = {network.key: network for network in networks}
        if not different:
            return
        # A network out of the predictor's domain is a candidate that breaks the constraint, not an error.
        predictions = self._predictor.predict_many(list(different.values()), allow_unknown=True)
        for (key, network), prediction in zip(different.items(), predictions, strict=True):
            cost = network.cost()
            self._by_network[key] = Assessment(key, prediction, cost.macs, cost.parameters)
