"""Owns what is known of an architecture before it is trained: predicted latencies, and what it costs on paper.

Each different architecture is predicted once in a search, and new ones are predicted in one batch. A predictor that
takes counts of kernels is asked for those, so that nothing is lowered; any other is asked for networks.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from profiler.errors import ConfigError
from profiler.network import energy_uj, peak_memory_bytes
from search.objectives import Objective, Quantity
from search.space import G, KernelCounts, SearchSpace

if TYPE_CHECKING:
    from predictor import NetworkPredictions, Prediction
    from profiler.kernels import FusionRules, Kernel
    from profiler.network import Network

_CHUNK = 16_384
"""Genotypes that are counted at once: some 10 MB, and more would only leave the processor's caches."""

_DIGITS = 9
"""Decimals of ms that are kept: a picosecond.  What lies beyond depends on the batch that a predictor computed
it in, and so on whether the search was resumed."""


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


@dataclass(frozen=True, slots=True)
class LatencyInterval:
    """Predicted latency of a network on one device.

    Attributes:
        latency_ms: Predicted latency, in ms; infinite without evidence, as are both ends.
        low_ms: Lower end of its 90 % interval, in ms.
        high_ms: Upper end, in ms.
        in_domain: Whether there is evidence for every kernel.
    """

    latency_ms: float
    low_ms: float
    high_ms: float
    in_domain: bool = True

    @classmethod
    def of(cls, latency_ms: float, low_ms: float, high_ms: float, in_domain: bool) -> LatencyInterval:
        """Return the interval as a search keeps it: rounded, and without numbers where there is no evidence.

        A latency that is no positive, finite number is no evidence either.
        """
        if not (in_domain and 0 < latency_ms < math.inf and latency_ms <= high_ms < math.inf):
            return UNKNOWN_LATENCY
        return cls(round(latency_ms, _DIGITS), round(low_ms, _DIGITS), round(high_ms, _DIGITS), True)

    @property
    def relative_width(self) -> float:
        """Upper end over lower end; infinite without evidence."""
        return self.high_ms / self.low_ms if self.in_domain and self.low_ms > 0 else math.inf


UNKNOWN_LATENCY = LatencyInterval(math.inf, math.inf, math.inf, in_domain=False)
"""What stands where a predictor has no evidence: nothing keeps to a budget with it."""


@dataclass(frozen=True)
class Assessment:
    """An architecture before training.

    Attributes:
        latencies: Predicted latency by device, in the order of the predictors.
        macs: Multiply-accumulate operations of one run.
        parameters: Number of weights.
        memory_bytes: Weights, and the most that tensors alive at once take; None where nobody asked for it.
        energy_uj: Energy of one run by published prices of arithmetic and traffic (see `profiler.network.energy_uj`),
            in microjoules; None where nobody asked for it.
    """

    latencies: Mapping[str, LatencyInterval] = field(hash=False)
    macs: int
    parameters: int
    memory_bytes: int | None = None
    energy_uj: float | None = None

    @property
    def in_domain(self) -> bool:
        """Whether every predictor has evidence on it."""
        return all(latency.in_domain for latency in self.latencies.values())

    def latency(self, device: str | None = None) -> LatencyInterval:
        """Return the predicted latency on a device.

        Args:
            device: Its name; None for the only one.

        Raises:
            ConfigError: There is no predictor of the device, or several and none is named.
        """
        return self.latencies[device_named(device, self.latencies)]

    def value(self, objective: Objective) -> float:
        """Return what an objective is, in the unit of its name; infinite for a latency without evidence.

        Raises:
            ConfigError: It is accuracy, which is not known before training, a latency of no device here, or a
                quantity that the assessor was not asked for.
        """
        if objective.quantity == "latency_ms":
            return self.latency(objective.device).latency_ms
        found = None if objective.quantity == "accuracy" else getattr(self, objective.quantity)
        if found is None:
            raise ConfigError("is not known of this architecture", key=objective.text)
        return float(found)


def device_named(device: str | None, known: Collection[str]) -> str:
    """Return the device that is meant.

    Args:
        device: Its name; None for the only one.
        known: Devices with a predictor.

    Raises:
        ConfigError: There is no predictor of the device, or several and none is named.
    """
    if device is None and len(known) == 1:
        return next(iter(known))
    if device is None or device not in known:
        problem = "a latency needs its device" if device is None else f"there is no predictor of {device!r}"
        raise ConfigError(f"{problem}; devices with a predictor: {', '.join(known) or 'none'}", key="latency_ms")
    return device


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
    parts = [_predict_chunk(space, predictor, genotypes[start : start + _CHUNK]) for start in starts]
    return NetworkPredictions(
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("latency_ms", "low_ms", "high_ms", "in_domain")
        )
    )


def _predict_chunk(
    space: SearchSpace[G], predictor: KernelCountsPredictor, genotypes: Sequence[G] | npt.NDArray[Any]
) -> NetworkPredictions:
    kernels, counts = space.kernel_counts(genotypes, predictor.fusion)
    return predictor.predict_counts(kernels, counts, allow_unknown=True)


