"""What each operator of a .tflite file says, as layers of a source graph: one function an operator.

An operator that is not in LAYERS, or whose options or constants a Network cannot express, becomes `Unknown`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from profiler.errors import ModelFileError
from profiler.formats import _source_graph as source
from profiler.formats._source_graph import Layer, Pair, SourceGraph, Unknown, affine_from_constant
from profiler.formats._tflite_file import TfliteFile, TfliteOperator, TfliteOptions
from profiler.network import (
    Add,
    AvgPool2d,
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

_ACTIVATIONS: Mapping[int, Layer] = {
    schema.ActivationFunctionType.RELU: source.Activation(Relu),
    schema.ActivationFunctionType.RELU6: source.Activation(Relu6),
}
_ACTIVATION_NAMES = {
    value: name for name, value in vars(schema.ActivationFunctionType).items() if isinstance(value, int)
}
_SAME = schema.Padding.SAME


class TfliteLayers:
    """A source graph under construction from a .tflite file.

    Args:
        file: The file.
        graph: Where layers are added; it has the inputs already.
    """

    def __init__(self, file: TfliteFile, graph: SourceGraph) -> None:
        self.file, self.graph = file, graph
        self._folded: dict[int, NDArray[Any]] = {}
        self._names = {tensor.name for tensor in file.tensors}

    def add(self, operator: TfliteOperator) -> None:
        """Add an operator."""
        rule = None if operator.is_custom else LAYERS.get(operator.code)
        if rule is None or not rule(self, operator):
            self.append(Unknown(), operator, self.computed(operator.inputs))

    def constant(self, index: int) -> NDArray[Any] | None:
        """Return the values of a tensor that the file holds, or that follow from such values alone."""
        if index < 0:
            return None
        if index not in self._folded:
            values = self.file.tensors[index].values()
            if values is None:
                return None
            self._folded[index] = values
        return self._folded[index]

    def fold(self, index: int, values: NDArray[Any]) -> None:
        """Record the values of a tensor that is computed from constants."""
        self._folded[index] = values

    def integers(self, operator: TfliteOperator, position: int) -> tuple[int, ...] | None:
        """Return a constant input of whole numbers, flattened; None where it is not constant."""
        values = self.constant(operator.inputs[position])
        return None if values is None or values.dtype.kind not in "iu" else tuple(values.reshape(-1).tolist())

    def shape(self, index: int) -> tuple[int, ...]:
        """Return the shape that the file states for a tensor."""
        return self.file.tensors[index].shape

    def computed(self, indices: Sequence[int]) -> list[int]:
        """Return the tensors among indices that are not constants and not left out."""
        return [index for index in indices if index >= 0 and not self._is_constant(index)]

    def _is_constant(self, index: int) -> bool:
        return index in self._folded or self.file.tensors[index].data is not None

    def append(self, layer: Layer, operator: TfliteOperator, inputs: Sequence[int | str], *, fused: int = 0) -> bool:
        """Add a layer that writes the operator's outputs, and the activation that is fused into it; return True."""
        names = [index if isinstance(index, str) else self.file.tensors[index].name for index in inputs]
        outputs = [self.file.tensors[index].name for index in operator.outputs]
        if not outputs:
            raise ModelFileError(f"not a valid .tflite model: {operator.code} writes no tensor")
        if not fused:
            self.graph.add(layer, names, outputs, operator.code)
            return True
        activation = _ACTIVATIONS.get(fused, Unknown())
        before = self.derived(outputs[0], operator.code.lower())
        self.graph.shapes[before] = self.shape(operator.outputs[0])
        self.graph.add(layer, names, [before], operator.code)
        self.graph.add(activation, [before], outputs, _ACTIVATION_NAMES.get(fused, f"ACTIVATION_{fused}"))
        return True

    def derived(self, name: str, suffix: str) -> str:
        """Return a new name for a tensor that the file does not have."""
        count, new = 1, f"{name}/{suffix}"
        while new in self._names:
            count += 1
            new = f"{name}/{suffix}_{count}"
        self._names.add(new)
        return new


_Rule = Callable[[TfliteLayers, TfliteOperator], bool]


