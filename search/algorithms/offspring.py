"""Owns how a generation's offspring are made: by crossover, by mutation, at random, never twice the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic

import numpy as np

from search.space import G, SearchSpace


@dataclass(frozen=True, slots=True)
class OffspringShares:
    """How much of the offspring comes from which operator; the rest is drawn at random.

    Attributes:
        crossover: Share made from two parents, 0 to 1.
        mutation: Share made from one parent, 0 to 1.
        tries: Draws per wanted offspring before its operator gives up; a small space has no more to give.
        tournament: Parents that are drawn for each place, of which the earliest one has it; 1 for any parent alike.
    """

    crossover: float = 0.25
    mutation: float = 0.25
    tries: int = 20
    tournament: int = 1


class Offspring(Generic[G]):
    """Makes offspring of some parents.

    Args:
        space: Its moves are the operators.
        parents: In order of preference; none only where all offspring are drawn at random.
        shares: How many offspring each operator makes.
        avoid: Keys of genotypes that are not wanted either.
    """

    def __init__(
        self, space: SearchSpace[G], parents: Sequence[G], shares: OffspringShares, *, avoid: Iterable[str] = ()
    ) -> None:
        self._space, self._parents, self._shares = space, parents, shares
        self._seen = {parent.key for parent in parents} | set(avoid)

    def make(self, count: int, rng: np.random.Generator) -> list[G]:
        """Return offspring that differ from the parents and from one another by key.

        Args:
            count: How many are wanted.
            rng: Source of all choices.

        Returns:
            `count` offspring, or fewer where the space does not yield more in the allowed number of draws.
        """
        crossed, mutated = round(count * self._shares.crossover), round(count * self._shares.mutation)
        quotas: list[tuple[Callable[[np.random.Generator], G], int]] = [
            (self._cross, crossed),
            (self._mutate, mutated),
            # Last, so that it also fills the places that the others left empty.
            (self._space.sample, count),
        ]
        seen = set(self._seen)
        made: list[G] = []
        for operator, quota in quotas:
            wanted = min(quota, count - len(made))
            for _ in range(wanted * self._shares.tries):
                if wanted == 0:
                    break
                child = operator(rng)
                if child.key not in seen:
                    seen.add(child.key)
                    made.append(child)
                    wanted -= 1
        return made

    def _cross(self, rng: np.random.Generator) -> G:
        first, second = self._pick(rng), self._pick(rng)
        return self._space.crossover(first, second, rng)

    def _mutate(self, rng: np.random.Generator) -> G:
        return self._space.mutate(self._pick(rng), rng)

    def _pick(self, rng: np.random.Generator) -> G:
        return self._parents[int(rng.integers(len(self._parents), size=self._shares.tournament).min())]
