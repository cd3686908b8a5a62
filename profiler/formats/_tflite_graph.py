"""The FlatBuffer side of a .tflite file: tensors, weight buffers, operators, and packing them.

It knows the TFLite schema and nothing of Network; `_tflite_operators` decides which operators and
tensors there are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

BUFFER_ALIGNMENT_BYTES = 16
"""The schema asks for it (`force_align: 16`), and XNNPACK reads weights in place."""

_FILE_IDENTIFIER = b"TFL3"
_SCHEMA_VERSION = 3
_LAST_BYTE_SIZED_CODE = 127  # larger operator codes do not fit the old field of one byte
_BYTES_PER_TENSOR = 512  # generous room for a tensor's and operator's tables: the builder then never regrows
_TENSOR_TYPES: Mapping[str, int] = {
    "float32": schema.TensorType.FLOAT32,
    "int32": schema.TensorType.INT32,
    "int8": schema.TensorType.INT8,
}


@dataclass(frozen=True, slots=True)
class Affine:
    """How integers of a tensor stand for real numbers: real = scale * (integer - zero point).

    Attributes:
        scales: One scale, or one a channel.  Shape: (1,) or (channels,), all > 0.
        zero_point: The integer that stands for 0; one for all channels.
        axis: The channels' axis where there are several scales.
    """

    scales: NDArray[np.float32]
    zero_point: int
    axis: int = 0


class _AlignedBuffer(schema.BufferT):  # type: ignore[misc]  # the generated schema has no types
    """A buffer whose bytes start at a multiple of 16, which the generated class does not see to."""

    def Pack(self, builder: Any) -> Any:  # noqa: N802  # the generated class' name for it
        data = self.data
        builder.StartVector(1, data.nbytes, BUFFER_ALIGNMENT_BYTES)
        builder.head -= data.nbytes
        builder.Bytes[builder.head : builder.head + data.nbytes] = memoryview(data)
        vector = builder.EndVector()
        schema.BufferStart(builder)
        schema.BufferAddData(builder, vector)
        return schema.BufferEnd(builder)


class TfliteGraph:
    """A .tflite model under construction; tensors are known by their index."""

    def __init__(self) -> None:
        self._tensors: list[Any] = []
        self._buffers: list[Any] = [schema.BufferT()]  # buffer 0 is empty by convention
        self._operators: list[Any] = []
        self._codes: dict[tuple[int, int], int] = {}
        self._index_vectors: dict[tuple[tuple[int, ...], tuple[int, ...]], int] = {}

    def tensor(self, name: str, shape: Sequence[int], dtype: str, affine: Affine | None = None) -> int:
        """Add a tensor that is computed when the model runs, or fed to it.

        Returns:
            The tensor's index.
        """
        tensor = schema.TensorT()
        tensor.name = name
        tensor.shape = np.array(shape, np.int32)
        tensor.type = _TENSOR_TYPES[dtype]
        if affine is not None:
            tensor.quantization = _quantization(affine)
        self._tensors.append(tensor)
        return len(self._tensors) - 1

    def constant(self, name: str, values: NDArray[Any], affine: Affine | None = None) -> int:
        """Add a tensor whose values are in the file, such as weights.

        Returns:
            The tensor's index.
        """
        index = self.tensor(name, values.shape, values.dtype.name, affine)
        self._tensors[index].buffer = len(self._buffers)
        buffer = _AlignedBuffer()
        buffer.data = np.ascontiguousarray(values, values.dtype.newbyteorder("<")).reshape(-1).view(np.uint8)
        self._buffers.append(buffer)
        return index

    def integers(self, values: Sequence[int] | Sequence[Sequence[int]]) -> int:
        """Add a constant of int32, such as the axes of a reduction; equal ones share one tensor.

        Returns:
            The tensor's index.
        """
        array = np.array(values, np.int32)
        key = (array.shape, tuple(array.reshape(-1).tolist()))
        if key not in self._index_vectors:
            self._index_vectors[key] = self.constant(f"integers/{len(self._index_vectors)}", array)
        return self._index_vectors[key]

    def operator(
        self, code: str, inputs: Sequence[int], outputs: Sequence[int], *, version: int = 1, options: Any = None
    ) -> None:
        """Add an operator.

        Args:
            code: Name of the built-in operator, such as "CONV_2D".
            inputs: Indices of its input tensors.
            outputs: Indices of its output tensors.
            version: The operator's version in TFLite, from which runtimes tell whether they can run it.
            options: The schema's options object; its table's type follows from its class.
        """
        builtin_code = getattr(schema.BuiltinOperator, code)
        operator = schema.OperatorT()
        operator.opcodeIndex = self._codes.setdefault((builtin_code, version), len(self._codes))
        operator.inputs = np.array(inputs, np.int32)
        operator.outputs = np.array(outputs, np.int32)
        if options is not None:
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__.removesuffix("T"))
            operator.builtinOptions = options
        self._operators.append(operator)

    def to_bytes(self, inputs: Mapping[str, int], outputs: Mapping[str, int], *, description: str) -> bytes:
        """Pack the model.

        Args:
            inputs: Index of each input tensor by its name in the signature.
            outputs: Index of each output tensor by its name in the signature.
            description: Free text that the file carries.
        """
        subgraph = schema.SubGraphT()
        subgraph.name = "main"
        subgraph.tensors, subgraph.operators = self._tensors, self._operators
        subgraph.inputs = np.array(list(inputs.values()), np.int32)
        subgraph.outputs = np.array(list(outputs.values()), np.int32)
        model = schema.ModelT()
        model.version, model.description = _SCHEMA_VERSION, description
        model.subgraphs, model.buffers = [subgraph], self._buffers
        model.operatorCodes = [_operator_code(code, version) for code, version in self._codes]
        model.signatureDefs = [_signature(inputs, outputs)]
        builder = flatbuffers.Builder(self._packed_bytes_bound())
        builder.Finish(model.Pack(builder), _FILE_IDENTIFIER)
        return bytes(memoryview(builder.Bytes)[builder.Head() :])

    def _packed_bytes_bound(self) -> int:
        weights_bytes: int = sum(buffer.data.nbytes + BUFFER_ALIGNMENT_BYTES for buffer in self._buffers[1:])
        return 4096 + weights_bytes + _BYTES_PER_TENSOR * len(self._tensors)


def _quantization(affine: Affine) -> Any:
    quantization = schema.QuantizationParametersT()
    quantization.scale = affine.scales.astype(np.float32)
    quantization.zeroPoint = np.full(affine.scales.shape, affine.zero_point, np.int64)
    quantization.quantizedDimension = affine.axis
    return quantization


def _operator_code(builtin_code: int, version: int) -> Any:
    code = schema.OperatorCodeT()
    code.builtinCode, code.version = builtin_code, version
    code.deprecatedBuiltinCode = min(builtin_code, _LAST_BYTE_SIZED_CODE)
    return code


def _signature(inputs: Mapping[str, int], outputs: Mapping[str, int]) -> Any:
    """Return the signature, by which runtimes find inputs and outputs by name."""
    signature = schema.SignatureDefT()
    signature.signatureKey = "serving_default"
    signature.inputs = [_named_tensor(name, index) for name, index in inputs.items()]
    signature.outputs = [_named_tensor(name, index) for name, index in outputs.items()]
    return signature


def _named_tensor(name: str, index: int) -> Any:
    entry = schema.TensorMapT()
    entry.name, entry.tensorIndex = name, index
    return entry
