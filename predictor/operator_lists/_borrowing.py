"""A device with few rows borrows another's kernels: a donor's latencies, times a factor a kind found from the rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from predictor._conformal import calibrated_factor
from predictor.operator_lists._correction import Correction, Strength
from predictor.operator_lists._device import DeviceModel, Estimate
from predictor.operator_lists._evidence import Labels
from predictor.operator_lists._kernels import FloatArray, OperatorLists
from predictor.operator_lists._shapes import ShapeFeatures

_STRENGTH = Strength(0.3, 0.1)
"""Between devices of one sort kinds differ by tens of percent, and shapes within a kind by less."""

_STEPS = 2
_LEAST_DEVIATION = 0.02
_FOLDS = 5
_FEWEST_FOR_FOLDS = 4


@dataclass(frozen=True, eq=False)
class BorrowedModel:
    """A device that stands on another.

    Attributes:
        donor: Name of the device that it stands on.
        model: That device's model.
        scale: Ratio of the two devices' latencies.
        correction: Factors on the donor's kernels beyond that.
        factor: Multiple of the deviation that makes a 90 % interval.
    """

    donor: str
    model: DeviceModel
    scale: float
    correction: Correction
    factor: float

    @classmethod
    def fit(
        cls,
        features: ShapeFeatures,
        networks: OperatorLists,
        latency_ms: FloatArray,
        families: Labels,
        donors: Mapping[str, DeviceModel],
    ) -> BorrowedModel:
        """Fit on the donor from which held-out rows are predicted best.

        Args:
            features: Functions of kernels' shapes.
            networks: The few measured networks.
            latency_ms: Their latencies, all > 0. Shape: (len(networks),).
            families: Their families. Shape: (len(networks),).
            donors: Devices to stand on, at least one.
        """
        best: tuple[float, BorrowedModel] | None = None
        for name, donor in donors.items():
            scores = _held_out_scores(features, networks, latency_ms, families, name, donor)
            own = _unscored(features, networks, latency_ms, families, name, donor)
            error = float(np.mean(np.minimum(scores, np.median(scores) * 5))) if len(scores) else 1.0
            calibrated = cls(name, donor, own.scale, own.correction, calibrated_factor(scores))
            if best is None or error < best[0]:
                best = error, calibrated
        if best is None:
            raise ValueError("there is no device to borrow from")
        return best[1]

    def estimate(self, networks: OperatorLists, families: Labels) -> Estimate:
        """Predict networks.

        Args:
            networks: Networks to predict.
            families: Their families. Shape: (len(networks),).
        """
        log_ms, deviation, donors = _moved(self, networks, families)
        # What the donor itself does not know of a network its borrower does not know either, and the few rows may not
        # show it: they are often of networks that the donor learned from.
        return Estimate(log_ms, np.hypot(self.factor * deviation, donors.half_width))


def _unscored(
    features: ShapeFeatures,
    networks: OperatorLists,
    latency_ms: FloatArray,
    families: Labels,
    name: str,
    donor: DeviceModel,
) -> BorrowedModel:
    donors_ms = np.exp(donor.estimate(networks, families).log_ms)
    scale = float(np.exp(np.median(np.log(latency_ms / donors_ms))))
    # The donor's own errors on these networks are not for the new device's factors to explain.
    relative_ms = donor.near.network_ms(networks) * latency_ms / donors_ms / scale
    (correction,) = Correction.fit(features, networks, donor.near, relative_ms, (_STRENGTH,), steps=_STEPS)
    return BorrowedModel(name, donor, scale, correction, 1.0)


def _moved(model: BorrowedModel, networks: OperatorLists, families: Labels) -> tuple[FloatArray, FloatArray, Estimate]:
    """Return log latencies, deviations of their logs, and the donor's own estimate."""
    donors = model.model.estimate(networks, families)
    after_ms, deviation = model.correction.predict(networks, model.model.near)
    log_ms = donors.log_ms + np.log(after_ms / model.model.near.network_ms(networks) * model.scale)
    return log_ms, np.sqrt(deviation**2 + _LEAST_DEVIATION**2), donors


def _held_out_scores(
    features: ShapeFeatures,
    networks: OperatorLists,
    latency_ms: FloatArray,
    families: Labels,
    name: str,
    donor: DeviceModel,
) -> FloatArray:
    """Return |log error| over deviation of rows left out in turn. Shape: (n,), or (0,) for too few rows."""
    if len(latency_ms) < _FEWEST_FOR_FOLDS:
        return np.zeros(0)
    scores = np.zeros(len(latency_ms))
    fold = np.arange(len(latency_ms)) % _FOLDS
    for number in range(_FOLDS):
        out = fold == number
        if not out.any():
            continue
        own = _unscored(features, networks.selected(~out), latency_ms[~out], families[~out], name, donor)
        log_ms, deviation, _ = _moved(own, networks.selected(out), families[out])
        scores[out] = np.abs(np.log(latency_ms[out]) - log_ms) / deviation
    return scores
