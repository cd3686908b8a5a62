"""What each layer of a source graph becomes in a Network: one rule a layer, collected in RULES."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np

from profiler.formats import _source_graph as source
from profiler.formats._onnx_graph import CHANNELS_FIRST_SUFFIX
from profiler.formats._source_graph import Node, Pair, Shape, normalised_axis
from profiler.formats._source_lowering import CHANNELS_LAST_OF_FIRST, Lowering, NotExpressible, Value
from profiler.network import (
    AvgPool2d,
    ChannelShuffle,
    Concat,
    Conv2d,
    Dense,
    DepthToSpace,
    DepthwiseConv2d,
    GlobalAvgPool2d,
    HardSigmoid,
    Mean,
    Pad,
    PRelu,
    Relu,
    Relu6,
    Reshape,
    ResizeBilinear,
    ResizeNearest,
    Sigmoid,
    Softmax,
    Split,
    TransposeConv2d,
    same_padding,
)
from profiler.network import Transpose as TransposeOperator

_MOST_CHANNELS = 2**20  # far beyond any network; a file that claims more would cost memory out of nothing
_NEVER_NEGATIVE = (Relu, Relu6, Sigmoid, HardSigmoid, Softmax)


def _conv(lowering: Lowering, node: Node) -> None:
    layer, name = cast(source.Conv, node.layer), node.outputs[0]
    x = lowering.spatial(node.inputs[0])
    kernel = (layer.weight.shape[1], layer.weight.shape[2])
    window = _Window(kernel, layer.stride, layer.dilation)
    x, padding = _padded(lowering, x, name, window, layer.padding, prefers="same")
    bias = layer.bias is not None
    if layer.depthwise:
        multiplier = layer.weight.shape[0] // layer.groups
        weight = layer.weight[..., 0].transpose(1, 2, 0)[None]
        depthwise = DepthwiseConv2d(name, (x,), kernel, layer.stride, layer.dilation, multiplier, padding, bias)
        lowering.emit(depthwise, {"kernel": weight, "bias": layer.bias})
    else:
        channels = layer.weight.shape[0]
        conv = Conv2d(name, (x,), channels, kernel, layer.stride, layer.dilation, layer.groups, padding, bias)
        lowering.emit(conv, {"kernel": layer.weight, "bias": layer.bias})
    lowering.bind(name, name, lowering.spatial_layout)


def _transpose_conv(lowering: Lowering, node: Node) -> None:
    layer, name = cast(source.TransposeConv, node.layer), node.outputs[0]
    x = lowering.spatial(node.inputs[0])
    weight, padding = _cropped_as_padding(layer)
    kernel = (weight.shape[1], weight.shape[2])
    if kernel[0] < layer.stride[0] or kernel[1] < layer.stride[1]:
        raise NotExpressible
    operator = TransposeConv2d(name, (x,), weight.shape[0], kernel, layer.stride, padding, layer.bias is not None)
    lowering.emit(operator, {"kernel": weight, "bias": layer.bias})
    lowering.bind(name, name, lowering.spatial_layout)


def _cropped_as_padding(layer: source.TransposeConv) -> tuple[source.Array, Any]:
    """Return weight and "same" or "valid" for a transposed convolution whose output is cropped.

    Zeros around the kernel widen the output by as much; with them a crop that is not SAME's becomes SAME's.
    """
    if isinstance(layer.padding, str):
        return layer.weight, layer.padding
    widening: list[Pair] = []
    for axis in range(2):
        kernel, stride, (before, after) = layer.weight.shape[1 + axis], layer.stride[axis], layer.padding[axis]
        if before + after != kernel - stride or before < 0:
            if layer.padding == ((0, 0), (0, 0)):
                return layer.weight, "valid"
            raise NotExpressible
        # SAME crops total // 2 before and the rest after.
        widening.append((max(after - before - 1, 0), max(before - after, 0)))
    if not any(any(pair) for pair in widening):
        return layer.weight, "same"
    return np.pad(layer.weight, ((0, 0), *widening, (0, 0))), "same"


def _linear(lowering: Lowering, node: Node) -> None:
    layer, name = cast(source.Linear, node.layer), node.outputs[0]
    value = lowering.value(node.inputs[0])
    weight = layer.weight
    if len(value.layout) == 2:
        x, flat = value.tensor, True
        spatial = lowering.flattened.get(node.inputs[0])
        if spatial is not None:
            weight = weight.reshape(-1, *spatial).transpose(0, 2, 3, 1).reshape(weight.shape)
    else:
        x, flat = lowering.natural(node.inputs[0]), False
    shape = lowering.shape(value)
    if not shape:
        raise NotExpressible
    if not flat:
        rows = (math.prod(shape[:-1]), shape[-1])
        x = lowering.emit(Reshape(lowering.new_name(f"{name}/rows"), (x,), rows))
    dense = Dense(name if flat else lowering.new_name(f"{name}/dense"), (x,), weight.shape[0], layer.bias is not None)
    y = lowering.emit(dense, {"kernel": weight, "bias": layer.bias})
    if not flat:
        y = lowering.emit(Reshape(name, (y,), (*shape[:-1], weight.shape[0])))
    lowering.bind(name, y, tuple(range(len(shape))))


def _affine(lowering: Lowering, node: Node) -> None:
    """A depthwise 1x1 convolution scales and shifts channels; other ranks are read as rows of channels."""
    layer, name = cast(source.Affine, node.layer), node.outputs[0]
    value = lowering.value(node.inputs[0])
    shape, channels = lowering.network_shape(value.tensor), _channels(lowering, value)
    if layer.axis is not None and (value.layout[layer.axis] != len(shape) - 1 or layer.scale.size != channels):
        raise NotExpressible
    scale, shift = (np.broadcast_to(part, (channels,)).astype(np.float32) for part in (layer.scale, layer.shift))
    shift_or_none = shift if shift.any() else None
    x, own_name, rank4 = value.tensor, name, len(shape) == 4
    if not rank4:
        rows = (1, math.prod(shape[:-1]), 1, shape[-1])
        x = lowering.emit(Reshape(lowering.new_name(f"{name}/rows"), (x,), rows))
        own_name = lowering.new_name(f"{name}/affine")
    operator = DepthwiseConv2d(own_name, (x,), (1, 1), use_bias=shift_or_none is not None)
    y = lowering.emit(operator, {"kernel": scale.reshape(1, 1, 1, -1), "bias": shift_or_none})
    if not rank4:
        y = lowering.emit(Reshape(name, (y,), shape))
    lowering.bind(name, y, value.layout)


def _activation(lowering: Lowering, node: Node) -> None:
    layer, name = cast(source.Activation, node.layer), node.outputs[0]
    value = lowering.value(node.inputs[0])
    lowering.emit(layer.kind(name, (value.tensor,)))
    lowering.bind(name, name, value.layout)


def _prelu(lowering: Lowering, node: Node) -> None:
    layer, name = cast(source.PRelu, node.layer), node.outputs[0]
    value = lowering.value(node.inputs[0])
    last = len(value.layout) - 1
    if layer.axis is not None and value.layout[layer.axis] != last:
        value = Value(lowering.spatial(node.inputs[0]), lowering.spatial_layout)
        if value.layout[layer.axis] != last:
            raise NotExpressible
    channels = _channels(lowering, value)
    if layer.alpha.size not in (1, channels):
        raise NotExpressible
    lowering.emit(PRelu(name, (value.tensor,)), {"alpha": np.broadcast_to(layer.alpha, (channels,))})
    lowering.bind(name, name, value.layout)


def _channels(lowering: Lowering, value: Value) -> int:
    """Return the size of a tensor's last axis, over which single numbers are spread as weights."""
    shape = lowering.network_shape(value.tensor)
    if not shape or shape[-1] > _MOST_CHANNELS:
        raise NotExpressible
    return shape[-1]


