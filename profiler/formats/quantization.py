"""Ranges of activations, from which int8 models get their scales.

Kernels need no ranges: their scales follow from the weights themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from profiler.errors import NetworkError
from profiler.network import Network

Range = tuple[float, float]

_NOMINAL_RANGE: Range = (-6.0, 6.0)
_NOMINAL_POSITIVE_RANGE: Range = (0.0, 6.0)
_POSITIVE_KINDS = frozenset({"relu", "relu6"})


@dataclass(frozen=True)
class Quantization:
    """The range of values of every tensor of a network.

    Attributes:
        ranges: Lowest and highest value (low, high) by tensor name, low <= high, both finite.

    Raises:
        NetworkError: A range is not finite or is upside down.
    """

    ranges: Mapping[str, Range]

    def __post_init__(self) -> None:
        for tensor, (low, high) in self.ranges.items():
            if not (np.isfinite(low) and np.isfinite(high) and low <= high):
                raise NetworkError(f"tensor {tensor!r} has the range ({low}, {high}), which is none")
        object.__setattr__(self, "ranges", MappingProxyType(dict(self.ranges)))

    @classmethod
    def nominal(cls, network: Network) -> Quantization:
        """Return fixed, plausible ranges, for latency only: the outputs of such a model mean nothing.

        Positive activations get (0, 6), everything else (-6, 6).
        """
        positive = {operator.name for operator in network.operators if operator.kind in _POSITIVE_KINDS}
        return cls(
            {tensor: _NOMINAL_POSITIVE_RANGE if tensor in positive else _NOMINAL_RANGE for tensor in network.tensors}
        )


def calibrate(network: Network, samples: Iterable[Sequence[NDArray[Any]]]) -> Quantization:
    """Return the ranges that a network's tensors take on samples of its real input.

    The ranges are the lowest and highest values seen: nothing that the samples hold is clipped.

    Args:
        network: The network, with weights.
        samples: Inputs, at least one; each has one float32 array for every input of the network, in order and shape.

    Raises:
        NetworkError: There is no sample, a sample does not fit the inputs, or a value is not finite.
    """
    # torch takes seconds to import, and writing models must not wait for it
    from profiler.formats.torch_builder import build_torch

    module = build_torch(network)
    ranges: dict[str, Range] = {}
    for sample in samples:
        for tensor, values in module.run_all(sample).items():
            low, high = ranges.get(tensor, (np.inf, -np.inf))
            ranges[tensor] = min(low, float(values.min())), max(high, float(values.max()))
    if not ranges:
        raise NetworkError("calibration needs at least one sample")
    return Quantization(ranges)
