"""Predicts many networks at once, given as counts of the kernels that they share.

The kernels are predicted once, whatever the number of networks; what is left is linear in networks times kernels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from predictor._composition import Composition, Parts
from predictor._features import FloatArray
from predictor.errors import PredictorError
from profiler.kernels import Kernel

Counts = npt.NDArray[np.integer[Any]] | FloatArray
BoolArray = npt.NDArray[np.bool_]

_CHUNK_CELLS = 4_000_000
"""Counts that are turned into floating point at once: 32 MB, and as much again for their squares."""


@dataclass(frozen=True, eq=False)
class NetworkPredictions:
    """Predicted latencies of networks. All arrays have one entry a network.

    Attributes:
        latency_ms: Predicted latency, > 0.
        low_ms: Lower end of the 90 % interval, > 0.
        high_ms: Upper end.
        in_domain: Whether there is evidence for every kernel.
    """

    latency_ms: FloatArray
    low_ms: FloatArray
    high_ms: FloatArray
    in_domain: BoolArray

    def __len__(self) -> int:
        return len(self.latency_ms)


def occurring(kernels: Sequence[Kernel], counts: Counts) -> BoolArray:
    """Return which kernels occur in any network. Shape: (len(kernels),).

    Raises:
        PredictorError: A kernel is there twice, counts have another shape or are below 0, or a network has no kernel.
    """
    if counts.ndim != 2 or counts.shape[1] != len(kernels):
        raise PredictorError(f"counts of {len(kernels)} kernels have shape (n, {len(kernels)}), not {counts.shape}")
    repeated = [kernel.describe() for kernel, times in Counter(kernels).items() if times > 1]
    if repeated:
        raise PredictorError(f"the kernel {repeated[0]!r} has two columns of counts; add them up")
    if counts.size and not counts.min() >= 0:
        raise PredictorError("a count of kernels is below 0 or no number")
    some = counts.any(axis=1)
    if not some.all():
        raise PredictorError(f"network {int(np.argmin(some)) + 1} has no kernels")
    return np.asarray(counts.any(axis=0))


def compose(composition: Composition, parts: Parts, in_domain: BoolArray, counts: Counts) -> NetworkPredictions:
    """Make networks of kernels, some thousands at a time.

    Args:
        composition: How kernels make a network.
        parts: The kernels. k of them.
        in_domain: Whether there is evidence for each. Shape: (k,).
        counts: How often each network has each kernel. Shape: (n, k).
    """
    number, width = counts.shape
    latency_ms, spread = np.empty(number), np.empty(number)
    inside = np.empty(number, dtype=np.bool_)
    outside = (~in_domain).astype(np.float64)
    step = max(_CHUNK_CELLS // max(width, 1), 1)
    for start in range(0, number, step):
        rows = slice(start, start + step)
        chunk = np.asarray(counts[rows], dtype=np.float64)
        latency_ms[rows] = composition.latency(parts, chunk)
        spread[rows] = composition.spread(parts, chunk)
        inside[rows] = chunk @ outside == 0
    factor = np.exp(spread)
    return NetworkPredictions(latency_ms, latency_ms / factor, latency_ms * factor, inside)
