"""Owns NSGA-II and NSGA-III as pymoo has them, on our spaces' own moves: the baselines of every search here.

What survives is pymoo's decision; parents, moves and the constraint are those of all our algorithms, so that a
comparison is about selection. pymoo's own NSGA-III remembers the extremes of all generations; here each selection sees
its candidates only, so that the state stays a value.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from profiler.errors import ConfigError
from search.algorithms.offspring import Offspring, OffspringShares
from search.algorithms.reference import reference_points
from search.algorithms.sorting import Floats, Indices, require_finite
from search.algorithms.trained_first import TrainedFirst, TrainedFirstParams
from search.feasibility import Screen
from search.objectives import LATENCY, Objective, cost_matrix
from search.space import G, SearchSpace
from search.state import Evaluation, State

Kind = Literal["nsga2", "nsga3"]

_SHARES = OffspringShares(crossover=0.5, mutation=0.5, tournament=2)


class PymooEvolution(TrainedFirst[G]):
    """An evolution whose survivors pymoo chooses.

    Args:
        space: Where candidates come from.
        params: Sizes of the search; `population` is also how many survive.
        objectives: What is minimised beside accuracy, at least one; by default latency on the only device.
        kind: "nsga2": ranks and crowding distances (Deb et al. 2002); "nsga3": reference directions (Deb & Jain 2014).

    Raises:
        ConfigError: The kind is unknown, or an objective is wrong.
    """

    def __init__(
        self,
        space: SearchSpace[G],
        params: TrainedFirstParams | None = None,
        objectives: Sequence[Objective] = (LATENCY,),
        *,
        kind: Kind = "nsga2",
    ) -> None:
        if kind not in ("nsga2", "nsga3"):
            raise ConfigError(f"{kind!r} is neither 'nsga2' nor 'nsga3'", key="kind")
        super().__init__(space, params, objectives)
        self._kind = kind

    @property
    def name(self) -> str:
        """Its kind, with the sizes."""
        return f"{self._kind} {self._params}"

    def _propose(self, state: State[G], screen: Screen[G], rng: np.random.Generator) -> list[G]:
        parents = [one.genotype for one in state.population]

        def breed(seen: set[str]) -> list[G]:
            return Offspring(self._space, parents, _SHARES, avoid=seen).make(self._params.population, rng)

        return self._within(breed, state, screen)

    def _keep(self, scored: Sequence[Evaluation[G]], rng: np.random.Generator) -> list[Evaluation[G]]:
        feasible = [one for one in scored if one.feasible]
        others = sorted((one for one in scored if not one.feasible), key=lambda one: one.violation)
        if feasible:
            accuracy = np.array([one.accuracy for one in feasible], dtype=np.float64)
            losses = np.column_stack([-accuracy, cost_matrix(feasible, self._objectives)])
            rows = pymoo_survivors(losses, min(self._params.population, len(feasible)), self._kind, rng)
            feasible = [feasible[row] for row in rows]
        return [*feasible, *others][: self._params.population]


def pymoo_survivors(losses: Floats, count: int, kind: Kind, rng: np.random.Generator) -> Indices:
    """Return the rows that pymoo lets survive, the better ones first.

    Args:
        losses: To be minimised, finite. Shape: (n, m).
        count: How many survive, <= n.
        kind: Whose survival.
        rng: Breaks ties.

    Returns:
        Shape: (count,).

    Raises:
        ObjectiveError: A value is not finite.
    """
    from pymoo.algorithms.moo.nsga3 import ReferenceDirectionSurvival
    from pymoo.core.population import Population
    from pymoo.core.problem import Problem
    from pymoo.operators.survival.rank_and_crowding import RankAndCrowding

    require_finite(losses)
    rows = np.arange(len(losses))
    population = Population.new(X=rows[:, None], F=losses)
    survival: Any
    if kind == "nsga2":
        survival = RankAndCrowding()
    else:
        survival = ReferenceDirectionSurvival(reference_points(losses.shape[1], count))
    problem = Problem(n_var=1, n_obj=losses.shape[1])
    survivors = survival.do(problem, population, n_survive=count, random_state=rng)
    chosen = survivors.get("X")[:, 0].astype(np.intp)
    # A tournament takes the earlier of two parents, so ranks come first and, within one, what lies alone.
    rank = survivors.get("rank").astype(np.float64)
    crowding = survivors.get("crowding").astype(np.float64) if kind == "nsga2" else np.zeros(len(chosen))
    order: Indices = chosen[np.lexsort((-crowding, rank))]
    return order
