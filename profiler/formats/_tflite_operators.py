"""How each operator kind becomes operators of TFLite: one function a kind, found by `LOWERINGS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from profiler.formats._int8_scales import scale_of_range
from profiler.formats._tflite_lowering import TfliteLowering
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

_PADDINGS: Mapping[str, int] = {"same": schema.Padding.SAME, "valid": schema.Padding.VALID}
_INT8_CONVOLUTION_VERSION = 3
_GROUPED_CONVOLUTION_VERSION = 6
_DILATED_DEPTHWISE_VERSION = 2
_INT8_DENSE_VERSION = 4
_BIASED_TRANSPOSE_CONVOLUTION_VERSION = 3
_HALF_PIXEL_VERSION = 3
_LARGE_RANK_VERSION = 4  # of PAD and TRANSPOSE beyond rank 4


def _conv2d(operator: Conv2d, lowering: TfliteLowering) -> None:
    options = schema.Conv2DOptionsT()
    options.dilationHFactor, options.dilationWFactor = operator.dilation
    version = _INT8_CONVOLUTION_VERSION if lowering.is_int8 else 1
    if operator.groups > 1:
        version = _GROUPED_CONVOLUTION_VERSION
    _window(operator, lowering, "CONV_2D", options, version=version, channel_axis=0)


def _depthwise_conv2d(operator: DepthwiseConv2d, lowering: TfliteLowering) -> None:
    options = schema.DepthwiseConv2DOptionsT()
    options.depthMultiplier = operator.multiplier
    options.dilationHFactor, options.dilationWFactor = operator.dilation
    version = _INT8_CONVOLUTION_VERSION if lowering.is_int8 else 1
    if operator.dilation != (1, 1):
        version = max(version, _DILATED_DEPTHWISE_VERSION)
    _window(operator, lowering, "DEPTHWISE_CONV_2D", options, version=version, channel_axis=3)


def _window(
    operator: Conv2d | DepthwiseConv2d,
    lowering: TfliteLowering,
    code: str,
    options: Any,
    *,
    version: int,
    channel_axis: int,
) -> None:
    source, padding = _window_input(operator, lowering)
    options.padding = _PADDINGS[padding]
    options.strideH, options.strideW = operator.stride
    options.fusedActivationFunction = lowering.activation(operator)
    inputs = [source, *lowering.kernel_and_bias(operator, channel_axis=channel_axis)]
    lowering.graph.operator(code, inputs, [lowering.output(operator)], version=version, options=options)


def _window_input(operator: Conv2d | DepthwiseConv2d, lowering: TfliteLowering) -> tuple[int, str]:
    """Return the tensor that a convolution reads, and its padding.

    Under SAME, a window that steps over cells at the end of an axis would need less than no padding there.
    XNNPACK as in tflite-runtime 2.14 wraps that number around and returns wrong values, so such a
    convolution is written as VALID, after a PAD where the other axis needs one.
    """
    tensor = operator.inputs[0]
    shape = lowering.shape(tensor)
    axes = list(zip(shape[1:3], operator.kernel, operator.stride, operator.dilation, strict=True))
    steps_over = any((-(-size // step) - 1) * step + (cells - 1) * gap + 1 < size for size, cells, step, gap in axes)
    if operator.padding == "valid" or not steps_over:
        return lowering.index(tensor), operator.padding
    paddings = ((0, 0), *(same_padding(*numbers) for numbers in axes), (0, 0))
    if not any(map(any, paddings)):
        return lowering.index(tensor), "valid"
    padded_shape = [size + sum(cells) for size, cells in zip(shape, paddings, strict=True)]
    padded = lowering.temporary(f"{operator.name}/padded", padded_shape, lowering.scale(tensor))
    inputs = [lowering.index(tensor), lowering.graph.integers(paddings)]
    lowering.graph.operator("PAD", inputs, [padded], version=lowering.version, options=schema.PadOptionsT())
    return padded, "valid"


def _transpose_conv2d(operator: TransposeConv2d, lowering: TfliteLowering) -> None:
    options = schema.TransposeConvOptionsT()
    options.padding = _PADDINGS[operator.padding]
    options.strideH, options.strideW = operator.stride
    size = lowering.graph.integers(lowering.shape(operator.name))
    kernel, bias = lowering.kernel_and_bias(operator, channel_axis=0)
    lowering.graph.operator(
        "TRANSPOSE_CONV",
        [size, kernel, *lowering.inputs(operator), bias],
        [lowering.output(operator)],
        version=_BIASED_TRANSPOSE_CONVOLUTION_VERSION,
        options=options,
    )


def _dense(operator: Dense, lowering: TfliteLowering) -> None:
    options = schema.FullyConnectedOptionsT()
    options.fusedActivationFunction = lowering.activation(operator)
    # One scale for the whole matrix: int8 dense kernels with a scale a unit are too new for the runtimes on phones.
    weights = lowering.kernel_and_bias(operator, channel_axis=None)
    inputs, outputs = [*lowering.inputs(operator), *weights], [lowering.output(operator)]
    version = _INT8_DENSE_VERSION if lowering.is_int8 else 1
    lowering.graph.operator("FULLY_CONNECTED", inputs, outputs, version=version, options=options)


def _pool2d(operator: MaxPool2d | AvgPool2d, lowering: TfliteLowering) -> None:
    options = schema.Pool2DOptionsT()
    options.padding = _PADDINGS[operator.padding]
    options.filterHeight, options.filterWidth = operator.kernel
    options.strideH, options.strideW = operator.stride
    options.fusedActivationFunction = lowering.activation(operator)
    code = "MAX_POOL_2D" if isinstance(operator, MaxPool2d) else "AVERAGE_POOL_2D"
    _simple(operator, lowering, code, options)


def _simple(operator: Operator, lowering: TfliteLowering, code: str, options: Any = None) -> None:
    """Lower an operator whose TFLite operator has the same inputs and the usual versions."""
    inputs, outputs = lowering.inputs(operator), [lowering.output(operator)]
    lowering.graph.operator(code, inputs, outputs, version=lowering.version, options=options)


def _with_integers(
    operator: Operator,
    lowering: TfliteLowering,
    code: str,
    integers: tuple[Any, ...],
    *,
    version: int,
    options: Any = None,
) -> None:
    """Lower an operator whose TFLite operator reads a second tensor of constant integers."""
    inputs = [*lowering.inputs(operator), lowering.graph.integers(integers)]
    lowering.graph.operator(code, inputs, [lowering.output(operator)], version=version, options=options)


def _add(operator: Operator, lowering: TfliteLowering) -> None:
    options = schema.AddOptionsT()
    options.fusedActivationFunction = lowering.activation(operator)
    _simple(operator, lowering, "ADD", options)


def _mul(operator: Operator, lowering: TfliteLowering) -> None:
    options = schema.MulOptionsT()
    options.fusedActivationFunction = lowering.activation(operator)
    _simple(operator, lowering, "MUL", options)


def _concat(operator: Concat, lowering: TfliteLowering) -> None:
    options = schema.ConcatenationOptionsT()
    options.axis = operator.resolve_axis(operator.axis, lowering.network.tensors[operator.inputs[0]])
    inputs = [_rescaled(tensor, operator, lowering) for tensor in operator.inputs]
    outputs = [lowering.output(operator)]
    lowering.graph.operator("CONCATENATION", inputs, outputs, version=lowering.version, options=options)


def _rescaled(tensor: str, operator: Concat, lowering: TfliteLowering) -> int:
    """Return the index of a tensor in the scale of the concatenation that it enters, converted where it differs."""
    index = lowering.index(tensor)
    scale = lowering.scale(operator.name)
    if lowering.scale(tensor) == scale:
        return index
    name = f"{operator.name}/{tensor}/rescaled"
    rescaled = lowering.temporary(name, lowering.shape(tensor), scale)
    lowering.graph.operator("QUANTIZE", [index], [rescaled], options=schema.QuantizeOptionsT())
    return rescaled


def _split(operator: Split, lowering: TfliteLowering) -> None:
    options = schema.SplitOptionsT()
    options.numSplits = operator.parts
    axis = operator.resolve_axis(operator.axis, lowering.network.tensors[operator.inputs[0]])
    inputs = [lowering.graph.integers([axis]), *lowering.inputs(operator)]
    outputs = [lowering.index(tensor) for tensor in operator.outputs]
    lowering.graph.operator("SPLIT", inputs, outputs, version=lowering.version, options=options)


def _channel_shuffle(operator: ChannelShuffle, lowering: TfliteLowering) -> None:
    """TFLite has none: channels are split into two axes, the two are swapped, and joined again."""
    batch, height, width, channels = lowering.shape(operator.name)
    split_shape = (batch, height, width, operator.groups, channels // operator.groups)
    swapped_shape = (*split_shape[:3], *split_shape[:2:-1])
    graph, scale = lowering.graph, lowering.scale(operator.name)
    split = lowering.temporary(f"{operator.name}/split", split_shape, scale)
    swapped = lowering.temporary(f"{operator.name}/swapped", swapped_shape, scale)
    _reshape_to(lowering, lowering.index(operator.inputs[0]), split, split_shape)
    inputs = [split, graph.integers((0, 1, 2, 4, 3))]
    graph.operator("TRANSPOSE", inputs, [swapped], version=_LARGE_RANK_VERSION, options=schema.TransposeOptionsT())
    _reshape_to(lowering, swapped, lowering.output(operator), lowering.shape(operator.name))


def _reshape(operator: Reshape, lowering: TfliteLowering) -> None:
    _reshape_to(lowering, lowering.index(operator.inputs[0]), lowering.output(operator), operator.shape)


def _reshape_to(lowering: TfliteLowering, source: int, target: int, shape: tuple[int, ...]) -> None:
    options = schema.ReshapeOptionsT()
    options.newShape = list(shape)
    lowering.graph.operator("RESHAPE", [source, lowering.graph.integers(shape)], [target], options=options)


def _activation(code: str, options_type: Callable[[], Any] | None = None) -> Callable[[Operator, TfliteLowering], None]:
    """Return the lowering of an activation, which adds nothing when the operator before it applies it."""

    def lower(operator: Operator, lowering: TfliteLowering) -> None:
        if not lowering.is_fused(operator):
            _simple(operator, lowering, code, options_type() if options_type else None)

    return lower


def _hard_swish(operator: Operator, lowering: TfliteLowering) -> None:
    inputs, outputs = lowering.inputs(operator), [lowering.output(operator)]
    lowering.graph.operator("HARD_SWISH", inputs, outputs, options=schema.HardSwishOptionsT())


def _hard_sigmoid(operator: HardSigmoid, lowering: TfliteLowering) -> None:
    """TFLite has none: relu6(x + 3) as one addition, then times 1/6."""
    add, mul = schema.AddOptionsT(), schema.MulOptionsT()
    add.fusedActivationFunction = schema.ActivationFunctionType.RELU6
    three = lowering.constant(f"{operator.name}/three", np.array([3], np.float32))
    sixth = lowering.constant(f"{operator.name}/sixth", np.array([1 / 6], np.float32))
    scale = scale_of_range(0.0, 6.0) if lowering.is_int8 else None
    shifted = lowering.temporary(f"{operator.name}/shifted", lowering.shape(operator.name), scale)
    graph, version = lowering.graph, lowering.version
    graph.operator("ADD", [*lowering.inputs(operator), three], [shifted], version=version, options=add)
    graph.operator("MUL", [shifted, sixth], [lowering.output(operator)], version=version, options=mul)


def _prelu(operator: PRelu, lowering: TfliteLowering) -> None:
    alpha = lowering.weight(operator, "alpha")
    rank = len(lowering.shape(operator.name))
    # Runtimes want one size for each axis but the batch.
    spread = alpha.reshape((1,) * max(rank - 2, 0) + alpha.shape)
    inputs = [*lowering.inputs(operator), lowering.constant(f"{operator.name}/alpha", spread)]
    lowering.graph.operator("PRELU", inputs, [lowering.output(operator)])


def _softmax(operator: Softmax, lowering: TfliteLowering) -> None:
    options = schema.SoftmaxOptionsT()
    options.beta = 1.0
    _simple(operator, lowering, "SOFTMAX", options)


def _pad(operator: Pad, lowering: TfliteLowering) -> None:
    version = _LARGE_RANK_VERSION if len(operator.paddings) > 4 else lowering.version
    _with_integers(operator, lowering, "PAD", operator.paddings, version=version, options=schema.PadOptionsT())


def _transpose(operator: Transpose, lowering: TfliteLowering) -> None:
    version = _LARGE_RANK_VERSION if len(operator.permutation) > 4 else lowering.version
    options = schema.TransposeOptionsT()
    _with_integers(operator, lowering, "TRANSPOSE", operator.permutation, version=version, options=options)


def _mean(operator: Mean, lowering: TfliteLowering) -> None:
    spec = lowering.network.tensors[operator.inputs[0]]
    axes = tuple(sorted(operator.resolve_axis(axis, spec) for axis in operator.axes))
    _reduce(operator, lowering, axes, keep_dims=operator.keep_dims)


def _global_avg_pool2d(operator: GlobalAvgPool2d, lowering: TfliteLowering) -> None:
    _reduce(operator, lowering, (1, 2), keep_dims=operator.keep_dims)


def _reduce(operator: Operator, lowering: TfliteLowering, axes: tuple[int, ...], *, keep_dims: bool) -> None:
    options = schema.ReducerOptionsT()
    options.keepDims = keep_dims
    _with_integers(operator, lowering, "MEAN", axes, version=lowering.version, options=options)


def _resize_bilinear(operator: ResizeBilinear, lowering: TfliteLowering) -> None:
    options = schema.ResizeBilinearOptionsT()
    options.alignCorners = operator.coordinates == "align_corners"
    options.halfPixelCenters = operator.coordinates == "half_pixel"
    version = _HALF_PIXEL_VERSION if options.halfPixelCenters else lowering.version
    _with_integers(operator, lowering, "RESIZE_BILINEAR", operator.size, version=version, options=options)


def _resize_nearest(operator: ResizeNearest, lowering: TfliteLowering) -> None:
    options = schema.ResizeNearestNeighborOptionsT()
    version = lowering.version
    _with_integers(operator, lowering, "RESIZE_NEAREST_NEIGHBOR", operator.size, version=version, options=options)


def _depth_to_space(operator: DepthToSpace, lowering: TfliteLowering) -> None:
    options = schema.DepthToSpaceOptionsT()
    options.blockSize = operator.block
    _simple(operator, lowering, "DEPTH_TO_SPACE", options)


LOWERINGS: Mapping[str, Callable[[Any, TfliteLowering], None]] = {
    "conv2d": _conv2d,
    "depthwise_conv2d": _depthwise_conv2d,
    "transpose_conv2d": _transpose_conv2d,
    "dense": _dense,
    "add": _add,
    "mul": _mul,
    "concat": _concat,
    "split": _split,
    "channel_shuffle": _channel_shuffle,
    "max_pool2d": _pool2d,
    "avg_pool2d": _pool2d,
    "global_avg_pool2d": _global_avg_pool2d,
    "relu": _activation("RELU"),
    "relu6": _activation("RELU6"),
    "prelu": _prelu,
    "hard_swish": _hard_swish,
    "hard_sigmoid": _hard_sigmoid,
    "sigmoid": _activation("LOGISTIC"),
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
