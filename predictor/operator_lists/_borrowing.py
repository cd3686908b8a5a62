"""A device with few rows borrows another's: the other's latencies, times a ratio that the rows tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from predictor._conformal import ENOUGH_FOR_QUANTILE, calibrated_factor
from predictor.operator_lists._device import DeviceModel, Estimate
from predictor.operator_lists._evidence import Labels
from predictor.operator_lists._kernels import FloatArray, OperatorLists
from predictor.operator_lists._ratio import DeviceRatio
from predictor.operator_lists._shapes import ShapeFeatures

_NORMAL_90 = 1.645
_CHUNK = 2000


@dataclass(frozen=True, eq=False)
class BorrowedModel:
    """A device that stands on another.

    Attributes:
        donor: Name of the device that it stands on.
        model: That device's model.
        log_scale: Log of the typical ratio of the two devices' latencies.
        ratio: Beyond that, how it depends on the kernels.
        factor: Multiple of the deviation that makes a 90 % interval.
    """

    donor: str
    model: DeviceModel
    log_scale: float
    ratio: DeviceRatio
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
        """Fit on the donor under which the rows are likeliest.

        Args:
            features: Functions of kernels' shapes.
            networks: The few measured networks.
            latency_ms: Their latencies, all > 0. Shape: (len(networks),).
            families: Their families. Shape: (len(networks),).
            donors: Devices to stand on, at least one.
        """
        fitted = [cls._on(name, donor, features, networks, latency_ms, families) for name, donor in donors.items()]
        return max(fitted, key=lambda model: model.ratio.log_evidence)

    @classmethod
    def _on(
        cls,
        name: str,
        donor: DeviceModel,
        features: ShapeFeatures,
        networks: OperatorLists,
        latency_ms: FloatArray,
        families: Labels,
    ) -> BorrowedModel:
        estimate = donor.estimate(networks, families)
        log_ratio = np.log(latency_ms) - estimate.log_ms
        log_scale = float(np.median(log_ratio))
        ratio = DeviceRatio.fit(
            features, networks, families, donor.near, log_ratio - log_scale, estimate.half_width / _NORMAL_90
        )
        return cls(name, donor, log_scale, ratio, _factor(ratio.left_out))

    def estimate(self, networks: OperatorLists, families: Labels) -> Estimate:
        """Predict networks.

        Args:
            networks: Networks to predict.
            families: Their families. Shape: (len(networks),).
        """
        estimate = self.model.estimate(networks, families)
        for start in range(0, len(networks), _CHUNK):
            part = np.arange(start, min(start + _CHUNK, len(networks)))
            # What the donor does not know of a network its borrower does not know either.
            doubt = estimate.half_width[part] / _NORMAL_90
            log_ratio, deviation = self.ratio.predict(networks.selected(part), families[part], self.model.near, doubt)
            log_ms = estimate.log_ms[part] + self.log_scale + log_ratio
            estimate.scattered(part, Estimate(log_ms, self.factor * deviation))
        return estimate


def _factor(scores: FloatArray) -> float:
    """Return the multiple of the deviation that makes a 90 % interval, from |error| over deviation of rows left out.

    The widths were chosen with the rows left out, too, so few rows flatter themselves; they can widen the interval of a
    normal variable, not narrow it.
    """
    count = len(scores)
    flattered = _NORMAL_90 * np.sqrt(1.0 + 5.0 / count)
    return float(max(flattered, calibrated_factor(scores)) if count >= ENOUGH_FOR_QUANTILE else flattered)