def _softmax(lowering: Lowering, node: Node) -> None:
    layer, name = cast(source.Softmax, node.layer), node.outputs[0]
    value = lowering.value(node.inputs[0])
    rank = len(value.layout)
    axis = normalised_axis(layer.axis, rank)
    for layout in (value.layout, tuple(range(rank)), CHANNELS_LAST_OF_FIRST):
        if len(layout) == rank and layout[axis] == rank - 1:
            lowering.emit(Softmax(name, (lowering.moved(value, layout),)))
            return lowering.bind(name, name, layout)
    raise NotExpressible


def _binary(lowering: Lowering, node: Node) -> None:
    layer, name = cast(source.Binary, node.layer), node.outputs[0]
    tensors, layout = _aligned(lowering, [lowering.value(tensor) for tensor in node.inputs])
    lowering.emit(layer.kind(name, tuple(tensors)))
    lowering.bind(name, name, layout)


def _aligned(lowering: Lowering, values: list[Value]) -> tuple[list[str], tuple[int, ...]]:
    """Return the values' tensors with one rank and one layout, and that layout."""
    rank = max(len(value.layout) for value in values)
    layouts = [value.layout for value in values if len(value.layout) == rank]
    layout = CHANNELS_LAST_OF_FIRST if CHANNELS_LAST_OF_FIRST in layouts else layouts[0]
    tensors = [
        lowering.moved(value, layout) if len(value.layout) == rank else lowering.widened(value, layout)
        for value in values
    ]
    return tensors, layout


