"""Owns the names of the algorithms, and what each makes of the sizes of a search.

All get the same sizes, which are those of CARS, so that they can be compared: CARS spreads the epochs over its
generations, the others learn all of them first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from search.algorithms.base import Algorithm
from search.algorithms.bayes import Bayes, BayesParams
from search.algorithms.cars import Cars, EvolutionParams
from search.algorithms.pymoo_evolution import PymooEvolution
from search.algorithms.random_search import RandomSearch
from search.algorithms.spos import Spos, SposParams
from search.algorithms.trained_first import TrainedFirstParams
from search.objectives import Objective
from search.space import SearchSpace

MakeAlgorithm = Callable[[SearchSpace[Any], EvolutionParams, Sequence[Objective]], Algorithm[Any]]
"""Takes a space, the sizes of the search, and what is minimised beside accuracy."""


def _spos(space: SearchSpace[Any], sizes: EvolutionParams, objectives: Sequence[Objective]) -> Algorithm[Any]:
    top = max(sizes.population // 5, 1)
    return Spos(space, SposParams(sizes.population, sizes.generations, sizes.epochs, top=top), objectives)


def _nsga2(space: SearchSpace[Any], sizes: EvolutionParams, objectives: Sequence[Objective]) -> Algorithm[Any]:
    return PymooEvolution(space, _trained_first(sizes), objectives, kind="nsga2")


def _nsga3(space: SearchSpace[Any], sizes: EvolutionParams, objectives: Sequence[Objective]) -> Algorithm[Any]:
    return PymooEvolution(space, _trained_first(sizes), objectives, kind="nsga3")


def _random(space: SearchSpace[Any], sizes: EvolutionParams, objectives: Sequence[Objective]) -> Algorithm[Any]:
    return RandomSearch(space, _trained_first(sizes), objectives)


def _bayes(space: SearchSpace[Any], sizes: EvolutionParams, objectives: Sequence[Objective]) -> Algorithm[Any]:
    scored = sizes.population * sizes.generations
    params = BayesParams(scored, first=sizes.population, batch=sizes.population, warmup_epochs=sizes.epochs)
    return Bayes(space, params, objectives)


def _trained_first(sizes: EvolutionParams) -> TrainedFirstParams:
    return TrainedFirstParams(sizes.population, sizes.generations, sizes.epochs)


ALGORITHMS: Mapping[str, MakeAlgorithm] = MappingProxyType(
    {"cars": Cars, "spos": _spos, "nsga2": _nsga2, "nsga3": _nsga3, "random": _random, "bayes": _bayes}
)
