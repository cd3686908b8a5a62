"""Lowers a simplified source graph to a Network: rank-4 tensors become NHWC, wherever their axes were before.

`Lowering` keeps, for each of the source's tensors, which tensor of the Network holds it and in which order of axes.
Conversions between NCHW and NHWC that the source spells out as transpositions cost nothing in that account; a
transposition is only written where an operator really sees the order.  What each layer becomes is in
`_source_rules`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from profiler.errors import ModelFileError
from profiler.formats._onnx_graph import CHANNELS_FIRST_SUFFIX
from profiler.formats._source_graph import Array, Node, Shape, SourceGraph, Transpose
from profiler.network import Network, Opaque, Operator, Reshape, TensorSpec
from profiler.network import Transpose as TransposeOperator

CHANNELS_LAST_OF_FIRST = (0, 3, 1, 2)
"""Layout of an NCHW tensor kept as NHWC: axis 1 of the source is axis 3 of the Network's tensor, and so on."""


class NotExpressible(Exception):  # noqa: N818  # control flow inside the package: the node becomes opaque
    """A layer has no counterpart in a Network for these attributes."""


@dataclass(frozen=True, slots=True)
class Value:
    """Where a tensor of the source is: axis i of the source is axis layout[i] of the Network's tensor."""

    tensor: str
    layout: tuple[int, ...]


