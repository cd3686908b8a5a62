"""How each operator kind becomes layers of ncnn: one function a kind, found by `LOWERINGS`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from profiler.errors import NetworkError
from profiler.formats._ncnn_graph import Layout, Parameter
from profiler.formats._ncnn_lowering import Edges, NcnnLowering
from profiler.network import (
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
    Operator,
    Pad,
    PRelu,
    Reshape,
    ResizeBilinear,
    ResizeNearest,
    Softmax,
    Split,
    Transpose,
    TransposeConv2d,
    same_padding,
)

Lowering = Callable[[Any, NcnnLowering], None]

_NETWORK, _CHW = Layout.NETWORK, Layout.CHANNELS_FIRST
_CHW_POSITION = (-1, 1, 2, 0)  # where channels, rows and columns have the axes N, H, W and C
_MEAN, _AVERAGE, _MAXIMUM = 3, 1, 0  # of Reduction and Pooling
_NEAREST, _BILINEAR = 1, 2
_UNEVEN = -233  # "what is left, in equal parts" in a Slice


def _window(
    operator: Conv2d | DepthwiseConv2d | TransposeConv2d | MaxPool2d | AvgPool2d, edges: Edges
) -> dict[int, Parameter]:
    """Return the parameters that windows have in common, by the numbers that convolutions give them."""
    (top, bottom), (left, right) = edges
    return {
        1: operator.kernel[1], 11: operator.kernel[0], 3: operator.stride[1], 13: operator.stride[0],
        4: left, 15: right, 14: top, 16: bottom,
    }  # fmt: skip


def _same_edges(operator: Conv2d | DepthwiseConv2d | MaxPool2d | AvgPool2d, height: int, width: int) -> Edges:
    if operator.padding == "valid":
        return (0, 0), (0, 0)
    dilation = (1, 1) if isinstance(operator, MaxPool2d | AvgPool2d) else operator.dilation
    rows = same_padding(height, operator.kernel[0], operator.stride[0], dilation[0])
    return rows, same_padding(width, operator.kernel[1], operator.stride[1], dilation[1])


def _conv2d(operator: Conv2d | DepthwiseConv2d, lowering: NcnnLowering) -> None:
    tensor, ((top, bottom), (left, right)) = lowering.padded_source(operator)
    _, height, width, channels = lowering.shape(operator.inputs[0])
    rows, columns = _same_edges(operator, height, width)
    edges = (top + rows[0], bottom + rows[1]), (left + columns[0], right + columns[1])
    if isinstance(operator, Conv2d):
        groups, outputs, order = operator.groups, operator.out_channels, (0, 3, 1, 2)
    else:
        groups, outputs, order = channels, channels * operator.multiplier, (3, 0, 1, 2)
    is_plain = isinstance(operator, Conv2d) and groups == 1
    parameters = {
        0: outputs, **_window(operator, edges), 2: operator.dilation[1], 12: operator.dilation[0],
        5: int(operator.use_bias), 6: lowering.weights.count(operator), **lowering.activation(operator),
        **({} if is_plain else {7: groups}),
    }  # fmt: skip
    source = lowering.graph.read_maps(operator, tensor)
    is_int8, requantized = lowering.computes_int8(operator), lowering.int8_output(operator)
    lowering.weights.add_kernel(operator, order, is_int8=is_int8)
    if is_int8:
        parameters[8] = (2 if is_plain else 1) + (100 if requantized else 0)
        lowering.weights.add_activation_scale(tensor)
    if requantized:
        lowering.weights.add_activation_scale(requantized)
    kind = "Convolution" if is_plain else "ConvolutionDepthWise"
    lowering.graph.layer(kind, (source,), (lowering.write(operator, _CHW),), parameters)


def _transpose_conv2d(operator: TransposeConv2d, lowering: NcnnLowering) -> None:
    rows, columns = (0, 0), (0, 0)
    if operator.padding == "same":
        cut = [kernel - stride for kernel, stride in zip(operator.kernel, operator.stride, strict=True)]
        rows, columns = (cut[0] // 2, cut[0] - cut[0] // 2), (cut[1] // 2, cut[1] - cut[1] // 2)
    parameters = {
        0: operator.out_channels, **_window(operator, (rows, columns)), 5: int(operator.use_bias),
        6: lowering.weights.count(operator), **lowering.activation(operator),
    }  # fmt: skip
    source = lowering.graph.read_maps(operator)
    lowering.weights.add_kernel(operator, (0, 3, 1, 2))
    lowering.graph.layer("Deconvolution", (source,), (lowering.write(operator, _CHW),), parameters)


def _dense(operator: Dense, lowering: NcnnLowering) -> None:
    parameters = {
        0: operator.units,
        1: int(operator.use_bias),
        2: lowering.weights.count(operator),
        **lowering.activation(operator),
    }
    is_int8 = lowering.computes_int8(operator)
    source = lowering.graph.read(operator.inputs[0], _NETWORK)
    lowering.weights.add_kernel(operator, (0, 1), is_int8=is_int8)
    if is_int8:
        parameters[8] = 2
        lowering.weights.add_activation_scale(operator.inputs[0])
    lowering.graph.layer("InnerProduct", (source,), (lowering.write(operator, _NETWORK),), parameters)


def _pool2d(kind: int) -> Lowering:
    def lower(operator: MaxPool2d | AvgPool2d, lowering: NcnnLowering) -> None:
        _, height, width, _ = lowering.shape(operator.inputs[0])
        (top, bottom), (left, right) = _same_edges(operator, height, width)
        parameters = {
            0: kind, 1: operator.kernel[1], 11: operator.kernel[0], 2: operator.stride[1], 12: operator.stride[0],
            3: left, 14: right, 13: top, 15: bottom, 5: 1,
        }  # fmt: skip
        source = lowering.graph.read_maps(operator)
        lowering.graph.layer("Pooling", (source,), (lowering.write(operator, _CHW),), parameters)

    return lower


def _global_avg_pool2d(operator: GlobalAvgPool2d | Mean, lowering: NcnnLowering) -> None:
    """Add a Pooling of whole maps, whose blob has one axis."""
    source = lowering.graph.read_maps(operator)
    target = lowering.graph.temporary() if operator.keep_dims else lowering.write(operator, _NETWORK)
    lowering.graph.layer("Pooling", (source,), (target,), {0: _AVERAGE, 4: 1})
    if operator.keep_dims:
        lowering.graph.reshape(target, lowering.write(operator, _CHW), (lowering.shape(operator.name)[3], 1, 1))


def _activation(kind: str, parameters: Mapping[int, Parameter] | None = None) -> Lowering:
    """Return the lowering of an activation for which any layout will do."""

    def lower(operator: Operator, lowering: NcnnLowering) -> None:
        if lowering.is_fused(operator):
            return
        layout = lowering.graph.layout_at_hand(operator.inputs)
        source = lowering.graph.read(operator.inputs[0], layout)
        lowering.graph.layer(kind, (source,), (lowering.write(operator, layout),), parameters)

    return lower


def _binary(kind: int) -> Lowering:
    """Return the lowering of a sum or product; ncnn broadcasts blobs with equal numbers of axes as numpy does."""

    def lower(operator: Operator, lowering: NcnnLowering) -> None:
        graph = lowering.graph
        layout = graph.layout_at_hand(operator.inputs)
        if len({graph.dropped_axes(tensor) for tensor in operator.inputs}) == 1:
            sources = [graph.read(tensor, layout) for tensor in operator.inputs]
        else:
            sources = [graph.read_all_axes(tensor) for tensor in operator.inputs]
        graph.layer("BinaryOp", sources, (lowering.write(operator, layout),), {0: kind})

    return lower


def _prelu(operator: PRelu, lowering: NcnnLowering) -> None:
    """Add a PReLU; its slopes go along a blob's first axis, so channels that are not there are brought there."""
    graph, tensor = lowering.graph, operator.inputs[0]
    slopes = {0: lowering.weights.count(operator, "alpha")}
    lowering.weights.add_alpha(operator)
    if graph.has_maps(tensor) or len(graph.sizes(tensor, _NETWORK)) == 1:
        source = graph.read(tensor, graph.possible(tensor, _CHW))
        graph.layer("PReLU", (source,), (lowering.write(operator, graph.possible(tensor, _CHW)),), slopes)
        return
    shape = lowering.shape(tensor)
    rows = graph.reshape(graph.read_flat(tensor), graph.temporary(), (math.prod(shape[:-1]), shape[-1]))
    turned, bent, back = graph.permute(rows, graph.temporary(), (1, 0)), graph.temporary(), graph.temporary()
    graph.layer("PReLU", (turned,), (bent,), slopes)
    graph.permute(bent, back, (1, 0))
    graph.reshape(back, lowering.write(operator, _NETWORK), graph.sizes(operator.name, _NETWORK))


