"""Owns the Pareto front in accuracy and what it costs: who is on it, how good it is, whom to pick from it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic

import numpy as np

from search.algorithms.sorting import Floats, Indices, non_dominated_sort
from search.assessment import Assessment, LatencyInterval
from search.objectives import LATENCY, Objective, cost_matrix
from search.space import G


@dataclass(frozen=True, slots=True)
class FrontMember(Generic[G]):
    """A feasible architecture at the end of a search.

    Attributes:
        genotype: The architecture.
        network_key: Content key of the network that it lowers to.
        accuracy: Validation accuracy under shared weights, 0 to 1: it ranks, it does not promise.
        assessment: Predicted latencies with their intervals, and what it costs on paper.
    """

    genotype: G
    network_key: str
    accuracy: float
    assessment: Assessment

    @property
    def macs(self) -> int:
        """Multiply-accumulate operations of one run."""
        return self.assessment.macs

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return self.assessment.parameters

    def latency(self, device: str | None = None) -> LatencyInterval:
        """Return the predicted latency on a device; None for the only one."""
        return self.assessment.latency(device)

    def value(self, objective: Objective) -> float:
        """Return what an objective is, in the unit of its name."""
        return self.accuracy if objective.quantity == "accuracy" else self.assessment.value(objective)


def pareto_rows(accuracy: Floats, costs: Floats) -> Indices:
    """Return the rows that no other row dominates, the cheapest first: by the first cost, then by the next.

    Args:
        accuracy: More is better, finite. Shape: (n,).
        costs: Less is better, finite. Shape: (n, m).

    Raises:
        ObjectiveError: A value is not finite.
    """
    if len(accuracy) == 0:
        return np.zeros(0, dtype=np.intp)
    front = non_dominated_sort(np.column_stack([-accuracy, costs]))[0]
    return front[np.lexsort((-accuracy[front], *costs[front].T[::-1]))]


def hypervolume(accuracy: Floats, costs: Floats, reference: Sequence[float]) -> float:
    """Return which share of the box (accuracy 0..1, each cost 0..reference) the points dominate.

    Args:
        accuracy: 0 to 1. Shape: (n,).
        costs: >= 0; a point at or beyond a reference adds nothing. Shape: (n, m).
        reference: Where the box ends in each cost, > 0. Length m.

    Returns:
        A share, 0 to 1.

    Example:
        >>> hypervolume(np.array([0.5]), np.array([[1.0]]), reference=[2.0])
        0.25
    """
    from pymoo.indicators.hv import HV

    inside = (costs < np.asarray(reference)).all(axis=1)
    if not inside.any():
        return 0.0
    points = np.column_stack([1.0 - accuracy[inside], costs[inside] / np.asarray(reference)])
    return float(HV(ref_point=np.ones(points.shape[1]))(points))


@dataclass(frozen=True, slots=True)
class ParetoFront(Generic[G]):
    """Architectures none of which beats another in accuracy and all objectives, cheapest first; `of` makes one.

    Attributes:
        members: In ascending order of the first objective; with a single one, and so of accuracy.
        objectives: What is minimised beside accuracy.
    """

    members: tuple[FrontMember[G], ...]
    objectives: tuple[Objective, ...]

    @classmethod
    def of(cls, candidates: Iterable[FrontMember[G]], objectives: Sequence[Objective] = (LATENCY,)) -> ParetoFront[G]:
        """Keep the candidates that no other dominates, one for each different network."""
        pool = tuple(candidates)
        rows = pareto_rows(np.array([member.accuracy for member in pool]), cost_matrix(pool, objectives))
        different = {pool[row].network_key: pool[row] for row in reversed(rows.tolist())}
        return cls(tuple(reversed(different.values())), tuple(objectives))

    @property
    def best(self) -> FrontMember[G]:
        """The most accurate member."""
        return max(self.members, key=lambda member: member.accuracy)

    def hypervolume(self, reference: Sequence[float]) -> float:
        """Return the share of the box (accuracy 0..1, each objective 0..reference) that the front dominates."""
        accuracy = np.array([member.accuracy for member in self.members])
        return hypervolume(accuracy, cost_matrix(self.members, self.objectives), reference)

    def __iter__(self) -> Iterator[FrontMember[G]]:
        return iter(self.members)

    def __len__(self) -> int:
        return len(self.members)


def spread(
    members: Sequence[FrontMember[G]], count: int, objectives: Sequence[Objective] = (LATENCY,)
) -> list[FrontMember[G]]:
    """Pick members that lie far apart, the most accurate one first.

    Args:
        members: To pick from.
        count: How many to pick; all when there are not more.
        objectives: What they shall lie apart in, beside accuracy.

    Returns:
        The picked members in order of choice: each is the one farthest from all picked before it, in
        accuracy and objectives scaled to their ranges.
    """
    if len(members) == 0 or count < 1:
        return []
    accuracy = np.array([member.accuracy for member in members])
    points = np.column_stack([accuracy, cost_matrix(members, objectives)])
    span = np.ptp(points, axis=0)
    scaled = (points - points.min(axis=0)) / np.where(span > 0, span, 1.0)
    picked = [int(np.lexsort((*points.T[:0:-1], -points[:, 0]))[0])]
    nearest = np.linalg.norm(scaled - scaled[picked[0]], axis=1)
    nearest[picked[0]] = -1.0
    while len(picked) < min(count, len(members)):
        farthest = int(nearest.argmax())
        picked.append(farthest)
        nearest = np.minimum(nearest, np.linalg.norm(scaled - scaled[farthest], axis=1))
        nearest[picked] = -1.0
    return [members[row] for row in picked]
