"""Offspring: shares of the operators, no doubles, and an end where a space has no more to give."""

from __future__ import annotations

import numpy as np
import pytest

from search.algorithms.offspring import Offspring, OffspringShares
from tests.search._toy import ToyGenotype, ToySpace


class Counting(ToySpace):
    """Counts the calls of each move."""

    def __init__(self, choices: int = 8) -> None:
        super().__init__(choices)
        self.calls = {"sample": 0, "mutate": 0, "crossover": 0}

    def sample(self, rng: np.random.Generator) -> ToyGenotype:
        self.calls["sample"] += 1
        return super().sample(rng)

    def mutate(self, genotype: ToyGenotype, rng: np.random.Generator) -> ToyGenotype:
        self.calls["mutate"] += 1
        return genotype if self.choices == 1 else ToySpace.crossover(self, genotype, ToySpace.sample(self, rng), rng)

    def crossover(self, first: ToyGenotype, second: ToyGenotype, rng: np.random.Generator) -> ToyGenotype:
        self.calls["crossover"] += 1
        return super().crossover(first, second, rng)


def parents(space: ToySpace, count: int = 40) -> list[ToyGenotype]:
    rng = np.random.default_rng(99)
    return [ToySpace.sample(space, rng) for _ in range(count)]


@pytest.mark.parametrize("seed", range(5))
def test_offspring_are_new_and_distinct(seed: int) -> None:
    space = ToySpace(4)
    made = Offspring(space, parents(space), OffspringShares()).make(60, np.random.default_rng(seed))
    keys = {genotype.key for genotype in made}
    assert len(made) == len(keys) == 60
    assert not keys & {parent.key for parent in parents(space)}


def test_a_quarter_is_crossed_a_quarter_mutated_the_rest_drawn() -> None:
    space = Counting()
    Offspring(space, parents(space), OffspringShares()).make(40, np.random.default_rng(0))
    # A double is drawn again, so each may be called a few times more than it has places.
    assert 10 <= space.calls["crossover"] <= 14
    assert 10 <= space.calls["mutate"] <= 14
    assert 20 <= space.calls["sample"] <= 24


def test_avoided_genotypes_are_not_made() -> None:
    space = ToySpace(2)
    every = {ToyGenotype(tuple(int(bit) for bit in f"{number:05b}")).key for number in range(32)}
    wanted = "01101"
    made = Offspring(space, parents(space, 1), OffspringShares(tries=2000), avoid=every - {wanted}).make(
        3, np.random.default_rng(0)
    )
    assert [genotype.key for genotype in made] == [wanted]


def test_a_space_with_one_genotype_ends() -> None:
    space = Counting(choices=1)
    assert Offspring(space, parents(space, 1), OffspringShares(tries=5)).make(8, np.random.default_rng(0)) == []
    assert space.calls["sample"] == 8 * 5


def test_same_seed_same_offspring() -> None:
    space = ToySpace()
    makes = [Offspring(space, parents(space), OffspringShares()).make(20, np.random.default_rng(4)) for _ in range(2)]
    assert makes[0] == makes[1]
