"""The network predictor: fits on a latency table, predicts networks, is kept in one file."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt

from predictor._batch import Counts, NetworkPredictions, compose, occurring
from predictor._card import ModelCard, describe_fit
from predictor._composition import Composition
from predictor._costs import KernelCosts
from predictor._estimator import Estimator
from predictor._files import read_predictor_file, write_predictor_file
from predictor._fusion import fusion_of
from predictor._learning import learn
from predictor._prediction import KernelShare, Prediction
from predictor._priced import PricedKernels
from predictor._rows import training_rows
from predictor._schema import from_document, to_document
from predictor._through_sum import count_kernels
from predictor.errors import DeviceMismatchError, NotFittedError, OutOfDomainError
from profiler.kernels import Fuser, FusionRules, Kernel
from profiler.network import Network

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from profiler.table import LatencyTable


@dataclass(frozen=True, eq=False)
class _Fitted:
    costs: KernelCosts
    composition: Composition
    card: ModelCard
    fuser: Fuser
    priced: PricedKernels

    @classmethod
    def of(cls, costs: KernelCosts, composition: Composition, card: ModelCard) -> _Fitted:
        roofline = card.roofline and card.roofline.inside_network(composition.call_ms)
        return cls(costs, composition, card, Fuser(card.fusion.rules), PricedKernels(costs, roofline))


class NetworkPredictor(Estimator):
    """Predicts latencies of networks on one device, with 90 % intervals, and says what it has not seen.

    It learns from kernels measured alone, from whole networks, or from both together.

    Args:
        rules: What the runtime fuses on the device; None for the rules known of the table's runtime.
        seed: Of folds and regressors; the same table and seed give the same predictor and the same file.

    Example:
        >>> NetworkPredictor().predict_many([])
        Traceback (most recent call last):
        ...
        predictor.errors.NotFittedError: the predictor is not fitted; call fit(table) or load a predictor file first
    """

    def __init__(self, *, rules: FusionRules | None = None, seed: int = 0) -> None:
        self.rules, self.seed = rules, seed
        self._fitted: _Fitted | None = None

    @classmethod
    def of(cls, costs: KernelCosts, composition: Composition, card: ModelCard) -> Self:
        """Return a predictor of parts that were learned elsewhere; the card says what is fused.

        Args:
            costs: What prices kernels, of a form that predictor files know.
            composition: What makes networks of them.
            card: What they were learned from.
        """
        predictor = cls(rules=card.fusion.rules if card.fusion.how == "evidence" else None)
        predictor._fitted = _Fitted.of(costs, composition, card)
        return predictor

    def fit(self, table: LatencyTable) -> Self:
        """Learn from a table's kernel rows, its whole-network rows, or both.

        With enough kernels, these are learned family by family, and networks show how kernels compose and, when
        there are enough of them, what to correct. Without network rows a network is the sum of its kernels, less
        the calls it saves, and its interval is an assumed, wide one. With too few kernels, all rows are sums:
        prices of work are fitted on these and corrected by smooth factors.

        Args:
            table: Rows of one device, runtime, thread count and type.

        Raises:
            TrainingRowsError: The rows cannot be learned from: too few, mixed, constant, contradictory.
        """
        rows = training_rows(table)
        fusion = fusion_of(rows.origin.runtime, self.rules)
        learned = learn(rows, Fuser(fusion.rules), seed=self.seed)
        card = describe_fit(rows, learned.families, learned.networks, fusion)
        self._fitted = _Fitted.of(learned.costs, learned.composition, card)
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

    @property
    def costs(self) -> KernelCosts:
        """What prices kernels; NotFittedError before there is one."""
        return self._require().costs

    @property
    def composition(self) -> Composition:
        """What makes networks of kernels; NotFittedError before there is one."""
        return self._require().composition

    @property
    def fusion(self) -> FusionRules:
        """What the runtime was taken to run as one kernel; NotFittedError before anything was learned."""
        return self._require().card.fusion.rules

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
        kernels, counts = count_kernels(fused)
        indices = fitted.priced.indices(kernels)
        unknown = [fitted.priced.description(index) for index in indices[~fitted.priced.known(indices)]]
        if unknown and not allow_unknown:
            raise OutOfDomainError(unknown)
        return _predictions(fitted, fused, indices, counts)

    def predict_counts(
        self, kernels: Sequence[Kernel], counts: Counts, *, allow_unknown: bool = False
    ) -> NetworkPredictions:
        """Predict many networks at once, given as counts of the kernels that they share; see predict_many.

        Args:
            kernels: Different kernels, as `fusion` cuts networks. Length k.
            counts: How often each network has each kernel, >= 0, at least one a network. Shape: (n, k).
            allow_unknown: As for predict_many.

        Returns:
            What predict_many says of these networks, as arrays. Takes time in n x k; beyond counts and answer, memory
            does not grow with n.

        Raises:
            NotFittedError: Nothing was learned yet.
            OutOfDomainError: The family of a kernel that occurs was never measured and allow_unknown is false.
            PredictorError: Kernels and counts are not of this form.
        """
        fitted = self._require()
        occurs = occurring(kernels, counts)
        indices = fitted.priced.indices(kernels)
        unknown = [fitted.priced.description(index) for index in indices[occurs & ~fitted.priced.known(indices)]]
        if unknown and not allow_unknown:
            raise OutOfDomainError(unknown)
        return compose(fitted.composition, fitted.priced.parts(indices), fitted.priced.in_domain(indices), counts)

    def save(self, path: Path) -> None:
        """Write the predictor to one .safetensors file, whole or not at all.

        Raises:
            NotFittedError: Nothing was learned yet.
            PredictorFileError: The place cannot be written to.
        """
        fitted = self._require()
        written_by = version("pocketnas")
        document, arrays = to_document(fitted.costs, fitted.composition, fitted.card, written_by=written_by)
        write_predictor_file(path, document, arrays)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a predictor file; nothing in it is executed.

        Raises:
            NewerSchemaError: A later version wrote the file.
            PredictorFileError: The file is missing, damaged or something else than a predictor.
        """
        document, arrays = read_predictor_file(path)
        costs, composition, card = from_document(document, arrays, path=path)
        return cls.of(costs, composition, card)

    def _require(self) -> _Fitted:
        if self._fitted is None:
            raise NotFittedError()
        return self._fitted