def _conv(layers: TfliteLayers, operator: TfliteOperator) -> bool:
    options = operator.options(schema.Conv2DOptions)
    x, weight, shape = operator.inputs[0], layers.constant(operator.inputs[1]), layers.shape(operator.inputs[0])
    bias, is_constant = _bias(layers, operator)
    if weight is None or weight.ndim != 4 or len(shape) != 4 or not is_constant:
        return False
    groups = shape[3] // max(weight.shape[3], 1)
    layer = source.Conv(
        _float32(weight), bias, _stride(options), _dilation(options), groups, _padding(options), depthwise=False
    )
    return layers.append(layer, operator, [x], fused=options["FusedActivationFunction"])


def _depthwise_conv(layers: TfliteLayers, operator: TfliteOperator) -> bool:
    options = operator.options(schema.DepthwiseConv2DOptions)
    x, weight, shape = operator.inputs[0], layers.constant(operator.inputs[1]), layers.shape(operator.inputs[0])
    bias, is_constant = _bias(layers, operator)
    if weight is None or weight.ndim != 4 or weight.shape[0] != 1 or len(shape) != 4 or not is_constant:
        return False
    kernel = _float32(weight).transpose(3, 1, 2, 0)
    layer = source.Conv(kernel, bias, _stride(options), _dilation(options), shape[3], _padding(options), depthwise=True)
    return layers.append(layer, operator, [x], fused=options["FusedActivationFunction"])


def _transpose_conv(layers: TfliteLayers, operator: TfliteOperator) -> bool:
    options = operator.options(schema.TransposeConvOptions)
    weight = layers.constant(operator.inputs[1])
    bias, is_constant = _bias(layers, operator, position=3)
    if weight is None or weight.ndim != 4 or not is_constant:
        return False
    layer = source.TransposeConv(_float32(weight), bias, _stride(options), _padding(options))
    return layers.append(layer, operator, [operator.inputs[2]], fused=options["FusedActivationFunction"])


def _fully_connected(layers: TfliteLayers, operator: TfliteOperator) -> bool:
    options = operator.options(schema.FullyConnectedOptions)
    weight = layers.constant(operator.inputs[1])
    bias, is_constant = _bias(layers, operator)
    if weight is None or weight.ndim != 2 or not is_constant or options["WeightsFormat"]:
        return False
    x: int | str = operator.inputs[0]
    if len(layers.shape(operator.inputs[0])) != 2 and not options["KeepNumDims"]:
        x = layers.derived(layers.file.tensors[operator.outputs[0]].name, "rows")
        rows = source.Reshape((-1, weight.shape[1]))
        layers.graph.add(rows, [layers.file.tensors[operator.inputs[0]].name], [x], "RESHAPE")
    layer = source.Linear(_float32(weight), bias)
    return layers.append(layer, operator, [x], fused=options["FusedActivationFunction"])


def _bias(layers: TfliteLayers, operator: TfliteOperator, position: int = 2) -> tuple[NDArray[np.float32] | None, bool]:
    """Return the bias, and whether it is one that a Network can have.

    A bias of zeros is read as none: files always have one, since runtimes' fast paths ask for it.
    """
    if len(operator.inputs) <= position or operator.inputs[position] < 0:
        return None, True
    values = layers.constant(operator.inputs[position])
    if values is None:
        return None, False
    return (_float32(values).reshape(-1) if values.any() else None), True


def _arithmetic(operation: str, options_kind: Callable[[], Any]) -> _Rule:
    """Return the rule of an operator on two tensors, one of which may be constant."""

    def rule(layers: TfliteLayers, operator: TfliteOperator) -> bool:
        fused = operator.options(options_kind)["FusedActivationFunction"]
        computed = layers.computed(operator.inputs[:2])
        kind: type[Operator] | None = {"add": Add, "mul": Mul}.get(operation)
        if len(computed) == 2:
            return kind is not None and layers.append(source.Binary(kind), operator, computed, fused=fused)
        constant_first = layers.computed(operator.inputs[:1]) == []
        constant = layers.constant(operator.inputs[0 if constant_first else 1])
        if not computed or constant is None:
            return False
        rank = len(layers.shape(computed[0]))
        affine = affine_from_constant(operation, constant, rank, reversed_=constant_first)
        grows = tuple(layers.shape(operator.outputs[0])) != layers.shape(computed[0])
        return affine is not None and not grows and layers.append(affine, operator, computed, fused=fused)

    return rule


