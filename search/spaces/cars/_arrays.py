"""Genotypes of the CARS space as one array of whole numbers, for work on many of them at once.

Shape: (n, 2, nodes, 2, 2): genotype, cell (normal, reduction), node, edge, and then source and operation of the edge,
the operation by its place in OPERATIONS.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from search.errors import GenotypeError
from search.spaces.cars._genotype import CELL_INPUTS, OPERATIONS, CarsGenotype, Cell, Edge, Operation

GenotypeArray = npt.NDArray[np.int8]
Mask = npt.NDArray[np.bool_]

_NONE = OPERATIONS.index("none")
_CODES = {operation: code for code, operation in enumerate(OPERATIONS)}


def to_array(genotypes: Sequence[CarsGenotype], nodes: int) -> GenotypeArray:
    """Return genotypes as an array. Shape: (len(genotypes), 2, nodes, 2, 2)."""
    codes = _CODES
    flat = [
        number
        for genotype in genotypes
        for cell in (genotype.normal, genotype.reduction)
        for node in cell.nodes
        for edge in node
        for number in (edge.source, codes[edge.operation])
    ]
    return np.frombuffer(bytes(flat), dtype=np.int8).reshape(len(genotypes), 2, nodes, 2, 2)


def from_array(row: GenotypeArray) -> CarsGenotype:
    """Return the genotype that one row stands for."""
    normal, reduction = (Cell(tuple((_edge(node[0]), _edge(node[1])) for node in cell)) for cell in row.tolist())
    return CarsGenotype(normal, reduction)


def _edge(numbers: Sequence[int]) -> Edge:
    return Edge(numbers[0], OPERATIONS[numbers[1]])


def sample_cells(count: int, nodes: int, operations: Sequence[Operation], rng: np.random.Generator) -> GenotypeArray:
    """Return cells, uniformly and dead ones among them. Shape: (count, nodes, 2, 2)."""
    cells = np.empty((count, nodes, 2, 2), dtype=np.int8)
    allowed = np.array([_CODES[operation] for operation in operations], dtype=np.int8)
    cells[..., 1] = allowed[rng.integers(len(allowed), size=(count, nodes, 2), dtype=np.int8)]
    for node in range(nodes):
        pairs = np.array(list(itertools.combinations(range(node + CELL_INPUTS), 2)), dtype=np.int8)
        cells[:, node, :, 0] = pairs[rng.integers(len(pairs), size=count)]
    return cells


def living(cells: GenotypeArray) -> Mask:
    """Return which cells have a live edge.

    A node that reads an input of the cell by anything but "none" is alive, and where no node does none is.

    Args:
        cells: Shape: (..., nodes, 2, 2).
    """
    return np.asarray(((cells[..., 0] < CELL_INPUTS) & (cells[..., 1] != _NONE)).any(axis=(-2, -1)))


def checked(genotypes: npt.NDArray[np.integer[Any]], nodes: int, allowed: Sequence[Operation]) -> GenotypeArray:
    """Return an array of genotypes as it is, if every row is a genotype of the space.

    Raises:
        GenotypeError: The shape is another, a number is out of range, sources are out of order, or a cell is dead.
    """
    if genotypes.shape[1:] != (2, nodes, 2, 2) or genotypes.dtype.kind not in "iu":
        raise GenotypeError(f"must be an array of whole numbers of shape (n, 2, {nodes}, 2, 2)")
    sources, operations = genotypes[..., 0], genotypes[..., 1]
    before = np.arange(nodes)[:, None] + CELL_INPUTS
    known = np.isin(operations, [_CODES[operation] for operation in allowed])
    right = (sources >= 0) & (sources < before) & known
    rows = right.all(axis=(1, 2, 3)) & (sources[..., 0] < sources[..., 1]).all(axis=(1, 2))
    if not rows.all():
        raise GenotypeError("a source or an operation is out of range", place=f"row {int(np.argmin(rows))}")
    array = genotypes.astype(np.int8, copy=False)
    rows = living(array).all(axis=1)
    if not rows.all():
        raise GenotypeError("no edge of a cell carries a value", place=f"row {int(np.argmin(rows))}")
    return array