def _predictions(
    fitted: _Fitted, fused: Sequence[Sequence[Kernel]], indices: npt.NDArray[np.intp], counts: csr_array
) -> list[Prediction]:
    """Return predictions of networks.

    Args:
        fitted: What predicts.
        fused: Kernels of each network in execution order.
        indices: Where the different kernels stand, in order of appearance. Shape: (k,).
        counts: How often each network has each of them. Shape: (len(fused), k).
    """
    parts, card = fitted.priced.parts(indices), fitted.card
    latency_ms = fitted.composition.latency(parts, counts)
    spread = fitted.composition.spread(parts, counts)
    inside_ms = fitted.composition.contributions(parts.latency_ms, parts.megabytes)
    shares = dict(
        zip(dict.fromkeys(kernel for kernels in fused for kernel in kernels), range(len(indices)), strict=True)
    )
    in_domain = fitted.priced.in_domain(indices)
    found = []
    for position, kernels in enumerate(fused):
        own = [shares[kernel] for kernel in kernels]
        whole_ms = float(latency_ms[position])
        outside = tuple(
            fitted.priced.description(indices[index]) for index in dict.fromkeys(own) if not in_domain[index]
        )
        found.append(
            Prediction(
                latency_ms=whole_ms,
                low_ms=whole_ms * math.exp(-spread[position]),
                high_ms=whole_ms * math.exp(spread[position]),
                in_domain=not outside,
                out_of_domain=outside,
                kernels=tuple(
                    KernelShare(
                        kernel=fitted.priced.description(indices[index]),
                        kind=kernel.kind,
                        latency_ms=float(inside_ms[index]),
                        share=float(inside_ms[index]) / whole_ms,
                        in_domain=bool(in_domain[index]),
                        bound=fitted.priced.bound(indices[index]),
                    )
                    for kernel, index in zip(kernels, own, strict=True)
                ),
                call_ms=fitted.composition.constant_ms,
                device=card.device,
                runtime=card.runtime,
                threads=card.threads,
                dtype=card.dtype,
            )
        )
    return found
