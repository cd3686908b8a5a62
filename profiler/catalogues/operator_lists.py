"""Networks as lists of operators, `[op, h, w, cin, oh, ow, cout, kernel, stride]` in execution order.

For concat and split the kernel column is the number of parts, for squeeze-excite the width in the middle; an
activation is a row of its own. Such lists tell sizes but no edges. What an operator reads is found again by its
shape: what was written last if that fits, else the latest tensor that does. A sum adds the latest tensor of its shape,
a concatenation joins what nobody has read, and where nothing fits, the network gets an input. So every row becomes
its operator in its sizes, fused with the activation after it; only where a short cut comes from may be guessed wrongly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple, Self

from profiler.errors import ArchitectureTextError
from profiler.network import (
    Add,
    AvgPool2d,
    ChannelShuffle,
    Concat,
    Conv2d,
    Dense,
    DepthwiseConv2d,
    GlobalAvgPool2d,
    HardSigmoid,
    HardSwish,
    MaxPool2d,
    Mul,
    Network,
    Opaque,
    Operator,
    Relu,
    Relu6,
    Reshape,
    Split,
    TensorSpec,
)

Shape = tuple[int, int, int]
"""Height, width and channels; a vector is a map of one cell."""

_ACTIVATIONS: Mapping[str, type[Operator]] = MappingProxyType({"relu": Relu, "relu6": Relu6, "hswish": HardSwish})
_ACTIVATED = frozenset({"conv", "dwconv", "fc", "add", "se"})
"""Operators that an activation follows directly. Between any other and a ReLU stands a batch norm, which cannot be
folded and has no row: densenet's."""

_SHUFFLE_GROUPS = 2
_MOST_ROWS = 10_000
_LARGEST = 1 << 16
"""Sizes above are a typing error, and no phone has the memory for them."""


