"""What others' searches evaluate of a table: uniform random draws, and pymoo's NSGA-II and NSGA-III.

They see six integers a cell, and mix and change them as pymoo's users would for categories: a uniform crossover, and
each edge drawn anew with probability 1/6. A population of 20 is the best of 10, 20, 50 and 100 at 200 evaluations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.algorithms.moo.nsga3 import NSGA3
from pymoo.core.mutation import Mutation
from pymoo.core.problem import Problem
from pymoo.operators.crossover.ux import UniformCrossover
from pymoo.operators.sampling.rnd import IntegerRandomSampling
from pymoo.util.ref_dirs import get_reference_directions
from replay_table import ReplayTable

from search.spaces.nasbench201 import OPERATIONS, NasBench201Genotype

_POPULATION = 20
_EDGES = 6
_MOST_GENERATIONS = 500
"""Generations after which a search ends even if it finds nothing new any more."""


def random_draws(table: ReplayTable, evaluations: int, seed: int) -> list[int]:
    """Return rows of a table drawn uniformly, without repetition."""
    rng = np.random.default_rng(seed)
    return [int(row) for row in rng.permutation(len(table.cells))[:evaluations]]


def pymoo_nsga2(table: ReplayTable, evaluations: int, seed: int) -> list[int]:
    """Return the different rows that pymoo's NSGA-II evaluates, in order."""
    return _evolve(NSGA2(pop_size=_POPULATION, **_operators()), table, evaluations, seed)


def pymoo_nsga3(table: ReplayTable, evaluations: int, seed: int) -> list[int]:
    """Return the different rows that pymoo's NSGA-III evaluates, in order."""
    directions = get_reference_directions("das-dennis", 2, n_partitions=_POPULATION - 1)
    return _evolve(NSGA3(ref_dirs=directions, pop_size=_POPULATION, **_operators()), table, evaluations, seed)


ORACLES: Mapping[str, Callable[[ReplayTable, int, int], list[int]]] = {
    "random": random_draws,
    "pymoo-nsga2": pymoo_nsga2,
    "pymoo-nsga3": pymoo_nsga3,
}


class _DrawAnew(Mutation):  # type: ignore[misc]  # pymoo has no types
    """Each edge gets any operation with probability 1/6."""

    def _do(self, problem: Any, X: npt.NDArray[Any], *args: Any, random_state: Any = None, **kwargs: Any) -> Any:  # noqa: N803
        changed = X.copy()
        drawn = random_state.random(X.shape) < 1 / _EDGES
        changed[drawn] = random_state.integers(0, len(OPERATIONS), int(drawn.sum()))
        return changed


def _operators() -> dict[str, Any]:
    return {
        "sampling": IntegerRandomSampling(),
        "crossover": UniformCrossover(),
        "mutation": _DrawAnew(),
        "eliminate_duplicates": True,
    }


def _evolve(algorithm: Any, table: ReplayTable, evaluations: int, seed: int) -> list[int]:
    rows = {_codes(cell): row for row, cell in enumerate(table.cells)}
    problem = Problem(n_var=_EDGES, n_obj=2, xl=0, xu=len(OPERATIONS) - 1, vtype=int)
    algorithm.setup(problem, termination=("n_gen", _MOST_GENERATIONS), seed=seed, verbose=False)
    evaluated: dict[int, None] = {}
    while len(evaluated) < min(evaluations, len(table.cells)) and algorithm.has_next():
        asked = algorithm.ask()
        found = [rows.get(tuple(codes)) for codes in asked.get("X").astype(int).tolist()]
        # A cell that an incomplete table lacks costs nothing and is worth nothing.
        worst = [table.slowest_ms, 0.0]
        asked.set(
            "F", np.array([worst if row is None else [table.latency_ms[row], -table.accuracy[row]] for row in found])
        )
        for individual in asked:
            individual.evaluated.update(("F", "G", "H"))
        evaluated |= dict.fromkeys(row for row in found if row is not None)
        algorithm.tell(infills=asked)
    return list(evaluated)[:evaluations]


def _codes(cell: str) -> tuple[int, ...]:
    return tuple(OPERATIONS.index(operation) for operation in NasBench201Genotype.from_arch_str(cell).operations)