def _softmax(operator: Softmax, lowering: NcnnLowering) -> None:
    graph = lowering.graph
    layout = graph.layout_at_hand(operator.inputs)
    axis = 0 if layout is _CHW else len(graph.sizes(operator.inputs[0], _NETWORK)) - 1
    source = graph.read(operator.inputs[0], layout)
    graph.layer("Softmax", (source,), (lowering.write(operator, layout),), {0: axis, 1: 1})


def _concat(operator: Concat, lowering: NcnnLowering) -> None:
    graph = lowering.graph
    layout = graph.layout_at_hand(operator.inputs)
    axis = operator.resolve_axis(operator.axis, graph.network.tensors[operator.inputs[0]])
    dropped = graph.dropped_axes(operator.inputs[0])
    if axis < dropped or len({graph.dropped_axes(tensor) for tensor in operator.inputs}) > 1:  # along the batch
        sources, layout, position = [graph.read_all_axes(tensor) for tensor in operator.inputs], _NETWORK, axis
    else:
        sources = [graph.read(tensor, layout) for tensor in operator.inputs]
        position = _CHW_POSITION[axis] if layout is _CHW else axis - dropped
    graph.layer("Concat", sources, (lowering.write(operator, layout),), {0: position})


def _split(operator: Split, lowering: NcnnLowering) -> None:
    graph, tensor = lowering.graph, operator.inputs[0]
    axis = operator.resolve_axis(operator.axis, graph.network.tensors[tensor])
    layout = graph.layout_at_hand(operator.inputs)
    position = _CHW_POSITION[axis] if layout is _CHW else axis - graph.dropped_axes(tensor)
    source = graph.read(tensor, layout)
    parameters: dict[int, Parameter] = {0: [_UNEVEN] * operator.parts, 1: position}
    if graph.dropped_axes(tensor) == graph.dropped_axes(operator.outputs[0]):
        graph.layer("Slice", (source,), [graph.write(output, layout) for output in operator.outputs], parameters)
        return
    parts = [graph.temporary() for _ in operator.outputs]  # each with a batch of 1, an axis that is no longer there
    graph.layer("Slice", (source,), parts, parameters)
    for part, output in zip(parts, operator.outputs, strict=True):
        graph.reshape(part, graph.write(output, _NETWORK), graph.sizes(output, _NETWORK))


