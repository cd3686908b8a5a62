"""Networks from .tflite files."""

from __future__ import annotations

from collections.abc import Mapping

from profiler.errors import DynamicShapeError
from profiler.formats._damage import damage_is_reported
from profiler.formats._source_graph import SourceGraph, checked_input_shapes
from profiler.formats._source_network import lower
from profiler.formats._tflite_file import TfliteFile, TfliteTensor, parse_tflite
from profiler.formats._tflite_layers import TfliteLayers
from profiler.network import Network, TensorSpec

_NETWORK_DTYPES = {"int32": "int32", "int64": "int32", "bool": "int8", "int4": "int8"}


def read_tflite(data: bytes, *, input_shapes: Mapping[str, tuple[int, ...]] | None = None) -> Network:
    """Return the network in a .tflite file, with its weights as float32.

    Fused activations become operators of their own.  Operators that a Network has no kind for are opaque and keep
    the file's name and shapes.  A quantised model is read as the float network that it approximates: its kernels
    and biases are dequantised, and operators that only convert between integers and floats are left out.

    Args:
        data: The file's bytes.
        input_shapes: Shapes (NHWC) of inputs by name, where the file leaves sizes open or others are wanted.

    Raises:
        ModelFileError: The data is no .tflite model, or is damaged.
        DynamicShapeError: An input has open sizes and no shape is given.
    """
    with damage_is_reported(".tflite"):
        return lower(_source_graph(parse_tflite(data), input_shapes))


def _source_graph(file: TfliteFile, input_shapes: Mapping[str, tuple[int, ...]] | None) -> SourceGraph:
    graph = SourceGraph(file.description or "model", channels_first=False)
    graph.shapes = {tensor.name: tensor.shape for tensor in file.tensors}
    graph.dtypes = {tensor.name: _network_dtype(tensor) for tensor in file.tensors}
    graph.inputs = _inputs(file, checked_input_shapes(input_shapes, [file.tensors[i].name for i in file.inputs]))
    if any(spec.shape != graph.shapes[spec.name] for spec in graph.inputs):
        graph.shapes = {spec.name: spec.shape for spec in graph.inputs}  # the file's other shapes no longer hold
    layers = TfliteLayers(file, graph)
    for operator in file.operators:
        layers.add(operator)
    graph.finish([file.tensors[index].name for index in file.outputs])
    return graph


def _inputs(file: TfliteFile, shapes: Mapping[str, tuple[int, ...]]) -> list[TensorSpec]:
    specs = []
    for index in file.inputs:
        tensor = file.tensors[index]
        shape = shapes.get(tensor.name)
        if shape is None:
            _require_fixed(tensor)
            shape = tensor.shape
        specs.append(TensorSpec(tensor.name, shape, _network_dtype(tensor)))
    return specs


def _require_fixed(tensor: TfliteTensor) -> None:
    """Refuse open sizes, but for an open batch where the file's other shapes are for a batch of one size."""
    is_open = [size < 1 for size in tensor.shape]
    for axis, size in enumerate(tensor.signature):
        is_open[axis] = is_open[axis] or (axis > 0 and size < 1)
    if any(is_open):
        shape = tuple(None if left_open else size for left_open, size in zip(is_open, tensor.shape, strict=True))
        raise DynamicShapeError(tensor.name, shape)


def _network_dtype(tensor: TfliteTensor) -> str:
    """Return the Network's type: quantised integers stand for float32, indices are int32."""
    return "float32" if tensor.scales.size else _NETWORK_DTYPES.get(tensor.dtype, "float32")
