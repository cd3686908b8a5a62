"""What each call in a program of torch.export says, as layers of a source graph in NCHW: one function an operator.

A call that is not in LAYERS, or whose arguments a Network cannot express, becomes `Unknown`.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import fx

from profiler.errors import ModelFileError
from profiler.formats import _source_graph as source
from profiler.formats._source_graph import (
    Layer,
    Pair,
    SourceGraph,
    Unknown,
    affine_from_constant,
    affine_of_batch_norm,
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
    Relu6,
    ResizeBilinear,
    ResizeNearest,
    Sigmoid,
)

_PASS_ON = frozenset({
    "aten.dropout", "aten.dropout_", "aten.feature_dropout", "aten.contiguous", "aten.clone", "aten.detach",
    "aten.detach_", "aten.alias", "aten.lift_fresh_copy",
})  # fmt: skip
_NOT_COMPUTING = frozenset({"aten._assert_tensor_metadata"})


class AtenCall:
    """A call of an aten operator, with its arguments by name.

    Args:
        node: The call.
        constants: Parameters and buffers by name.
    """

    def __init__(self, node: fx.Node, constants: Mapping[str, torch.Tensor]) -> None:
        self.node, self._constants = node, constants
        self.name = node.name
        schema = getattr(node.target, "_schema", None)
        self.op_type = str(node.target) if schema is None else schema.name.replace("::", ".")
        self.arguments: dict[str, Any] = {}
        if schema is not None:
            self.arguments = {argument.name: argument.default_value for argument in schema.arguments}
            self.arguments |= dict(zip(self.arguments, node.args, strict=False))
        self.arguments |= node.kwargs

    def __getitem__(self, argument: str) -> Any:
        """Return an argument by its name in the operator's schema."""
        return self.arguments[argument]

    def computed(self) -> list[str]:
        """Return the tensors that the call reads and that are no constants, in order."""
        return [node.name for node in self.node.all_input_nodes if node.name not in self._constants]

    def read(self, *arguments: str) -> list[str]:
        """Return the tensors that arguments name, with repetitions."""
        values = [self.arguments[argument] for argument in arguments]
        return [value.name for value in values if isinstance(value, fx.Node) and value.name not in self._constants]

    def constant(self, argument: str) -> NDArray[Any] | None:
        """Return the values of an argument that is a parameter, a buffer or a number; None where it is computed."""
        value = self.arguments.get(argument)
        if isinstance(value, bool | int | float):
            return np.array(value, np.float64)
        if not isinstance(value, fx.Node) or value.name not in self._constants:
            return None
        tensor = self._constants[value.name]
        values: NDArray[Any] = (tensor.double() if tensor.is_floating_point() else tensor).cpu().numpy()
        return values

    def given(self, argument: str) -> bool:
        """Whether an optional argument is there."""
        return self.arguments.get(argument) is not None

    def shape(self, argument: str = "self") -> tuple[int, ...]:
        """Return the shape of an argument."""
        return _shape(self.arguments[argument].meta["val"])

    def output_shapes(self) -> list[tuple[int, ...]]:
        """Return the shapes of the tensors that the call returns."""
        value = self.node.meta.get("val")
        values = value if isinstance(value, list | tuple) else [value]
        return [_shape(item) for item in values if isinstance(item, torch.Tensor)]


def _shape(value: torch.Tensor) -> tuple[int, ...]:
    return tuple(int(size) for size in value.shape)


_Rule = Callable[[AtenCall], Layer | None]


def add_node(node: fx.Node, constants: Mapping[str, torch.Tensor], graph: SourceGraph) -> None:
    """Add what a call does to a source graph.

    Raises:
        ModelFileError: The program uses a value that is no tensor.
    """
    if node.target is operator.getitem:
        first, index = node.args
        graph.alias(node.name, f"{first.name if isinstance(first, fx.Node) else first}:{index}")
        return
    call = AtenCall(node, constants)
    shapes = call.output_shapes()
    if call.op_type in _NOT_COMPUTING:
        return
    if not shapes:
        raise ModelFileError(f"{call.op_type} computes a value that is no tensor; a network cannot hold it")
    several = isinstance(node.meta.get("val"), list | tuple)
    outputs = [f"{node.name}:{index}" for index in range(len(shapes))] if several else [node.name]
    graph.shapes |= dict(zip(outputs, shapes, strict=True))
    if call.op_type in _PASS_ON or _keeps_floats(call):
        graph.alias(node.name, call.computed()[0])
    elif call.op_type in ("aten.silu", "aten.silu_"):
        gate = f"{node.name}/sigmoid"
        graph.shapes[gate] = shapes[0]
        graph.add(source.Activation(Sigmoid), call.computed(), [gate], call.op_type)
        graph.add(source.Binary(Mul), [*call.computed(), gate], outputs, call.op_type)
    else:
        _add_layer(call, graph, outputs)


