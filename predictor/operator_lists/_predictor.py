"""The predictor of whole networks from operator lists, for any number of devices at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from predictor.errors import NotFittedError, TrainingRowsError
from predictor.operator_lists._borrowing import BorrowedModel
from predictor.operator_lists._device import DeviceModel
from predictor.operator_lists._kernels import KINDS, FloatArray, OperatorLists
from predictor.operator_lists._shapes import ShapeFeatures

FEW_ROWS = 200
"""A device with fewer rows borrows from one with more, if there is one."""


@dataclass(frozen=True, eq=False)
class NetworkLatencies:
    """Predicted latencies.

    Attributes:
        latency_ms: Predictions, > 0. Shape of this and all below: (n,).
        low_ms: Lower end of the 90 % interval.
        high_ms: Its upper end.
        in_domain: False where an operator's kind was never measured on the device, nor on the one it borrows from.
    """

    latency_ms: FloatArray
    low_ms: FloatArray
    high_ms: FloatArray
    in_domain: npt.NDArray[np.bool_]


class WholeNetworkPredictor:
    """Learns devices from latencies of whole networks, given as operator lists.

    Args:
        seed: Of all that is drawn; the same rows and seed give the same predictions.
    """

    def __init__(self, *, seed: int = 0) -> None:
        self._seed = seed
        self._features = ShapeFeatures.drawn(seed)
        self._models: dict[str, DeviceModel | BorrowedModel] = {}

    @property
    def devices(self) -> tuple[str, ...]:
        """The devices that were learned."""
        return tuple(self._models)

    @property
    def donors(self) -> dict[str, str]:
        """Of each device with few rows, the device that it stands on."""
        return {name: model.donor for name, model in self._models.items() if isinstance(model, BorrowedModel)}

    def fit(
        self, networks: OperatorLists, devices: Sequence[str], families: Sequence[str], latency_ms: npt.ArrayLike
    ) -> Self:
        """Learn all devices.

        Args:
            networks: One network a row; the same network may be there for several devices.
            devices: Device of each row. Length: len(networks).
            families: Family of each network: networks of one family share a skeleton. Length: len(networks).
            latency_ms: Measured latencies. Shape: (len(networks),).

        Raises:
            TrainingRowsError: There are no rows, or a latency is not finite and positive.
        """
        measured_ms = np.asarray(latency_ms, dtype=np.float64)
        if not len(networks):
            raise TrainingRowsError("there are no rows to learn from")
        wrong = np.flatnonzero(~(np.isfinite(measured_ms) & (measured_ms > 0)))
        if len(wrong):
            raise TrainingRowsError("is not finite and positive", column="latency_ms", row=int(wrong[0]) + 1)
        device_of, family_of = np.asarray(devices, dtype=np.str_), np.asarray(families, dtype=np.str_)
        rows = {name: np.flatnonzero(device_of == name) for name in dict.fromkeys(device_of.tolist())}
        rich = [name for name, own in rows.items() if len(own) >= FEW_ROWS] or list(rows)
        fitted = {
            name: DeviceModel.fit(self._features, networks.selected(own), measured_ms[own], family_of[own], self._seed)
            for name, own in rows.items()
            if name in rich
        }
        self._models = {
            name: fitted[name]
            if name in fitted
            else BorrowedModel.fit(self._features, networks.selected(own), measured_ms[own], family_of[own], fitted)
            for name, own in rows.items()
        }
        return self

    def predict(self, networks: OperatorLists, devices: Sequence[str], families: Sequence[str]) -> NetworkLatencies:
        """Predict latencies.

        Args:
            networks: One network a row.
            devices: Device of each row, one of `devices`. Length: len(networks).
            families: Family of each network; one that was never measured is allowed. Length: len(networks).

        Raises:
            NotFittedError: fit was not called.
            TrainingRowsError: A device had no rows.
        """
        if not self._models:
            raise NotFittedError
        device_of, family_of = np.asarray(devices, dtype=np.str_), np.asarray(families, dtype=np.str_)
        log_ms, half, in_domain = np.zeros(len(networks)), np.zeros(len(networks)), np.ones(len(networks), np.bool_)
        for name in np.unique(device_of).tolist():
            if name not in self._models:
                raise TrainingRowsError(f"there is no row of device {name!r} to learn from", column="device")
            rows = np.flatnonzero(device_of == name)
            own, model = networks.selected(rows), self._models[name]
            estimate = model.estimate(own, family_of[rows])
            log_ms[rows], half[rows] = estimate.log_ms, estimate.half_width
            seen = (model.model if isinstance(model, BorrowedModel) else model).near.base.seen
            unseen = (~seen)[own.kernels.kind] | (own.kernels.kind == KINDS.index("unknown"))
            in_domain[rows] = own.counts @ unseen.astype(np.float64) == 0
        return NetworkLatencies(np.exp(log_ms), np.exp(log_ms - half), np.exp(log_ms + half), in_domain)
