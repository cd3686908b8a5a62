"""Devices that a catalogue of architectures was measured on, learned once for any number of new devices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from predictor._features import FloatArray
from predictor.errors import TrainingRowsError
from predictor.transfer._architectures import IntArray, read_architectures
from predictor.transfer._device_prior import Widths
from predictor.transfer._scale import Scale
from predictor.transfer._source_functions import LEAST_ROWS, SourceFits, SourceFunctions, fit_sources
from predictor.transfer._widths import learn_widths

_CLEARLY_LIKELIER = 0.1
"""Log density a latency by which the logarithm must beat the root: networks that are nearly empty have huge
logarithms, and the two are close where latencies span less than a decade."""


class SourceDevices:
    """Latencies of known devices over a catalogue of architectures.

    Args:
        architectures: Texts that name the architectures, all in one form. Length: n.
        latency_ms: Latencies of the devices, in ms, NaN where missing. Only `rows` are read.
            Shape: (n, devices), devices >= 1.
        rows: Architectures whose latencies may be used; None for all. Shape: (m,).
        seed: Orders the rows; the first ones are used where not all are needed.

    Attributes:
        catalogue: The architectures as arrays.
        rows: The rows, in random order. Shape: (m,).
        devices: Number of devices.

    Raises:
        TrainingRowsError: There are no devices, or a latency is not finite and positive.
        ArchitectureTextError: A text does not fit the catalogue.
    """

    def __init__(
        self, architectures: Sequence[str], latency_ms: FloatArray, *, rows: IntArray | None = None, seed: int = 0
    ) -> None:
        self.catalogue = read_architectures(architectures)
        every = np.arange(len(self.catalogue)) if rows is None else np.asarray(rows, dtype=np.int64)
        self.rows = np.random.default_rng(seed).permutation(every)
        self.devices = latency_ms.shape[1]
        if not self.devices:
            raise TrainingRowsError("transfer needs at least one source device")
        self._latency_ms = latency_ms
        self._fits: dict[Scale, SourceFits] = {}
        known = latency_ms[every]
        wrong = ~np.isnan(known) & ~(np.isfinite(known) & (known > 0))
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            raise TrainingRowsError(
                f"{known[row, column]:g} in source {column + 1} is no latency", row=int(every[row]) + 1
            )

    def functions(self, devices: IntArray, scale: Scale) -> SourceFunctions:
        """Return what some of the devices take for every architecture.

        Raises:
            TrainingRowsError: A device was measured on too few architectures.
        """
        return self._fit(scale).functions(devices)

    def burst_share(self, devices: IntArray, scale: Scale) -> float:
        """Return the share of rows taken in slow moments, of the device among some that has most of them.

        Raises:
            TrainingRowsError: A device was measured on too few architectures.
        """
        return self._fit(scale).burst_share(devices, scale.burst)

    def scale_and_widths(self, devices: IntArray) -> tuple[Scale, Widths]:
        """Choose the scale on which left-out devices are likelier, with the widths of a new one that go with it.

        Raises:
            TrainingRowsError: Too few architectures were measured on all the devices.
        """
        known = self._latency_ms[np.ix_(self.rows, devices)]
        whole = np.flatnonzero(~np.isnan(known).any(axis=1))
        if len(whole) < LEAST_ROWS:
            raise TrainingRowsError(
                f"{len(whole)} architectures were measured on all sources; leave sources out, or measure {LEAST_ROWS}"
            )
        (root, root_density), (logarithm, log_density) = (
            learn_widths(self.catalogue[self.rows[whole]], known[whole], Scale(logarithmic), np.random.default_rng(0))
            for logarithmic in (False, True)
        )
        if log_density > root_density + _CLEARLY_LIKELIER:
            return Scale(logarithmic=True), logarithm
        return Scale(logarithmic=False), root

    def _fit(self, scale: Scale) -> SourceFits:
        if scale not in self._fits:
            self._fits[scale] = fit_sources(self.catalogue, self._latency_ms, self.rows, scale)
        return self._fits[scale]
