"""Owns what algorithms have in common that learn first and then search: accuracies that no longer change.

In the warm-up, each step trains one architecture that is drawn uniformly, so that no choice is favoured before any is
judged. After it nothing is learned any more: a candidate is scored once, and its score stays.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from search.algorithms.base import Algorithm, Learning, checked_objectives
from search.bounds import require_at_least
from search.feasibility import Screen
from search.objectives import LATENCY, Objective
from search.space import G, SearchSpace
from search.state import Evaluation, State, rng_state

_ROUNDS = 20
"""Batches of proposals that are looked through for candidates within the constraint before a generation stays small."""


@dataclass(frozen=True, slots=True)
class TrainedFirstParams:
    """Sizes of a search that learns first.

    Attributes:
        population: Candidates that are scored in each generation, >= 2.
        generations: Rounds of proposals, >= 1.
        warmup_epochs: Epochs on uniformly drawn architectures before the first generation, >= 0; 0 where accuracies
            need no shared weights.

    Raises:
        ConfigError: A value is out of its range.
    """

    population: int = 50
    generations: int = 20
    warmup_epochs: int = 120

    def __post_init__(self) -> None:
        require_at_least(self, population=2, generations=1, warmup_epochs=0)


class WarmedUp(Algorithm[G]):
    """A warm-up on uniformly drawn architectures, after which nothing learns.

    Args:
        space: Where candidates come from.
        objectives: What is minimised beside accuracy, at least one.
        warmup_epochs: Steps that only learn, an epoch each.
        generations: Steps after these.
        population_size: Individuals that a search starts with.

    Raises:
        ConfigError: There is no objective, one twice, or accuracy among them.
    """

    def __init__(
        self,
        space: SearchSpace[G],
        objectives: Sequence[Objective],
        *,
        warmup_epochs: int,
        generations: int,
        population_size: int,
    ) -> None:
        self._space, self._objectives = space, checked_objectives(objectives)
        self._warmup_epochs, self._generations, self._population_size = warmup_epochs, generations, population_size

    @property
    def space(self) -> SearchSpace[G]:
        """The space that candidates come from."""
        return self._space

    @property
    @abstractmethod
    def name(self) -> str:
        """Name of the algorithm with its settings."""

    @property
    def identity(self) -> str:
        """Name, settings and objectives in one line."""
        return f"{self.name} for accuracy, {', '.join(one.text for one in self._objectives)}"

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """What is minimised beside accuracy."""
        return self._objectives

    @property
    def steps(self) -> int:
        """Warm-up epochs and generations together."""
        return self._warmup_epochs + self._generations

    @property
    def population_size(self) -> int:
        """Individuals that a search starts with."""
        return self._population_size

    @property
    def needs_growth(self) -> bool:
        """Never: accuracies do not change."""
        return False

    def start(
        self, population: Sequence[Evaluation[G]], reference: Sequence[float], rng: np.random.Generator
    ) -> State[G]:
        """Return the state before the first step."""
        return State(0, tuple(population), rng_state(rng), tuple(reference))

    def learning(self, state: State[G]) -> Learning[G]:
        """One uniform draw a step in the warm-up, nothing afterwards."""
        return Learning(lambda rng: [self._space.sample(rng)], epochs=int(self._warming(state)))

    def _warming(self, state: State[G]) -> bool:
        return state.step < self._warmup_epochs


class TrainedFirst(WarmedUp[G]):
    """The frame: warm-up, scoring of the first individuals, then whatever a subclass proposes and keeps.

    Args:
        space: Where candidates come from.
        params: Sizes of the search.
        objectives: What is minimised beside accuracy, at least one; by default latency on the only device.

    Raises:
        ConfigError: There is no objective, one twice, or accuracy among them.
    """

    def __init__(
        self,
        space: SearchSpace[G],
        params: TrainedFirstParams | None = None,
        objectives: Sequence[Objective] = (LATENCY,),
    ) -> None:
        self._params = sizes = params or TrainedFirstParams()
        super().__init__(
            space,
            objectives,
            warmup_epochs=sizes.warmup_epochs,
            generations=sizes.generations,
            population_size=sizes.population,
        )

    def ask(self, state: State[G], screen: Screen[G]) -> tuple[tuple[G, ...], State[G]]:
        """Return candidates within the constraint that were not scored before; nothing in the warm-up."""
        if self._warming(state):
            return (), state
        if not _scored(state):
            return tuple(one.genotype for one in state.population if one.feasible), state
        rng = state.generator()
        proposed = self._propose(state, screen, rng)
        return tuple(proposed), replace(state, rng=rng_state(rng))

    def tell(self, state: State[G], evaluations: Sequence[Evaluation[G]]) -> State[G]:
        """Keep what a subclass keeps of all that is scored; the rest of the first individuals goes."""
        if self._warming(state):
            return replace(state, step=state.step + 1)
        rng = state.generator()
        scored = [*_scored(state), *(one for one in evaluations if one.accuracy is not None)]
        # Where new predictions shut out all that was scored, it is still what the next candidates are made of.
        kept = self._keep(scored, rng) if scored else state.population
        return replace(state, step=state.step + 1, population=tuple(kept), rng=rng_state(rng))

    @abstractmethod
    def _propose(self, state: State[G], screen: Screen[G], rng: np.random.Generator) -> list[G]:
        """Return at most a population of new candidates that keep to the constraint, with distinct keys."""

    @abstractmethod
    def _keep(self, scored: Sequence[Evaluation[G]], rng: np.random.Generator) -> Sequence[Evaluation[G]]:
        """Return what is worth keeping of all that is scored, in order of preference."""

    def _within(self, make: Callable[[set[str]], Sequence[G]], state: State[G], screen: Screen[G]) -> list[G]:
        """Return the proposals that keep to the constraint, as many as are wanted if a few batches have them.

        Args:
            make: Returns a batch of proposals whose keys are not among those given.
            state: Where the search stands.
            screen: Says what keeps to the constraint.
        """
        seen = {one.genotype.key for one in state.population}
        found: list[G] = []
        for _ in range(_ROUNDS):
            batch = make(seen)
            if not batch:
                break
            seen |= {genotype.key for genotype in batch}
            pairs = zip(batch, screen.violations(batch), strict=True)
            found += [genotype for genotype, violation in pairs if violation == 0]
            if len(found) >= self._params.population:
                break
        return found[: self._params.population]


def _scored(state: State[G]) -> list[Evaluation[G]]:
    return [one for one in state.population if one.accuracy is not None]


def best_first(scored: Sequence[Evaluation[G]]) -> list[Evaluation[G]]:
    """Return what is scored, the most accurate of those within the constraint first.

    Args:
        scored: With an accuracy each.
    """
    return sorted(scored, key=lambda one: (one.violation, -(one.accuracy or 0.0)))
