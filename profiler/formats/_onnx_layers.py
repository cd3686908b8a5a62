"""What each node of an .onnx file says, as layers of a source graph in NCHW: one function an operator.

An operator that is not in LAYERS, or whose attributes a Network cannot express, becomes `Unknown`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto

from profiler.formats import _source_graph as source
from profiler.formats._onnx_file import OnnxFile, captured_names, is_standard
from profiler.formats._onnx_node import NotSaid, OnnxNode
from profiler.formats._source_graph import (
    Layer,
    Pair,
    SourceGraph,
    Unknown,
    affine_from_constant,
    clip_layer,
    normalised_axis,
    pool_layer,
)
from profiler.network import (
    Add,
    AvgPool2d,
    HardSigmoid,
    HardSwish,
    MaxPool2d,
    Mul,
    Operator,
    Relu,
    ResizeBilinear,
    ResizeNearest,
    Sigmoid,
)

_FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16)


def add_node(proto: NodeProto, file: OnnxFile, graph: SourceGraph) -> None:
    """Add what a node does to a source graph: a layer, an alias, or nothing where it is computed right away."""
    if file.fold(proto):
        return
    node = OnnxNode(proto, file)
    computed = [name for name in node.inputs if name and not file.is_constant(name)]
    if is_standard(proto):
        try:
            if node.op_type in _PASS_ON and _passes_on(node):
                graph.alias(node.outputs[0], node.inputs[0])
                return
            rule = LAYERS.get(node.op_type)
            layer = None if rule is None else rule(node)
        except NotSaid:
            layer = None
        if layer is not None:
            graph.add(layer, computed, node.outputs, node.op_type)
            return
    captured = captured_names(proto) & file.shapes.keys()
    extra = [name for name in sorted(captured) if name not in computed and not file.is_constant(name)]
    graph.add(Unknown(), [*computed, *extra], node.outputs, node.op_type)


_PASS_ON = ("Identity", "Dropout", "Cast", "QuantizeLinear", "DequantizeLinear")


def _passes_on(node: OnnxNode) -> bool:
    """Whether a node only changes how numbers are kept, or nothing at all."""
    if node.op_type == "Cast":
        return node.attributes["to"] in _FLOATS and node.file.element_types.get(node.inputs[0]) in _FLOATS
    return not node.file.is_constant(node.inputs[0])


def _conv(node: OnnxNode) -> Layer | None:
    weight, bias = node.constant(1), node.constant(2)
    if weight is None or weight.ndim != 4 or (node.has(2) and bias is None) or len(node.shape(0)) != 4:
        return None
    groups = int(node.attributes.get("group", 1))
    kernel = _pair(weight.shape[2:])
    stride, dilation = _pair(node.attributes.get("strides", (1, 1))), _pair(node.attributes.get("dilations", (1, 1)))
    depthwise = groups > 1 and weight.shape[1] == 1 and weight.shape[0] % groups == 0
    padding = _padding(node, kernel, stride, dilation)
    return source.Conv(
        _float32(weight.transpose(0, 2, 3, 1)), _vector(bias), stride, dilation, groups, padding, depthwise
    )


def _conv_transpose(node: OnnxNode) -> Layer | None:
    weight, bias = node.constant(1), node.constant(2)
    attributes = node.attributes
    plain = attributes.get("group", 1) == 1 and all(step == 1 for step in attributes.get("dilations", ()))
    if (
        weight is None
        or weight.ndim != 4
        or (node.has(2) and bias is None)
        or not plain
        or "output_shape" in attributes
    ):
        return None
    stride = _pair(attributes.get("strides", (1, 1)))
    padding: source.Padding
    if attributes.get("auto_pad", "NOTSET") == "NOTSET":
        top, left, bottom, right = attributes.get("pads", (0, 0, 0, 0))
        below, beside = attributes.get("output_padding", (0, 0))
        padding = ((top, bottom - below), (left, right - beside))
    elif attributes["auto_pad"] in ("SAME_UPPER", "VALID"):
        padding = "same" if attributes["auto_pad"] == "SAME_UPPER" else "valid"
    else:
        return None
    return source.TransposeConv(_float32(weight.transpose(1, 2, 3, 0)), _vector(bias), stride, padding)


def _padding(node: OnnxNode, kernel: Pair, stride: Pair, dilation: Pair) -> source.Padding:
    mode = node.attributes.get("auto_pad", "NOTSET")
    if mode == "SAME_UPPER":
        return "same"
    if mode == "VALID":
        return "valid"
    if mode == "SAME_LOWER":
        height, width = (
            source.same_padding_at_start(size, *window)
            for size, *window in zip(node.shape(0)[2:], kernel, stride, dilation, strict=True)
        )
        return height, width
    top, left, bottom, right = node.attributes.get("pads", (0, 0, 0, 0))
    return (top, bottom), (left, right)


def _batch_normalization(node: OnnxNode) -> Layer | None:
    parts = [node.constant(position) for position in range(1, 5)]
    if any(part is None for part in parts) or node.attributes.get("training_mode", 0) or len(node.outputs) != 1:
        return None
    scale, shift, mean, variance = (np.asarray(part, np.float64) for part in parts)
    return source.affine_of_batch_norm(scale, shift, mean, variance, node.attributes.get("epsilon", 1e-5))


def _gemm(node: OnnxNode) -> Layer | None:
    attributes, weight, bias = node.attributes, node.constant(1), node.constant(2)
    if weight is None or weight.ndim != 2 or attributes.get("transA", 0) or (node.has(2) and bias is None):
        return None
    weight = weight if attributes.get("transB", 0) else weight.T
    alpha, beta = attributes.get("alpha", 1.0), attributes.get("beta", 1.0)
    if bias is not None:
        if bias.size not in (1, weight.shape[0]) or bias.size != bias.shape[-1:][0] if bias.ndim else False:
            return None
        bias = np.broadcast_to(bias.reshape(-1) * beta, (weight.shape[0],))
    return source.Linear(_float32(weight * alpha), _vector(bias))


def _matmul(node: OnnxNode) -> Layer | None:
    weight = node.constant(1)
    if weight is None or weight.ndim != 2 or node.file.is_constant(node.inputs[0]):
        return None
    return source.Linear(_float32(weight.T), None)


def _arithmetic(operation: str) -> Callable[[OnnxNode], Layer | None]:
    """Return the rule of an operator on two tensors, one of which may be constant."""

    def rule(node: OnnxNode) -> Layer | None:
        left, right = (node.file.is_constant(name) for name in node.inputs)
        if not left and not right:
            kind: type[Operator] | None = {"add": Add, "mul": Mul}.get(operation)
            return None if kind is None else source.Binary(kind)
        constant = node.constant(0 if left else 1)
        shape = node.shape(1 if left else 0)
        if constant is None or (left and right) or node.output_shape() != shape:
            return None
        return affine_from_constant(operation, constant, len(shape), reversed_=left)

    return rule


def _sum(node: OnnxNode) -> Layer | None:
    return _arithmetic("add")(node) if len(node.inputs) == 2 else None


def _activation(kind: type[Operator]) -> Callable[[OnnxNode], Layer | None]:
    """Return the rule of an activation without attributes."""
    return lambda _: source.Activation(kind)


def _clip(node: OnnxNode) -> Layer | None:
    return clip_layer(node.number("min", 1, -math.inf), node.number("max", 2, math.inf))


def _hard_sigmoid(node: OnnxNode) -> Layer | None:
    slope, offset = node.attributes.get("alpha", 0.2), node.attributes.get("beta", 0.5)
    same = math.isclose(slope, 1 / 6, rel_tol=1e-4) and math.isclose(offset, 0.5, rel_tol=1e-4)
    return source.Activation(HardSigmoid) if same else None


def _leaky_relu(node: OnnxNode) -> Layer | None:
    return source.PRelu(np.array([node.attributes.get("alpha", 0.01)], np.float32), None)


def _prelu(node: OnnxNode) -> Layer | None:
    alpha = node.constant(1)
    if alpha is None:
        return None
    spread = affine_from_constant("mul", alpha, len(node.shape(0)))
    return None if spread is None else source.PRelu(_float32(spread.scale), spread.axis)


def _softmax(node: OnnxNode) -> Layer | None:
    rank = len(node.shape(0))
    axis = normalised_axis(node.attributes.get("axis", -1 if node.file.opset >= 13 else 1), rank)
    # Before opset 13 the axes from `axis` on were one.
    return source.Softmax(axis) if node.file.opset >= 13 or axis == rank - 1 else None


def _concat(node: OnnxNode) -> Layer | None:
    if any(node.file.is_constant(name) for name in node.inputs):
        return None
    return source.Concat(int(node.attributes["axis"]))


def _split(node: OnnxNode) -> Layer | None:
    sizes = node.integers("split", 1)
    return source.Split(int(node.attributes.get("axis", 0))) if sizes is None or len(set(sizes)) == 1 else None


def _pool(kind: type[Operator]) -> Callable[[OnnxNode], Layer | None]:
    """Return the rule of a pooling."""

    def rule(node: OnnxNode) -> Layer | None:
        attributes, shape = node.attributes, node.shape(0)
        plain = all(step == 1 for step in attributes.get("dilations", ())) and len(node.outputs) == 1
        if len(shape) != 4 or not plain:
            return None
        kernel, stride = _pair(attributes["kernel_shape"]), _pair(attributes.get("strides", (1, 1)))
        padding = _padding(node, kernel, stride, (1, 1))
        counts, rounds_up = bool(attributes.get("count_include_pad", 0)), bool(attributes.get("ceil_mode", 0))
        if isinstance(padding, str):
            return source.Pool(kind, kernel, stride, padding, counts)
        return pool_layer(kind, shape[2:], kernel, stride, padding, counts_padding=counts, rounds_up=rounds_up)

    return rule


def _global_max_pool(node: OnnxNode) -> Layer | None:
    size = _pair(node.shape(0)[2:])
    return source.Pool(MaxPool2d, size, size, "valid")


def _global_average_pool(_: OnnxNode) -> Layer | None:
    return source.GlobalPool(keep_dims=True)


def _reduce_mean(node: OnnxNode) -> Layer | None:
    axes = node.integers("axes", 1)
    if axes is None and node.attributes.get("noop_with_empty_axes", 0):
        return None
    return source.Mean(axes or tuple(range(len(node.shape(0)))), bool(node.attributes.get("keepdims", 1)))


def _flatten(node: OnnxNode) -> Layer | None:
    shape = node.shape(0)
    axis = node.attributes.get("axis", 1)
    axis = axis + len(shape) if axis < 0 else axis
    return source.Reshape((math.prod(shape[:axis]), math.prod(shape[axis:])), flattens=axis == 1)


def _reshape(node: OnnxNode) -> Layer | None:
    old, shape = node.shape(0), node.integers("shape", 1)
    if shape is None:
        return None
    if not node.attributes.get("allowzero", 0):
        shape = tuple(old[axis] if size == 0 else size for axis, size in enumerate(shape))
    return source.Reshape(shape)


def _reshape_to_output(node: OnnxNode) -> Layer | None:
    return source.Reshape(node.output_shape())


def _transpose(node: OnnxNode) -> Layer | None:
    return source.Transpose(tuple(node.attributes.get("perm", reversed(range(len(node.shape(0)))))))


def _pad(node: OnnxNode) -> Layer | None:
    pads = node.integers("paddings" if "paddings" in node.attributes else "pads", 1)
    rank = len(node.shape(0))
    if node.attributes.get("mode", "constant") != "constant" or node.number("value", 2, 0.0) != 0 or pads is None:
        return None
    axes = [normalised_axis(axis, rank) for axis in node.integers("axes", 3) or range(rank)]
    if len(pads) != 2 * len(axes):
        return None
    cells: list[Pair] = [(0, 0)] * rank
    for position, axis in enumerate(axes):
        cells[axis] = (pads[position], pads[position + len(axes)])
    return source.Pad(tuple(cells))


def _resize(node: OnnxNode) -> Layer | None:
    old, new = node.shape(0), node.output_shape()
    attributes = node.attributes
    if len(old) != 4 or old[:2] != new[:2] or attributes.get("antialias", 0) or not _scales_are_exact(node, old, new):
        return None
    coordinates = attributes.get(
        "coordinate_transformation_mode", "half_pixel" if node.op_type == "Resize" else "asymmetric"
    )
    if coordinates == "pytorch_half_pixel" and 1 not in new[2:]:
        coordinates = "half_pixel"
    size = _pair(new[2:])
    mode = attributes.get("mode", "nearest")
    if mode == "linear" and coordinates in ("half_pixel", "align_corners", "asymmetric"):
        return source.Resize(ResizeBilinear, size, coordinates)
    if mode == "nearest" and _is_floor(node, coordinates, old, new):
        return source.Resize(ResizeNearest, size)
    return None


def _scales_are_exact(node: OnnxNode, old: Sequence[int], new: Sequence[int]) -> bool:
    """Whether output sizes divided by input sizes are the scales, which they are not where sizes were rounded."""
    position = 1 if node.op_type == "Upsample" else 2
    scales = node.attributes.get("scales")
    if scales is None and node.has(position):
        values = node.constant(position)
        scales = None if values is None else values.reshape(-1).tolist()
    return not scales or all(
        math.isclose(size * scale, result, rel_tol=1e-5) for size, scale, result in zip(old, scales, new, strict=True)
    )


def _is_floor(node: OnnxNode, coordinates: str, old: Sequence[int], new: Sequence[int]) -> bool:
    """Whether nearest interpolation takes cell floor(x * in / out) for output x."""
    rounding = node.attributes.get("nearest_mode", "round_prefer_floor" if node.op_type == "Resize" else "floor")
    if coordinates == "asymmetric":
        return bool(rounding == "floor")
    whole = all(after % before == 0 for before, after in zip(old, new, strict=True))
    return whole and coordinates == "half_pixel" and rounding.startswith("round_prefer")


def _gather(node: OnnxNode) -> Layer | None:
    """Rows or columns picked as nearest interpolation would: what is written where runtimes round otherwise."""
    shape, picked = node.shape(0), node.constant(1)
    axis = normalised_axis(node.attributes.get("axis", 0), len(shape))
    if len(shape) != 4 or axis < 2 or picked is None or picked.ndim != 1 or picked.size == 0:
        return None
    cells = np.float32(shape[axis]) / np.float32(picked.size)
    nearest = np.minimum(np.floor(np.arange(picked.size, dtype=np.float32) * cells), shape[axis] - 1)
    if not np.array_equal(picked, nearest):
        return None
    return source.Resize(ResizeNearest, (picked.size, shape[3]) if axis == 2 else (shape[2], picked.size))


def _slice(node: OnnxNode) -> Layer | None:
    shape, starts, stops = node.shape(0), node.integers("starts", 1), node.integers("ends", 2)
    axes, steps = node.integers("axes", 3) or (0,), node.integers("steps", 4) or (1,)
    if (
        starts is None
        or stops is None
        or not len(starts) == len(stops) == len(axes) == len(steps) == 1
        or steps != (1,)
    ):
        return None
    axis = normalised_axis(axes[0], len(shape))
    start, stop, _ = slice(starts[0], stops[0]).indices(shape[axis])
    return source.Slice(axis, start, stop)


def _depth_to_space(node: OnnxNode) -> Layer | None:
    order = node.attributes.get("mode", "DCR")
    return source.DepthToSpace(node.attributes["blocksize"], order) if order in ("DCR", "CRD") else None


def _float32(values: NDArray[Any]) -> NDArray[np.float32]:
    return values.astype(np.float32, copy=False)


def _vector(values: NDArray[Any] | None) -> NDArray[np.float32] | None:
    return None if values is None else _float32(values).reshape(-1)


def _pair(values: Sequence[int]) -> Pair:
    height, width = values
    return int(height), int(width)


LAYERS: Mapping[str, Callable[[OnnxNode], Layer | None]] = {
    "Add": _arithmetic("add"),
    "AveragePool": _pool(AvgPool2d),
    "BatchNormalization": _batch_normalization,
    "Clip": _clip,
    "Concat": _concat,
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "DepthToSpace": _depth_to_space,
    "Div": _arithmetic("div"),
    "Flatten": _flatten,
    "Gather": _gather,
    "Gemm": _gemm,
    "GlobalAveragePool": _global_average_pool,
    "GlobalMaxPool": _global_max_pool,
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _activation(HardSwish),
    "LeakyRelu": _leaky_relu,
    "MatMul": _matmul,
    "MaxPool": _pool(MaxPool2d),
    "Mul": _arithmetic("mul"),
    "PRelu": _prelu,
    "Pad": _pad,
    "ReduceMean": _reduce_mean,
    "Relu": _activation(Relu),
    "Reshape": _reshape,
    "Resize": _resize,
    "Sigmoid": _activation(Sigmoid),
    "Slice": _slice,
    "Softmax": _softmax,
    "Split": _split,
    "Squeeze": _reshape_to_output,
    "Sub": _arithmetic("sub"),
    "Sum": _sum,
    "Transpose": _transpose,
    "Unsqueeze": _reshape_to_output,
    "Upsample": _resize,
}
"""The rule of each operator that is known; it returns None where a Network cannot say what the operator does."""