def _add_layer(call: AtenCall, graph: SourceGraph, outputs: Sequence[str]) -> None:
    rule = LAYERS.get(call.op_type) or LAYERS.get(call.op_type.removesuffix("_"))
    layer = None if rule is None else rule(call)
    inputs = call.computed()
    if isinstance(layer, source.Binary):
        inputs = call.read("self", "other")
    elif isinstance(layer, source.Concat):
        inputs = [tensor.name for tensor in call["tensors"]]
    graph.add(layer or Unknown(), inputs, outputs, call.op_type)


def _keeps_floats(call: AtenCall) -> bool:
    """Whether a call only converts one floating-point type to another, or moves to another device."""
    value = call.node.meta["val"]
    if call.op_type not in ("aten.to", "aten._to_copy") or not call.computed():
        return False
    return bool(value.is_floating_point() and call["self"].meta["val"].is_floating_point())


def _conv(call: AtenCall) -> Layer | None:
    weight, bias = call.constant("weight"), call.constant("bias")
    if weight is None or (call.given("bias") and bias is None):
        return None
    stride, dilation, groups = _pair(call["stride"]), _pair(call["dilation"]), call["groups"]
    kernel = _pair(weight.shape[2:])
    padding: source.Padding = "valid"
    if call["padding"] == "same":  # of torch: the stride is 1, so it is TensorFlow's
        padding = "same"
    elif call["padding"] != "valid":
        padding = _symmetric(call["padding"])
    depthwise = groups > 1 and weight.shape[1] == 1
    if len(kernel) != 2 or len(call.shape("input")) != 4:
        return None
    return source.Conv(
        _float32(weight.transpose(0, 2, 3, 1)), _vector(bias), stride, dilation, groups, padding, depthwise
    )


def _conv_transpose(call: AtenCall) -> Layer | None:
    weight, bias = call.constant("weight"), call.constant("bias")
    plain = call["groups"] == 1 and _pair(call["dilation"]) == (1, 1) and len(call.shape("input")) == 4
    if weight is None or (call.given("bias") and bias is None) or not plain:
        return None
    crop, widening = _symmetric(call["padding"]), _pair(call["output_padding"])
    padding = tuple((before, after - extra) for (before, after), extra in zip(crop, widening, strict=True))
    kernel = _float32(weight.transpose(1, 2, 3, 0))
    return source.TransposeConv(kernel, _vector(bias), _pair(call["stride"]), (padding[0], padding[1]))


def _batch_norm(call: AtenCall) -> Layer | None:
    mean, variance = call.constant("running_mean"), call.constant("running_var")
    if mean is None or variance is None or call["training"]:
        return None
    scale = call.constant("weight") if call.given("weight") else np.ones_like(mean)
    shift = call.constant("bias") if call.given("bias") else np.zeros_like(mean)
    if scale is None or shift is None:
        return None
    return affine_of_batch_norm(scale, shift, mean, variance, call["eps"])


def _linear(call: AtenCall) -> Layer | None:
    weight, bias = call.constant("weight"), call.constant("bias")
    if weight is None or (call.given("bias") and bias is None):
        return None
    return source.Linear(_float32(weight), _vector(bias))


def _matmul(call: AtenCall) -> Layer | None:
    weight = call.constant("other" if "other" in call.arguments else "mat2")
    return None if weight is None or weight.ndim != 2 else source.Linear(_float32(weight.T), None)


def _activation(kind: type[Operator]) -> _Rule:
    """Return the rule of an activation without arguments."""
    return lambda _: source.Activation(kind)


def _clip(low: str, high: str) -> _Rule:
    """Return the rule of a clipping whose bounds have these names."""

    def rule(call: AtenCall) -> Layer | None:
        bounds = [call[low] if call.given(low) else -math.inf, call[high] if call.given(high) else math.inf]
        if not all(isinstance(bound, int | float) for bound in bounds):
            return None
        return clip_layer(bounds[0], bounds[1])

    return rule


