"""The weights of an ncnn model: bytes, or how many random numbers stand in their place where only latency counts."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from profiler.errors import NetworkError
from profiler.formats.quantization import Quantization
from profiler.network import Network, Operator

_FLOAT_TAG = struct.pack("<I", 0)
_INT8_TAG = struct.pack("<I", 0x000D4B38)  # ncnn's src/modelbin.cpp
_ALIGNMENT = 4
_LARGEST_INT8 = 127
_RANDOM_BIAS = 0.1
_RANDOM_ALPHA = 0.25

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Literal:
    """Bytes as they are.

    Attributes:
        data: The bytes.
    """

    data: bytes


@dataclass(frozen=True)
class Random:
    """Random float32 numbers, little endian, whose values do not matter.

    Attributes:
        count: How many.
        scale: They are uniform in [-scale, scale].
    """

    count: int
    scale: float


Segment = Literal | Random


class NcnnWeights:
    """Segments of a weights file in the order of the layers; random ones where the network has no weights.

    Args:
        network: The network.
        quantization: Ranges of its tensors for int8 convolutions and dense layers; None for float32.

    Attributes:
        segments: What was added so far.
    """

    def __init__(self, network: Network, quantization: Quantization | None) -> None:
        self._network, self._quantization = network, quantization
        self.segments: list[Segment] = []

    @property
    def is_int8(self) -> bool:
        """Whether layers that ncnn computes in int8 are to be."""
        return self._quantization is not None

    def has(self, operator: Operator, role: str) -> bool:
        """Whether an operator has a weight."""
        return f"{operator.name}/{role}" in self._network.weight_specs

    def count(self, operator: Operator, role: str = "kernel") -> int:
        """Return the elements of an operator's weight."""
        return self._network.weight_specs[f"{operator.name}/{role}"].elements

    def add_kernel(self, operator: Operator, order: tuple[int, ...], *, is_int8: bool = False) -> None:
        """Add an operator's kernel and, if it has one, its bias.

        Args:
            operator: A convolution or dense layer.
            order: The kernel's axis for each axis that ncnn wants, channels of the output first.
            is_int8: Whether it is int8, with a scale for each channel of the output; else float32.
        """
        spec = self._network.weight_specs[f"{operator.name}/kernel"]
        values = self._values(operator, "kernel")
        # He's bound keeps activations within floats through any number of layers.
        channels = spec.shape[order[0]]
        bound = float(np.sqrt(6 * channels / spec.elements))
        scales: Floats | None = None
        if values is None:
            self._add(Literal(_FLOAT_TAG), Random(spec.elements, bound))
        else:
            values = np.ascontiguousarray(values.transpose(order)).reshape(channels, -1)
            if is_int8:
                scales = _int8_scales(values)
                self._add_int8(values * scales[:, np.newaxis])
            else:
                self._add(Literal(_FLOAT_TAG), _floats(values))
        if self.has(operator, "bias"):
            self.add_vector(operator, "bias", _RANDOM_BIAS)
        if scales is not None:
            self._add(_floats(scales))
        elif is_int8:  # a negative scale is as good: it is divided by again
            self._add(Random(channels, _LARGEST_INT8 / bound))

    def add_activation_scale(self, tensor: str) -> None:
        """Add the scale with which int8 layers read or write a tensor of the network.

        Raises:
            NetworkError: The quantization lacks it.
        """
        ranges = {} if self._quantization is None else self._quantization.ranges
        if tensor not in ranges:
            raise NetworkError(f"tensor {tensor!r} has no range in the quantization")
        low, high = ranges[tensor]
        self._add(_floats(np.array([_LARGEST_INT8 / (max(-low, high) or 1.0)], np.float32)))

    def add_alpha(self, operator: Operator) -> None:
        """Add the slopes of a prelu."""
        self.add_vector(operator, "alpha", _RANDOM_ALPHA)

    def add_vector(self, operator: Operator, role: str, random_scale: float) -> None:
        """Add a weight of one axis, which ncnn reads without a tag."""
        values = self._values(operator, role)
        self._add(Random(self.count(operator, role), random_scale) if values is None else _floats(values))

    def _values(self, operator: Operator, role: str) -> Floats | None:
        return None if self._network.weights is None else self._network.weights[f"{operator.name}/{role}"]

    def _add_int8(self, steps: Floats) -> None:
        data = np.clip(np.rint(steps), -_LARGEST_INT8, _LARGEST_INT8).astype(np.int8).tobytes()
        self._add(Literal(_INT8_TAG + data + bytes(-len(data) % _ALIGNMENT)))

    def _add(self, *segments: Segment) -> None:
        for segment in segments:
            last = self.segments[-1] if self.segments else None
            if isinstance(segment, Literal) and isinstance(last, Literal):
                self.segments[-1] = Literal(last.data + segment.data)
            else:
                self.segments.append(segment)


def to_bytes(segments: Iterable[Segment], seed: int = 0) -> bytes:
    """Return a weights file; its random numbers follow from the seed."""
    rng = np.random.default_rng(seed)
    return b"".join(
        segment.data
        if isinstance(segment, Literal)
        else _floats(rng.uniform(-segment.scale, segment.scale, segment.count)).data
        for segment in segments
    )


def _floats(values: NDArray[np.floating]) -> Literal:
    return Literal(np.ascontiguousarray(values, "<f4").tobytes())


def _int8_scales(parts: Floats) -> Floats:
    """Return the steps of a unit for each part; 0 for one of zeros, as ncnn has it."""
    peaks = np.abs(parts).max(axis=1)
    scales: Floats = np.where(peaks > 0, _LARGEST_INT8 / np.where(peaks > 0, peaks, 1), 0).astype(np.float32)
    return scales
