"""Random networks for property tests: every kind, odd shapes, branches, and the subtle attributes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from hypothesis import strategies as st

from profiler.network import (
    OPERATOR_KINDS,
    Add,
    AvgPool2d,
    ChannelShuffle,
    Concat,
    Conv2d,
    Dense,
    DepthToSpace,
    DepthwiseConv2d,
    GlobalAvgPool2d,
    MaxPool2d,
    Mean,
    Mul,
    Network,
    Operator,
    Pad,
    Reshape,
    ResizeBilinear,
    ResizeNearest,
    Split,
    TensorSpec,
    Transpose,
    TransposeConv2d,
)

WRITABLE_KINDS = tuple(sorted(OPERATOR_KINDS.keys() - {"opaque"}))
MAX_ELEMENTS = 4096
_MIXED_KINDS = (*WRITABLE_KINDS, *("conv2d", "depthwise_conv2d", "dense", "global_avg_pool2d", "transpose_conv2d") * 2)

Tensors = Mapping[str, TensorSpec]
Maker = Callable[[st.DrawFn, str, Sequence[TensorSpec]], Operator | None]


def _one(draw: st.DrawFn, tensors: Sequence[TensorSpec], rank: int | None = None) -> TensorSpec | None:
    fitting = [spec for spec in tensors if rank is None or len(spec.shape) == rank]
    return draw(st.sampled_from(fitting)) if fitting else None


def _pair(draw: st.DrawFn, most: int) -> tuple[int, int]:
    return draw(st.integers(1, most)), draw(st.integers(1, most))


def _padding(draw: st.DrawFn) -> str:
    return draw(st.sampled_from(("same", "valid")))


def _divisors(number: int) -> st.SearchStrategy[int]:
    return st.sampled_from([part for part in range(1, number + 1) if number % part == 0])


def _conv2d(draw: st.DrawFn, name: str, tensors: Sequence[TensorSpec]) -> Operator | None:
    if (source := _one(draw, tensors, 4)) is None:
        return None
    groups = draw(_divisors(source.shape[3]))
    channels = groups * draw(st.integers(1, max(1, 12 // groups)))
    return Conv2d(
        name, (source.name,), channels, _pair(draw, 4), _pair(draw, 3), _pair(draw, 3), groups, _padding(draw),
        draw(st.booleans()),
    )  # fmt: skip


def _depthwise_conv2d(draw: st.DrawFn, name: str, tensors: Sequence[TensorSpec]) -> Operator | None:
    if (source := _one(draw, tensors, 4)) is None:
        return None
    multiplier = draw(st.integers(1, 2))
    return DepthwiseConv2d(
        name, (source.name,), _pair(draw, 5), _pair(draw, 3), _pair(draw, 3), multiplier, _padding(draw),
        draw(st.booleans()),
    )  # fmt: skip


def _transpose_conv2d(draw: st.DrawFn, name: str, tensors: Sequence[TensorSpec]) -> Operator | None:
    if (source := _one(draw, tensors, 4)) is None:
        return None
    stride = _pair(draw, 3)
    kernel = stride[0] + draw(st.integers(0, 2)), stride[1] + draw(st.integers(0, 2))
    channels = draw(st.integers(1, 6))
    return TransposeConv2d(name, (source.name,), channels, kernel, stride, _padding(draw), draw(st.booleans()))


def _dense(draw: st.DrawFn, name: str, tensors: Sequence[TensorSpec]) -> Operator | None:
    if (source := _one(draw, tensors, 2)) is None:
        return None
    return Dense(name, (source.name,), draw(st.integers(1, 12)), draw(st.booleans()))


def _broadcasting(draw: st.DrawFn, tensors: Sequence[TensorSpec]) -> tuple[str, str]:
    first = draw(st.sampled_from(tensors))
    fitting = [
        spec
        for spec in tensors
        if len(spec.shape) == len(first.shape)
        and all(a == b or 1 in (a, b) for a, b in zip(spec.shape, first.shape, strict=True))
    ]
    return first.name, draw(st.sampled_from(fitting)).name


def _add(draw: st.DrawFn, name: str, tensors: Sequence[TensorSpec]) -> Operator | None:
    return Add(name, _broadcasting(draw, tensors))


def _mul(draw: st.DrawFn, name: str, tensors: Sequence[TensorSpec]) -> Operator | None:
    return Mul(name, _broadcasting(draw, tensors))


def _concat(draw: st.DrawFn, name: str, tensors: Sequence[TensorSpec]) -> Operator | None:
    first = draw(st.sampled_from(tensors))
    rank = len(first.shape)
    axis = draw(st.integers(-rank, rank - 1))
    rest = lambda spec: [size for index, size in enumerate(spec.shape) if index != axis % rank]  # noqa: E731
    fitting = [spec.name for spec in tensors if len(spec.shape) == rank and rest(spec) == rest(first)]
    others = draw(st.lists(st.sampled_from(fitting), min_size=1, max_size=2))
    return Concat(name, (first.name, *others), axis)


def _split(draw: st.DrawFn, name: str, tensors: Sequence[TensorSpec]) -> Operator | None:
    source = draw(st.sampled_from(tensors))
    axis = draw(st.integers(-len(source.shape), len(source.shape) - 1))
    if source.shape[axis] < 2:
        return None
    parts = draw(_divisors(source.shape[axis]).filter(lambda parts: parts >= 2))
    return Split(name, (source.name,), parts, axis)


def _channel_shuffle(draw: st.DrawFn, name: str, tensors: Sequence[TensorSpec]) -> Operator | None:
    source = _one(draw, tensors, 4)
    return None if source is None else ChannelShuffle(name, (source.name,), draw(_divisors(source.shape[3])))


def _pool(kind: type[MaxPool2d] | type[AvgPool2d]) -> Maker:
    def make(draw: st.DrawFn, name: str, tensors: Sequence[TensorSpec]) -> Operator | None:
        source = _one(draw, tensors, 4)
        return None if source is None else kind(name, (source.name,), _pair(draw, 4), _pair(draw, 3), _padding(draw))

    return make


def _global_avg_pool2d(draw: st.DrawFn, name: str, tensors: Sequence[TensorSpec]) -> Operator | None:
    source = _one(draw, tensors, 4)
    return None if source is None else GlobalAvgPool2d(name, (source.name,), draw(st.booleans()))


def _plain(kind: str) -> Maker:
    def make(draw: st.DrawFn, name: str, tensors: Sequence[TensorSpec]) -> Operator | None:
        return OPERATOR_KINDS[kind](name, (draw(st.sampled_from(tensors)).name,))

    return make


def _pad(draw: st.DrawFn, name: str, tensors: Sequence[TensorSpec]) -> Operator | None:
    source = draw(st.sampled_from(tensors))
    cells = st.integers(0, 2)
    return Pad(name, (source.name,), tuple((draw(cells), draw(cells)) for _ in source.shape))


def _resize_bilinear(draw: st.DrawFn, name: str, tensors: Sequence[TensorSpec]) -> Operator | None:
    if (source := _one(draw, tensors, 4)) is None:
        return None
    coordinates = draw(st.sampled_from(("half_pixel", "align_corners", "asymmetric")))
    return ResizeBilinear(name, (source.name,), _pair(draw, 14), coordinates)


def _resize_nearest(draw: st.DrawFn, name: str, tensors: Sequence[TensorSpec]) -> Operator | None:
    source = _one(draw, tensors, 4)
    return None if source is None else ResizeNearest(name, (source.name,), _pair(draw, 14))


def _depth_to_space(draw: st.DrawFn, name: str, tensors: Sequence[TensorSpec]) -> Operator | None:
    source = _one(draw, [spec for spec in tensors if spec.shape[-1] % 4 == 0], 4)
    return None if source is None else DepthToSpace(name, (source.name,), 2)


def _reshape(draw: st.DrawFn, name: str, tensors: Sequence[TensorSpec]) -> Operator | None:
    source = draw(st.sampled_from(tensors))
    left, shape = math.prod(source.shape), []
    for _ in range(draw(st.integers(0, 3))):
        shape.append(draw(_divisors(left)))
        left //= shape[-1]
    return Reshape(name, (source.name,), (*shape, left))


def _transpose(draw: st.DrawFn, name: str, tensors: Sequence[TensorSpec]) -> Operator | None:
    source = draw(st.sampled_from(tensors))
    return Transpose(name, (source.name,), tuple(draw(st.permutations(range(len(source.shape))))))


def _mean(draw: st.DrawFn, name: str, tensors: Sequence[TensorSpec]) -> Operator | None:
    source = draw(st.sampled_from(tensors))
    rank = len(source.shape)
    axes = draw(st.lists(st.integers(0, rank - 1), min_size=1, max_size=rank, unique=True))
    signed = tuple(axis - rank if draw(st.booleans()) else axis for axis in axes)
    keep_dims = draw(st.booleans()) or len(axes) == rank  # rank-0 tensors are no use to anyone
    return Mean(name, (source.name,), signed, keep_dims)


_MAKERS: Mapping[str, Maker] = {
    "conv2d": _conv2d,
    "depthwise_conv2d": _depthwise_conv2d,
    "transpose_conv2d": _transpose_conv2d,
    "dense": _dense,
    "add": _add,
    "mul": _mul,
    "concat": _concat,
    "split": _split,
    "channel_shuffle": _channel_shuffle,
    "max_pool2d": _pool(MaxPool2d),
    "avg_pool2d": _pool(AvgPool2d),
    "global_avg_pool2d": _global_avg_pool2d,
    "pad": _pad,
    "resize_bilinear": _resize_bilinear,
    "resize_nearest": _resize_nearest,
    "depth_to_space": _depth_to_space,
    "reshape": _reshape,
    "transpose": _transpose,
    "mean": _mean,
} | {kind: _plain(kind) for kind in ("relu", "relu6", "prelu", "hard_swish", "hard_sigmoid", "sigmoid", "softmax")}


@st.composite
def networks(
    draw: st.DrawFn,
    *,
    kinds: Sequence[str] = _MIXED_KINDS,
    max_operators: int = 6,
    weights: bool = True,
    most_images: int = 2,
) -> Network:
    """Draw a valid network of one or two inputs with branches; its unread tensors are its outputs.

    Args:
        kinds: Kinds to draw from; one given several times is drawn more often.
        max_operators: Most operators, >= 1.
        weights: Whether the network has random weights.
        most_images: Most images in a batch.
    """
    size, channels = st.integers(1, 9), st.sampled_from((1, 2, 3, 4, 6, 8, 16))
    shape = (draw(st.integers(1, most_images)), draw(size), draw(size), draw(channels))
    inputs = [TensorSpec("image", shape)]
    if draw(st.booleans()):
        inputs.append(TensorSpec("features", draw(st.sampled_from((shape, (*shape[:3], draw(channels)), shape[:2])))))
    tensors = {spec.name: spec for spec in inputs}
    operators: list[Operator] = []
    for index in range(draw(st.integers(1, max_operators))):
        operator = _drawn_operator(draw, f"op{index}", list(tensors.values()), kinds)
        if operator is not None:
            shapes = operator.infer(tuple(tensors[tensor] for tensor in operator.inputs))
            operators.append(operator)
            tensors |= {
                tensor: TensorSpec(tensor, shape) for tensor, shape in zip(operator.outputs, shapes, strict=True)
            }
    if not operators:
        operators.append(OPERATOR_KINDS["relu"]("op0", ("image",)))
    return _finished(draw, inputs, operators, weights=weights)


def _drawn_operator(draw: st.DrawFn, name: str, tensors: Sequence[TensorSpec], kinds: Sequence[str]) -> Operator | None:
    """Draw an operator that fits the tensors; None when the drawn one does not."""
    from profiler.errors import ShapeError

    operator = _MAKERS[draw(st.sampled_from(list(kinds)))](draw, name, tensors)
    if operator is None:
        return None
    by_name = {spec.name: spec for spec in tensors}
    try:
        shapes = operator.infer(tuple(by_name[tensor] for tensor in operator.inputs))
    except ShapeError:  # a window that does not fit
        return None
    return operator if all(math.prod(shape) <= MAX_ELEMENTS for shape in shapes) else None


def _finished(
    draw: st.DrawFn, inputs: Sequence[TensorSpec], operators: Sequence[Operator], *, weights: bool
) -> Network:
    read = {tensor for operator in operators for tensor in operator.inputs}
    written = [tensor for operator in operators for tensor in operator.outputs]
    outputs = [tensor for tensor in written if tensor not in read]
    also = draw(st.sampled_from([None, *(tensor for tensor in written if tensor in read)]))
    used = [spec for spec in inputs if spec.name in read]
    network = Network("random", used, operators, [*outputs, *([also] if also else [])])
    if not weights:
        return network
    return network.with_random_weights(np.random.default_rng(draw(st.integers(0, 2**32 - 1))))
