"""The operator kinds by name: the closed vocabulary of a network."""

from __future__ import annotations

from types import MappingProxyType

from profiler.network._convolutions import AvgPool2d, Conv2d, Dense, DepthwiseConv2d, MaxPool2d, TransposeConv2d
from profiler.network._elementwise import Add, HardSigmoid, HardSwish, Mul, PRelu, Relu, Relu6, Sigmoid, Softmax
from profiler.network._operator import Operator
from profiler.network._shaping import (
    ChannelShuffle,
    Concat,
    DepthToSpace,
    GlobalAvgPool2d,
    Mean,
    Opaque,
    Pad,
    Reshape,
    ResizeBilinear,
    ResizeNearest,
    Split,
    Transpose,
)

_KINDS: tuple[type[Operator], ...] = (
    Conv2d, DepthwiseConv2d, TransposeConv2d, Dense, Add, Mul, Concat, Split, ChannelShuffle, MaxPool2d, AvgPool2d,
    GlobalAvgPool2d, Relu, Relu6, PRelu, HardSwish, HardSigmoid, Sigmoid, Softmax, Pad, ResizeBilinear, ResizeNearest,
    DepthToSpace, Reshape, Transpose, Mean, Opaque,
)  # fmt: skip

OPERATOR_KINDS: MappingProxyType[str, type[Operator]] = MappingProxyType({kind.kind: kind for kind in _KINDS})
"""Every operator kind by its name."""
