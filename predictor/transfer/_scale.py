"""The scale on which latencies of devices are compared: where they differ by sums, or by factors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from predictor._features import FloatArray

_LEAST_LATENCY = 1e-9
_LEAST_ROOT = 1e-2


@dataclass(frozen=True)
class Scale:
    """A way to bring latencies, relative to what is typical, to a scale with even errors.

    Attributes:
        logarithmic: Whether it is the logarithm, for latencies over several decades; else the square root, which
            lies between sums of operators' latencies and factors between devices.
    """

    logarithmic: bool

    def forward(self, relative: FloatArray) -> FloatArray:
        """Return relative latencies, > 0, on this scale; NaN stays NaN."""
        floored = np.maximum(relative, _LEAST_LATENCY)
        return np.log(floored) if self.logarithmic else np.sqrt(floored)

    def backward(self, values: FloatArray) -> FloatArray:
        """Return relative latencies, > 0, of values on this scale."""
        return np.exp(values) if self.logarithmic else np.maximum(values, _LEAST_ROOT) ** 2

    def log_slope(self, relative: FloatArray) -> FloatArray:
        """Return the logarithm of the slope of `forward`, which makes densities on two scales comparable."""
        floored = np.maximum(relative, _LEAST_LATENCY)
        return -np.log(floored) if self.logarithmic else -0.5 * np.log(floored) - np.log(2.0)

    @property
    def burst(self) -> float:
        """What a slow moment typically adds to a label: half as much again, as in published latencies of phones."""
        return 0.4 if self.logarithmic else 0.2

    def typical(self, latency_ms: FloatArray) -> FloatArray:
        """Return each column's mean in the sense of this scale, in ms. Shape: (n, devices) -> (devices,)."""
        if self.logarithmic:
            return np.asarray(np.exp(np.nanmean(np.log(np.maximum(latency_ms, _LEAST_LATENCY)), axis=0)))
        return np.asarray(np.nanmean(latency_ms, axis=0))