def _concat(lowering: Lowering, node: Node) -> None:
    layer, name = cast(source.Concat, node.layer), node.outputs[0]
    values = [lowering.value(tensor) for tensor in node.inputs]
    if len({len(value.layout) for value in values}) != 1:
        raise NotExpressible
    tensors, layout = _aligned(lowering, values)
    lowering.emit(Concat(name, tuple(tensors), layout[normalised_axis(layer.axis, len(layout))]))
    lowering.bind(name, name, layout)


def _split(lowering: Lowering, node: Node) -> None:
    layer = cast(source.Split, node.layer)
    value = lowering.value(node.inputs[0])
    if len(node.outputs) == 1:
        return lowering.bind(node.outputs[0], value.tensor, value.layout)
    axis = value.layout[normalised_axis(layer.axis, len(value.layout))]
    if lowering.network_shape(value.tensor)[axis] % len(node.outputs):
        raise NotExpressible
    operator = Split(lowering.split_name(node.outputs), (value.tensor,), len(node.outputs), axis)
    lowering.emit(operator)
    for tensor, part in zip(node.outputs, operator.outputs, strict=True):
        lowering.bind(tensor, part, value.layout)
    return None


def _pool(lowering: Lowering, node: Node) -> None:
    layer, name = cast(source.Pool, node.layer), node.outputs[0]
    value = lowering.value(node.inputs[0])
    x = lowering.spatial(node.inputs[0])
    window = _Window(layer.kernel, layer.stride, (1, 1))
    if _pads(layer.padding) and not window.is_same(lowering.network_shape(x), layer.padding):
        # Zeros are right where the average counts them, and where no cell is below them.
        zeros_are_right = (
            layer.counts_padding if layer.kind is AvgPool2d else isinstance(lowering.producer(value), _NEVER_NEGATIVE)
        )
        if not zeros_are_right:
            raise NotExpressible
    explicit = layer.kind is AvgPool2d and layer.counts_padding
    x, padding = _padded(lowering, x, name, window, layer.padding, prefers="valid", explicit=explicit)
    kind = cast(Any, layer.kind)
    lowering.emit(kind(name, (x,), layer.kernel, layer.stride, padding))
    lowering.bind(name, name, lowering.spatial_layout)


class _Window:
    """A sliding window's geometry."""

    def __init__(self, kernel: Pair, stride: Pair, dilation: Pair) -> None:
        self.kernel, self.stride, self.dilation = kernel, stride, dilation

    def same(self, shape: Shape) -> tuple[Pair, Pair]:
        """Return the cells that SAME adds to an NHWC tensor (height, width)."""
        height, width = (
            same_padding(shape[1 + axis], self.kernel[axis], self.stride[axis], self.dilation[axis])
            for axis in range(2)
        )
        return height, width

    def is_same(self, shape: Shape, padding: source.Padding) -> bool:
        """Whether a padding is what SAME adds."""
        return padding == "same" or padding == self.same(shape)


def _pads(padding: source.Padding) -> bool:
    return not isinstance(padding, str) and padding != ((0, 0), (0, 0))


