"""How each operator kind becomes nodes of ONNX: one function a kind, found by `LOWERINGS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from profiler.formats._onnx_graph import Layout, OnnxGraph
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
    Relu6,
    Reshape,
    ResizeBilinear,
    ResizeNearest,
    Softmax,
    Split,
    Transpose,
    TransposeConv2d,
    same_padding,
)

Lowering = Callable[[Any, OnnxGraph], None]

_NETWORK, _NCHW = Layout.NETWORK, Layout.CHANNELS_FIRST
_NCHW_POSITION = (0, 2, 3, 1)  # where NCHW has the axes N, H, W and C


def _axis(operator: Operator, graph: OnnxGraph, axis: int, layout: Layout) -> int:
    """Return where a layout has an axis of an operator's first input."""
    resolved = operator.resolve_axis(axis, graph.network.tensors[operator.inputs[0]])
    return _NCHW_POSITION[resolved] if layout is _NCHW else resolved


def _weights(operator: Operator, graph: OnnxGraph, kernel_order: Sequence[int]) -> list[str]:
    """Add an operator's kernel, its axes reordered, and its bias if it has one; returns their names."""
    weights = graph.network.weights or {}
    kernel, bias = f"{operator.name}/kernel", f"{operator.name}/bias"
    names = [graph.constant(kernel, weights[kernel].transpose(kernel_order))]
    return [*names, graph.constant(bias, weights[bias])] if bias in weights else names


def _unary(
    operator: Operator, graph: OnnxGraph, op_type: str, layout: Layout, extra: Sequence[str] = (), **attributes: Any
) -> None:
    """Add one node that reads the operator's input in a layout and writes its output in the same."""
    inputs = [graph.read(operator.inputs[0], layout), *extra]
    graph.node(op_type, inputs, [graph.write(operator.name, layout)], **attributes)


def _pads(operator: Conv2d | DepthwiseConv2d | MaxPool2d | AvgPool2d, graph: OnnxGraph) -> list[int]:
    """Return a window's padding in ONNX's order: top, left, bottom, right."""
    if operator.padding == "valid":
        return [0, 0, 0, 0]
    dilation = (1, 1) if isinstance(operator, MaxPool2d | AvgPool2d) else operator.dilation
    sizes = graph.shape(operator.inputs[0])[1:3]
    rows, columns = (
        same_padding(*numbers) for numbers in zip(sizes, operator.kernel, operator.stride, dilation, strict=True)
    )
    return [rows[0], columns[0], rows[1], columns[1]]


def _conv2d(operator: Conv2d | DepthwiseConv2d, graph: OnnxGraph) -> None:
    if isinstance(operator, Conv2d):
        groups, weights = operator.groups, _weights(operator, graph, (0, 3, 1, 2))
    else:
        groups, weights = graph.shape(operator.inputs[0])[3], _weights(operator, graph, (3, 0, 1, 2))
    _unary(
        operator, graph, "Conv", _NCHW, weights,
        kernel_shape=operator.kernel, strides=operator.stride, dilations=operator.dilation, group=groups,
        pads=_pads(operator, graph),
    )  # fmt: skip


