"""Reading of a .tflite file's FlatBuffer: plain tensors and operators out.

The file may be hostile.  Every access is bounds-checked by the flatbuffers library, whose errors the readers map;
work is bounded by the file's size, since lists that point at one another could otherwise multiply.  It knows the
TFLite schema and nothing of networks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from profiler.errors import ModelFileError
from profiler.formats._source_graph import check_size

FILE_IDENTIFIER = b"TFL3"
"""Stands at byte 4 of every .tflite file."""

_TENSORS_OF_AN_OPERATOR = 8  # at most, as an average over a model: its outputs, kernel, bias and parameters
_TYPE_NAMES = {value: name.lower() for name, value in vars(schema.TensorType).items() if isinstance(value, int)}
_OPERATOR_NAMES = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
_NUMPY_TYPES = {
    "float32": "<f4", "float16": "<f2", "float64": "<f8", "int32": "<i4", "int64": "<i8", "int16": "<i2",
    "int8": "|i1", "uint8": "|u1", "bool": "|b1", "uint32": "<u4",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class TfliteTensor:
    """A tensor as the file declares it.

    Attributes:
        name: Its name, unique in the file as read.
        shape: Its sizes.
        signature: Its sizes with -1 where the file leaves them open; equal to shape where it does not.
        dtype: The schema's name of its element type, in lower case.
        data: Raw values of a constant; None for a tensor that is computed.
        scales: Scales of quantised values, one or one for each index of `channel_axis`; empty for none.
        zero_points: As many as scales.
        channel_axis: The axis that scales run along.
        is_sparse: Whether data is in a compressed form.
    """

    name: str
    shape: tuple[int, ...]
    signature: tuple[int, ...]
    dtype: str
    data: NDArray[np.uint8] | None
    scales: NDArray[np.float32]
    zero_points: NDArray[np.int64]
    channel_axis: int
    is_sparse: bool

    def values(self) -> NDArray[Any] | None:
        """Return a constant's values, dequantised where it is quantised; None where there are none to be read."""
        dtype = _NUMPY_TYPES.get(self.dtype)
        if self.data is None or dtype is None or self.is_sparse:
            return None
        values: NDArray[Any] = self.data.view(dtype).reshape(self.shape)
        if not self.scales.size or values.dtype.kind == "f":
            return values
        spread = [1] * values.ndim
        if self.scales.size > 1:
            spread[self.channel_axis] = -1
        shifted = values.astype(np.float32) - self.zero_points.reshape(spread)
        return (shifted * self.scales.reshape(spread)).astype(np.float32)


@dataclass(frozen=True, slots=True)
class TfliteOperator:
    """An operator as the file declares it.

    Attributes:
        code: The schema's name of a built-in operator, such as "CONV_2D"; a custom operator's own name.
        is_custom: Whether it is a custom operator.
        inputs: Indices of the tensors it reads; -1 where an optional one is left out.
        outputs: Indices of the tensors it writes.
        table: Its options' table; None without options.
    """

    code: str
    is_custom: bool
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    table: Any

    def options(self, kind: Callable[[], Any]) -> TfliteOptions:
        """Return the operator's options, read as the schema's class `kind`; all at their defaults where it has none."""
        options = kind()
        if self.table is not None:
            options.Init(self.table.Bytes, self.table.Pos)
        return TfliteOptions(options if self.table is not None else None)


@dataclass(frozen=True, slots=True)
class TfliteOptions:
    """Options of an operator by name."""

    _options: Any

    def __getitem__(self, name: str) -> Any:
        """Return an option by its name in the schema's class; 0 where the operator has no options."""
        if self._options is None:
            return 0
        return getattr(self._options, name)()


