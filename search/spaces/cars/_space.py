"""The CARS space itself: how many genotypes there are, and the moves among them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from profiler.kernels import FusionRules, Kernel
from profiler.network import Network
from search.errors import SearchError
from search.space import KernelCounts, SearchSpace
from search.spaces._choices import allowed
from search.spaces.cars import _arrays, _genotype, _lowering
from search.spaces.cars._arrays import GenotypeArray
from search.spaces.cars._counts import CountTables, follows
from search.spaces.cars._genotype import CELL_INPUTS, OPERATIONS, CarsGenotype, Cell, Edge, Node, Operation
from search.spaces.cars._lowering import CarsParams

_TRIES = 64
"""Draws before a dead cell is given up on.  1 cell in 64 is dead when it has a single node, and 1 in 4 when that has
but one operation beside "none"."""

_CHANGE_PROBABILITY = 0.5
"""Chance of each node to be drawn anew, or to come from the second parent (Yang et al. 2020)."""


class CarsSpace(SearchSpace[CarsGenotype]):
    """The cell space of DARTS as CARS searches it (Yang et al., CVPR 2020).

    Each node takes two different sources before it and one of eight operations for each.  "none" means
    the same everywhere: that edge is not there, neither when it is scored nor when it is exported.
    Genotypes with a cell in which nothing is alive are not part of the space.

    Args:
        params: Settings of the space.

    Raises:
        SearchError: A setting is out of range.
    """

    def __init__(self, params: CarsParams) -> None:
        least = {"cells": 3, "channels": 1, "nodes": 1, "classes": 2}
        for name, bound in least.items():
            if getattr(params, name) < bound:
                raise SearchError(f"the CARS space needs {name} >= {bound}, not {getattr(params, name)}")
        if len(params.image_shape) != 3 or min(params.image_shape) < 1 or min(params.image_shape[:2]) < 4:
            raise SearchError(
                f"the CARS space halves images twice: they must be at least 4x4, not {params.image_shape}"
            )
        self.params = params
        self._operations = allowed("CARS", params.operations, OPERATIONS, cuts=["none"])
        self._tables: dict[FusionRules, CountTables] = {}

    @property
    def name(self) -> str:
        """The name "cars"."""
        return "cars"

    @property
    def identity(self) -> str:
        """Name and settings, such as "cars image=8x8x1 classes=10 cells=5 channels=8 nodes=4".

        Operations are named when not all of them may be chosen.
        """
        params = self.params
        image = "x".join(str(size) for size in params.image_shape)
        settings = f"cells={params.cells} channels={params.channels} nodes={params.nodes}"
        some = "" if len(self._operations) == len(OPERATIONS) else f" operations={','.join(self._operations)}"
        return f"cars image={image} classes={params.classes} {settings}{some}"

    @property
    def size(self) -> int:
        """Pairs of living cells.

        A node has C(sources, 2) pairs of sources and 64 pairs of operations, or the square of those that are allowed.
        It is dead when each edge is "none" or comes from a dead node; a cell is dead when all nodes are, so that dead
        nodes then read only the two inputs (by "none", if that is allowed) or dead nodes (by any operation).
        """
        choices, cuts = len(self._operations), int("none" in self._operations)
        every = math.prod(math.comb(node + CELL_INPUTS, 2) * choices**2 for node in range(self.params.nodes))
        dead = math.prod(
            cuts + CELL_INPUTS * node * cuts * choices + math.comb(node, 2) * choices**2
            for node in range(self.params.nodes)
        )
        return (every - dead) ** 2

    def sample(self, rng: np.random.Generator) -> CarsGenotype:
        """Return a genotype, each with equal probability: draw cells uniformly, again while they are dead."""
        return CarsGenotype(self._living_cell(rng), self._living_cell(rng))

    def mutate(self, genotype: CarsGenotype, rng: np.random.Generator) -> CarsGenotype:
        """Return a copy in which each node was drawn anew with probability 0.5."""

        def mutate_cell(cell: Cell) -> Cell:
            drawn = rng.random(len(cell.nodes)) < _CHANGE_PROBABILITY
            nodes = enumerate(zip(cell.nodes, drawn, strict=True))
            return Cell(tuple(self._draw_node(index, rng) if again else node for index, (node, again) in nodes))

        return _living(lambda: CarsGenotype(mutate_cell(genotype.normal), mutate_cell(genotype.reduction)), genotype)

    def crossover(self, first: CarsGenotype, second: CarsGenotype, rng: np.random.Generator) -> CarsGenotype:
        """Return a child that has each node from the first or the second parent with equal probability."""

        def cross_cells(left: Cell, right: Cell) -> Cell:
            swapped = rng.random(len(left.nodes)) < _CHANGE_PROBABILITY
            nodes = zip(left.nodes, right.nodes, swapped, strict=True)
            return Cell(tuple(theirs if swap else ours for ours, theirs, swap in nodes))

        return _living(
            lambda: CarsGenotype(
                cross_cells(first.normal, second.normal), cross_cells(first.reduction, second.reduction)
            ),
            first,
        )

    def lower(self, genotype: CarsGenotype) -> Network:
        """Return the network: stem, cells, global pooling, logits; dead branches and unread cells are left out."""
        return _lowering.lower(self.params, genotype)

    def input_parts(self, genotype: CarsGenotype) -> dict[str, tuple[str, ...]]:
        """Return the living nodes behind each operator that reads a cell."""
        return _lowering.input_parts(self.params, genotype)

    def covering(self) -> Iterator[CarsGenotype]:
        """Yield each operation at each edge once: for each operation, the nodes walk through their sources."""
        operations = [operation for operation in self._operations if operation != "none"]
        for operation, turn in itertools.product(operations, range(self.params.nodes + 1)):
            nodes: list[Node] = []
            for index in range(self.params.nodes):
                low, high = sorted({turn % (index + CELL_INPUTS), (turn + 1) % (index + CELL_INPUTS)})
                nodes.append((Edge(low, operation), Edge(high, operation)))
            yield CarsGenotype(Cell(tuple(nodes)), Cell(tuple(nodes)))

    def largest(self) -> CarsGenotype:
        """Return the genotype whose nodes all read both inputs, each cell by its most costly operation."""
        cells = [self._uniform(operation) for operation in self._operations if operation != "none"]
        return max(itertools.starmap(CarsGenotype, itertools.product(cells, repeat=2)), key=self._macs)

    def features(self, genotypes: Sequence[CarsGenotype]) -> npt.NDArray[np.float64]:
        """Return one column for each source and each operation of each edge, 1 where it is chosen."""
        array = self.to_array(genotypes)
        sources = array[..., 0, None] == np.arange(self.params.nodes + 1)
        operations = array[..., 1, None] == np.arange(len(OPERATIONS))
        columns = np.concatenate([sources, operations], axis=-1).astype(np.float64)
        return columns.reshape(len(array), math.prod(columns.shape[1:]))

    def encode(self, genotype: CarsGenotype) -> dict[str, object]:
        """Return {"normal": [[[source, operation], [source, operation]], ...], "reduction": ...}."""
        return _genotype.encode(genotype)

    def decode(self, encoded: object) -> CarsGenotype:
        """Return the genotype that a JSON value encodes."""
        return _genotype.decode(encoded, nodes=self.params.nodes, operations=self._operations)

    def kernel_counts(
        self, genotypes: Sequence[CarsGenotype] | npt.NDArray[Any], rules: FusionRules
    ) -> tuple[tuple[Kernel, ...], KernelCounts]:
        """Return how often the networks of genotypes have each kernel, without lowering them.

        Under rules that fuse in ways this space does not follow (see `_counts.follows`) they are lowered all the same.

        Args:
            genotypes: Of this space, or an array of them. Length n.
            rules: What the runtime fuses.

        Returns:
            The kernels that occur, and their counts. Shape: (n, number of kernels); about 0.4 kB a genotype.

        Raises:
            GenotypeError: A row of the array is no genotype of the space.
        """
        array = self.to_array(genotypes)
        if not follows(rules):
            return super().kernel_counts([_arrays.from_array(row) for row in array], rules)
        if rules not in self._tables:
            self._tables[rules] = CountTables(self.params, rules)
        return self._tables[rules].count(array)

    def to_array(self, genotypes: Sequence[CarsGenotype] | npt.NDArray[Any]) -> GenotypeArray:
        """Return genotypes as one array of whole numbers.

        Returns:
            Source and operation (its place in OPERATIONS) of each edge. Shape: (n, 2 cells, nodes, 2 edges, 2).

        Raises:
            GenotypeError: An array was given that has a row that is no genotype of the space.
        """
        nodes = self.params.nodes
        if isinstance(genotypes, np.ndarray):
            return _arrays.checked(genotypes, nodes, self._operations)
        return _arrays.checked(_arrays.to_array(genotypes, nodes), nodes, self._operations)

    def from_array(self, array: GenotypeArray) -> list[CarsGenotype]:
        """Return the genotypes that the rows of an array stand for.

        Raises:
            GenotypeError: A row is no genotype of the space.
        """
        rows = _arrays.checked(array, self.params.nodes, self._operations)
        return [_arrays.from_array(row) for row in rows]

    def sample_array(self, count: int, rng: np.random.Generator) -> GenotypeArray:
        """Return many random genotypes, each of the space's with equal probability, as an array.

        The draws are others than those of `sample`.
        """
        cells = np.empty((0, self.params.nodes, 2, 2), dtype=np.int8)
        for _ in range(_TRIES):
            if len(cells) >= 2 * count:
                break
            drawn = _arrays.sample_cells(2 * count - len(cells), self.params.nodes, self._operations, rng)
            cells = np.concatenate([cells, drawn[_arrays.living(drawn)]])
        return cells.reshape(count, 2, *cells.shape[1:])

    def _uniform(self, operation: Operation) -> Cell:
        node: Node = (Edge(0, operation), Edge(1, operation))
        return Cell((node,) * self.params.nodes)

    def _macs(self, genotype: CarsGenotype) -> int:
        return self.lower(genotype).cost().macs

    def _living_cell(self, rng: np.random.Generator) -> Cell:
        for _ in range(_TRIES):
            cell = Cell(tuple(self._draw_node(index, rng) for index in range(self.params.nodes)))
            if cell.live_nodes:
                return cell
        raise SearchError(f"{_TRIES} random cells in a row were dead; the random generator is not random")

    def _draw_node(self, index: int, rng: np.random.Generator) -> Node:
        """Return a node with a uniform pair of different sources and a uniform operation on each edge."""
        low, high = sorted(int(source) for source in rng.choice(index + CELL_INPUTS, size=2, replace=False))
        first, second = (self._operations[choice] for choice in rng.integers(len(self._operations), size=2))
        return Edge(low, first), Edge(high, second)


def _living(draw: Callable[[], CarsGenotype], parent: CarsGenotype) -> CarsGenotype:
    """Return the first draw with two living cells, or the parent when there is none among the tries."""
    for _ in range(_TRIES):
        child = draw()
        if child.normal.live_nodes and child.reduction.live_nodes:
            return child
    return parent
