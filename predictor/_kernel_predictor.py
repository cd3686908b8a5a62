"""The kernel predictor: fits on the kernel rows of a latency table, predicts kernels run alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

import numpy as np

from predictor._card import ModelCard, NetworkEvidence, describe_fit, kernel_family_cards
from predictor._conformal import HeldOut
from predictor._estimator import Estimator
from predictor._fusion import fusion_of
from predictor._kernels import KernelModel, fit_kernel_model
from predictor._prediction import KernelPredictions
from predictor._rows import LEAST_KERNEL_ROWS, training_rows
from predictor.errors import NotFittedError, OutOfDomainError, TooFewRowsError
from profiler.kernels import FusionRules, Kernel

if TYPE_CHECKING:
    from profiler.table import LatencyTable


class KernelPredictor(Estimator):
    """Predicts latencies of kernels, measured or not, with 90 % intervals.

    Args:
        rules: What the runtime fuses, for the card; None for the rules known of the table's runtime.
        seed: Of folds and regressors; the same table and seed give the same predictor.
    """

    def __init__(self, *, rules: FusionRules | None = None, seed: int = 0) -> None:
        self.rules, self.seed = rules, seed
        self._fitted: tuple[KernelModel, ModelCard] | None = None

    def fit(self, table: LatencyTable) -> Self:
        """Learn from the kernel rows of a table of one device, runtime, thread count and type.

        Raises:
            TrainingRowsError: The rows cannot be learned from: too few, mixed, constant, or not numbers.
        """
        rows = training_rows(table)
        if len(rows.kernels) < LEAST_KERNEL_ROWS:
            raise TooFewRowsError(len(rows.kernels), LEAST_KERNEL_ROWS)
        model, held_out = fit_kernel_model(rows.kernels, rows.kernel_ms, rows.kernel_doubts, seed=self.seed)
        none = NetworkEvidence(HeldOut(np.empty(0), np.empty(0)))
        fusion = fusion_of(rows.origin.runtime, self.rules)
        self._fitted = model, describe_fit(rows, kernel_family_cards(model, held_out), none, fusion)
        return self

    @property
    def card(self) -> ModelCard:
        """What the predictor learned from and how well it does.

        Raises:
            NotFittedError: Nothing was learned yet.
        """
        return self._require()[1]

    def predict(self, kernels: Sequence[Kernel], *, allow_unknown: bool = False) -> KernelPredictions:
        """Predict kernels run alone.

        Args:
            kernels: Kernels of any kind.
            allow_unknown: Whether kernels of a family that was never measured get a rough bound from their
                bytes and work, marked as out of domain, instead of an error.

        Raises:
            NotFittedError: Nothing was learned yet.
            OutOfDomainError: A kernel's family was never measured and allow_unknown is false.
        """
        estimate = self._require()[0].estimate(kernels)
        unknown = [kernel.describe() for kernel, known in zip(kernels, estimate.known, strict=True) if not known]
        if unknown and not allow_unknown:
            raise OutOfDomainError(tuple(dict.fromkeys(unknown)))
        return KernelPredictions(
            latency_ms=estimate.latency_ms,
            low_ms=estimate.latency_ms * np.exp(-estimate.whole_spread),
            high_ms=estimate.latency_ms * np.exp(estimate.whole_spread),
            in_domain=estimate.in_domain,
        )

    def _require(self) -> tuple[KernelModel, ModelCard]:
        if self._fitted is None:
            raise NotFittedError()
        return self._fitted
