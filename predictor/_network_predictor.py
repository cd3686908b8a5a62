"""The network predictor: fits on a latency table, predicts networks, is kept in one file."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from predictor._card import ModelCard, describe_fit
from predictor._composition import Composition, Parts, fit_composition
from predictor._features import FloatArray, activation_megabytes
from predictor._files import read_predictor_file, write_predictor_file
from predictor._kernels import KernelModel, fit_kernel_model
from predictor._prediction import KernelShare, Prediction
from predictor._rows import TrainingRows, training_rows
from predictor._schema import from_document, to_document
from predictor.errors import (
    DeviceMismatchError,
    NotFittedError,
    OutOfDomainError,
    PredictorFileError,
    TrainingRowsError,
)
from profiler.kernels import FUSION_RULES, Fuser, Kernel
from profiler.network import Network

if TYPE_CHECKING:
    from profiler.table import LatencyTable

_MAX_KNOWN_KERNELS = 200_000


@dataclass(frozen=True, slots=True)
class _Known:
    """A kernel already predicted, kept because networks of one space share nearly all their kernels."""

    description: str
    alone_ms: float
    inside_ms: float
    megabytes: float
    spread: float
    has_family: bool
    in_domain: bool


@dataclass(frozen=True, eq=False)
class _Fitted:
    model: KernelModel
    composition: Composition
    card: ModelCard
    fuser: Fuser


class NetworkPredictor:
    """Predicts latencies of networks on one device, with 90 % intervals, and says what it has not seen.

    Args:
        seed: Of folds and regressors; the same table and seed give the same predictor and the same file.

    Example:
        >>> NetworkPredictor().predict_many([])
        Traceback (most recent call last):
        ...
        predictor.errors.NotFittedError: the predictor is not fitted; call fit(table) or load a predictor file first
    """

    def __init__(self, *, seed: int = 0) -> None:
        self._seed = seed
        self._fitted: _Fitted | None = None
        self._known: dict[Kernel, _Known] = {}

    def fit(self, table: LatencyTable) -> Self:
        """Learn kernels from a table's kernel rows, and how they make networks from its network rows.

        Args:
            table: Rows of one device, runtime, thread count and type. Without network rows a network is the
                sum of its kernels, less the calls it saves, and its interval is an assumed, wide one.

        Raises:
            TrainingRowsError: The rows cannot be learned from: too few, mixed, constant, or not numbers.
        """
        rows = training_rows(table)
        fuser = _fuser(rows.origin.runtime)
        model, held_out = fit_kernel_model(rows.kernels, rows.kernel_ms, seed=self._seed)
        parts, latency_ms = _network_parts(rows, model, fuser)
        composition, network_held_out = fit_composition(parts, latency_ms, model.call_ms)
        card = describe_fit(rows, model.families, held_out, network_held_out)
        self._fitted, self._known = _Fitted(model, composition, card, fuser), {}
        return self

    @property
    def card(self) -> ModelCard:
        """What the predictor learned from and how well it does; NotFittedError before there is one."""
        return self._require().card

    @property
    def device(self) -> str:
        """Name of the device that was learned."""
        return self.card.device

    @property
    def runtime(self) -> str:
        """Runtime on that device."""
        return self.card.runtime

    @property
    def threads(self) -> int:
        """Threads of the runtime."""
        return self.card.threads

    @property
    def dtype(self) -> str:
        """Numeric type of the networks."""
        return self.card.dtype

    @property
    def sources(self) -> tuple[str, ...]:
        """Where the training rows come from: "measured" or "emulated", never both."""
        return (self.card.source,)

    def check_device(self, name: str, *, force: bool = False) -> str:
        """Make sure that predictions for a device come from a predictor of that device.

        Args:
            name: Device that predictions are wanted for.
            force: Whether another device's predictor is accepted.

        Returns:
            A label to show with every number: empty, or, when forced, whose latencies they really are.

        Raises:
            DeviceMismatchError: The predictor is of another device and force is false.
        """
        if name == self.device:
            return ""
        if not force:
            raise DeviceMismatchError(self.device, name)
        return f"predicted for {self.device!r}, not for {name!r}"

    def predict(self, network: Network, *, allow_unknown: bool = False) -> Prediction:
        """Predict one network; see predict_many."""
        return self.predict_many([network], allow_unknown=allow_unknown)[0]

    def predict_many(self, networks: Iterable[Network], *, allow_unknown: bool = False) -> list[Prediction]:
        """Predict networks, each different kernel once.

        Args:
            networks: Networks; weights do not matter.
            allow_unknown: Whether kernels of a family that was never measured count with a rough bound from
                their bytes and work, marked as out of domain, instead of an error.

        Raises:
            NotFittedError: Nothing was learned yet.
            OutOfDomainError: A kernel's family was never measured and allow_unknown is false.
        """
        fitted = self._require()
        fused = [fitted.fuser(network) for network in networks]
        self._learn_kernels(fitted, dict.fromkeys(kernel for kernels in fused for kernel in kernels))
        return [self._compose(fitted, kernels, allow_unknown) for kernels in fused]

    def save(self, path: Path) -> None:
        """Write the predictor to one .safetensors file, whole or not at all.

        Raises:
            NotFittedError: Nothing was learned yet.
            PredictorFileError: The place cannot be written to.
        """
        fitted = self._require()
        written_by = version("pocketnas")
        document, arrays = to_document(fitted.model, fitted.composition, fitted.card, written_by=written_by)
        write_predictor_file(path, document, arrays)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a predictor file; nothing in it is executed.

        Raises:
            NewerSchemaError: A later version wrote the file.
            PredictorFileError: The file is missing, damaged or something else than a predictor.
        """
        document, arrays = read_predictor_file(path)
        model, composition, card = from_document(document, arrays, path=path)
        if card.runtime not in FUSION_RULES:
            raise PredictorFileError(f"is of a runtime without fusion rules, {card.runtime!r:.40}", path=path)
        predictor = cls()
        predictor._fitted = _Fitted(model, composition, card, _fuser(card.runtime))
        return predictor

    def _require(self) -> _Fitted:
        if self._fitted is None:
            raise NotFittedError()
        return self._fitted

    def _learn_kernels(self, fitted: _Fitted, kernels: Mapping[Kernel, None]) -> None:
        """Predict the kernels that are not known yet, all at once."""
        if len(self._known) + len(kernels) > _MAX_KNOWN_KERNELS:
            self._known.clear()
        new = [kernel for kernel in kernels if kernel not in self._known]
        if not new:
            return
        estimate = fitted.model.estimate(new)
        megabytes = activation_megabytes(new)
        inside_ms = fitted.composition.contributions(estimate.latency_ms, megabytes)
        for index, kernel in enumerate(new):
            self._known[kernel] = _Known(
                description=kernel.describe(),
                alone_ms=float(estimate.latency_ms[index]),
                inside_ms=float(inside_ms[index]),
                megabytes=float(megabytes[index]),
                spread=float(estimate.spread[index]),
                has_family=bool(estimate.known[index]),
                in_domain=bool(estimate.in_domain[index]),
            )

    def _compose(self, fitted: _Fitted, kernels: Sequence[Kernel], allow_unknown: bool) -> Prediction:
        counts = Counter(kernels)
        known = [self._known[kernel] for kernel in counts]
        unknown = [entry.description for entry in known if not entry.has_family]
        if unknown and not allow_unknown:
            raise OutOfDomainError(unknown)
        parts = Parts(
            latency_ms=np.array([entry.alone_ms for entry in known]),
            spread=np.array([entry.spread for entry in known]),
            megabytes=np.array([entry.megabytes for entry in known]),
            counts=np.array(list(counts.values()), dtype=np.float64),
        )
        latency_ms = fitted.composition.latency(parts)
        spread = fitted.composition.spread(parts)
        outside = tuple(entry.description for entry in known if not entry.in_domain)
        return Prediction(
            latency_ms=latency_ms,
            low_ms=latency_ms * math.exp(-spread),
            high_ms=latency_ms * math.exp(spread),
            in_domain=not outside,
            out_of_domain=outside,
            kernels=tuple(self._share(kernel, latency_ms) for kernel in kernels),
            call_ms=fitted.composition.constant_ms,
            device=fitted.card.device,
            runtime=fitted.card.runtime,
            threads=fitted.card.threads,
            dtype=fitted.card.dtype,
        )

    def _share(self, kernel: Kernel, network_ms: float) -> KernelShare:
        entry = self._known[kernel]
        return KernelShare(
            entry.description, kernel.kind, entry.inside_ms, entry.inside_ms / network_ms, entry.in_domain
        )


def _fuser(runtime: str) -> Fuser:
    rules = FUSION_RULES.get(runtime)
    if rules is None:
        raise TrainingRowsError(
            f"{runtime!r} has no fusion rules; known are {', '.join(FUSION_RULES)}", column="runtime"
        )
    return Fuser(rules)


def _network_parts(rows: TrainingRows, model: KernelModel, fuser: Fuser) -> tuple[list[Parts], FloatArray]:
    """Return the parts of each measured network whose kernels all have a family, and the latencies of these."""
    parts, latency_ms = [], []
    for network, measured_ms in zip(rows.networks, rows.network_ms, strict=True):
        counts = Counter(fuser(network))
        kernels = list(counts)
        estimate = model.estimate(kernels)
        if estimate.known.all():
            times = np.array(list(counts.values()), dtype=np.float64)
            parts.append(Parts(estimate.latency_ms, estimate.spread, activation_megabytes(kernels), times))
            latency_ms.append(measured_ms)
    return parts, np.array(latency_ms)
