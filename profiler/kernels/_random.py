"""Recipes for random kernels of each family, in the ranges of mobile networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from profiler.kernels._kernel import Kernel
from profiler.network import (
    Add,
    AvgPool2d,
    ChannelShuffle,
    Concat,
    Conv2d,
    Dense,
    DepthwiseConv2d,
    GlobalAvgPool2d,
    HardSwish,
    MaxPool2d,
    Mul,
    Network,
    Operator,
    Relu,
    Relu6,
    Sigmoid,
    TensorSpec,
)

_MAX_MACS = 30e6
"""About 2 ms on one core at 15 GMAC/s; four times that on a slow one."""

_MAX_ELEMENTS = 400_000
"""1.6 MB a tensor in float32: larger maps make memory-bound kernels of several ms."""


def _map_size(rng: np.random.Generator) -> int:
    """Draw a map's side: those that strides of two make of 224, or any other."""
    if rng.random() < 0.5:
        return int(rng.choice((7, 14, 28, 56, 112)))
    return round(7 * 16 ** rng.random())


def _channels(rng: np.random.Generator, most: float = 512) -> int:
    """Draw a number of channels from 3 to `most`, log-uniform; three in four are multiples of 8."""
    most = max(min(most, 512.0), 3.0)
    size = int(3 * (most / 3) ** rng.random())
    return max(size // 8 * 8, 8) if rng.random() < 0.75 and most >= 8 else size


def _single(operators: list[Operator], *shapes: tuple[int, ...]) -> Kernel:
    inputs = [TensorSpec(f"x{index}", shape) for index, shape in enumerate(shapes)]
    return Kernel(Network("kernel", inputs, operators, operators[-1].outputs))


def _activated(operator: Operator, rng: np.random.Generator) -> list[Operator]:
    """Follow the operator with no activation, relu or relu6."""
    draw = rng.integers(3)
    if draw == 0:
        return [operator]
    return [operator, (Relu if draw == 1 else Relu6)("k1", ("k0",))]


def _conv2d(rng: np.random.Generator) -> Kernel:
    side, window, stride = _map_size(rng), int(rng.choice((1, 1, 3, 3, 5))), int(rng.choice((1, 1, 2)))
    outputs = (-(-side // stride)) ** 2
    channels = _channels(rng, min(_MAX_ELEMENTS / side**2, _MAX_MACS / (outputs * window**2 * 8)))
    filters = _channels(rng, min(_MAX_ELEMENTS / outputs, _MAX_MACS / (outputs * window**2 * channels)))
    operator = Conv2d("k0", ("x0",), filters, (window, window), (stride, stride))
    return _single(_activated(operator, rng), (1, side, side, channels))


def _depthwise_conv2d(rng: np.random.Generator) -> Kernel:
    side, window, stride = _map_size(rng), int(rng.choice((3, 3, 5, 7))), int(rng.choice((1, 1, 2)))
    channels = _channels(rng, _MAX_ELEMENTS / side**2)
    operator = DepthwiseConv2d("k0", ("x0",), (window, window), (stride, stride))
    return _single(_activated(operator, rng), (1, side, side, channels))


def _dense(rng: np.random.Generator) -> Kernel:
    return _single(_activated(Dense("k0", ("x0",), _channels(rng)), rng), (1, _channels(rng)))


def _feature_map(rng: np.random.Generator) -> tuple[int, int, int, int]:
    side = _map_size(rng)
    return (1, side, side, _channels(rng, _MAX_ELEMENTS / side**2))


def _add(rng: np.random.Generator) -> Kernel:
    shape = _feature_map(rng)
    return _single(_activated(Add("k0", ("x0", "x1")), rng), shape, shape)


def _mul(rng: np.random.Generator) -> Kernel:
    """Scale a map by a vector of channels, as squeeze-and-excitation does."""
    shape = _feature_map(rng)
    return _single([Mul("k0", ("x0", "x1"))], shape, (1, 1, 1, shape[3]))


def _concat(rng: np.random.Generator) -> Kernel:
    side, parts = _map_size(rng), int(rng.integers(2, 5))
    shapes = [(1, side, side, _channels(rng, _MAX_ELEMENTS / side**2 / parts)) for _ in range(parts)]
    return _single([Concat("k0", tuple(f"x{index}" for index in range(parts)))], *shapes)


def _pool(kind: type[MaxPool2d] | type[AvgPool2d]) -> Callable[[np.random.Generator], Kernel]:
    def draw(rng: np.random.Generator) -> Kernel:
        window, stride = int(rng.choice((2, 3))), int(rng.choice((1, 2)))
        return _single([kind("k0", ("x0",), (window, window), (stride, stride), "same")], _feature_map(rng))

    return draw


def _plain(kind: Callable[[str, tuple[str, ...]], Operator]) -> Callable[[np.random.Generator], Kernel]:
    def draw(rng: np.random.Generator) -> Kernel:
        return _single([kind("k0", ("x0",))], _feature_map(rng))

    return draw


def _channel_shuffle(rng: np.random.Generator) -> Kernel:
    batch, side, _, channels = _feature_map(rng)
    groups = int(rng.choice((2, 3, 4)))
    channels = max(channels // groups, 2) * groups
    return _single([ChannelShuffle("k0", ("x0",), groups)], (batch, side, side, channels))


RECIPES: Mapping[str, Callable[[np.random.Generator], Kernel]] = MappingProxyType(
    {
        "conv2d": _conv2d,
        "depthwise_conv2d": _depthwise_conv2d,
        "dense": _dense,
        "add": _add,
        "mul": _mul,
        "concat": _concat,
        "max_pool2d": _pool(MaxPool2d),
        "avg_pool2d": _pool(AvgPool2d),
        "global_avg_pool2d": _plain(GlobalAvgPool2d),
        "relu": _plain(Relu),
        "hard_swish": _plain(HardSwish),
        "sigmoid": _plain(Sigmoid),
        "channel_shuffle": _channel_shuffle,
    }
)
"""How to draw a kernel of each family."""
