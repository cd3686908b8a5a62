"""Genotypes of the CARS space: two cells, what is alive in them, and their JSON form."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

from search.errors import GenotypeError
from search.spaces._key import key_of

Operation = Literal[
    "none",
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
]
OPERATIONS: tuple[Operation, ...] = get_args(Operation)
"""The eight candidates of DARTS, in its order."""

CELL_INPUTS = 2
"""A cell reads the outputs of the two cells before it; sources 0 and 1, and node i is source i + 2."""


@dataclass(frozen=True, order=True)
class Edge:
    """One connection into a node.

    Attributes:
        source: 0 or 1 for the cell's inputs, 2 + i for node i.
        operation: What is applied on the way; "none" cuts the edge.
    """

    source: int
    operation: Operation


Node = tuple[Edge, Edge]


@dataclass(frozen=True)
class Cell:
    """The nodes of a cell; each is the sum of two edges from different sources before it.

    Attributes:
        nodes: The edges of each node, the lower source first.
    """

    nodes: tuple[Node, ...]

    @cached_property
    def live_edges(self) -> tuple[tuple[Edge, ...], ...]:
        """The edges of each node that carry a value: not "none", and not from a node without live edges."""
        alive = [True] * CELL_INPUTS
        live: list[tuple[Edge, ...]] = []
        for node in self.nodes:
            live.append(tuple(edge for edge in node if edge.operation != "none" and alive[edge.source]))
            alive.append(bool(live[-1]))
        return tuple(live)

    @property
    def live_nodes(self) -> tuple[int, ...]:
        """Indices of the nodes that have a live edge; together they are the cell's output."""
        return tuple(index for index, edges in enumerate(self.live_edges) if edges)

    def reads(self, source: int) -> bool:
        """Return whether a live edge starts at a source."""
        return any(edge.source == source for edge in itertools.chain.from_iterable(self.live_edges))


@dataclass(frozen=True)
class CarsGenotype:
    """A normal cell, repeated at constant resolution, and a reduction cell, which halves it.

    Attributes:
        normal: The normal cell.
        reduction: The reduction cell.
    """

    normal: Cell
    reduction: Cell

    @cached_property
    def key(self) -> str:
        """16 hexadecimal digits over the live edges; cut and dead ones do not matter."""
        return key_of((self.normal.live_edges, self.reduction.live_edges))


def encode(genotype: CarsGenotype) -> dict[str, object]:
    """Return {"normal": [[[source, operation], [source, operation]], ...], "reduction": ...}."""
    cells = {"normal": genotype.normal, "reduction": genotype.reduction}
    return {
        name: [[[edge.source, edge.operation] for edge in node] for node in cell.nodes] for name, cell in cells.items()
    }


def decode(encoded: object, *, nodes: int, operations: Sequence[Operation]) -> CarsGenotype:
    """Return the genotype that a JSON value encodes.

    Args:
        encoded: What `encode` made, after a trip through JSON.
        nodes: Number of nodes a cell must have.
        operations: Those that an edge may have.

    Raises:
        GenotypeError: The value has another form, or its cells lead nowhere.
    """
    if not isinstance(encoded, Mapping) or encoded.keys() != {"normal", "reduction"}:
        raise GenotypeError("must be an object with the keys 'normal' and 'reduction' and no other")
    return CarsGenotype(*(_decode_cell(encoded[name], name, nodes, operations) for name in ("normal", "reduction")))


def _decode_cell(encoded: object, place: str, nodes: int, operations: Sequence[Operation]) -> Cell:
    if not isinstance(encoded, list) or len(encoded) != nodes:
        raise GenotypeError(f"must be a list of {nodes} nodes", place=place)
    numbered = enumerate(encoded)
    cell = Cell(tuple(_decode_node(node, f"{place}[{index}]", index, operations) for index, node in numbered))
    if not cell.live_nodes:
        raise GenotypeError("no edge of the cell carries a value", place=place)
    return cell


def _decode_node(encoded: object, place: str, index: int, operations: Sequence[Operation]) -> Node:
    if not isinstance(encoded, list) or len(encoded) != 2:
        raise GenotypeError("must be a list of two edges", place=place)
    numbered = enumerate(encoded)
    first, second = (_decode_edge(edge, f"{place}[{position}]", index, operations) for position, edge in numbered)
    if first.source >= second.source:
        raise GenotypeError("the two sources must differ, the lower first", place=place)
    return first, second


def _decode_edge(encoded: object, place: str, index: int, operations: Sequence[Operation]) -> Edge:
    if not isinstance(encoded, list) or len(encoded) != 2:
        raise GenotypeError("must be [source, operation]", place=place)
    source, operation = encoded
    if type(source) is not int or not 0 <= source < index + CELL_INPUTS:
        raise GenotypeError(f"source must be a whole number from 0 to {index + CELL_INPUTS - 1}", place=place)
    if operation not in operations:
        raise GenotypeError(f"operation must be one of {', '.join(operations)}", place=place)
    return Edge(source, operation)
