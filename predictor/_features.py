"""What a kernel looks like to a regressor: where it lies among configurations, and what work it asks for.

Two views of one kernel. The *coordinates* are the configuration itself in octaves (log2), and span the
space in which distances between kernels mean something. The *terms* are amounts of work that a processor
must do, each with a cost >= 0; their weighted sum is the physical base that extrapolates.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from profiler.kernels import Kernel
from profiler.network import Operator

FloatArray = npt.NDArray[np.float64]

COORDINATES = (
    "input_channels", "output_channels", "positions", "columns", "input_positions", "window_height", "window_width",
    "stride", "dilation", "groups", "inputs", "outputs", "input_elements", "input_remainder_8", "output_remainder_8",
    "output_remainder_16", "position_remainder_4", "unpadded", "leading_pad", "clamps", "other_activations", "sums",
    "broadcasts", "rank", "last_axis",
)  # fmt: skip
"""Names of the coordinates, in order. Sizes are in octaves; remainders, shares and flags lie in [0, 1]."""

SIZES = frozenset(COORDINATES[:13])
"""Coordinates that are sizes, in octaves; the others are shares, flags and small counts."""

TERMS = (
    "call",
    "macs",
    "padded_macs",
    "input_bytes",
    "output_bytes",
    "weight_bytes",
    "patch_bytes",
    "window_reads",
    "rows",
)
"""Names of the physical terms, in order: one call, then millions of operations or megabytes."""

_MEGA = 1e6
_LANES = 16
"""Outputs that a SIMD kernel computes together (AVX2 and NEON GEMM tiles are 8 or 16 wide)."""


def coordinates(kernels: Sequence[Kernel]) -> FloatArray:
    """Return where the kernels lie among configurations. Shape: (len(kernels), len(COORDINATES))."""
    rows = [_coordinates(kernel) for kernel in kernels]
    return np.array(rows, dtype=np.float64).reshape(len(rows), len(COORDINATES))


def terms(kernels: Sequence[Kernel]) -> FloatArray:
    """Return the kernels' work, all values >= 0. Shape: (len(kernels), len(TERMS))."""
    rows = [_terms(kernel) for kernel in kernels]
    return np.array(rows, dtype=np.float64).reshape(len(rows), len(TERMS))


def activation_megabytes(kernels: Sequence[Kernel]) -> FloatArray:
    """Return the activations that kernels read and write, in MB of float32. Shape: (len(kernels),)."""
    elements = [sum(math.prod(shape) for shape in (*kernel.input_shapes, *kernel.output_shapes)) for kernel in kernels]
    return np.array(elements, dtype=np.float64) * 4.0 / _MEGA


def _coordinates(kernel: Kernel) -> list[float]:
    anchor, network = kernel.anchor, kernel.network
    read = network.tensors[anchor.inputs[0]].shape if anchor.inputs else (1,)
    written = network.tensors[anchor.outputs[0]].shape if anchor.outputs else (1,)
    window, stride, dilation = _window(anchor)
    input_channels, output_channels = _last(read), _last(written)
    positions = _positions(written)
    followers = [operator.kind for operator in network.operators if operator is not anchor]
    clamps = sum(kind in {"relu", "relu6"} for kind in followers)
    sums, pads = followers.count("add"), followers.count("pad")
    sizes = [math.prod(shape) for shape in kernel.input_shapes]
    return [
        math.log2(input_channels),
        math.log2(output_channels),
        math.log2(positions),
        math.log2(written[2] if len(written) == 4 else 1),
        math.log2(_positions(read)),
        math.log2(window[0]),
        math.log2(window[1]),
        math.log2(stride[0] * stride[1]) / 2,
        math.log2(max(dilation)),
        math.log2(getattr(anchor, "groups", 1)),
        math.log2(max(len(anchor.inputs), 1)),
        math.log2(max(len(anchor.outputs), 1)),
        math.log2(max(sum(sizes), 1)),
        _remainder(input_channels, 8),
        _remainder(output_channels, 8),
        _remainder(output_channels, 16),
        _remainder(positions, 4),
        float(getattr(anchor, "padding", "") == "valid"),
        float(pads),
        float(clamps),
        float(len(followers) - clamps - sums - pads),
        float(sums),
        float(len(set(sizes)) > 1),
        float(len(read)),
        _last_axis(anchor, len(read)),
    ]


def _terms(kernel: Kernel) -> list[float]:
    anchor, network = kernel.anchor, kernel.network
    costs = network.cost()
    macs = float(costs.macs)
    read = [network.tensors[name].shape for name in anchor.inputs]
    written = [network.tensors[name].shape for name in anchor.outputs]
    window, stride, _ = _window(anchor)
    area = window[0] * window[1]
    positions = _positions(written[0]) if written else 1
    channels = _last(written[0]) if written else 1
    gathers = anchor.kind == "conv2d" and (area > 1 or max(stride) > 1)
    patch = 4.0 * positions * area * _last(read[0]) / getattr(anchor, "groups", 1) if gathers else 0.0
    input_bytes = 4.0 * sum(math.prod(spec.shape) for spec in network.inputs)
    output_bytes = 4.0 * sum(math.prod(shape) for shape in kernel.output_shapes)
    waste = math.ceil(channels / _LANES) * _LANES / channels
    reads = float(positions * channels * area) if anchor.kind not in {"conv2d", "dense"} else 0.0
    amounts = [
        macs,
        macs * waste,
        input_bytes,
        output_bytes,
        4.0 * costs.parameters,
        patch,
        reads,
        float(positions * len(read)),
    ]
    return [1.0, *(amount / _MEGA for amount in amounts)]


def _window(anchor: Operator) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    """Return kernel, stride and dilation; ones for operators without them."""
    one = (1, 1)
    return getattr(anchor, "kernel", one), getattr(anchor, "stride", one), getattr(anchor, "dilation", one)


def _last(shape: tuple[int, ...]) -> int:
    return shape[-1] if shape else 1


def _positions(shape: tuple[int, ...]) -> int:
    return max(math.prod(shape[:-1]), 1)


def _remainder(size: int, lanes: int) -> float:
    """Return the share of lanes that the last group leaves idle."""
    return (-size % lanes) / lanes


def _last_axis(anchor: Operator, rank: int) -> float:
    """Return 1 when an operator with axes works on the channels, else 0."""
    axes = getattr(anchor, "axes", (getattr(anchor, "axis", -1),))
    return float(any(axis in (-1, rank - 1) for axis in axes))
