"""Owns the search before the search: individuals that keep to the constraint, found by prediction alone.

Nothing is trained before at least one architecture is known to be within budget, so a budget that
nothing can meet is refused in seconds and not after a night.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, NoReturn

import numpy as np

from search.algorithms.offspring import Offspring, OffspringShares
from search.assessment import Assessor
from search.constraints import Constraint
from search.errors import InfeasibleError, SearchError
from search.space import G, SearchSpace
from search.state import Evaluation


@dataclass(frozen=True)
class Screen(Generic[G]):
    """Judges architectures by what is known before they are trained, and again once they are scored.

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
        return [
            Evaluation(genotype, assessment, self.constraint.violation(assessment))
            for genotype, assessment in zip(genotypes, self.assessor.assess(genotypes), strict=True)
        ]

    def score(self, judged: Evaluation[G], accuracy: float, growth: float | None) -> Evaluation[G]:
        """Return what is known of a candidate once its accuracy is, on which there may be a limit, too."""
        violation = self.constraint.violation(judged.assessment, accuracy)
        return replace(judged, violation=violation, accuracy=accuracy, growth=growth)

    def judge_again(self, evaluations: Sequence[Evaluation[G]]) -> list[Evaluation[G]]:
        """Return what is known of candidates that other predictors judged; what is over the limit loses its score."""
        judged = self.judge([evaluation.genotype for evaluation in evaluations])
        return [
            new if old.accuracy is None or not new.feasible else self.score(new, old.accuracy, old.growth)
            for old, new in zip(evaluations, judged, strict=True)
        ]

    def violations(self, genotypes: Sequence[G]) -> list[float]:
        """Return by how much each genotype breaks the constraint before it is scored."""
        return [self.constraint.violation(assessment) for assessment in self.assessor.assess(genotypes)]

    def refuse(self, closest: Evaluation[G], tries: int) -> NoReturn:
        """Raise that nothing keeps to the constraint.

        Args:
            closest: What breaks it least.
            tries: How many different architectures were looked at.

        Raises:
            InfeasibleError: Always, but
            SearchError: where a predictor has no evidence even on the closest.
        """
        if not closest.assessment.in_domain:
            unknown = ", ".join(self.assessor.unknown(closest.genotype)[:3])
            raise SearchError(
                f"the predictor has no evidence on any of {tries} architectures of this space (such as {unknown}); "
                "profile kernels of this space and fit again"
            )
        gap = self.constraint.gap(closest.assessment, closest.accuracy)
        encoded = json.dumps(self.space.encode(closest.genotype))
        raise InfeasibleError(
            self.constraint.description,
            closest=encoded,
            gap=gap.amount,
            unit=gap.unit,
            tries=tries,
            limit=gap.limit,
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
        screen.refuse(screen.judge([chosen[0].genotype])[0], len(found))
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