@dataclass(frozen=True, slots=True)
class TfliteFile:
    """The main graph of a .tflite file.

    Attributes:
        description: Free text that the file carries.
        tensors: All tensors, by index.
        operators: All operators, in execution order.
        inputs: Indices of the input tensors.
        outputs: Indices of the output tensors.
    """

    description: str
    tensors: tuple[TfliteTensor, ...]
    operators: tuple[TfliteOperator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def parse_tflite(data: bytes) -> TfliteFile:
    """Return what a .tflite file holds.

    Raises:
        ModelFileError: The data is no .tflite file.  On damage, flatbuffers' own errors (see `_damage`).
    """
    if data[4:8] != FILE_IDENTIFIER:
        raise ModelFileError("not a valid .tflite model: it lacks the identifier TFL3")
    return _Parser(data).file()


class _Parser:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._model = schema.Model.GetRootAs(data, 0)
        self._entries_left = len(data)  # each entry of a list takes at least a byte of the file

    def file(self) -> TfliteFile:
        if not 1 <= self._model.SubgraphsLength() <= self._entries_left:
            raise ValueError("no graph")
        graph = self._model.Subgraphs(0)
        check_size(graph.OperatorsLength())
        check_size(graph.TensorsLength() // _TENSORS_OF_AN_OPERATOR)
        codes = [self._code(self._model.OperatorCodes(i)) for i in self._range(self._model.OperatorCodesLength())]
        tensors: list[TfliteTensor] = []
        names: dict[str, int] = {}
        for index in self._range(graph.TensorsLength()):
            tensors.append(self._tensor(graph.Tensors(index), names))
        operators = tuple(
            self._operator(graph.Operators(index), codes, len(tensors))
            for index in self._range(graph.OperatorsLength())
        )
        inputs = self._indices(graph.InputsLength(), graph.InputsAsNumpy(), len(tensors))
        outputs = self._indices(graph.OutputsLength(), graph.OutputsAsNumpy(), len(tensors))
        return TfliteFile(_text(self._model.Description()), tuple(tensors), operators, inputs, outputs)

    def _range(self, length: int) -> range:
        """Return the indices of a list, charged against the file's size."""
        self._entries_left -= length
        if self._entries_left < 0:
            raise ValueError("lists are longer than the file")
        return range(length)

    def _integers(self, length: int, values: Any) -> tuple[int, ...]:
        return tuple(values.tolist()) if self._range(length) else ()

    def _indices(self, length: int, values: Any, tensors: int, least: int = 0) -> tuple[int, ...]:
        indices = self._integers(length, values)
        if not all(least <= index < tensors for index in indices):
            raise ValueError("a tensor's index is out of range")
        return indices

    def _code(self, code: Any) -> tuple[str, bool]:
        number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        if number == schema.BuiltinOperator.CUSTOM:
            return _text(code.CustomCode()) or "CUSTOM", True
        return _OPERATOR_NAMES.get(number, f"BUILTIN_{number}"), False

    def _operator(self, operator: Any, codes: list[tuple[str, bool]], tensors: int) -> TfliteOperator:
        code, is_custom = codes[operator.OpcodeIndex()]
        inputs = self._indices(operator.InputsLength(), operator.InputsAsNumpy(), tensors, least=-1)
        outputs = self._indices(operator.OutputsLength(), operator.OutputsAsNumpy(), tensors)
        return TfliteOperator(code, is_custom, inputs, outputs, operator.BuiltinOptions())

    def _tensor(self, tensor: Any, names: dict[str, int]) -> TfliteTensor:
        shape = self._integers(tensor.ShapeLength(), tensor.ShapeAsNumpy())
        signature = self._integers(tensor.ShapeSignatureLength(), tensor.ShapeSignatureAsNumpy())
        scales, zero_points, axis = self._quantization(tensor.Quantization())
        return TfliteTensor(
            name=_unique(_text(tensor.Name()) or "tensor", names),
            shape=shape,
            signature=signature if len(signature) == len(shape) else shape,
            dtype=_TYPE_NAMES.get(tensor.Type(), f"type_{tensor.Type()}"),
            data=self._values(tensor.Buffer()),
            scales=scales,
            zero_points=zero_points,
            channel_axis=axis,
            is_sparse=tensor.Sparsity() is not None,
        )

    def _quantization(self, quantization: Any) -> tuple[NDArray[np.float32], NDArray[np.int64], int]:
        count = 0 if quantization is None else quantization.ScaleLength()
        if not count:
            return np.zeros(0, np.float32), np.zeros(0, np.int64), 0
        self._range(count)
        zero_points = quantization.ZeroPointAsNumpy() if quantization.ZeroPointLength() else np.zeros(1, np.int64)
        if zero_points.size == 1:
            zero_points = np.repeat(zero_points, count)
        return quantization.ScaleAsNumpy(), zero_points, quantization.QuantizedDimension()

    def _values(self, index: int) -> NDArray[np.uint8] | None:
        """Return the bytes of a buffer; None where it is empty, which means that the tensor is computed."""
        if not 0 <= index < self._model.BuffersLength():
            return None
        buffer = self._model.Buffers(index)
        if buffer.DataLength():
            values: NDArray[np.uint8] = buffer.DataAsNumpy()
            return values
        if buffer.Offset() <= 1:
            return None
        # Files beyond 2 GiB keep buffers behind the FlatBuffer.
        return np.frombuffer(self._data, np.uint8, count=buffer.Size(), offset=buffer.Offset())


def _text(value: bytes | None) -> str:
    return "" if value is None else value.decode("utf-8", "replace")


def _unique(name: str, names: dict[str, int]) -> str:
    """Return a name that is not in names yet, and enter it: files may repeat names."""
    unique = name
    while unique in names:
        names[name] += 1
        unique = f"{name}_{names[name]}"
    names[unique] = 0
    return unique