def _concatenation(layers: TfliteLayers, operator: TfliteOperator) -> bool:
    options = operator.options(schema.ConcatenationOptions)
    if layers.computed(operator.inputs) != list(operator.inputs) or not operator.inputs:
        return False
    layer = source.Concat(options["Axis"])
    return layers.append(layer, operator, operator.inputs, fused=options["FusedActivationFunction"])


def _split(layers: TfliteLayers, operator: TfliteOperator) -> bool:
    axis = layers.integers(operator, 0)
    return bool(axis) and layers.append(source.Split((axis or (0,))[0]), operator, [operator.inputs[1]])


def _split_v(layers: TfliteLayers, operator: TfliteOperator) -> bool:
    sizes, axis = layers.integers(operator, 1), layers.integers(operator, 2)
    if not sizes or not axis or len(set(sizes)) != 1:
        return False
    return layers.append(source.Split(axis[0]), operator, [operator.inputs[0]])


def _pool(kind: type[Operator]) -> _Rule:
    """Return the rule of a pooling."""

    def rule(layers: TfliteLayers, operator: TfliteOperator) -> bool:
        options = operator.options(schema.Pool2DOptions)
        kernel = options["FilterHeight"], options["FilterWidth"]
        layer = source.Pool(kind, kernel, _stride(options), _padding(options))
        return layers.append(layer, operator, [operator.inputs[0]], fused=options["FusedActivationFunction"])

    return rule


def _mean(layers: TfliteLayers, operator: TfliteOperator) -> bool:
    axes = layers.integers(operator, 1)
    keep_dims = bool(operator.options(schema.ReducerOptions)["KeepDims"])
    return axes is not None and layers.append(source.Mean(axes, keep_dims), operator, [operator.inputs[0]])


def _activation(kind: type[Operator]) -> _Rule:
    """Return the rule of an activation without options."""
    layer = source.Activation(kind)
    return lambda layers, operator: layers.append(layer, operator, [operator.inputs[0]])


def _softmax(layers: TfliteLayers, operator: TfliteOperator) -> bool:
    if operator.options(schema.SoftmaxOptions)["Beta"] != 1:
        return False
    return layers.append(source.Softmax(-1), operator, [operator.inputs[0]])


def _prelu(layers: TfliteLayers, operator: TfliteOperator) -> bool:
    alpha = layers.constant(operator.inputs[1])
    if alpha is None or alpha.size != (alpha.shape[-1] if alpha.ndim else 1):
        return False
    axis = len(layers.shape(operator.inputs[0])) - 1 if alpha.size > 1 else None
    return layers.append(source.PRelu(_float32(alpha).reshape(-1), axis), operator, [operator.inputs[0]])


def _leaky_relu(layers: TfliteLayers, operator: TfliteOperator) -> bool:
    alpha = np.array([operator.options(schema.LeakyReluOptions)["Alpha"]], np.float32)
    return layers.append(source.PRelu(alpha, None), operator, [operator.inputs[0]])


def _pad(layers: TfliteLayers, operator: TfliteOperator) -> bool:
    flat = layers.integers(operator, 1)
    value = layers.constant(operator.inputs[2]) if len(operator.inputs) > 2 else np.zeros(1)
    if not flat or value is None or value.any():
        return False
    paddings = tuple(zip(flat[::2], flat[1::2], strict=False))
    return layers.append(source.Pad(paddings), operator, [operator.inputs[0]])


def _resize_bilinear(layers: TfliteLayers, operator: TfliteOperator) -> bool:
    options, size = operator.options(schema.ResizeBilinearOptions), layers.integers(operator, 1)
    if size is None or len(size) != 2:
        return False
    if options["AlignCorners"]:
        layer = source.Resize(ResizeBilinear, (size[0], size[1]), "align_corners")
    else:
        coordinates = "half_pixel" if options["HalfPixelCenters"] else "asymmetric"
        layer = source.Resize(ResizeBilinear, (size[0], size[1]), coordinates)  # type: ignore[arg-type]
    return layers.append(layer, operator, [operator.inputs[0]])


