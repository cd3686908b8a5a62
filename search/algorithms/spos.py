"""Owns Single Path One-Shot: weights trained on uniform single paths, then an evolution under the constraint.

Source: Guo et al. 2020, "Single Path One-Shot Neural Architecture Search with Uniform Sampling", sec. 3 and alg. 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from profiler.errors import ConfigError
from search.algorithms.offspring import Offspring, OffspringShares
from search.algorithms.trained_first import TrainedFirst, TrainedFirstParams, best_first
from search.bounds import require_at_least
from search.feasibility import Screen
from search.objectives import LATENCY, Objective
from search.space import G, SearchSpace
from search.state import Evaluation, State


@dataclass(frozen=True, slots=True)
class SposParams(TrainedFirstParams):
    """Settings of Single Path One-Shot; the defaults are the paper's, whose supernet learns 120 epochs.

    How much a mutation changes is the space's own affair (the paper's 0.1 of the choices in its own space).

    Attributes:
        top: The most accurate that offspring are made of, >= 1.
        crossover: Share of a generation made from two of these, 0 to 1.
        mutation: Share made from one; what is left of a generation is drawn at random.

    Raises:
        ConfigError: A value is out of its range.
    """

    top: int = 10
    crossover: float = 0.5
    mutation: float = 0.5

    def __post_init__(self) -> None:
        # A dataclass with slots is a new class, in which super() without arguments finds no parent.
        super(SposParams, self).__post_init__()
        require_at_least(self, top=1)
        if not (self.crossover >= 0 and self.mutation >= 0 and self.crossover + self.mutation <= 1):
            raise ConfigError("crossover and mutation are shares: neither below 0, together at most 1", key="mutation")


class Spos(TrainedFirst[G]):
    """Single Path One-Shot over any search space.

    Unlike the paper's, which looks for one network at one limit, it keeps all that it scored, so that what it found at
    lower latencies is on the front, too.

    Args:
        space: Where candidates come from.
        params: Its settings.
        objectives: What makes the front beside accuracy; the evolution itself goes by accuracy alone.
    """

    def __init__(
        self, space: SearchSpace[G], params: SposParams | None = None, objectives: Sequence[Objective] = (LATENCY,)
    ) -> None:
        self._settings = params or SposParams()
        super().__init__(space, self._settings, objectives)

    @property
    def name(self) -> str:
        """With its settings."""
        return f"spos {self._params}"

    def _propose(self, state: State[G], screen: Screen[G], rng: np.random.Generator) -> list[G]:
        settings = self._settings
        top = [one.genotype for one in state.population[: settings.top]]
        shares = OffspringShares(settings.crossover, settings.mutation)

        def breed(seen: set[str]) -> list[G]:
            return Offspring(self._space, top, shares, avoid=seen).make(settings.population, rng)

        return self._within(breed, state, screen)

    def _keep(self, scored: Sequence[Evaluation[G]], rng: np.random.Generator) -> list[Evaluation[G]]:
        return best_first(scored)