def _leaky_relu(call: AtenCall) -> Layer | None:
    return source.PRelu(np.array([call["negative_slope"]], np.float32), None)


def _prelu(call: AtenCall) -> Layer | None:
    alpha = call.constant("weight")
    return None if alpha is None else source.PRelu(_float32(alpha).reshape(-1), 1 if alpha.size > 1 else None)


def _softmax(call: AtenCall) -> Layer | None:
    return source.Softmax(normalised_axis(call["dim"], len(call.shape())))


def _arithmetic(operation: str) -> _Rule:
    """Return the rule of an operator on two tensors, or on a tensor and a constant or number."""

    def rule(call: AtenCall) -> Layer | None:
        if call.arguments.get("alpha", 1) != 1 or call.given("rounding_mode"):
            return None
        left, right = call.constant("self"), call.constant("other")
        if left is None and right is None:
            kind: type[Operator] | None = {"add": Add, "mul": Mul}.get(operation)
            return None if kind is None else source.Binary(kind)
        constant = right if left is None else left
        shape = call.shape("self" if left is None else "other")
        if constant is None or (left is not None and right is not None) or call.output_shapes() != [shape]:
            return None
        return affine_from_constant(operation, constant, len(shape), reversed_=left is not None)

    return rule


def _cat(call: AtenCall) -> Layer | None:
    tensors = call["tensors"]
    return source.Concat(call["dim"]) if call.computed() and len(set(call.computed())) == len(set(tensors)) else None


def _split(call: AtenCall) -> Layer | None:
    shapes = call.output_shapes()
    return source.Split(call["dim"]) if len(set(shapes)) == 1 else None


def _slice(call: AtenCall) -> Layer | None:
    shape = call.shape()
    axis = normalised_axis(call["dim"], len(shape))
    if call["step"] != 1 or not all(bound is None or isinstance(bound, int) for bound in (call["start"], call["end"])):
        return None
    start, stop, _ = slice(call["start"], call["end"]).indices(shape[axis])
    return source.Slice(axis, start, stop)


def _pool(kind: type[Operator]) -> _Rule:
    """Return the rule of a pooling."""

    def rule(call: AtenCall) -> Layer | None:
        shape, kernel = call.shape(), _pair(call["kernel_size"])
        stride = _pair(call["stride"]) if call["stride"] else kernel
        plain = _pair(call.arguments.get("dilation", 1)) == (1, 1) and not call.given("divisor_override")
        if len(shape) != 4 or not plain:
            return None
        counts = bool(call.arguments.get("count_include_pad", False))
        padding, rounds_up = _symmetric(call["padding"]), bool(call["ceil_mode"])
        return pool_layer(kind, shape[2:], kernel, stride, padding, counts_padding=counts, rounds_up=rounds_up)

    return rule


def _adaptive_avg_pool(call: AtenCall) -> Layer | None:
    shape, size = call.shape(), _pair(call["output_size"])
    if size == (1, 1):
        return source.GlobalPool(keep_dims=True)
    if len(shape) != 4 or shape[2] % size[0] or shape[3] % size[1]:
        return None
    window = shape[2] // size[0], shape[3] // size[1]
    return source.Pool(AvgPool2d, window, window, "valid")


def _mean(call: AtenCall) -> Layer | None:
    axes = call.arguments.get("dim") or range(len(call.shape()))
    return source.Mean(tuple(axes), bool(call.arguments.get("keepdim", False)))


def _reshape(call: AtenCall) -> Layer | None:
    shape, old = call.output_shapes()[0], call.shape()
    return source.Reshape(shape, flattens=len(shape) == 2 and len(old) > 2 and shape[0] == old[0])


def _permute(call: AtenCall) -> Layer | None:
    rank = len(call.shape())
    return source.Transpose(tuple(normalised_axis(axis, rank) for axis in call["dims"]))


def _transpose(call: AtenCall) -> Layer | None:
    axes = list(range(len(call.shape())))
    first, second = (normalised_axis(call[name], len(axes)) for name in ("dim0", "dim1"))
    axes[first], axes[second] = axes[second], axes[first]
    return source.Transpose(tuple(axes))