def _channel_shuffle(operator: ChannelShuffle, lowering: NcnnLowering) -> None:
    source = lowering.graph.read_maps(operator)
    lowering.graph.layer("ShuffleChannel", (source,), (lowering.write(operator, _CHW),), {0: operator.groups})


def _depth_to_space(operator: DepthToSpace, lowering: NcnnLowering) -> None:
    source = lowering.graph.read_maps(operator)
    lowering.graph.layer("PixelShuffle", (source,), (lowering.write(operator, _CHW),), {0: operator.block, 1: 1})


def _pad(operator: Pad, lowering: NcnnLowering) -> None:
    if lowering.is_absorbed(operator):
        return
    graph, tensor = lowering.graph, operator.inputs[0]
    if graph.has_maps(tensor) and operator.paddings[0] == (0, 0):
        _, (top, bottom), (left, right), (front, behind) = operator.paddings
        parameters = {0: top, 1: bottom, 2: left, 3: right, 7: front, 8: behind}
        graph.layer("Padding", (graph.read_maps(operator),), (lowering.write(operator, _CHW),), parameters)
        return
    shape, blob = list(lowering.shape(tensor)), graph.read_flat(tensor)
    for axis, (before, after) in enumerate(operator.paddings):  # each as the rows of maps
        if before or after:
            maps = graph.reshape(
                blob, graph.temporary(), (math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :]))
            )
            blob = graph.temporary()
            graph.layer("Padding", (maps,), (blob,), {0: before, 1: after})
            shape[axis] += before + after
    graph.reshape(blob, lowering.write(operator, _NETWORK), graph.sizes(operator.name, _NETWORK))


def _resize_bilinear(operator: ResizeBilinear, lowering: NcnnLowering) -> None:
    sizes = lowering.shape(operator.inputs[0])[1:3]
    if operator.coordinates == "asymmetric" and any(
        size not in (1, wanted) for size, wanted in zip(sizes, operator.size, strict=True)
    ):
        raise NetworkError(
            "resizes with asymmetric coordinates; ncnn has half_pixel and align_corners", operator=operator.name
        )
    _resize(operator, lowering, {0: _BILINEAR, 6: int(operator.coordinates == "align_corners")})