def _transpose_conv2d(operator: TransposeConv2d, graph: OnnxGraph) -> None:
    pads = [0, 0, 0, 0]
    if operator.padding == "same":
        cut = [kernel - stride for kernel, stride in zip(operator.kernel, operator.stride, strict=True)]
        pads = [cut[0] // 2, cut[1] // 2, cut[0] - cut[0] // 2, cut[1] - cut[1] // 2]
    weights = _weights(operator, graph, (3, 0, 1, 2))
    _unary(
        operator, graph, "ConvTranspose", _NCHW, weights,
        kernel_shape=operator.kernel, strides=operator.stride, pads=pads,
    )  # fmt: skip


def _dense(operator: Dense, graph: OnnxGraph) -> None:
    _unary(operator, graph, "Gemm", _NETWORK, _weights(operator, graph, (0, 1)), transB=1)


def _max_pool2d(operator: MaxPool2d, graph: OnnxGraph) -> None:
    pads = _pads(operator, graph)
    _unary(operator, graph, "MaxPool", _NCHW, kernel_shape=operator.kernel, strides=operator.stride, pads=pads)


def _avg_pool2d(operator: AvgPool2d, graph: OnnxGraph) -> None:
    _unary(
        operator, graph, "AveragePool", _NCHW,
        kernel_shape=operator.kernel, strides=operator.stride, pads=_pads(operator, graph), count_include_pad=0,
    )  # fmt: skip


def _global_avg_pool2d(operator: GlobalAvgPool2d, graph: OnnxGraph) -> None:
    if operator.keep_dims:
        _unary(operator, graph, "GlobalAveragePool", _NCHW)
        return
    pooled = graph.new_name(f"{operator.name}/pooled")
    graph.node("GlobalAveragePool", [graph.read(operator.inputs[0], _NCHW)], [pooled])
    graph.node("Flatten", [pooled], [graph.write(operator.name, _NETWORK)])


def _elementwise(op_type: str, **attributes: Any) -> Lowering:
    """Return the lowering of an operator for which any layout will do."""

    def lower(operator: Operator, graph: OnnxGraph) -> None:
        layout = graph.layout_at_hand(operator.inputs)
        inputs = [graph.read(tensor, layout) for tensor in operator.inputs]
        graph.node(op_type, inputs, [graph.write(operator.name, layout)], **attributes)

    return lower


def _relu6(operator: Relu6, graph: OnnxGraph) -> None:
    bounds = graph.number(0.0), graph.number(6.0)
    _unary(operator, graph, "Clip", graph.layout_at_hand(operator.inputs), bounds)


def _prelu(operator: PRelu, graph: OnnxGraph) -> None:
    layout = graph.layout_at_hand(operator.inputs)
    name = f"{operator.name}/alpha"
    alpha = (graph.network.weights or {})[name]
    slope = graph.constant(name, alpha.reshape(-1, 1, 1) if layout is _NCHW else alpha)
    _unary(operator, graph, "PRelu", layout, [slope])


def _softmax(operator: Softmax, graph: OnnxGraph) -> None:
    layout = graph.layout_at_hand(operator.inputs)
    _unary(operator, graph, "Softmax", layout, axis=_axis(operator, graph, -1, layout))


def _concat(operator: Concat, graph: OnnxGraph) -> None:
    layout = graph.layout_at_hand(operator.inputs)
    inputs = [graph.read(tensor, layout) for tensor in operator.inputs]
    axis = _axis(operator, graph, operator.axis, layout)
    graph.node("Concat", inputs, [graph.write(operator.name, layout)], axis=axis)


def _split(operator: Split, graph: OnnxGraph) -> None:
    layout = graph.layout_at_hand(operator.inputs)
    source = graph.read(operator.inputs[0], layout)
    outputs = [graph.write(tensor, layout) for tensor in operator.outputs]
    graph.node("Split", [source], outputs, axis=_axis(operator, graph, operator.axis, layout))


def _channel_shuffle(operator: ChannelShuffle, graph: OnnxGraph) -> None:
    """ONNX has none: channels are split into two axes, the two are swapped, and joined again."""
    shape = graph.shape(operator.name, _NCHW)
    grouped = (shape[0], operator.groups, shape[1] // operator.groups, *shape[2:])
    split, swapped = (graph.new_name(f"{operator.name}/{step}") for step in ("split", "swapped"))
    graph.node("Reshape", [graph.read(operator.inputs[0], _NCHW), graph.integers(grouped)], [split])
    graph.node("Transpose", [split], [swapped], perm=(0, 2, 1, 3, 4))
    graph.node("Reshape", [swapped, graph.integers(shape)], [graph.write(operator.name, _NCHW)])


def _pad(operator: Pad, graph: OnnxGraph) -> None:
    layout = graph.layout_at_hand(operator.inputs)
    paddings = list(operator.paddings)
    if layout is _NCHW:
        paddings = [paddings[0], paddings[3], paddings[1], paddings[2]]
    cells = [before for before, _ in paddings] + [after for _, after in paddings]
    _unary(operator, graph, "Pad", layout, [graph.integers(cells)])


def _resize_bilinear(operator: ResizeBilinear, graph: OnnxGraph) -> None:
    _resize(operator, graph, mode="linear", coordinate_transformation_mode=operator.coordinates)


def _resize_nearest(operator: ResizeNearest, graph: OnnxGraph) -> None:
    """Add a Resize where ONNX Runtime picks the cells that TFLite picks; where it rounds otherwise, gather them."""
    height, width = graph.shape(operator.inputs[0])[1:3]
    if _rounds_alike(height, operator.size[0]) and _rounds_alike(width, operator.size[1]):
        attributes = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        _resize(operator, graph, mode="nearest", **attributes)
        return
    rows = graph.integers(_nearest_cells(height, operator.size[0]).tolist())
    columns = graph.integers(_nearest_cells(width, operator.size[1]).tolist())
    tall = graph.new_name(f"{operator.name}/rows")
    graph.node("Gather", [graph.read(operator.inputs[0], _NCHW), rows], [tall], axis=2)
    graph.node("Gather", [tall, columns], [graph.write(operator.name, _NCHW)], axis=3)


def _nearest_cells(cells: int, outputs: int) -> NDArray[np.int64]:
    """Return the input cell of each output as TFLite and torch compute it, in float32: floor(x * (in / out))."""
    positions = np.arange(outputs, dtype=np.float32) * (np.float32(cells) / np.float32(outputs))
    return _floored(positions, cells)


def _rounds_alike(cells: int, outputs: int) -> bool:
    """Whether floor(x / (out / in)), which ONNX Runtime computes in float32, picks the same cells."""
    positions = np.arange(outputs, dtype=np.float32) / (np.float32(outputs) / np.float32(cells))
    return np.array_equal(_floored(positions, cells), _nearest_cells(cells, outputs))


def _floored(positions: NDArray[np.float32], cells: int) -> NDArray[np.int64]:
    floored: NDArray[np.float32] = np.minimum(np.floor(positions), cells - 1)
    return floored.astype(np.int64)


def _resize(operator: ResizeBilinear | ResizeNearest, graph: OnnxGraph, **attributes: Any) -> None:
    sizes = graph.integers(graph.shape(operator.name, _NCHW))
    _unary(operator, graph, "Resize", _NCHW, ["", "", sizes], **attributes)


def _depth_to_space(operator: DepthToSpace, graph: OnnxGraph) -> None:
    _unary(operator, graph, "DepthToSpace", _NCHW, blocksize=operator.block, mode="DCR")


def _reshape(operator: Reshape, graph: OnnxGraph) -> None:
    """Add a Reshape; a map of one cell, as squeeze-and-excite makes, has the same elements in either layout."""
    layout = _NCHW if len(operator.shape) == 4 and operator.shape[1:3] == (1, 1) else _NETWORK
    source = graph.read(operator.inputs[0], _NETWORK)
    sizes = graph.integers(graph.shape(operator.name, layout))
    graph.node("Reshape", [source, sizes], [graph.write(operator.name, layout)])


def _transpose(operator: Transpose, graph: OnnxGraph) -> None:
    _unary(operator, graph, "Transpose", _NETWORK, perm=operator.permutation)


def _mean(operator: Mean, graph: OnnxGraph) -> None:
    layout = graph.layout_at_hand(operator.inputs) if operator.keep_dims else _NETWORK
    axes = sorted(_axis(operator, graph, axis, layout) for axis in operator.axes)
    _unary(operator, graph, "ReduceMean", layout, axes=axes, keepdims=int(operator.keep_dims))


LOWERINGS: Mapping[str, Lowering] = {
    "conv2d": _conv2d,
    "depthwise_conv2d": _conv2d,
    "transpose_conv2d": _transpose_conv2d,
    "dense": _dense,
    "add": _elementwise("Add"),
    "mul": _elementwise("Mul"),
    "concat": _concat,
    "split": _split,
    "channel_shuffle": _channel_shuffle,
    "max_pool2d": _max_pool2d,
    "avg_pool2d": _avg_pool2d,
    "global_avg_pool2d": _global_avg_pool2d,
    "relu": _elementwise("Relu"),
    "relu6": _relu6,
    "prelu": _prelu,
    "hard_swish": _elementwise("HardSwish"),
    "hard_sigmoid": _elementwise("HardSigmoid", alpha=1 / 6, beta=0.5),
    "sigmoid": _elementwise("Sigmoid"),
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