def _padded(
    lowering: Lowering,
    tensor: str,
    name: str,
    window: _Window,
    padding: source.Padding,
    *,
    prefers: str,
    explicit: bool = False,
) -> tuple[str, Any]:
    """Return the tensor that a window runs over and "same" or "valid": other paddings are an operator of their own.

    Args:
        lowering: Where that operator is added.
        tensor: NHWC tensor.
        name: Name of the windowed operator.
        window: The window.
        padding: As the source has it.
        prefers: What to call no padding at all, where "same" and "valid" both mean that.
        explicit: Whether cells that SAME would add must exist as zeros.
    """
    if isinstance(padding, str):
        return tensor, padding
    same = window.same(lowering.network_shape(tensor))
    if not _pads(padding):
        return tensor, prefers if same == padding else "valid"
    if same == padding and not explicit:
        return tensor, "same"
    pad = Pad(lowering.new_name(f"{name}/pad"), (tensor,), ((0, 0), *padding, (0, 0)))
    return lowering.emit(pad), "valid"


def _global_pool(lowering: Lowering, node: Node) -> None:
    layer, name = cast(source.GlobalPool, node.layer), node.outputs[0]
    lowering.emit(GlobalAvgPool2d(name, (lowering.spatial(node.inputs[0]),), layer.keep_dims))
    lowering.bind(name, name, lowering.spatial_layout if layer.keep_dims else (0, 1))


def _mean(lowering: Lowering, node: Node) -> None:
    layer, name = cast(source.Mean, node.layer), node.outputs[0]
    value = lowering.value(node.inputs[0])
    rank = len(value.layout)
    reduced = {normalised_axis(axis, rank) for axis in layer.axes}
    if not reduced or (not layer.keep_dims and len(reduced) == rank):
        raise NotExpressible  # a Network's tensors have at least one axis
    is_spatial = rank == 4 and reduced == set(lowering.graph.spatial_axes()) and value.layout == lowering.spatial_layout
    if is_spatial and not lowering.graph.channels_last_ends:  # our own files have a global pooling for it
        lowering.emit(GlobalAvgPool2d(name, (value.tensor,), layer.keep_dims))
        return lowering.bind(name, name, value.layout if layer.keep_dims else (0, 1))
    axes = tuple(sorted(value.layout[axis] for axis in reduced))
    kept = [value.layout[axis] for axis in range(rank) if axis not in reduced]
    if not layer.keep_dims and kept != sorted(kept):
        value = Value(lowering.natural(node.inputs[0]), tuple(range(rank)))
        axes = tuple(sorted(reduced))
    lowering.emit(Mean(name, (value.tensor,), axes, layer.keep_dims))
    return lowering.bind(name, name, value.layout if layer.keep_dims else tuple(range(len(kept))))


def _pad(lowering: Lowering, node: Node) -> None:
    layer, name = cast(source.Pad, node.layer), node.outputs[0]
    value = lowering.value(node.inputs[0])
    if len(layer.paddings) != len(value.layout) or any(cells < 0 for pair in layer.paddings for cells in pair):
        raise NotExpressible
    paddings = tuple(layer.paddings[value.layout.index(axis)] for axis in range(len(value.layout)))
    lowering.emit(Pad(name, (value.tensor,), paddings))
    lowering.bind(name, name, value.layout)


def _resize(lowering: Lowering, node: Node) -> None:
    layer, name = cast(source.Resize, node.layer), node.outputs[0]
    x = lowering.spatial(node.inputs[0])
    if layer.kind is ResizeNearest:
        lowering.emit(ResizeNearest(name, (x,), layer.size))
    else:
        lowering.emit(ResizeBilinear(name, (x,), layer.size, layer.coordinates))
    lowering.bind(name, name, lowering.spatial_layout)


def _depth_to_space(lowering: Lowering, node: Node) -> None:
    layer, name = cast(source.DepthToSpace, node.layer), node.outputs[0]
    x = lowering.spatial(node.inputs[0])
    if layer.order == "CRD":
        x = _channels_in_dcr_order(lowering, x, layer.block, name)
    lowering.emit(DepthToSpace(name, (x,), layer.block))
    lowering.bind(name, name, lowering.spatial_layout)


def _channels_in_dcr_order(lowering: Lowering, tensor: str, block: int, name: str) -> str:
    """Sort channels from (C', block, block) to (block, block, C'): a channel shuffle of C' groups."""
    groups = lowering.network_shape(tensor)[3] // block**2
    if groups < 1:
        raise NotExpressible
    return lowering.emit(ChannelShuffle(lowering.new_name(f"{name}/channel_shuffle"), (tensor,), groups))