class Lowering:
    """A Network under construction from a source graph.

    Args:
        graph: A simplified graph.

    Attributes:
        graph: The same.
        spatial_layout: The layout in which rank-4 tensors of the source are NHWC.
        flattened: Shape (C, H, W) of the images behind rank-2 tensors that hold them flattened as (H, W, C).
    """

    def __init__(self, graph: SourceGraph) -> None:
        self.graph = graph
        self.spatial_layout = CHANNELS_LAST_OF_FIRST if graph.channels_first else (0, 1, 2, 3)
        self._graph_outputs = set(graph.outputs)
        self._moved_last = {
            tensor
            for node in graph.nodes
            if isinstance(node.layer, Transpose) and node.layer.permutation == (0, 2, 3, 1)
            for tensor in node.outputs
        }
        self.flattened: dict[str, Shape] = {}
        self._inputs: list[TensorSpec] = []
        self._operators: list[Operator] = []
        self._weights: dict[str, Array] = {}
        self._values: dict[str, Value] = {}
        self._specs: dict[str, TensorSpec] = {}
        self._producers: dict[str, Operator] = {}
        self._consumers: dict[str, list[Node]] = {}
        for node in graph.nodes:
            for tensor in node.inputs:
                self._consumers.setdefault(tensor, []).append(node)
        self._taken = {tensor for node in graph.nodes for tensor in node.outputs}
        self._taken.update(spec.name for spec in graph.inputs)
        self._derived: Counter[str] = Counter()

    # Reading the account

    def value(self, tensor: str) -> Value:
        """Return where a tensor of the source is.

        Raises:
            ModelFileError: Nothing has made it: the nodes are in no order in which they can run.
        """
        if tensor not in self._values:
            raise ModelFileError(
                f"not a valid model: {tensor!r} is read before anything writes it; the graph has a cycle or a gap"
            )
        return self._values[tensor]

    def shape(self, value: Value) -> Shape:
        """Return a value's shape in the source's axes."""
        sizes = self._specs[value.tensor].shape
        return tuple(sizes[axis] for axis in value.layout)

    def network_shape(self, tensor: str) -> Shape:
        """Return the shape of one of the Network's tensors."""
        return self._specs[tensor].shape

    def producer(self, value: Value) -> Operator | None:
        """Return the operator that writes a value; None for an input."""
        return self._producers.get(value.tensor)

    def consumers(self, tensor: str) -> list[Node]:
        """Return the nodes that read a tensor of the source."""
        return self._consumers.get(tensor, [])

    def is_output(self, tensor: str) -> bool:
        """Whether a tensor of the source is an output of the graph."""
        return tensor in self._graph_outputs

    # Writing operators

    def new_name(self, base: str) -> str:
        """Return a name that no tensor has yet, for an operator that the source does not name."""
        while True:
            self._derived[base] += 1
            count = self._derived[base]
            name = base if count == 1 else f"{base}_{count}"
            if name not in self._taken:
                self._taken.add(name)
                return name

    def split_name(self, parts: Sequence[str]) -> str:
        """Return a name for a Split: the parts' own where they are called "name:0", "name:1", …."""
        plain = [self._plain_name(part) for part in parts]
        base = plain[0].removesuffix(":0")
        if plain == [f"{base}:{index}" for index in range(len(parts))] and not self._specs.keys() & set(plain):
            return base
        while True:
            name = self.new_name(f"{parts[0]}/split")
            names = {f"{name}:{index}" for index in range(len(parts))}
            if not names & self._taken:
                self._taken |= names
                return name

    def emit(self, operator: Operator, weights: Mapping[str, Array | None] | None = None) -> str:
        """Append an operator, and return its first output.

        Args:
            operator: Reads tensors of the Network that exist already.
            weights: Its weights by role; None is left out.

        Raises:
            ShapeError: Its shapes do not fit.
        """
        specs = tuple(self._specs[tensor] for tensor in operator.inputs)
        dtype = specs[0].dtype if specs else "float32"
        for tensor, shape in zip(operator.outputs, operator.infer(specs), strict=True):
            self._specs[tensor] = TensorSpec(tensor, shape, dtype)
            self._producers[tensor] = operator
        self._operators.append(operator)
        for role, values in (weights or {}).items():
            if values is not None:
                self._weights[f"{operator.name}/{role}"] = values
        return operator.outputs[0]

    def bind(self, tensor: str, name: str, layout: tuple[int, ...]) -> None:
        """Record that the Network's tensor `name` holds the source's `tensor`."""
        self._values[tensor] = Value(name, layout)

    def opaque(self, node: Node) -> None:
        """Append an operator that is not known, with the shapes that the source states.

        Raises:
            ModelFileError: The source states no shape for one of its outputs.
        """
        specs = [self._opaque_spec(node, tensor) for tensor in node.outputs]
        inputs = tuple(self.value(tensor).tensor for tensor in node.inputs)
        operator = Opaque(specs[0].name, inputs, node.op_type, tuple(specs))
        self._operators.append(operator)
        for tensor, spec in zip(node.outputs, specs, strict=True):
            self._specs[spec.name] = spec
            self._producers[spec.name] = operator
            self.bind(tensor, spec.name, self.spatial_layout if len(spec.shape) == 4 else _natural(len(spec.shape)))

    def _opaque_spec(self, node: Node, tensor: str) -> TensorSpec:
        shape = self.graph.shapes.get(tensor)
        if shape is None:
            raise ModelFileError(
                f"operator {node.op_type!r} is not known and the file states no shape for its output {tensor!r}"
            )
        if len(shape) == 4:
            shape = tuple(shape[self.spatial_layout.index(axis)] for axis in range(4))
        return TensorSpec(tensor, shape, self.graph.dtypes.get(tensor, "float32"))

    # Moving axes

    def spatial(self, tensor: str) -> str:
        """Return the Network's NHWC tensor for a rank-4 tensor of the source on which a 2-D operator works."""
        value = self.value(tensor)
        if len(value.layout) != 4:
            raise NotExpressible
        return self.moved(value, self.spatial_layout)

    def natural(self, tensor: str) -> str:
        """Return the Network's tensor with the axes in the source's own order."""
        value = self.value(tensor)
        return self.moved(value, _natural(len(value.layout)))

    def moved(self, value: Value, layout: tuple[int, ...]) -> str:
        """Return the Network's tensor that holds a value in a layout, transposed if need be."""
        if value.layout == layout:
            return value.tensor
        permutation = tuple(value.layout[layout.index(axis)] for axis in range(len(layout)))
        if _keeps_order(self.network_shape(value.tensor), permutation):
            shape = tuple(self._specs[value.tensor].shape[axis] for axis in permutation)
            return self.emit(Reshape(self.new_name(f"{value.tensor}/reshape"), (value.tensor,), shape))
        name = self.new_name(f"{value.tensor}/transpose")
        return self.emit(TransposeOperator(name, (value.tensor,), permutation))

    def in_source_order(self, value: Value) -> str:
        """Return a tensor whose elements lie in the order of the source's axes, whatever its shape."""
        if _keeps_order(self.network_shape(value.tensor), value.layout):
            return value.tensor
        return self.moved(value, _natural(len(value.layout)))

    def widened(self, value: Value, layout: tuple[int, ...]) -> str:
        """Return a tensor with axes of size 1 put before a value's own, in a layout of as many axes."""
        own = self.shape(value)
        shape = (1,) * (len(layout) - len(own)) + own
        order = tuple(layout.index(axis) for axis in range(len(layout)))
        name = self.new_name(f"{value.tensor}/reshape")
        x = self.in_source_order(value)
        if _keeps_order(shape, order):
            return self.emit(Reshape(name, (x,), tuple(shape[axis] for axis in order)))
        return self.moved(Value(self.emit(Reshape(name, (x,), shape)), _natural(len(shape))), layout)

    # The whole

    def start(self) -> None:
        """Declare the inputs."""
        for spec in self.graph.inputs:
            layout = _natural(len(spec.shape))
            if len(spec.shape) == 4 and self.graph.channels_first and not self._arrives_channels_last(spec.name):
                layout = CHANNELS_LAST_OF_FIRST
            shape = tuple(spec.shape[layout.index(axis)] for axis in range(len(layout)))
            self._inputs.append(TensorSpec(spec.name, shape, spec.dtype))
            self._specs[spec.name] = self._inputs[-1]
            self.bind(spec.name, spec.name, layout)

    def lower(self, node: Node, rule: Callable[[Lowering, Node], None] | None) -> None:
        """Append what a node becomes: by its rule, or opaque where the rule finds that a Network cannot say it.

        Raises:
            ModelFileError: The result has another shape than the source states.
        """
        before = len(self._operators)
        try:
            if rule is None:
                raise NotExpressible
            rule(self, node)
        except NotExpressible:
            del self._operators[before:]
            self.opaque(node)
        for tensor in node.outputs:
            self._check_shape(node, tensor)

    def _check_shape(self, node: Node, tensor: str) -> None:
        stated, found = self.graph.shapes.get(tensor), self.shape(self.value(tensor))
        if stated and min(stated) > 0 and stated != found:
            raise ModelFileError(f"{node.op_type} {tensor!r} is stated to have shape {stated}, but it gives {found}")

    def finish(self) -> Network:
        """Return the Network."""
        outputs = [self._output(tensor) for tensor in self.graph.outputs]
        names = self._better_names(outputs)
        operators = [_renamed(operator, names) for operator in self._operators] if names else self._operators
        weights = {}
        for name, values in self._weights.items():
            operator, _, role = name.rpartition("/")
            weights[f"{names.get(operator, operator)}/{role}"] = values
        return Network(self.graph.name, self._inputs, operators, [names.get(name, name) for name in outputs], weights)

    def _plain_name(self, tensor: str) -> str:
        """Return a name without the mark that our own files give to tensors that are channels first."""
        return tensor.removesuffix(CHANNELS_FIRST_SUFFIX) if self.graph.channels_last_ends else tensor

    def _better_names(self, outputs: Sequence[str]) -> dict[str, str]:
        """Return new names for tensors that the source calls otherwise where they leave the network."""
        wishes = {operator.name: self._plain_name(operator.name) for operator in self._operators}
        wishes |= dict(zip(outputs, self.graph.outputs, strict=True))
        names: dict[str, str] = {}
        given: set[str] = set()
        for name, wish in wishes.items():
            producer = self._producers.get(name)
            if producer is None or producer.outputs != (producer.name,) or isinstance(producer, Opaque):
                continue
            if wish not in self._specs and wish not in given:
                names[name] = wish
                given.add(wish)
        return names

    def _arrives_channels_last(self, tensor: str) -> bool:
        """Whether an input is NHWC although the source works on NCHW: all that reads it first moves the channels."""
        readers = self.consumers(tensor)
        moves = [isinstance(node.layer, Transpose) and node.layer.permutation == (0, 3, 1, 2) for node in readers]
        return self.graph.channels_last_ends or (bool(moves) and all(moves))

    def _output(self, tensor: str) -> str:
        value = self.value(tensor)
        rank = len(value.layout)
        if rank != 4 or not self.graph.channels_first:
            return self.moved(value, _natural(rank))
        if self.graph.channels_last_ends or (value.layout == _natural(4) and tensor in self._moved_last):
            return self.moved(value, _natural(4))
        return self.moved(value, CHANNELS_LAST_OF_FIRST)


def _renamed(operator: Operator, names: Mapping[str, str]) -> Operator:
    if operator.name not in names and not any(tensor in names for tensor in operator.inputs):
        return operator
    inputs = tuple(names.get(tensor, tensor) for tensor in operator.inputs)
    return replace(operator, name=names.get(operator.name, operator.name), inputs=inputs)


def _keeps_order(shape: Shape, permutation: tuple[int, ...]) -> bool:
    """Whether a permutation only moves axes of size 1."""
    wide = [axis for axis in permutation if shape[axis] != 1]
    return wide == sorted(wide)


def _natural(rank: int) -> tuple[int, ...]:
    return tuple(range(rank))
