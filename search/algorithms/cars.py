"""Owns CARS: continuous evolution on shared weights, which a population trains while it is selected.

Warm-up epochs train uniformly drawn architectures.  Then each generation trains architectures of the
population, scores them and their offspring with inherited weights, and keeps the best by pNSGA-III.

Source: Yang et al. 2020, alg. 1.  We differ in making offspring before the weights are trained on, so
that their accuracy under the weights of the generation before, and with it their growth, can be had
without a second copy of the weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from profiler.errors import ConfigError
from search.algorithms.base import Algorithm, Learning, checked_objectives
from search.algorithms.domination import feasible_first
from search.algorithms.nsga3 import nsga3
from search.algorithms.offspring import Offspring, OffspringShares
from search.algorithms.pnsga3 import pnsga3
from search.algorithms.sorting import Floats, Indices
from search.bounds import require_at_least
from search.objectives import LATENCY, Objective, cost_matrix
from search.space import G, SearchSpace
from search.state import Evaluation, State, rng_state

if TYPE_CHECKING:
    from search.feasibility import Screen


@dataclass(frozen=True, slots=True)
class EvolutionParams:
    """Settings of CARS; the defaults are the paper's, whose image set is 25 000 large.

    Attributes:
        population: Individuals N, >= 2.
        generations: Rounds of learning and selection, >= 1.
        warmup_epochs: Epochs on uniformly drawn architectures before the first generation, >= 0.
        generation_epochs: Epochs on the population in each generation, >= 0.
        architectures_per_step: Architectures B whose gradients one parameter step averages, >= 1.
        offspring_ratio: Offspring made per individual, t, > 0.
        shares: Which operators make the offspring.
        protected: Whether growth protects what is still learning; False is plain NSGA-III.

    Raises:
        ConfigError: A value is out of its range.
    """

    population: int = 128
    generations: int = 45
    warmup_epochs: int = 50
    generation_epochs: int = 10
    architectures_per_step: int = 1
    offspring_ratio: float = 1.0
    shares: OffspringShares = field(default_factory=OffspringShares)
    protected: bool = True

    def __post_init__(self) -> None:
        require_at_least(
            self, population=2, generations=1, warmup_epochs=0, generation_epochs=0, architectures_per_step=1
        )
        if not 0 < self.offspring_ratio < float("inf"):
            raise ConfigError(f"{self.offspring_ratio} is not a positive number", key="offspring_ratio")

    @property
    def epochs(self) -> int:
        """Epochs that a whole search trains: over these the supernet's learning rate should fall."""
        return self.warmup_epochs + self.generations * self.generation_epochs


class Cars(Algorithm[G]):
    """CARS over any search space.

    Args:
        space: Where candidates come from.
        params: Its settings.
        objectives: What is minimised beside accuracy, at least one; by default latency on the only device.

    Raises:
        ConfigError: There is no objective, one twice, or accuracy among them.
    """

    def __init__(
        self, space: SearchSpace[G], params: EvolutionParams, objectives: Sequence[Objective] = (LATENCY,)
    ) -> None:
        self._space, self._params, self._objectives = space, params, checked_objectives(objectives)

    @property
    def space(self) -> SearchSpace[G]:
        """The space that candidates come from."""
        return self._space

    @property
    def identity(self) -> str:
        """The settings in one line."""
        return f"cars {self._params} for accuracy, {', '.join(one.text for one in self._objectives)}"

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """What is minimised beside accuracy."""
        return self._objectives

    @property
    def steps(self) -> int:
        """Warm-up epochs and generations together."""
        return self._params.warmup_epochs + self._params.generations

    @property
    def population_size(self) -> int:
        """Individuals N."""
        return self._params.population

    @property
    def needs_growth(self) -> bool:
        """Whether selection is protected."""
        return self._params.protected

    def start(
        self, population: Sequence[Evaluation[G]], reference: Sequence[float], rng: np.random.Generator
    ) -> State[G]:
        """Return the state before the first step."""
        return State(0, tuple(population), rng_state(rng), tuple(reference))

    def learning(self, state: State[G]) -> Learning[G]:
        """Uniform draws in the warm-up; later the population's feasible individuals, B a step."""
        if self._warming(state):
            return Learning(lambda rng: [self._space.sample(rng)], epochs=1)
        parents = _trained_genotypes(state)
        batch = self._params.architectures_per_step
        return Learning(
            lambda rng: [parents[index] for index in rng.integers(len(parents), size=batch)],
            epochs=self._params.generation_epochs,
        )

    def ask(self, state: State[G], screen: Screen[G]) -> tuple[tuple[G, ...], State[G]]:
        """Return the population and its offspring; nothing in the warm-up."""
        if self._warming(state):
            return (), state
        rng = state.generator()
        parents = [individual.genotype for individual in state.population]
        count = round(self._params.offspring_ratio * self._params.population)
        offspring = Offspring(self._space, parents, self._params.shares).make(count, rng)
        return (*parents, *offspring), replace(state, rng=rng_state(rng))

    def tell(self, state: State[G], evaluations: Sequence[Evaluation[G]]) -> State[G]:
        """Keep the best N of the candidates under constrained domination."""
        if self._warming(state):
            return replace(state, step=state.step + 1)
        rng = state.generator()
        violation = [0.0 if one.accuracy is not None else one.violation for one in evaluations]
        rows = feasible_first(
            np.array(violation, dtype=np.float64),
            self._params.population,
            lambda scored, places: self._survivors(evaluations, scored, places, rng),
        )
        return replace(
            state, step=state.step + 1, population=tuple(evaluations[row] for row in rows), rng=rng_state(rng)
        )

    def _survivors(
        self, evaluations: Sequence[Evaluation[G]], scored: Indices, places: int, rng: np.random.Generator
    ) -> Indices:
        """Choose among candidates with an accuracy; those that keep a limit on it come first.

        The others are not ordered by how far they are from the limit, since that is their accuracy alone: what is
        large and still learns would be lost before it can reach the limit.
        """
        feasible = np.array([evaluations[row].feasible for row in scored], dtype=np.bool_)
        kept = scored[:0]
        for tier in (scored[feasible], scored[~feasible]):
            if len(tier) and len(kept) < places:
                chosen = self._select([evaluations[row] for row in tier], places - len(kept), rng)
                kept = np.concatenate([kept, tier[chosen]])
        return kept

    def _select(self, evaluations: Sequence[Evaluation[G]], places: int, rng: np.random.Generator) -> Indices:
        accuracy = _column([evaluation.accuracy for evaluation in evaluations])
        costs = cost_matrix(evaluations, self._objectives)
        if not self._params.protected:
            return nsga3(np.column_stack([-accuracy, costs]), places, rng)
        growth = _column([evaluation.growth for evaluation in evaluations])
        return pnsga3(accuracy, growth, costs, places, rng)

    def _warming(self, state: State[G]) -> bool:
        return state.step < self._params.warmup_epochs


def _column(values: Sequence[float | None]) -> Floats:
    """Objective values of feasible candidates; a missing one becomes NaN, which sorting refuses."""
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _trained_genotypes(state: State[G]) -> list[G]:
    """Return the individuals that learn: all that break no limit but one on accuracy, which learning may mend."""
    trained = [one.genotype for one in state.population if one.feasible or one.accuracy is not None]
    # Where new predictions shut out the whole population, its offspring still need weights that are trained.
    return trained or [one.genotype for one in state.population]
