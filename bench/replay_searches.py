"""What our algorithms evaluate of a table, run by the same ask and tell as in a real search.

The space is NAS-Bench-201's, but for two things: it has the rows of the table and no others, cells without output
included, and rows are told apart by what is written, not by what they compute, since a table has its own numbers for
each. Moves are the space's own; where one leads out of the table, it is tried again, and after that a row is drawn.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import numpy.typing as npt
from replay_table import BUDGET_QUANTILES, ReplayTable

from profiler.network import Network
from search.algorithms import Algorithm, EvolutionParams
from search.algorithms.bayes import Bayes, BayesParams
from search.algorithms.by_name import ALGORITHMS
from search.assessment import Assessment, Assessor, LatencyInterval
from search.constraints import LatencyBudget
from search.feasibility import Screen, find_feasible
from search.objectives import LATENCY
from search.space import SearchSpace
from search.spaces.nasbench201 import NasBench201Genotype, NasBench201Params, NasBench201Space
from search.table_source import TableSource

_DEVICE = "table"
_MOVES = 8
"""Moves before one that leads out of the table is given up."""

_POPULATION = 20
"""Of evolution: the same as of the oracles."""

_MACS = {"nor_conv_1x1": 1, "nor_conv_3x3": 9}
"""Of an operation on an edge, in units of a 1x1 convolution; nothing else of a cell has any."""


@dataclass(frozen=True)
class TableCell:
    """One row of a table.

    Attributes:
        row: Its number.
        genotype: The cell.
    """

    row: int
    genotype: NasBench201Genotype

    @cached_property
    def key(self) -> str:
        """16 hexadecimal digits over the cell as it is written."""
        return hashlib.sha256(self.genotype.to_arch_str().encode()).hexdigest()[:16]


class TableSpace(SearchSpace[TableCell]):
    """The cells of a table.

    Args:
        table: The table.
    """

    def __init__(self, table: ReplayTable) -> None:
        self._space = NasBench201Space(NasBench201Params((32, 32, 3), 10))
        self.cells = [TableCell(row, NasBench201Genotype.from_arch_str(cell)) for row, cell in enumerate(table.cells)]
        self._rows = {cell.genotype.operations: cell for cell in self.cells}

    @property
    def name(self) -> str:
        """The space's name."""
        return self._space.name

    @property
    def identity(self) -> str:
        """The space and how much of it the table has."""
        return f"{self._space.identity} rows={len(self.cells)}"

    @property
    def size(self) -> int:
        """Number of rows."""
        return len(self.cells)

    def sample(self, rng: np.random.Generator) -> TableCell:
        """Return a row, each with equal probability."""
        return self.cells[int(rng.integers(len(self.cells)))]

    def mutate(self, genotype: TableCell, rng: np.random.Generator) -> TableCell:
        """Return a row that the space's mutation leads to."""
        return self._moved(lambda: self._space.mutate(genotype.genotype, rng), rng)

    def crossover(self, first: TableCell, second: TableCell, rng: np.random.Generator) -> TableCell:
        """Return a row that the space's crossover leads to."""
        return self._moved(lambda: self._space.crossover(first.genotype, second.genotype, rng), rng)

    def lower(self, genotype: TableCell) -> Network:
        """Return the network of a row that has one."""
        return self._space.lower(genotype.genotype)

    def input_parts(self, genotype: TableCell) -> Mapping[str, tuple[str, ...]]:
        """Return nothing, as the space does."""
        return self._space.input_parts(genotype.genotype)

    def covering(self) -> Iterator[TableCell]:
        """Yield all rows."""
        yield from self.cells

    def largest(self) -> TableCell:
        """Return the row of most multiply-accumulates."""
        return max(self.cells, key=_macs)

    def features(self, genotypes: Sequence[TableCell]) -> npt.NDArray[np.float64]:
        """Return the space's features; zeros where a cell has no output."""
        alive = np.array([cell.genotype.alive for cell in genotypes], dtype=np.bool_)
        living = self._space.features([cell.genotype for cell in genotypes if cell.genotype.alive])
        rows = np.zeros((len(genotypes), living.shape[1]))
        rows[alive] = living
        return rows

    def encode(self, genotype: TableCell) -> dict[str, object]:
        """Return the row's number."""
        return {"row": genotype.row}

    def decode(self, encoded: object) -> TableCell:
        """Return the row of a number."""
        return self.cells[dict(encoded)["row"]]  # type: ignore[call-overload]

    def _moved(self, move: Callable[[], NasBench201Genotype], rng: np.random.Generator) -> TableCell:
        moves = (self._rows.get(move().operations) for _ in range(_MOVES))
        return next((cell for cell in moves if cell is not None), None) or self.sample(rng)