def _pad(call: AtenCall) -> Layer | None:
    if call.arguments.get("mode", "constant") != "constant" or (call.arguments.get("value") or 0) != 0:
        return None
    cells: list[Pair] = [(0, 0)] * len(call.shape())
    flat = call["pad"]
    for position in range(len(flat) // 2):  # from the last axis backwards
        cells[-1 - position] = (flat[2 * position], flat[2 * position + 1])
    return source.Pad(tuple(cells))


def _pixel_shuffle(call: AtenCall) -> Layer | None:
    return source.DepthToSpace(call["upscale_factor"], "CRD") if len(call.shape()) == 4 else None


def _channel_shuffle(call: AtenCall) -> Layer | None:
    return source.ChannelShuffle(call["groups"]) if len(call.shape()) == 4 else None


def _upsample(kind: type[Operator]) -> _Rule:
    """Return the rule of an interpolation."""

    def rule(call: AtenCall) -> Layer | None:
        argument = "input" if "input" in call.arguments else "self"
        old, new = call.shape(argument)[2:], call.output_shapes()[0][2:]
        scales = call.arguments.get("scale_factors") or [call.arguments.get("scales_h"), call.arguments.get("scales_w")]
        exact = all(
            scale is None or math.isclose(before * scale, after, rel_tol=1e-6)
            for before, scale, after in zip(old, scales, new, strict=True)
        )
        if not exact:  # torch then steps by the scale, not by the ratio of the sizes
            return None
        coordinates = "align_corners" if call.arguments.get("align_corners") else "half_pixel"
        return source.Resize(kind, (new[0], new[1]), coordinates)  # type: ignore[arg-type]  # one of two literals

    return rule


def _pair(values: Any) -> Pair:
    numbers = [values] * 2 if isinstance(values, int) else list(values) * (2 if len(values) == 1 else 1)
    return (int(numbers[0]), int(numbers[1])) if len(numbers) == 2 else (-1, -1)


def _symmetric(values: Any) -> tuple[Pair, Pair]:
    height, width = _pair(values)
    return (height, height), (width, width)


def _float32(values: NDArray[Any]) -> NDArray[np.float32]:
    return values.astype(np.float32, copy=False)


def _vector(values: NDArray[Any] | None) -> NDArray[np.float32] | None:
    return None if values is None else _float32(values).reshape(-1)


LAYERS: Mapping[str, _Rule] = {
    "aten.adaptive_avg_pool2d": _adaptive_avg_pool,
    "aten.add": _arithmetic("add"),
    "aten.avg_pool2d": _pool(AvgPool2d),
    "aten.batch_norm": _batch_norm,
    "aten.cat": _cat,
    "aten.channel_shuffle": _channel_shuffle,
    "aten.chunk": _split,
    "aten.clamp": _clip("min", "max"),
    "aten.constant_pad_nd": _pad,
    "aten.conv2d": _conv,
    "aten.conv_transpose2d": _conv_transpose,
    "aten.div": _arithmetic("div"),
    "aten.flatten": _reshape,
    "aten.hardsigmoid": _activation(HardSigmoid),
    "aten.hardswish": _activation(HardSwish),
    "aten.hardtanh": _clip("min_val", "max_val"),
    "aten.leaky_relu": _leaky_relu,
    "aten.linear": _linear,
    "aten.matmul": _matmul,
    "aten.max_pool2d": _pool(MaxPool2d),
    "aten.mean": _mean,
    "aten.mm": _matmul,
    "aten.mul": _arithmetic("mul"),
    "aten.pad": _pad,
    "aten.permute": _permute,
    "aten.pixel_shuffle": _pixel_shuffle,
    "aten.prelu": _prelu,
    "aten.relu": _activation(Relu),
    "aten.relu6": _activation(Relu6),
    "aten.reshape": _reshape,
    "aten.sigmoid": _activation(Sigmoid),
    "aten.slice": _slice,
    "aten.softmax": _softmax,
    "aten.split": _split,
    "aten.split_with_sizes": _split,
    "aten.squeeze": _reshape,
    "aten.sub": _arithmetic("sub"),
    "aten.transpose": _transpose,
    "aten.unflatten": _reshape,
    "aten.unsqueeze": _reshape,
    "aten.upsample_bilinear2d": _upsample(ResizeBilinear),
    "aten.upsample_nearest2d": _upsample(ResizeNearest),
    "aten.view": _reshape,
    "aten._unsafe_view": _reshape,
}
"""The rule of each operator that is known; it returns None where a Network cannot say what the operator does."""