def _resize_nearest(layers: TfliteLayers, operator: TfliteOperator) -> bool:
    options, size = operator.options(schema.ResizeNearestNeighborOptions), layers.integers(operator, 1)
    old = layers.shape(operator.inputs[0])
    if size is None or len(size) != 2 or len(old) != 4 or options["AlignCorners"]:
        return False
    # floor((x + 0.5) / s) is floor(x / s) for whole s, and only then.
    if options["HalfPixelCenters"] and (size[0] % max(old[1], 1) or size[1] % max(old[2], 1)):
        return False
    return layers.append(source.Resize(ResizeNearest, (size[0], size[1])), operator, [operator.inputs[0]])


def _depth_to_space(layers: TfliteLayers, operator: TfliteOperator) -> bool:
    block = operator.options(schema.DepthToSpaceOptions)["BlockSize"]
    return layers.append(source.DepthToSpace(block), operator, [operator.inputs[0]])


def _reshape(layers: TfliteLayers, operator: TfliteOperator) -> bool:
    shape = layers.integers(operator, 1) if len(operator.inputs) > 1 else None
    return layers.append(source.Reshape(shape or layers.shape(operator.outputs[0])), operator, [operator.inputs[0]])


def _reshape_to_output(layers: TfliteLayers, operator: TfliteOperator) -> bool:
    return layers.append(source.Reshape(layers.shape(operator.outputs[0])), operator, [operator.inputs[0]])


def _transpose(layers: TfliteLayers, operator: TfliteOperator) -> bool:
    permutation = layers.integers(operator, 1)
    return permutation is not None and layers.append(source.Transpose(permutation), operator, [operator.inputs[0]])


def _requantize(layers: TfliteLayers, operator: TfliteOperator) -> bool:
    """QUANTIZE and DEQUANTIZE only change how numbers are kept; of a constant they keep the values."""
    x, y = operator.inputs[0], operator.outputs[0]
    if not layers.computed([x]):
        values = layers.constant(x)
        if values is None:
            return False
        layers.fold(y, _float32(values))
        return True
    layers.graph.alias(layers.file.tensors[y].name, layers.file.tensors[x].name)
    return True


def _float32(values: NDArray[Any]) -> NDArray[np.float32]:
    return values.astype(np.float32, copy=False)


def _stride(options: TfliteOptions) -> Pair:
    return options["StrideH"], options["StrideW"]


def _dilation(options: TfliteOptions) -> Pair:
    return options["DilationHFactor"], options["DilationWFactor"]


def _padding(options: TfliteOptions) -> Any:
    return "same" if options["Padding"] == _SAME else "valid"


LAYERS: Mapping[str, _Rule] = {
    "ADD": _arithmetic("add", schema.AddOptions),
    "AVERAGE_POOL_2D": _pool(AvgPool2d),
    "CONCATENATION": _concatenation,
    "CONV_2D": _conv,
    "DEPTHWISE_CONV_2D": _depthwise_conv,
    "DEPTH_TO_SPACE": _depth_to_space,
    "DEQUANTIZE": _requantize,
    "DIV": _arithmetic("div", schema.DivOptions),
    "EXPAND_DIMS": _reshape_to_output,
    "FULLY_CONNECTED": _fully_connected,
    "HARD_SWISH": _activation(HardSwish),
    "LEAKY_RELU": _leaky_relu,
    "LOGISTIC": _activation(Sigmoid),
    "MAX_POOL_2D": _pool(MaxPool2d),
    "MEAN": _mean,
    "MUL": _arithmetic("mul", schema.MulOptions),
    "PAD": _pad,
    "PADV2": _pad,
    "PRELU": _prelu,
    "QUANTIZE": _requantize,
    "RELU": _activation(Relu),
    "RELU6": _activation(Relu6),
    "RESHAPE": _reshape,
    "RESIZE_BILINEAR": _resize_bilinear,
    "RESIZE_NEAREST_NEIGHBOR": _resize_nearest,
    "SOFTMAX": _softmax,
    "SPLIT": _split,
    "SPLIT_V": _split_v,
    "SQUEEZE": _reshape_to_output,
    "SUB": _arithmetic("sub", schema.SubOptions),
    "TRANSPOSE": _transpose,
    "TRANSPOSE_CONV": _transpose_conv,
}
"""The rule of each operator that is known; it returns False where a Network cannot say what the operator does."""
