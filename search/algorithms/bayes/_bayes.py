"""Bayesian search: score next what is expected to improve the front most, given all that was scored so far.

Two models are at work. The predictor tells what every candidate costs before anything is trained; a Gaussian process
tells how accurate it will be, and how sure that is. Costs being known, the expected improvement is in closed form.

Accuracies must not change while the search goes on, so shared weights learn in the warm-up only, and everything that
was scored stays in the population.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from profiler.errors import ConfigError
from search.algorithms.bayes._choice import FIRST_HALF, SECOND_HALF, Acquisition, Aim, Scored, choose, spread
from search.algorithms.bayes._error_model import Hyperparameters, Posterior, fit
from search.algorithms.bayes._pool import Pool, drawn, judged, listed
from search.algorithms.sorting import non_dominated_sort
from search.algorithms.trained_first import WarmedUp
from search.bounds import require_at_least
from search.errors import ObjectiveError
from search.feasibility import Screen
from search.objectives import LATENCY, Objective, cost_matrix
from search.space import G, SearchSpace
from search.state import Evaluation, State, rng_state

_ACCURACY = Objective("accuracy")

_LEAST_ERROR = 1e-3
"""Errors below are taken for it: the logarithm of 0 is none, and no validation set tells smaller ones apart."""

_FAILURE = np.log(3.5)
"""An error of so many times the usual one is a failure, and how bad a failure it is does not matter."""

_REFIT_GROWTH = 1.1
"""Hyperparameters are found anew whenever a tenth more was scored."""

_BUDGET_QUANTILES = (0.1, 0.25, 0.5, 1.0)


@dataclass(frozen=True, slots=True)
class BayesParams:
    """Settings of a Bayesian search.

    Attributes:
        evaluations: Candidates that are scored in all, >= first.
        first: How many of them are spread over the costs before anything is learned, >= 2.
        batch: Candidates of a generation, >= 1.
        warmup_epochs: Epochs on uniformly drawn architectures before the first generation, >= 0; a source that does
            not learn needs none.
        pool: Candidates that a generation chooses from, >= 16; a space of at most so many is looked at whole.
        budget_quantiles: Budgets that matter most, as quantiles of what candidates cost that keep to the constraint,
            each > 0 and <= 1.

    Raises:
        ConfigError: A value is out of its range.
    """

    evaluations: int = 200
    first: int = 16
    batch: int = 8
    warmup_epochs: int = 50
    pool: int = 2048
    budget_quantiles: tuple[float, ...] = _BUDGET_QUANTILES

    def __post_init__(self) -> None:
        require_at_least(self, first=2, batch=1, warmup_epochs=0, pool=16, evaluations=self.first)
        if not self.budget_quantiles or not all(0 < quantile <= 1 for quantile in self.budget_quantiles):
            raise ConfigError("give at least one quantile, each above 0 and up to 1", key="budget_quantiles")

    @property
    def generations(self) -> int:
        """Steps that score something."""
        return 1 + math.ceil((self.evaluations - self.first) / self.batch)


class Bayes(WarmedUp[G]):
    """Expected hypervolume improvement over any search space.

    With one objective beside accuracy the improvement is exact; with more, its integral over budgets is a mean over
    draws. What was last computed of the same screen and the same rows is remembered, and nothing else.

    Args:
        space: Where candidates come from.
        params: Its settings.
        objectives: What is minimised beside accuracy, at least one; by default latency on the only device.

    Raises:
        ConfigError: There is no objective, one twice, or accuracy among them.

    Source: Emmerich, Giannakoglou & Naujoks 2006 (expected hypervolume improvement); Ginsbourger, Le Riche &
    Carraro 2010 (kriging believer). Known costs make a difference to both.
    """

    def __init__(
        self, space: SearchSpace[G], params: BayesParams, objectives: Sequence[Objective] = (LATENCY,)
    ) -> None:
        super().__init__(
            space,
            objectives,
            warmup_epochs=params.warmup_epochs,
            generations=params.generations,
            population_size=params.first,
        )
        self._params = params
        self._last_pool: tuple[Screen[G], Pool[G]] | None = None
        self._last_fit: tuple[bytes, Hyperparameters] | None = None

    @property
    def name(self) -> str:
        """With the settings."""
        return f"bayes {self._params}"

    def ask(self, state: State[G], screen: Screen[G]) -> tuple[tuple[G, ...], State[G]]:
        """Return what is worth scoring, all of it within the constraint; nothing in the warm-up."""
        if self._warming(state):
            return (), state
        rng = state.generator()
        pool = self._pool(state, screen, rng)
        scored = [individual for individual in state.population if individual.accuracy is not None]
        if scored:
            rows = self._choose(pool, scored, state, rng)
        else:
            count = min(self._params.first, self._params.evaluations)
            rows = spread(pool.costs[:, 0], count, rng) if pool.members else []
        return tuple(pool.members[row].genotype for row in rows), replace(state, rng=rng_state(rng))

    def tell(self, state: State[G], evaluations: Sequence[Evaluation[G]]) -> State[G]:
        """Keep everything that was scored."""
        if self._warming(state):
            return replace(state, step=state.step + 1)
        costs = cost_matrix(evaluations, self._objectives)
        for row, evaluation in enumerate(evaluations):
            known = evaluation.accuracy is not None and math.isfinite(evaluation.accuracy)
            if evaluation.feasible and not (known and np.isfinite(costs[row]).all()):
                raise ObjectiveError("a feasible candidate lacks a finite objective", candidate=row)
        # What a search starts with was never scored, and gives way to what is.
        begins = state.step == self._params.warmup_epochs
        kept = () if begins and evaluations else state.population
        return replace(state, step=state.step + 1, population=(*kept, *evaluations))

    @cached_property
    def _whole(self) -> tuple[G, ...] | None:
        """All of a space that is small enough."""
        return listed(self._space) if self._space.size <= self._params.pool else None

    def _pool(self, state: State[G], screen: Screen[G], rng: np.random.Generator) -> Pool[G]:
        if self._whole is None:
            parents = [individual.genotype for individual in _parents(state.population, self._objectives)]
            known = [individual.genotype for individual in state.population if individual.accuracy is None]
            genotypes = (*known, *drawn(self._space, parents, self._params.pool, rng))
            different = {genotype.key: genotype for genotype in genotypes}
            return judged(self._space, self._objectives, screen, list(different.values()))
        if self._last_pool is None or self._last_pool[0] is not screen:
            self._last_pool = screen, judged(self._space, self._objectives, screen, self._whole)
        return self._last_pool[1]

    def _choose(
        self, pool: Pool[G], scored: Sequence[Evaluation[G]], state: State[G], rng: np.random.Generator
    ) -> list[int]:
        number = {key: row for row, key in enumerate(pool.keys)}
        taken = [number[item.genotype.key] for item in state.population if item.genotype.key in number]
        if scored and len(taken) == len(pool.members):
            return []
        errors = np.array([max(1.0 - float(item.accuracy or 0.0), _LEAST_ERROR) for item in scored])
        inputs, learned = pool.inputs_of(scored), _without_failures(np.log(errors))
        posterior = Posterior(self._hyperparameters(inputs, learned), pool.inputs, inputs, learned)
        within = np.array([item.feasible for item in scored])
        found = Scored(cost_matrix(scored, self._objectives)[within], errors[within])
        budgets = np.quantile(pool.costs, self._params.budget_quantiles, axis=0)
        reference = np.array(state.reference, dtype=np.float64)
        acquisition = Acquisition(pool.costs, reference, budgets, int(rng.integers(2**32)))
        return choose(posterior, acquisition, found, self._aims(len(scored)), taken)

    def _aims(self, scored: int) -> list[Aim]:
        """Return what the picks after so many scored candidates aim at."""
        numbers = range(scored, min(scored + self._params.batch, self._params.evaluations))
        turns = [FIRST_HALF if 2 * number < self._params.evaluations else SECOND_HALF for number in numbers]
        return [aims[number % len(aims)] for aims, number in zip(turns, numbers, strict=True)]

    def _hyperparameters(self, inputs: npt.NDArray[np.float64], log_errors: npt.NDArray[np.float64]) -> Hyperparameters:
        """Find hyperparameters on the first rows: as many as there were when they were last due."""
        due = size = self._params.first
        while (size := max(size + 1, round(size * _REFIT_GROWTH))) <= len(inputs):
            due = size
        rows, own = inputs[:due], log_errors[:due]
        key = rows.tobytes() + own.tobytes()
        if self._last_fit is None or self._last_fit[0] != key:
            self._last_fit = key, fit(rows, own)
        return self._last_fit[1]


def _without_failures(log_errors: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return log errors, those of failures brought down to where they no longer rule what is learned of the others."""
    return np.asarray(np.minimum(log_errors, np.median(log_errors) + _FAILURE))


def _parents(population: Sequence[Evaluation[G]], objectives: Sequence[Objective]) -> Sequence[Evaluation[G]]:
    """Return the front of what was scored, or all where nothing is scored that keeps to the constraint."""
    scored = [item for item in population if item.accuracy is not None and item.feasible]
    if not scored:
        return population
    accuracy = np.array([item.value(_ACCURACY) for item in scored])
    front = non_dominated_sort(np.column_stack([-accuracy, cost_matrix(scored, objectives)]))[0]
    return [scored[row] for row in front]