def _channel_shuffle(lowering: Lowering, node: Node) -> None:
    layer, name = cast(source.ChannelShuffle, node.layer), node.outputs[0]
    lowering.emit(ChannelShuffle(name, (lowering.spatial(node.inputs[0]),), layer.groups))
    lowering.bind(name, name, lowering.spatial_layout)


def _reshape(lowering: Lowering, node: Node) -> None:
    layer, name = cast(source.Reshape, node.layer), node.outputs[0]
    value = lowering.value(node.inputs[0])
    old = lowering.shape(value)
    shape = _resolved(layer.shape, old)
    if _only_dense_reads(lowering, name) and value.layout == CHANNELS_LAST_OF_FIRST and shape == _flat(old):
        lowering.emit(Reshape(name, (value.tensor,), shape))
        lowering.flattened[name] = old[1:]
        return lowering.bind(name, name, (0, 1))
    makes_image = len(shape) == 4 and shape[2:] == (1, 1) and lowering.graph.channels_first
    if makes_image and (not lowering.graph.channels_last_ends or CHANNELS_FIRST_SUFFIX in name):
        lowering.emit(Reshape(name, (lowering.in_source_order(value),), (shape[0], 1, 1, shape[1])))
        return lowering.bind(name, name, CHANNELS_LAST_OF_FIRST)
    x = lowering.in_source_order(value)
    lowering.emit(Reshape(name, (x,), shape))
    return lowering.bind(name, name, tuple(range(len(shape))))


def _resolved(shape: Shape, old: Shape) -> Shape:
    if -1 not in shape:
        return shape
    rest = math.prod(size for size in shape if size != -1)
    if shape.count(-1) > 1 or rest < 1:
        raise NotExpressible
    return tuple(math.prod(old) // rest if size == -1 else size for size in shape)


def _flat(shape: Shape) -> Shape:
    return (shape[0], math.prod(shape[1:]))


def _only_dense_reads(lowering: Lowering, tensor: str) -> bool:
    readers = lowering.consumers(tensor)
    return (
        bool(readers)
        and all(isinstance(node.layer, source.Linear) for node in readers)
        and not (lowering.is_output(tensor))
    )


def _transpose(lowering: Lowering, node: Node) -> None:
    layer, name = cast(source.Transpose, node.layer), node.outputs[0]
    value = lowering.value(node.inputs[0])
    rank = len(value.layout)
    if sorted(layer.permutation) != list(range(rank)):
        raise NotExpressible
    layout = tuple(value.layout[axis] for axis in layer.permutation)
    natural = tuple(range(rank))
    free = (natural, CHANNELS_LAST_OF_FIRST) if lowering.graph.channels_first else (natural,)
    is_marked = name.startswith(f"{node.inputs[0]}{CHANNELS_FIRST_SUFFIX}") or layer.permutation == (0, 2, 3, 1)
    moves_channels = layer.permutation in ((0, 3, 1, 2), (0, 2, 3, 1)) and value.layout in free and layout in free
    if moves_channels and (is_marked or not lowering.graph.channels_last_ends):
        return lowering.bind(name, value.tensor, layout)
    permutation = tuple(layout[value.layout.index(axis)] for axis in range(rank))
    lowering.emit(TransposeOperator(name, (value.tensor,), permutation))
    return lowering.bind(name, name, value.layout)


RULES: Mapping[type[source.Layer], Callable[[Lowering, Node], None]] = {
    source.Conv: _conv,
    source.TransposeConv: _transpose_conv,
    source.Linear: _linear,
    source.Affine: _affine,
    source.Activation: _activation,
    source.PRelu: _prelu,
    source.Softmax: _softmax,
    source.Binary: _binary,
    source.Concat: _concat,
    source.Split: _split,
    source.Pool: _pool,
    source.GlobalPool: _global_pool,
    source.Mean: _mean,
    source.Pad: _pad,
    source.Resize: _resize,
    source.DepthToSpace: _depth_to_space,
    source.ChannelShuffle: _channel_shuffle,
    source.Reshape: _reshape,
    source.Transpose: _transpose,
}