class Assessor(Generic[G]):
    """Assesses genotypes of one space under the predictors of some devices and remembers what it saw.

    Args:
        space: Where the genotypes are from.
        predictors: By device, predict the latency of what genotypes lower to.
        also: Quantities to tell that need a network: of "memory_bytes" and "energy_uj"; others are told anyway.
    """

    def __init__(
        self,
        space: SearchSpace[G],
        predictors: Mapping[str, LatencyPredictor],
        *,
        also: Collection[Quantity] = (),
    ) -> None:
        self._space, self._predictors, self._also = space, dict(predictors), frozenset(also)
        self._known: dict[str, Assessment] = {}

    @property
    def devices(self) -> tuple[str, ...]:
        """Names of the devices that latencies are told of."""
        return tuple(self._predictors)

    def under(self, predictors: Mapping[str, LatencyPredictor]) -> Assessor[G]:
        """Return an assessor like this one with other predictors."""
        return Assessor(self._space, predictors, also=self._also)

    def assess(self, genotypes: Sequence[G]) -> list[Assessment]:
        """Return one assessment for each genotype, in order; only unseen ones are predicted."""
        unseen = {genotype.key: genotype for genotype in genotypes if genotype.key not in self._known}
        for start in range(0, len(unseen), _CHUNK):
            new = list(unseen.values())[start : start + _CHUNK]
            found = _Batch(self._space, new).assess(self._predictors, self._also)
            self._known |= zip((genotype.key for genotype in new), found, strict=True)
        return [self._known[genotype.key] for genotype in genotypes]

    def unknown(self, genotype: G) -> tuple[str, ...]:
        """Return descriptions of the kernels of a genotype that a predictor has no evidence for."""
        network = self._space.lower(genotype)
        found = [each.predict_many([network], allow_unknown=True)[0] for each in self._predictors.values()]
        return tuple(dict.fromkeys(kernel for prediction in found for kernel in prediction.out_of_domain))


class _Batch(Generic[G]):
    """Some genotypes, lowered when something first asks for their networks, and counted once for all devices."""

    def __init__(self, space: SearchSpace[G], genotypes: Sequence[G]) -> None:
        self._space, self._genotypes = space, genotypes
        self._lowered: list[Network] | None = None
        self._counted: dict[FusionRules, tuple[tuple[Kernel, ...], KernelCounts]] = {}
        self._sizes: tuple[list[int], list[int]] | None = None

    def assess(self, predictors: Mapping[str, LatencyPredictor], also: Collection[Quantity]) -> list[Assessment]:
        latencies = [self._latencies(predictor) for predictor in predictors.values()]
        by_device = [dict(zip(predictors, of_one, strict=True)) for of_one in zip(*latencies, strict=True)]
        macs, parameters = self._sizes or self._sizes_of_networks()
        nothing = [None] * len(self._genotypes)
        return [
            Assessment(*row)
            for row in zip(
                by_device or [{} for _ in self._genotypes],
                macs,
                parameters,
                [peak_memory_bytes(network) for network in self._networks()] if "memory_bytes" in also else nothing,
                [energy_uj(network) for network in self._networks()] if "energy_uj" in also else nothing,
                strict=True,
            )
        ]

    def _latencies(self, predictor: LatencyPredictor) -> list[LatencyInterval]:
        if isinstance(predictor, KernelCountsPredictor):
            return self._by_counts(predictor)
        # Different genotypes may lower to the same network, which is predicted once.
        different = {network.key: network for network in self._networks()}
        found = dict(zip(different, predictor.predict_many(list(different.values()), allow_unknown=True), strict=True))
        predictions = [found[network.key] for network in self._networks()]
        return [LatencyInterval.of(p.latency_ms, p.low_ms, p.high_ms, p.in_domain) for p in predictions]

    def _by_counts(self, predictor: KernelCountsPredictor) -> list[LatencyInterval]:
        rules = predictor.fusion
        if rules not in self._counted:
            self._counted[rules] = self._space.kernel_counts(self._genotypes, rules)
        kernels, counts = self._counted[rules]
        # A network out of the predictor's domain is a candidate that breaks the constraint, not an error.
        found = predictor.predict_counts(kernels, counts, allow_unknown=True)
        if self._sizes is None:
            costs = [kernel.network.cost() for kernel in kernels]
            amounts = np.array([[cost.macs, cost.parameters] for cost in costs], dtype=np.int64)
            macs, parameters = (counts.astype(np.int64) @ amounts).T.tolist()
            self._sizes = macs, parameters
        columns = (found.latency_ms, found.low_ms, found.high_ms, found.in_domain)
        return [LatencyInterval.of(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]

    def _sizes_of_networks(self) -> tuple[list[int], list[int]]:
        costs = [network.cost() for network in self._networks()]
        return [cost.macs for cost in costs], [cost.parameters for cost in costs]

    def _networks(self) -> list[Network]:
        if self._lowered is None:
            self._lowered = [self._space.lower(genotype) for genotype in self._genotypes]
        return self._lowered