class OperatorRow(NamedTuple):
    """One operator.

    Attributes:
        operator: Its word, one of OperatorList.OPERATORS or one that is not known.
        height: Of the input.
        width: Of the input.
        channels: Of the input.
        out_height: Of the output.
        out_width: Of the output.
        out_channels: Of the output.
        kernel: Side of the window, number of parts, or width in the middle of a squeeze-excite.
        stride: Step of the window; 0 without one.
    """

    operator: str
    height: int
    width: int
    channels: int
    out_height: int
    out_width: int
    out_channels: int
    kernel: int
    stride: int

    @property
    def read(self) -> Shape:
        """Shape of the input."""
        return self.height, self.width, self.channels

    @property
    def written(self) -> Shape:
        """Shape of the output."""
        return self.out_height, self.out_width, self.out_channels

    @property
    def padding(self) -> str:
        """The padding that makes the output's height of the input's, or "" where none does."""
        if -(-self.height // self.stride) == self.out_height:
            return "same"
        return "valid" if (self.height - self.kernel) // self.stride + 1 == self.out_height else ""


@dataclass(frozen=True, slots=True)
class OperatorList:
    """A network by its operators.

    Attributes:
        rows: The operators in execution order, at least one.
    """

    rows: tuple[OperatorRow, ...]

    OPERATORS: ClassVar[tuple[str, ...]] = (
        *("conv", "dwconv", "fc", "maxpool", "avgpool", "gap", "add", "concat", "split", "shuffle", "se"),
        *("relu", "relu6", "hswish"),
    )
    """Words that are known. Any other becomes an opaque operator, which no predictor gives a number for unasked."""

    @classmethod
    def parse(cls, rows: Sequence[Sequence[object]]) -> Self:
        """Check rows as a JSON file holds them.

        Raises:
            ArchitectureTextError: There is no row, or one is not an operator's word and eight sizes that fit.

        Example:
            >>> OperatorList.parse([["conv", 8, 8, 3, 4, 4, 16, 3, 2], ["relu", 4, 4, 16, 4, 4, 16, 0, 0]]).unknown
            ()
        """
        if not 1 <= len(rows) <= _MOST_ROWS:
            raise ArchitectureTextError(f"has {len(rows)} operators, not 1 to {_MOST_ROWS}", text="operator list")
        return cls(tuple(_row(number, row) for number, row in enumerate(rows, start=1)))

    @property
    def unknown(self) -> tuple[str, ...]:
        """Words of operators that are not known, each once."""
        return tuple(dict.fromkeys(row.operator for row in self.rows if row.operator not in self.OPERATORS))

    def to_network(self, name: str = "operator_list") -> Network:
        """Return the network; what nobody reads is its output."""
        graph = _Graph()
        before = ""
        for row in self.rows:
            graph.put(row, normalised=row.operator in ("relu", "relu6") and before not in ("", *_ACTIVATED))
            before = row.operator
        return graph.network(name)


def lower_row(row: Sequence[object], activation: str = "", *, normalised: bool = False) -> Network:
    """Return one row, with the activation after it, as a network of its own.

    Args:
        row: The row.
        activation: Word of the activation, or "".
        normalised: Whether the row is a ReLU behind a batch norm that has no row.

    Raises:
        ArchitectureTextError: It is no such row.
    """
    graph = _Graph()
    checked = _row(1, row)
    graph.put(checked, normalised=normalised)
    if activation:
        graph.put(OperatorRow(activation, *checked.written, *checked.written, 0, 0))
    return graph.network("row")


def _row(number: int, row: Sequence[object]) -> OperatorRow:
    text = f"operator {number}: {list(row)!r}" if isinstance(row, list | tuple) else f"operator {number}: {row!r}"
    if not isinstance(row, list | tuple) or len(row) != len(OperatorRow._fields) or not isinstance(row[0], str):
        raise ArchitectureTextError("must be a word and 8 whole numbers", text=text)
    for name, size in zip(OperatorRow._fields[1:], row[1:], strict=True):
        least = 0 if name in ("kernel", "stride") else 1
        if type(size) is not int or not least <= size <= _LARGEST:
            raise ArchitectureTextError(f"{name} must be a whole number from {least} to {_LARGEST}", text=text)
    checked = OperatorRow(*row)
    if problem := _problem(checked):
        raise ArchitectureTextError(problem, text=text)
    return checked


def _problem(row: OperatorRow) -> str:
    """Return what does not fit together in a row of a known operator, or "" where all does."""
    if row.operator in _WINDOWED:
        if min(row.kernel, row.stride) < 1:
            return "kernel and stride of a window must be at least 1"
        if not row.padding:
            return "no padding makes this output of this input"
    if row.operator in _SAME_SHAPE and row.read != row.written:
        return "must write the shape that it reads"
    if row.operator in _SAME_CHANNELS and row.channels != row.out_channels:
        return "must write as many channels as it reads"
    if row.operator in ("gap", "fc") and row.written[:2] != (1, 1):
        return "must write one cell"
    if row.operator in ("concat", "split") and not 2 <= row.kernel <= row.out_channels:
        return "must have two parts at least, and no more than channels"
    if row.channels % {"split": row.kernel, "shuffle": _groups(row)}.get(row.operator, 1):
        return "must divide its channels evenly"
    return "must have a width in the middle" if row.operator == "se" and row.kernel < 1 else ""


def _groups(row: OperatorRow) -> int:
    return row.kernel or _SHUFFLE_GROUPS


class _Tensor(NamedTuple):
    name: str
    shape: Shape
    flat: bool = False


class _Graph:
    """Operators with the edges found for them."""

    def __init__(self) -> None:
        self._inputs: list[TensorSpec] = []
        self._operators: list[Operator] = []
        self._written: list[_Tensor] = []
        self._unread: dict[str, None] = {}

    def put(self, row: OperatorRow, *, normalised: bool = False) -> None:
        """Put an operator behind what it fits to."""
        name = f"{row.operator}{len(self._operators)}"
        if normalised:
            self._normalised(row, name)
        elif row.operator in _ACTIVATIONS:
            self._activation(row, name)
        elif row.operator in _PUT:
            _PUT[row.operator](self, row, name)
        else:
            source = self._read(row.read)
            specs = (TensorSpec(name, (1, *row.written)),)
            self._put(Opaque(name, (source.name,), row.operator, specs), row.written)

    def network(self, name: str) -> Network:
        """Return the network."""
        return Network(name, self._inputs, self._operators, list(self._unread))

    # How tensors are found.

    def _latest(self, fits: Callable[[_Tensor], bool]) -> _Tensor | None:
        return next((tensor for tensor in reversed(self._written) if fits(tensor)), None)

    def _input(self, shape: Shape, *, flat: bool = False) -> _Tensor:
        self._inputs.append(TensorSpec(f"x{len(self._inputs)}", (1, *(shape[2:] if flat else shape))))
        return _Tensor(self._inputs[-1].name, shape, flat)

    def _read(self, shape: Shape) -> _Tensor:
        tensor = self._latest(lambda tensor: tensor.shape == shape) or self._input(shape)
        return self._as_map(tensor)

    def _as_map(self, tensor: _Tensor) -> _Tensor:
        self._unread.pop(tensor.name, None)
        if not tensor.flat:
            return tensor
        return self._put(Reshape(f"{tensor.name}/map", (tensor.name,), (1, *tensor.shape)), tensor.shape)

    def _put(self, operator: Operator, *shapes: Shape, flat: bool = False) -> _Tensor:
        """Add an operator that writes these shapes."""
        self._operators.append(operator)
        for tensor in operator.inputs:
            self._unread.pop(tensor, None)
        for tensor, shape in zip(operator.outputs, shapes, strict=True):
            self._written.append(_Tensor(tensor, shape, flat))
            self._unread[tensor] = None
        return self._written[-1]

    # How operators are put.

    def _activation(self, row: OperatorRow, name: str) -> None:
        source = self._latest(lambda tensor: tensor.shape == row.read) or self._input(row.read)
        self._put(_ACTIVATIONS[row.operator](name, (source.name,)), row.written, flat=source.flat)
        # Nothing else reads what an activation was applied to.
        self._written = [tensor for tensor in self._written if tensor != source]

    def _normalised(self, row: OperatorRow, name: str) -> None:
        source = self._read(row.read)
        scale, shift = (self._input((1, 1, row.channels)).name for _ in range(2))
        self._put(Mul(f"{name}/scale", (source.name, scale)), row.read)
        self._put(Add(f"{name}/shift", (f"{name}/scale", shift)), row.read)
        self._put(_ACTIVATIONS[row.operator](name, (f"{name}/shift",)), row.written)
        inner = (f"{name}/scale", f"{name}/shift")
        self._written = [tensor for tensor in self._written if tensor.name not in inner]

    def _window(self, kind: Any, row: OperatorRow, name: str, **more: int) -> None:
        source = self._read(row.read)
        square, strides = (row.kernel, row.kernel), (row.stride, row.stride)
        self._put(kind(name, (source.name,), kernel=square, stride=strides, padding=row.padding, **more), row.written)

    def _dense(self, row: OperatorRow, name: str) -> None:
        elements = row.height * row.width * row.channels
        source = self._latest(lambda tensor: tensor.shape[0] * tensor.shape[1] * tensor.shape[2] == elements)
        source = source or self._input((1, 1, elements), flat=True)
        if not source.flat:
            source = self._put(Reshape(f"{name}/flat", (source.name,), (1, elements)), (1, 1, elements), flat=True)
        self._put(Dense(name, (source.name,), row.out_channels), row.written, flat=True)

    def _sum(self, row: OperatorRow, name: str) -> None:
        first = self._read(row.read)
        other = self._latest(lambda tensor: tensor.shape == row.read and tensor != first)
        second = self._as_map(other) if other else self._input(row.read)
        self._put(Add(name, (first.name, second.name)), row.written)

    def _concat(self, row: OperatorRow, name: str) -> None:
        parts = [self._as_map(part) for part in self._parts(row)]
        if not parts:
            sizes = [
                row.out_channels // row.kernel + (part < row.out_channels % row.kernel) for part in range(row.kernel)
            ]
            parts = [self._input((row.height, row.width, size)) for size in sizes]
        self._put(Concat(name, tuple(part.name for part in parts)), row.written)

    def _parts(self, row: OperatorRow) -> list[_Tensor]:
        """Return tensors that make up a concatenation, in the order they were written, or none where none do."""
        size, wanted = row.read[:2], row.out_channels
        loose = [tensor for tensor in self._written if tensor.name in self._unread and tensor.shape[:2] == size]
        if len(loose) >= row.kernel and sum(part.shape[2] for part in loose[-row.kernel :]) == wanted:
            return loose[-row.kernel :]
        for last in reversed(loose) if row.kernel == 2 else ():
            # Dense blocks join what they made to what they read.
            rest = (*size, wanted - last.shape[2])
            others = [tensor for tensor in self._written if tensor.shape == rest and tensor != last]
            if others:
                return [others[-1], last]
        return []

    def _split(self, row: OperatorRow, name: str) -> None:
        source = self._read(row.read)
        part = (row.height, row.width, row.channels // row.kernel)
        self._put(Split(name, (source.name,), row.kernel), *[part] * row.kernel)

    def _pool(self, row: OperatorRow, name: str) -> None:
        self._put(GlobalAvgPool2d(name, (self._read(row.read).name,)), row.written, flat=True)

    def _shuffle(self, row: OperatorRow, name: str) -> None:
        self._put(ChannelShuffle(name, (self._read(row.read).name,), _groups(row)), row.written)

    def _squeeze_excite(self, row: OperatorRow, name: str) -> None:
        source, squeezed = self._read(row.read), (1, 1, row.kernel)
        vector = (1, 1, row.channels)
        before = len(self._written)
        self._put(GlobalAvgPool2d(f"{name}/pool", (source.name,), keep_dims=True), vector)
        self._put(Conv2d(f"{name}/reduce", (f"{name}/pool",), row.kernel, (1, 1)), squeezed)
        self._put(Relu(f"{name}/relu", (f"{name}/reduce",)), squeezed)
        self._put(Conv2d(f"{name}/restore", (f"{name}/relu",), row.channels, (1, 1)), vector)
        self._put(HardSigmoid(f"{name}/gate", (f"{name}/restore",)), vector)
        del self._written[before:]
        self._put(Mul(name, (source.name, f"{name}/gate")), row.written)


_WINDOWED = frozenset({"conv", "dwconv", "maxpool", "avgpool"})
_SAME_SHAPE = frozenset({"add", "concat", "shuffle", "se", *_ACTIVATIONS})
_SAME_CHANNELS = frozenset({"dwconv", "maxpool", "avgpool", "gap"})

_PUT: Mapping[str, Callable[[_Graph, OperatorRow, str], None]] = MappingProxyType(
    {
        "conv": lambda graph, row, name: graph._window(Conv2d, row, name, out_channels=row.out_channels),
        "dwconv": lambda graph, row, name: graph._window(DepthwiseConv2d, row, name),
        "maxpool": lambda graph, row, name: graph._window(MaxPool2d, row, name),
        "avgpool": lambda graph, row, name: graph._window(AvgPool2d, row, name),
        "fc": _Graph._dense,
        "gap": _Graph._pool,
        "add": _Graph._sum,
        "concat": _Graph._concat,
        "split": _Graph._split,
        "shuffle": _Graph._shuffle,
        "se": _Graph._squeeze_excite,
    }
)