def _resize_nearest(operator: ResizeNearest, lowering: NcnnLowering) -> None:
    _resize(operator, lowering, {0: _NEAREST})


def _resize(
    operator: ResizeBilinear | ResizeNearest, lowering: NcnnLowering, parameters: Mapping[int, Parameter]
) -> None:
    size = {3: operator.size[0], 4: operator.size[1]}
    source = lowering.graph.read_maps(operator)
    lowering.graph.layer("Interp", (source,), (lowering.write(operator, _CHW),), {**parameters, **size})


def _reshape(operator: Reshape, lowering: NcnnLowering) -> None:
    """Add a Reshape; a map of one cell, as squeeze-and-excite makes, has the same elements in either layout."""
    graph = lowering.graph
    layout = graph.possible(operator.name, _CHW if lowering.shape(operator.name)[1:3] == (1, 1) else _NETWORK)
    source = graph.read_flat(operator.inputs[0])
    graph.reshape(source, lowering.write(operator, layout), graph.sizes(operator.name, layout))


def _transpose(operator: Transpose, lowering: NcnnLowering) -> None:
    """Add a Permute of the axes that have more than one cell; the others are no work."""
    graph, shape = lowering.graph, lowering.shape(operator.inputs[0])
    real = [axis for axis, size in enumerate(shape) if size > 1]
    if len(real) > 4:
        raise NetworkError(
            f"transposes the shape {shape}; a blob of ncnn has at most four axes", operator=operator.name
        )
    blob = graph.read_flat(operator.inputs[0])
    order = [real.index(axis) for axis in operator.permutation if axis in real]
    if order != sorted(order):
        source = graph.reshape(blob, graph.temporary(), tuple(shape[axis] for axis in real))
        blob = graph.permute(source, graph.temporary(), order)
    graph.reshape(blob, lowering.write(operator, _NETWORK), graph.sizes(operator.name, _NETWORK))


def _mean(operator: Mean, lowering: NcnnLowering) -> None:
    graph, tensor = lowering.graph, operator.inputs[0]
    axes = {operator.resolve_axis(axis, graph.network.tensors[tensor]) for axis in operator.axes}
    if axes == {1, 2} and graph.has_maps(tensor):
        _global_avg_pool2d(operator, lowering)
        return
    layout = graph.layout_at_hand(operator.inputs) if operator.keep_dims else _NETWORK
    dropped = graph.dropped_axes(tensor)
    positions = sorted(_CHW_POSITION[axis] if layout is _CHW else axis - dropped for axis in axes if axis >= dropped)
    if not positions:  # of a batch of 1
        graph.reshape(graph.read_flat(tensor), lowering.write(operator, _NETWORK), graph.sizes(operator.name, _NETWORK))
        return
    target, sizes = lowering.write(operator, layout), graph.sizes(operator.name, layout)
    reduced = tuple(1 if axis in positions else size for axis, size in enumerate(graph.sizes(tensor, layout)))
    blob = target if reduced == sizes else graph.temporary()
    graph.layer("Reduction", (graph.read(tensor, layout),), (blob,), {0: _MEAN, 1: 0, 3: positions, 4: 1, 5: 1})
    if blob != target:
        graph.reshape(blob, target, sizes)


LOWERINGS: Mapping[str, Lowering] = {
    "conv2d": _conv2d,
    "depthwise_conv2d": _conv2d,
    "transpose_conv2d": _transpose_conv2d,
    "dense": _dense,
    "add": _binary(0),
    "mul": _binary(2),
    "concat": _concat,
    "split": _split,
    "channel_shuffle": _channel_shuffle,
    "max_pool2d": _pool2d(_MAXIMUM),
    "avg_pool2d": _pool2d(_AVERAGE),
    "global_avg_pool2d": _global_avg_pool2d,
    "relu": _activation("ReLU"),
    "relu6": _activation("Clip", {0: 0.0, 1: 6.0}),
    "prelu": _prelu,
    "hard_swish": _activation("HardSwish", {0: 1 / 6, 1: 0.5}),
    "hard_sigmoid": _activation("HardSigmoid", {0: 1 / 6, 1: 0.5}),
    "sigmoid": _activation("Sigmoid"),
    "softmax": _softmax,
    "pad": _pad,
    "resize_bilinear": _resize_bilinear,
    "resize_nearest": _resize_nearest,
    "depth_to_space": _depth_to_space,
    "reshape": _reshape,
    "transpose": _transpose,
    "mean": _mean,
}
"""The lowering of every kind that can be written; an opaque operator cannot."""
