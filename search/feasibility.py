"""Owns the search before the search: individuals that keep to the constraint, found by prediction alone.

Nothing is trained before at least one architecture is known to be within budget, so a budget that
nothing can meet is refused in seconds and not after a night.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Generic

import numpy as np

from search.algorithms.offspring import Offspring, OffspringShares
from search.assessment import Assessment, Assessor
from search.constraints import Constraint
from search.errors import InfeasibleError, SearchError
from search.space import G, SearchSpace
from search.state import Evaluation

_DIGITS = 9
"""Decimals of ms that are recorded: a picosecond.  What lies beyond depends on the batch that a predictor
computed it in, and so on whether the search was resumed."""


@dataclass(frozen=True)
class Screen(Generic[G]):
    """Judges architectures before they are trained.

    Attributes:
        space: Where they come from.
        assessor: Predicts their latency and counts their cost.
        constraint: What they must keep to.
    """

    space: SearchSpace[G]
    assessor: Assessor[G]
    constraint: Constraint

    def judge(self, genotypes: Sequence[G]) -> list[Evaluation[G]]:
        """Return what is known of each genotype without training, its violation included."""
        assessments = self.assessor.assess(genotypes)
        return [self._evaluation(*pair) for pair in zip(genotypes, assessments, strict=True)]

    def violations(self, genotypes: Sequence[G]) -> list[float]:
        """Return by how much each genotype breaks the constraint, without lowering where that is not needed."""
        return [self.constraint.violation(assessment) for assessment in self.assessor.assess(genotypes)]

    def _evaluation(self, genotype: G, assessment: Assessment) -> Evaluation[G]:
        prediction = assessment.prediction

        def recorded(value_ms: float) -> float | None:
            return round(float(value_ms), _DIGITS) if prediction.in_domain else None

        return Evaluation(
            genotype,
            self.space.lower(genotype).key,
            latency_ms=recorded(prediction.latency_ms),
            low_ms=recorded(prediction.low_ms),
            high_ms=recorded(prediction.high_ms),
            macs=assessment.macs,
            parameters=assessment.parameters,
            violation=self.constraint.violation(assessment),
        )


def find_feasible(screen: Screen[G], count: int, tries: int, rng: np.random.Generator) -> list[Evaluation[G]]:
    """Find individuals to start from, within the constraint as far as possible.

    The first are drawn uniformly; where too few of those are feasible, further ones are also made from
    the least violating so far.

    Args:
        screen: Judges the architectures.
        count: How many individuals are wanted.
        tries: Most architectures to look at, at least `count`.
        rng: Source of all draws.

    Returns:
        `count` individuals, or all there are in a smaller space; at least one is feasible, and where not
        all are, the others are the least violating ones that were seen.

    Raises:
        InfeasibleError: No architecture that was looked at keeps to the constraint.
        SearchError: The predictor has no evidence on any of them.
    """
    found: dict[str, _Candidate[G]] = {}
    new = _distinct_samples(screen.space, count, rng)
    while new:
        found |= {candidate.genotype.key: candidate for candidate in map(_Candidate, new, screen.violations(new))}
        batch = min(count, tries - len(found))
        if batch <= 0 or sum(candidate.violation <= 0 for candidate in found.values()) >= count:
            break
        parents = [candidate.genotype for candidate in _least_violating(found.values(), count)]
        new = Offspring(screen.space, parents, OffspringShares(), avoid=found.keys()).make(batch, rng)
    chosen = _least_violating(found.values(), count)
    if chosen[0].violation > 0:
        _refuse(screen, chosen[0], len(found))
    return screen.judge([candidate.genotype for candidate in chosen])


@dataclass(frozen=True)
class _Candidate(Generic[G]):
    """A genotype that was looked at, and by how much it breaks the constraint."""

    genotype: G
    violation: float


def _distinct_samples(space: SearchSpace[G], count: int, rng: np.random.Generator) -> list[G]:
    first = space.sample(rng)
    rest = Offspring(space, [first], OffspringShares(crossover=0.0, mutation=0.0)).make(count - 1, rng)
    return [first, *rest]


def _least_violating(found: Iterable[_Candidate[G]], count: int) -> list[_Candidate[G]]:
    return sorted(found, key=lambda candidate: candidate.violation)[:count]


def _refuse(screen: Screen[G], closest: _Candidate[G], tries: int) -> None:
    if not math.isfinite(closest.violation):
        unknown = ", ".join(screen.assessor.unknown(closest.genotype)[:3])
        raise SearchError(
            f"the predictor has no evidence on any of {tries} architectures of this space (such as {unknown}); "
            "profile kernels of this space and fit again"
        )
    gap = screen.constraint.excess(screen.assessor.assess([closest.genotype])[0])
    raise InfeasibleError(
        screen.constraint.description,
        closest=json.dumps(screen.space.encode(closest.genotype)),
        gap=gap,
        unit=screen.constraint.unit,
        tries=tries,
    )
