"""Configurations around a kernel: other channels, maps, windows and strides, valid by construction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from profiler.kernels._kernel import Kernel
from profiler.network import Network, Operator, TensorSpec

_WINDOWS = (1, 3, 5, 7)
_CHANNEL_GRID = 4
_SPREAD_OCTAVES = 1.0
"""Sizes move by up to this factor of two either way: enough to interpolate, near enough to stay of use."""


@dataclass(frozen=True)
class _Sizes:
    """How sizes of a kernel change: each old size has one new size, so equal sizes stay equal."""

    height: Mapping[int, int]
    width: Mapping[int, int]
    channels: Mapping[int, int]

    def apply(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        if len(shape) == 4:
            batch, height, width, channels = shape
            return (batch, self.height[height], self.width[width], self.channels[channels])
        return (*shape[:-1], self.channels[shape[-1]]) if shape else shape


def perturb(kernel: Kernel, rng: np.random.Generator) -> Kernel:
    """Return a kernel of the same kind with a configuration near the given one.

    Map sizes and channels move by up to an octave, convolution and pooling windows and strides are drawn
    anew at times. A kernel whose attributes spell out its shape (reshape, resize, opaque, ...) keeps it, so
    the answer may be the kernel itself.

    Args:
        kernel: Where to start.
        rng: Source of the draws; the caller owns the seed.
    """
    if not _movable(kernel):
        return kernel
    window = _window(kernel, rng)
    sizes = _draw_sizes(kernel, window, rng)
    return _rebuild(kernel, sizes, window, rng)


_WINDOWED = frozenset({"conv2d", "depthwise_conv2d", "max_pool2d", "avg_pool2d"})
_ELEMENTWISE = frozenset({"add", "mul", "relu", "relu6", "hard_swish", "hard_sigmoid", "sigmoid", "prelu", "softmax"})
_MOVABLE = (
    _WINDOWED
    | _ELEMENTWISE
    | {"pad", "transpose_conv2d", "dense", "concat", "split", "channel_shuffle"}
    | {"global_avg_pool2d", "depth_to_space", "mean", "transpose"}
)


def _movable(kernel: Kernel) -> bool:
    """Say whether new sizes fit: attributes name no shape, and no tensor is read in two places of the chain."""
    operators = kernel.network.operators
    read = [name for operator in operators for name in set(operator.inputs)]
    anchor = kernel.anchor
    on_channels = anchor.kind != "split" or anchor.axis in (-1, len(kernel.input_shapes[0]) - 1)  # type: ignore[attr-defined]
    return on_channels and len(read) == len(set(read)) and all(operator.kind in _MOVABLE for operator in operators)


def _window(kernel: Kernel, rng: np.random.Generator) -> dict[str, tuple[int, int]]:
    """Draw window and stride of an operator that has them; most draws keep what is there."""
    anchor = kernel.anchor
    if anchor.kind not in _WINDOWED or 1 in kernel.input_shapes[0][1:3]:
        return {}
    changed: dict[str, tuple[int, int]] = {}
    was: tuple[int, int] = anchor.kernel  # type: ignore[attr-defined]
    dilated = getattr(anchor, "dilation", (1, 1)) != (1, 1)
    if rng.random() < 0.25 and was[0] == was[1] != 1:
        size = int(rng.choice(_WINDOWS[1:]))
        changed["kernel"] = (size, size)
    if rng.random() < 0.2 and not dilated:
        stride = int(rng.choice((1, 2)))
        changed["stride"] = (stride, stride)
    return changed


def _draw_sizes(kernel: Kernel, window: Mapping[str, tuple[int, int]], rng: np.random.Generator) -> _Sizes:
    maps = [shape for shape in kernel.input_shapes if len(shape) == 4]
    divisor = _channel_divisor(kernel)
    least = _least_map(kernel.anchor, window)
    zoom, widen = (float(2 ** rng.uniform(-_SPREAD_OCTAVES, _SPREAD_OCTAVES)) for _ in range(2))
    even = _CHANNEL_GRID if rng.random() < 0.7 else 1
    return _Sizes(
        height={size: _scale(size, zoom, least[0]) for size in {shape[1] for shape in maps}},
        width={size: _scale(size, zoom, least[1]) for size in {shape[2] for shape in maps}},
        channels={
            size: _scale_channels(size, widen, divisor, even)
            for size in {shape[-1] for shape in kernel.input_shapes if shape}
        },
    )


def _scale(size: int, factor: float, least: int) -> int:
    """Scale a map size; 1 is kept, because it means a vector or a broadcast, not a small map."""
    return size if size == 1 else max(round(size * factor), least, 2)


def _scale_channels(size: int, factor: float, divisor: int, even: int) -> int:
    """Scale a number of channels to a multiple of what the operator needs; images (<= 4) keep theirs."""
    if size <= 4 and size % divisor == 0:
        return size
    step = divisor if divisor % even == 0 or size < 2 * even else divisor * even
    return max(round(size * factor / step), 1) * step


def _channel_divisor(kernel: Kernel) -> int:
    anchor = kernel.anchor
    block = getattr(anchor, "block", 1)
    return int(np.lcm.reduce([getattr(anchor, "groups", 1), getattr(anchor, "parts", 1), block * block]))


def _least_map(anchor: Operator, window: Mapping[str, tuple[int, int]]) -> tuple[int, int]:
    """Return the smallest map the operator can read: without padding, one whole window."""
    if getattr(anchor, "padding", "same") == "same":
        return (1, 1)
    kernel = window.get("kernel", getattr(anchor, "kernel", (1, 1)))
    dilation = getattr(anchor, "dilation", (1, 1))
    return (dilation[0] * (kernel[0] - 1) + 1, dilation[1] * (kernel[1] - 1) + 1)


def _rebuild(kernel: Kernel, sizes: _Sizes, window: Mapping[str, tuple[int, int]], rng: np.random.Generator) -> Kernel:
    """Build the kernel again with new sizes; side inputs follow the shape of the tensor they join."""
    old = kernel.network
    inputs = {spec.name: TensorSpec(spec.name, sizes.apply(spec.shape), spec.dtype) for spec in old.inputs}
    built: list[Operator] = []
    for operator in old.operators:
        changes: dict[str, Any] = {**_new_outputs(operator, rng)}
        changes |= window if operator is kernel.anchor else {}
        changed = replace(operator, **changes)
        if built:
            _follow(inputs, old, built, changed)
        built.append(changed)
    used = [inputs[spec.name] for spec in old.inputs]
    return Kernel(Network(old.name, used, built, old.outputs))


def _new_outputs(operator: Operator, rng: np.random.Generator) -> dict[str, int]:
    """Draw the number of output channels of an operator that chooses it."""
    for attribute in ("out_channels", "units"):
        if size := getattr(operator, attribute, 0):
            factor = float(2 ** rng.uniform(-_SPREAD_OCTAVES, _SPREAD_OCTAVES))
            even = _CHANNEL_GRID if rng.random() < 0.7 else 1
            return {attribute: _scale_channels(size, factor, getattr(operator, "groups", 1), even)}
    return {}


def _follow(inputs: dict[str, TensorSpec], old: Network, built: Sequence[Operator], joining: Operator) -> None:
    """Give the side inputs of a joining operator the shape of the chain's tensor; broadcast sizes stay 1."""
    carried = built[-1].outputs[0]
    sides = [name for name in joining.inputs if name != carried and name in inputs]
    if not sides:
        return
    needed = {name for operator in built for name in operator.inputs}
    prefix = Network("prefix", [spec for spec in inputs.values() if spec.name in needed], built, (carried,))
    shape = prefix.tensors[carried].shape
    for name in sides:
        was = old.tensors[name].shape
        follows = tuple(1 if size == 1 else new for size, new in zip(was, shape[-len(was) :], strict=True))
        inputs[name] = TensorSpec(name, follows, inputs[name].dtype)
