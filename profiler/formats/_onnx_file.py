"""Reading of an .onnx file: its nodes, constants and inferred shapes.

The file may be hostile: external data is only read from inside the model's own folder, and constants are only
computed where the result is no larger than what it is computed from.  It knows ONNX and nothing of networks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper, shape_inference

from profiler.errors import DynamicShapeError, ModelFileError
from profiler.formats._source_graph import Shape, check_size, checked_input_shapes

_FOLDABLE = frozenset({
    "Add", "Cast", "Ceil", "Concat", "ConstantOfShape", "DequantizeLinear", "Div", "Expand", "Floor", "Gather",
    "Identity", "Mul", "Neg", "Range", "ReduceProd", "Reshape", "Slice", "Sqrt", "Squeeze", "Sub", "Transpose",
    "Unsqueeze",
})  # fmt: skip
"""Operators that exporters leave between constants: sizes computed from shapes, weights kept in another form."""

_SMALL_ELEMENTS = 65536  # results up to this size may be larger than what they are computed from
_TINY_ELEMENTS = 1024  # what is computed from so little cannot be large, but by the operators that make elements
_MAKING_ELEMENTS = ("ConstantOfShape", "Expand", "Range")
_MOST_ROUNDS = 32
_INFERENCE_KEEPS_ELEMENTS = 1024  # larger constants are weights, whose values no shape depends on


class OnnxFile:
    """An .onnx model with static shapes.

    Args:
        data: The file's bytes.
        folder: Where external data may lie; None to accept none.
        input_shapes: Shapes of inputs by name, with the file's own axes.

    Attributes:
        name: Name of the graph.
        producer: Name of the program that wrote the file.
        opset: Version of the standard operators.
        nodes: In the file's order.
        inputs: Names of the inputs that are no constants.
        outputs: Names of the outputs.
        shapes: Shapes of tensors, as far as they are stated or can be inferred.
        element_types: TensorProto's element type of each of these tensors.

    Raises:
        ModelFileError: The data is no .onnx model, or refers to data outside the folder.  On damage, protobuf's,
            onnx's and numpy's own errors (see `_damage`).
        DynamicShapeError: An input has open sizes and no shape is given.
    """

    def __init__(self, data: bytes, folder: Path | None, input_shapes: Mapping[str, Shape] | None) -> None:
        self._model = onnx.ModelProto.FromString(data)
        graph = self._model.graph
        if self._model.ir_version < 1 or not graph.node or not self._model.opset_import:
            raise ModelFileError("not a valid .onnx model: it holds no graph")
        check_size(len(graph.node))
        self._folder = folder
        self._initializers = {tensor.name: tensor for tensor in graph.initializer}
        self._folded: dict[str, NDArray[Any]] = {}
        self.name, self.producer = graph.name, self._model.producer_name
        self.opset = max(
            (entry.version for entry in self._model.opset_import if entry.domain in ("", "ai.onnx")), default=1
        )
        self.nodes = list(graph.node)
        values = [value for value in graph.input if value.name not in self._initializers]
        self.inputs = [value.name for value in values]
        self.outputs = [value.name for value in graph.output]
        self._fix_inputs(values, checked_input_shapes(input_shapes, self.inputs))
        self.shapes: dict[str, Shape] = {}
        self.element_types: dict[str, int] = {}
        self._infer()

    # Shapes

    def _fix_inputs(self, values: list[Any], wanted: Mapping[str, Shape]) -> None:
        changed = False
        for value in values:
            if not value.type.HasField("tensor_type") or not value.type.tensor_type.HasField("shape"):
                raise ModelFileError(f"not a valid .onnx model: input {value.name!r} is no tensor with a shape")
            dims = value.type.tensor_type.shape.dim
            sizes = tuple(dim.dim_value if dim.dim_value > 0 else None for dim in dims)
            shape = wanted.get(value.name)
            if shape is None and None in sizes:
                raise DynamicShapeError(value.name, sizes)
            if shape is not None and shape != sizes:
                changed = True
                del dims[:]
                for size in shape:
                    dims.add().dim_value = size
        if changed:  # what the file says of other tensors was for other inputs
            del self._model.graph.value_info[:]
            for output in self._model.graph.output:
                output.type.tensor_type.ClearField("shape")

    def _infer(self) -> None:
        """Infer shapes, again as long as constants that follow from shapes tell more of them.

        An operator that ONNX does not know is taken to keep its first input's shape.
        """
        light = self._without_weights()
        for _ in range(_MOST_ROUNDS):
            # Not with data_prop: on damaged models it can run for ever, and constants are folded here anyway.
            inferred = shape_inference.infer_shapes(light).graph
            for value in [*inferred.input, *inferred.value_info, *inferred.output]:
                self._note_shape(value)
            if all(name in self.shapes for node in self.nodes for name in node.output):
                return
            if not self._contains_more(light):
                guess = self._guess()
                if guess is None:
                    return
                light.graph.value_info.append(guess)

    def _without_weights(self) -> Any:
        """Return the model for shape inference: large constants are declared, not contained."""
        light, graph, model = onnx.ModelProto(), self._model.graph, self._model
        light.ir_version, light.producer_name = max(model.ir_version, 4), model.producer_name
        light.opset_import.extend(model.opset_import)
        light.functions.extend(model.functions)
        light.graph.name = graph.name or "graph"
        light.graph.node.extend(graph.node)
        light.graph.output.extend(graph.output)
        light.graph.value_info.extend(graph.value_info)
        light.graph.input.extend(value for value in graph.input if value.name not in self._initializers)
        for tensor in graph.initializer:
            if math.prod(tensor.dims) <= _INFERENCE_KEEPS_ELEMENTS and not tensor.external_data:
                light.graph.initializer.append(tensor)
            else:
                light.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
        return light

    def _note_shape(self, value: Any) -> None:
        if not value.type.HasField("tensor_type"):
            return
        self.element_types[value.name] = value.type.tensor_type.elem_type
        dims = value.type.tensor_type.shape.dim
        if value.type.tensor_type.HasField("shape") and all(dim.dim_value > 0 for dim in dims):
            self.shapes[value.name] = tuple(dim.dim_value for dim in dims)

    def _contains_more(self, light: Any) -> bool:
        """Replace nodes that can be computed by their results; return whether there were any."""
        kept: list[NodeProto] = []
        computed: list[NodeProto] = []
        for node in light.graph.node:
            (computed if self.fold(node) else kept).append(node)
        if computed:
            names = [node.output[0] for node in computed]
            light.graph.initializer.extend(numpy_helper.from_array(self._folded[name], name) for name in names)
            others = onnx.GraphProto(node=kept)
            del light.graph.node[:]
            light.graph.node.extend(others.node)
        return bool(computed)

    def _guess(self) -> Any:
        for node in self.nodes:
            if is_standard(node) or not node.input or node.input[0] not in self.shapes:
                continue
            for name in node.output:
                if name not in self.shapes:
                    return helper.make_tensor_value_info(name, TensorProto.FLOAT, self.shapes[node.input[0]])
        return None

    # Constants

    def constant(self, name: str) -> NDArray[Any] | None:
        """Return the values of a tensor that the file holds, or that follow from such values alone.

        Raises:
            ModelFileError: The values lie outside the model's folder.
        """
        if name not in self._folded and name in self._initializers:
            self._folded[name] = self.values(self._initializers[name])
        return self._folded.get(name)

    def is_constant(self, name: str) -> bool:
        """Whether a tensor has values that do not depend on the inputs."""
        return name in self._folded or name in self._initializers

    def values(self, tensor: TensorProto) -> NDArray[Any]:
        """Return the values of a tensor in the file.

        Raises:
            ModelFileError: The values lie outside the model's folder.
        """
        if tensor.data_location == TensorProto.EXTERNAL:
            return self._external(tensor)
        values: NDArray[Any] = numpy_helper.to_array(tensor)
        if values.dtype.kind in "cOSU":
            raise ModelFileError(f"not a valid .onnx model: constant {tensor.name!r} holds {values.dtype}, not numbers")
        return values

    def _external(self, tensor: TensorProto) -> NDArray[Any]:
        entries = {entry.key: entry.value for entry in tensor.external_data}
        path = self._external_path(entries.get("location", ""), tensor.name)
        offset = int(entries.get("offset", 0))
        dtype = helper.tensor_dtype_to_np_dtype(tensor.data_type)
        count = math.prod(tensor.dims)
        try:
            with path.open("rb") as stream:
                stream.seek(offset)
                data = stream.read(min(count * dtype.itemsize, path.stat().st_size))
        except OSError as err:
            raise ModelFileError(f"external data of {tensor.name!r} cannot be read: {err}") from err
        return np.frombuffer(data, dtype, count).reshape(tuple(tensor.dims))

    def _external_path(self, location: str, name: str) -> Path:
        """Return where external data lies, which must be a plain file inside the model's folder."""
        refusal = ModelFileError(
            f"external data of {name!r} at {location!r} is refused: it must lie in the model's folder"
        )
        relative = PurePosixPath(location)
        if self._folder is None or not location or relative.is_absolute() or ".." in relative.parts or "\0" in location:
            raise refusal
        path = self._folder / relative
        if path.is_symlink() or not path.resolve().is_relative_to(self._folder.resolve()):
            raise refusal
        if not path.is_file():
            raise ModelFileError(
                f"external data of {name!r} is missing: there is no file {location!r} beside the model"
            )
        return path

    def fold(self, node: NodeProto) -> bool:
        """Compute a node from constants alone; return whether it could be done."""
        if node.output and node.output[0] in self._folded:
            return True
        if node.op_type == "Constant":
            return self._fold_constant(node)
        if node.op_type == "Shape" and is_standard(node) and node.input[0] in self.shapes:
            attributes = attributes_of(node)
            shape = self.shapes[node.input[0]][attributes.get("start", 0) : attributes.get("end")]
            self._folded[node.output[0]] = np.array(shape, np.int64)
            return True
        if node.op_type not in _FOLDABLE or not is_standard(node) or len(node.output) != 1:
            return False
        if not all(self.is_constant(name) for name in node.input if name):
            return False
        return self._evaluate(node, {name: values for name, values in self._constants_of(node)})

    def _constants_of(self, node: NodeProto) -> Iterator[tuple[str, NDArray[Any]]]:
        for name in node.input:
            values = self.constant(name) if name else None
            if values is not None:
                yield name, values

    def _evaluate(self, node: NodeProto, inputs: Mapping[str, NDArray[Any]]) -> bool:
        shape = self.shapes.get(node.output[0])
        read = sum(values.size for values in inputs.values())
        if shape is None and (read > _TINY_ELEMENTS or node.op_type in _MAKING_ELEMENTS):
            return False
        if shape is not None and math.prod(shape) > max(_SMALL_ELEMENTS, read):
            return False
        from onnx.reference import ReferenceEvaluator

        try:
            with np.errstate(all="ignore"):
                result = ReferenceEvaluator(node, opsets={"": self.opset}).run(None, dict(inputs))[0]
        except (ValueError, TypeError, LookupError, RuntimeError, ArithmeticError, AttributeError):
            return False
        self._folded[node.output[0]] = np.asarray(result)
        return True

    def _fold_constant(self, node: NodeProto) -> bool:
        attributes = attributes_of(node)
        for key, value in attributes.items():
            if key == "value":
                self._folded[node.output[0]] = self.values(value)
                return True
            if key in ("value_float", "value_int", "value_floats", "value_ints"):
                self._folded[node.output[0]] = np.array(value, np.float32 if "float" in key else np.int64)
                return True
        return False


def is_standard(node: NodeProto) -> bool:
    """Whether a node is one of ONNX's own operators."""
    return node.domain in ("", "ai.onnx")


def attributes_of(node: NodeProto) -> dict[str, Any]:
    """Return a node's attributes as Python values, strings decoded."""
    values = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    return {
        name: value.decode("utf-8", "replace") if isinstance(value, bytes) else value for name, value in values.items()
    }


def captured_names(node: NodeProto) -> set[str]:
    """Return the tensors that the graphs inside a node (branches, loop bodies) may read from outside."""
    names: set[str] = set()
    graphs = _graphs_in(node)
    while graphs:
        for inner in graphs.pop().node:
            names.update(inner.input)
            graphs += _graphs_in(inner)
    return names


def _graphs_in(node: NodeProto) -> list[Any]:
    return [graph for attribute in node.attribute for graph in (attribute.g, *attribute.graphs) if graph.node]
