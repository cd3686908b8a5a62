"""The inner loops of each operator kind, in elements: grids of results, turns, and what is moved."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from profiler.network import TensorSpec
from profiler.phone.soc._schema import RoutineName


@dataclass(frozen=True)
class Loop:
    """One inner loop in elements; `node` is what the runtime calls it."""

    node: str
    routine: RoutineName
    read: int
    written: int
    groups: int = 1
    rows: int = 1
    columns: int = 1
    depth: int = 0
    weights: int = 0
    biases: int = 0
    copied: int = 0
    bursts: int = 0


@dataclass(frozen=True)
class Anchor:
    """The operator that a node works for, with its tensors; which attributes it has follows from its kind."""

    operator: Any
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


def _conv2d(at: Anchor) -> tuple[Loop, ...]:
    batch, height, width, channels = at.outputs[0].shape
    own_inputs = at.inputs[0].shape[3] // at.operator.groups
    depth = math.prod(at.operator.kernel) * own_inputs
    rows = batch * height * width
    pointwise = at.operator.kernel == at.operator.stride == (1, 1)
    loop = Loop(
        "pointwise" if pointwise else "conv2d",
        "gemm" if rows > 1 else "gemv",
        at.inputs[0].elements,
        at.outputs[0].elements,
        groups=at.operator.groups,
        rows=rows,
        columns=channels // at.operator.groups,
        depth=depth,
        weights=channels * depth,
        biases=channels if at.operator.use_bias else 0,
        copied=0 if pointwise else rows * depth * at.operator.groups,
        bursts=0 if pointwise else rows * at.operator.kernel[0] * at.operator.groups,
    )
    return (loop,)


def _depthwise_conv2d(at: Anchor) -> tuple[Loop, ...]:
    channels = at.outputs[0].shape[3]
    cells = math.prod(at.operator.kernel)
    loop = Loop(
        "depthwise_conv2d", "depthwise", at.inputs[0].elements, at.outputs[0].elements,
        rows=at.outputs[0].elements // channels, columns=channels, depth=cells,
        weights=channels * cells, biases=channels if at.operator.use_bias else 0,
        bursts=at.outputs[0].elements // (channels * at.outputs[0].shape[2]) * at.operator.kernel[0],
    )  # fmt: skip
    return (loop,)


def _transpose_conv2d(at: Anchor) -> tuple[Loop, ...]:
    depth = at.inputs[0].shape[3]
    rows = at.inputs[0].elements // depth
    columns = math.prod(at.operator.kernel) * at.operator.out_channels
    loop = Loop(
        "transpose_conv2d", "gemm" if rows > 1 else "gemv", at.inputs[0].elements, at.outputs[0].elements,
        rows=rows, columns=columns, depth=depth, weights=columns * depth,
        biases=at.operator.out_channels if at.operator.use_bias else 0,
        copied=rows * columns, bursts=rows * at.operator.kernel[0],
    )  # fmt: skip
    return (loop,)


def _dense(at: Anchor) -> tuple[Loop, ...]:
    rows, depth = at.inputs[0].shape
    loop = Loop(
        "dense", "gemm" if rows > 1 else "gemv", at.inputs[0].elements, at.outputs[0].elements,
        rows=rows, columns=at.operator.units, depth=depth, weights=at.operator.units * depth,
        biases=at.operator.units if at.operator.use_bias else 0,
    )  # fmt: skip
    return (loop,)


def _pool(at: Anchor) -> tuple[Loop, ...]:
    channels = at.outputs[0].shape[3]
    loop = Loop(
        at.operator.kind, "pool", at.inputs[0].elements, at.outputs[0].elements,
        rows=at.outputs[0].elements // channels, columns=channels, depth=math.prod(at.operator.kernel),
    )  # fmt: skip
    return (loop,)


def _flat(node: str, routine: RoutineName, at: Anchor) -> Loop:
    """Return a loop over all elements in one run, however they are shaped."""
    read = sum(spec.elements for spec in at.inputs)
    return Loop(node, routine, read, at.outputs[0].elements, columns=at.outputs[0].elements, depth=1)


def _rowwise(node: str, routine: RoutineName, at: Anchor) -> Loop:
    """Return a loop over the last axis, started anew for each row."""
    read, columns = sum(spec.elements for spec in at.inputs), at.outputs[0].shape[-1]
    rows = at.outputs[0].elements // columns
    return Loop(node, routine, read, at.outputs[0].elements, rows=rows, columns=columns, depth=1)


def _binary(at: Anchor) -> tuple[Loop, ...]:
    same = all(spec.shape == at.outputs[0].shape for spec in at.inputs)
    return ((_flat if same else _rowwise)(at.operator.kind, "elementwise", at),)


def _elementwise(routine: RoutineName) -> Callable[[Anchor], tuple[Loop, ...]]:
    return lambda at: (_flat(at.operator.kind, routine, at),)


def _by_rows(routine: RoutineName) -> Callable[[Anchor], tuple[Loop, ...]]:
    return lambda at: (_rowwise(at.operator.kind, routine, at),)


def _hard_sigmoid(at: Anchor) -> tuple[Loop, ...]:
    """TFLite has none: an addition that clamps, and a multiplication."""
    return tuple(_flat(node, "elementwise", at) for node in ("add", "mul"))


def _joined(at: Anchor) -> tuple[Loop, ...]:
    """Concat and Split: each part is as many runs as there are positions before the axis."""
    whole, parts = (at.outputs[0], at.inputs) if at.operator.kind == "concat" else (at.inputs[0], at.outputs)
    outer = math.prod(whole.shape[: at.operator.axis % len(whole.shape)])
    return (Loop(at.operator.kind, "copy", whole.elements, whole.elements, bursts=outer * len(parts)),)


def _pad(at: Anchor) -> tuple[Loop, ...]:
    inner = math.prod(at.inputs[0].shape[-2:])
    return (Loop("pad", "copy", at.inputs[0].elements, at.outputs[0].elements, bursts=at.inputs[0].elements // inner),)


def _view(at: Anchor) -> Loop:
    """Return a loop that moves a tensor as it is: runtimes do so where they cannot share its memory."""
    elements = at.inputs[0].elements
    return Loop("reshape", "view", elements, elements)


def _permuted(node: str, run: int, at: Anchor) -> Loop:
    """Return a loop that writes runs of some contiguous elements each from all over the input."""
    elements = at.inputs[0].elements
    return Loop(node, "permute", elements, elements, columns=elements, depth=1, bursts=elements // run)


def _transpose(at: Anchor) -> tuple[Loop, ...]:
    kept = 1  # elements of the trailing axes that stay where they are
    for axis in reversed(range(len(at.operator.permutation))):
        if at.operator.permutation[axis] != axis:
            break
        kept *= at.inputs[0].shape[axis]
    return (_permuted("transpose", kept, at),)


def _channel_shuffle(at: Anchor) -> tuple[Loop, ...]:
    """TFLite has none: the channels are seen as two axes, which change places, and as one again."""
    view = _view(at)
    return view, _permuted("transpose", 1, at), view


def _depth_to_space(at: Anchor) -> tuple[Loop, ...]:
    return (_permuted("depth_to_space", at.operator.block * at.outputs[0].shape[3], at),)


def _reduced(at: Anchor) -> tuple[Loop, ...]:
    columns = min(at.inputs[0].shape[-1], at.outputs[0].elements)
    rows = at.outputs[0].elements // columns
    depth = at.inputs[0].elements // at.outputs[0].elements
    read, written = at.inputs[0].elements, at.outputs[0].elements
    return (Loop(at.operator.kind, "reduce", read, written, rows=rows, columns=columns, depth=depth),)


def _resize_bilinear(at: Anchor) -> tuple[Loop, ...]:
    channels = at.outputs[0].shape[3]
    loop = Loop(
        "resize_bilinear", "resize", at.inputs[0].elements, at.outputs[0].elements,
        rows=at.outputs[0].elements // channels, columns=channels, depth=4,
    )  # fmt: skip
    return (loop,)


def _resize_nearest(at: Anchor) -> tuple[Loop, ...]:
    written = at.outputs[0].elements
    return (Loop("resize_nearest", "copy", at.inputs[0].elements, written, bursts=written // at.outputs[0].shape[3]),)


LOOPS: Mapping[str, Callable[[Anchor], tuple[Loop, ...]]] = MappingProxyType(
    {
        "conv2d": _conv2d,
        "depthwise_conv2d": _depthwise_conv2d,
        "transpose_conv2d": _transpose_conv2d,
        "dense": _dense,
        "add": _binary,
        "mul": _binary,
        "concat": _joined,
        "split": _joined,
        "channel_shuffle": _channel_shuffle,
        "max_pool2d": _pool,
        "avg_pool2d": _pool,
        "global_avg_pool2d": _reduced,
        "mean": _reduced,
        "relu": _elementwise("elementwise"),
        "relu6": _elementwise("elementwise"),
        "prelu": _by_rows("activation"),
        "hard_swish": _elementwise("activation"),
        "hard_sigmoid": _hard_sigmoid,
        "sigmoid": _elementwise("exponential"),
        "softmax": _by_rows("exponential"),
        "pad": _pad,
        "resize_bilinear": _resize_bilinear,
        "resize_nearest": _resize_nearest,
        "depth_to_space": _depth_to_space,
        "reshape": lambda at: (_view(at),),
        "transpose": _transpose,
    }
)
"""The loops of each kind that an emulated phone knows; an opaque operator has none."""
