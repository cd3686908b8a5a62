"""Lowers what networks of the CARS space are pieced together from, each piece as a small network of its own.

A piece ends where no runtime's kernel goes on, so that the kernels of its pieces are the kernels of a network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from profiler.network import Add, Concat, Network, Operator, TensorSpec
from search.spaces.cars._genotype import CELL_INPUTS, OPERATIONS, Edge
from search.spaces.cars._lowering import STEM_WIDTH, CarsParams, Operators
from search.spaces.cars._patterns import ALONE, BOTH, CLAMPED, FIRST, SECOND, THEN_CLAMPED, Pattern

Size = tuple[int, int]
Piece = tuple[Network, ...]
"""Networks that no kernel reaches across."""


@dataclass(frozen=True)
class Place:
    """Where cells are: cells of one place consist of the same pieces, adapters apart.

    Attributes:
        reducing: Whether they are reduction cells.
        last: Whether it is the last cell.
        outer: Height and width of what the adapters make.
        inner: Height and width of the nodes.
        channels: Channels of a node.
    """

    reducing: bool
    last: bool
    outer: Size
    inner: Size
    channels: int


def place_of(params: CarsParams, index: int) -> Place:
    """Return where a cell is."""
    reducing, last = index in params.reductions, index == params.cells - 1
    return Place(reducing, last, params.map_size(index - 1), params.map_size(index), params.cell_channels(index))


def stem(params: CarsParams) -> Piece:
    """Return the first convolution and the ReLU after it."""
    operators = Operators()
    operators.relu(operators.stem(params.channels))
    return _piece(operators.put_so_far, {"image": params.image_shape})


def tail(params: CarsParams, parts: int) -> Piece:
    """Return the classifier after a cell of so many live nodes."""
    operators, last = Operators(), params.cells - 1
    operators.classifier("x", params.classes)
    return _piece(operators.put_so_far, {"x": (*params.map_size(last), parts * params.cell_channels(last))})


def adapter(params: CarsParams, index: int, source: int, parts: int, ending: int) -> Piece:
    """Return what brings an input to a cell's size.

    Args:
        params: Settings of the space.
        index: The cell.
        source: 0 or 1: from the cell before the last or from the last one.
        parts: Live nodes of that cell; does not matter where it is the stem.
        ending: What follows in the same kernel, see `Pattern`.
    """
    before, channels = index - CELL_INPUTS + source, params.cell_channels(index)
    wide = parts * params.cell_channels(before) if before >= 0 else STEM_WIDTH * params.channels
    operators = Operators()
    tensor = operators.pointwise("adapter", "x", channels, params.adapter_stride(index, source))
    _end(operators, tensor, ending)
    side = (*params.map_size(index - 1), channels)
    return _piece(operators.put_so_far, {"x": (*params.map_size(before), wide), "side": side})


def concat(place: Place, joined: int, nodes: int) -> Piece:
    """Return what joins the live nodes of a cell, and the ReLU after it.

    Args:
        place: Where the cell is.
        joined: Which nodes are one tensor, see `CellPatterns`.
        nodes: Nodes of a cell.
    """
    digits: list[int] = []
    while joined:
        joined, digit = divmod(joined, nodes + 1)
        digits.insert(0, digit)
    operators = Operators()
    tensor = operators.put(Concat("cell", tuple(f"x{digit}" for digit in digits)))
    if not place.last:
        operators.relu(tensor)
    return _piece(operators.put_so_far, {f"x{digit}": (*place.inner, place.channels) for digit in digits})


def pattern(place: Place, what: Pattern) -> Piece:
    """Return a pattern of a cell."""
    outer, inner = (*place.outer, place.channels), (*place.inner, place.channels)
    read = outer if what.strided else inner
    if what.kind == "edge":
        return _edge(what, place.channels, read, inner)
    operators = Operators()
    if what.kind == "relu":
        operators.relu("x")
    else:
        same, clamped = what.ending >= BOTH, what.ending in (CLAMPED, BOTH + THEN_CLAMPED)
        _end(operators, operators.put(Add("sum", ("x", "x" if same else "side"))), CLAMPED if clamped else ALONE)
    return _piece(operators.put_so_far, {"x": read, "side": inner})


def _edge(what: Pattern, channels: int, read: tuple[int, ...], inner: tuple[int, ...]) -> Piece:
    operators = Operators()
    tensor = operators.edge("edge", Edge(0, OPERATIONS[what.operation]), "x", channels, 2 if what.strided else 1)
    _end(operators, tensor, what.ending)
    sizes = {"x": read, "side": inner}
    names = [operator.name for operator in operators.put_so_far]
    # The ReLU before an edge is shared with other edges; it is a pattern of its own, or the end of another.
    first, last = int(names[0] == "x.relu"), names.index(tensor)
    whole = _piece(operators.put_so_far, sizes)[0]
    sizes = {name: spec.shape[1:] for name, spec in whole.tensors.items()}
    return (*_piece(whole.operators[first:last], sizes), *_piece(whole.operators[last:], sizes))


def _end(operators: Operators, tensor: str, ending: int) -> None:
    clamped = ending == CLAMPED or ending > BOTH
    position = ending - THEN_CLAMPED if ending > BOTH else ending
    terms = {FIRST: (tensor, "side"), SECOND: ("side", tensor), BOTH: (tensor, tensor)}
    if position in terms:
        tensor = operators.put(Add("sum", terms[position]))
    if clamped:
        operators.relu(tensor)


def _piece(operators: Sequence[Operator], sizes: Mapping[str, tuple[int, ...]]) -> Piece:
    """Return operators as a network that reads what they do not write; sizes are heights, widths and channels."""
    if not operators:
        return ()
    written = {tensor for operator in operators for tensor in operator.outputs}
    read = dict.fromkeys(tensor for operator in operators for tensor in operator.inputs if tensor not in written)
    inputs = [TensorSpec(name, (1, *sizes[name])) for name in read]
    return (Network("piece", inputs, operators, operators[-1].outputs),)
