"""Owns which genotypes a step chooses from, and what is known of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Generic

import numpy as np
import numpy.typing as npt

from search.algorithms.offspring import Offspring, OffspringShares
from search.feasibility import Screen
from search.objectives import Objective, cost_matrix
from search.space import G, SearchSpace
from search.state import Evaluation

Floats = npt.NDArray[np.float64]

_DRAWS_PER_GENOTYPE = 12
"""Uniform draws for each genotype of a space that is listed whole: all but 1 in 160,000 come up."""

_FEWEST_DRAWS = 256
_PAPER_SHARE = 0.1
"""How much of the inputs' variance each cost on paper is, beside the space's features."""


@dataclass(frozen=True, eq=False)
class Pool(Generic[G]):
    """Genotypes that keep to the constraint, as far as that is known before they are scored.

    Attributes:
        space: Where they are from.
        objectives: What is minimised beside accuracy.
        members: What is known of them; their keys differ.
    """

    space: SearchSpace[G]
    objectives: Sequence[Objective]
    members: Sequence[Evaluation[G]]

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """Keys of the members."""
        return tuple(member.genotype.key for member in self.members)

    @cached_property
    def costs(self) -> Floats:
        """What they cost. Shape: (members, objectives)."""
        return cost_matrix(self.members, self.objectives)

    @cached_property
    def inputs(self) -> Floats:
        """What accuracy is learned from: features, and costs on paper. Shape: (members, columns)."""
        return self.inputs_of(self.members)

    def inputs_of(self, evaluations: Sequence[Evaluation[G]]) -> Floats:
        """Return the same inputs of other candidates, on the members' scale.

        Columns of features keep their scale to one another, which is the space's word on how much a choice matters;
        a typical member is at a distance of 1 from the mean.
        """
        features, paper = self._raw(evaluations)
        return np.hstack([(features - self._centre) / self._scale, (paper - self._paper[0]) / self._paper[1]])

    @cached_property
    def _own(self) -> tuple[Floats, Floats]:
        return self._raw(self.members)

    @cached_property
    def _centre(self) -> Floats:
        return np.asarray(self._own[0].mean(axis=0))

    @cached_property
    def _scale(self) -> float:
        return float(np.sqrt(self._own[0].var(axis=0).sum())) or 1.0

    @cached_property
    def _paper(self) -> tuple[Floats, Floats]:
        deviation = self._own[1].std(axis=0)
        return self._own[1].mean(axis=0), np.where(deviation > 0, deviation / np.sqrt(_PAPER_SHARE), 1.0)

    def _raw(self, evaluations: Sequence[Evaluation[G]]) -> tuple[Floats, Floats]:
        features = self.space.features([evaluation.genotype for evaluation in evaluations])
        paper = [(evaluation.assessment.macs, evaluation.assessment.parameters) for evaluation in evaluations]
        return features, np.log1p(np.array(paper, dtype=np.float64).reshape(len(evaluations), 2))


def listed(space: SearchSpace[G]) -> tuple[G, ...]:
    """Return the genotypes of a small space, each key once, always in the same order."""
    rng = np.random.default_rng(0)
    draws = _DRAWS_PER_GENOTYPE * space.size + _FEWEST_DRAWS
    different = {genotype.key: genotype for genotype in (space.sample(rng) for _ in range(draws))}
    return tuple(different.values())


def drawn(space: SearchSpace[G], parents: Sequence[G], count: int, rng: np.random.Generator) -> tuple[G, ...]:
    """Return genotypes of a large space: a quarter crossed and a quarter mutated from parents, the others uniform.

    Args:
        space: The space.
        parents: At least one; they are not among what is returned.
        count: How many are wanted; there are fewer where the space does not yield them.
        rng: Source of all draws.
    """
    return tuple(Offspring(space, parents, OffspringShares()).make(count, rng))


def judged(
    space: SearchSpace[G], objectives: Sequence[Objective], screen: Screen[G], genotypes: Sequence[G]
) -> Pool[G]:
    """Return the pool of those genotypes that keep to the constraint."""
    return Pool(space, objectives, [member for member in screen.judge(genotypes) if member.feasible])