class TableAssessor(Assessor[TableCell]):
    """Knows every row's latency, as it was measured.

    Args:
        space: The table's space.
        table: The table.
    """

    def __init__(self, space: TableSpace, table: ReplayTable) -> None:
        super().__init__(space, {})
        exact = [LatencyInterval(latency_ms, latency_ms, latency_ms) for latency_ms in table.latency_ms.tolist()]
        sizes = [_macs(cell) for cell in space.cells]
        self._assessments = [
            Assessment({_DEVICE: latency}, size, size) for latency, size in zip(exact, sizes, strict=True)
        ]

    def assess(self, genotypes: Sequence[TableCell]) -> list[Assessment]:
        """Return what is known of rows."""
        return [self._assessments[cell.row] for cell in genotypes]


def _macs(cell: TableCell) -> int:
    return sum(_MACS.get(operation, 0) for operation in cell.genotype.live)


def _bayes(space: TableSpace, evaluations: int) -> Algorithm[TableCell]:
    # The budgets that regret is told at are the ones that are asked for, as a list of budgets is in a real search.
    sizes = {"first": min(16, evaluations), "batch": 4, "warmup_epochs": 0, "pool": max(space.size, 16)}
    return Bayes(space, BayesParams(evaluations, **sizes, budget_quantiles=BUDGET_QUANTILES))


def _evolution(name: str) -> Callable[[TableSpace, int], Algorithm[TableCell]]:
    """Return the maker of an algorithm by name.

    CARS has no shared weights here: nothing is learned between generations, so nothing grows that could be protected.
    """

    def make(space: TableSpace, evaluations: int) -> Algorithm[TableCell]:
        # What was paid for once costs nothing again, so there are more generations than evaluations would fill.
        generations = 4 * evaluations // _POPULATION + 1
        sizes = EvolutionParams(_POPULATION, generations, warmup_epochs=0, generation_epochs=0, protected=False)
        return ALGORITHMS[name](space, sizes, (LATENCY,))

    return make


_MAKERS: Mapping[str, Callable[[TableSpace, int], Algorithm[TableCell]]] = {
    "bayes": _bayes,
    **{name: _evolution(name) for name in ("cars", "spos", "nsga2", "nsga3")},
}


def search(name: str, table: ReplayTable, evaluations: int, seed: int) -> list[int]:
    """Return the different rows that one of our algorithms evaluates, in order; at most so many."""
    space = TableSpace(table)
    algorithm = _MAKERS[name](space, min(evaluations, len(table.cells)))
    rng = np.random.default_rng(seed)
    screen = Screen(space, TableAssessor(space, table), LatencyBudget(2.0 * table.slowest_ms, alpha=0.5))
    source = TableSource(dict(zip(table.cells, table.accuracy.tolist(), strict=True)), _written)
    population = find_feasible(screen, algorithm.population_size, 20 * algorithm.population_size, rng)
    state = algorithm.start(population, [table.slowest_ms], rng)
    paid: dict[int, None] = {}
    while state.step < algorithm.steps and len(paid) < evaluations:
        candidates, state = algorithm.ask(state, screen)
        judged = screen.judge(candidates)
        scored = [
            screen.score(one, float(accuracy), None)
            for one, accuracy in zip(judged, source.evaluate(candidates), strict=True)
        ]
        paid |= dict.fromkeys(cell.row for cell in candidates)
        state = algorithm.tell(state, scored)
    return list(paid)[:evaluations]


def _written(cell: TableCell) -> str:
    return cell.genotype.to_arch_str()


OURS: Mapping[str, Callable[[ReplayTable, int, int], list[int]]] = {name: partial(search, name) for name in _MAKERS}
