"""Owns random search: uniform draws within the constraint, which every cleverer algorithm must beat."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from search.algorithms.offspring import Offspring, OffspringShares
from search.algorithms.trained_first import TrainedFirst, best_first
from search.feasibility import Screen
from search.space import G
from search.state import Evaluation, State

_UNIFORM = OffspringShares(crossover=0.0, mutation=0.0)


class RandomSearch(TrainedFirst[G]):
    """Draws architectures uniformly, drops those that break the constraint, and keeps all that it scored."""

    @property
    def name(self) -> str:
        """With the sizes, which are all its settings."""
        return f"random {self._params}"

    def _propose(self, state: State[G], screen: Screen[G], rng: np.random.Generator) -> list[G]:
        def draw(seen: set[str]) -> list[G]:
            return Offspring(self._space, (), _UNIFORM, avoid=seen).make(self._params.population, rng)

        return self._within(draw, state, screen)

    def _keep(self, scored: Sequence[Evaluation[G]], rng: np.random.Generator) -> list[Evaluation[G]]:
        return best_first(scored)
