"""Owns the Pareto front in (accuracy, latency): who is on it, how good it is, whom to pick from it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic

import numpy as np

from search.algorithms.sorting import Floats, Indices, non_dominated_sort
from search.space import G

if TYPE_CHECKING:
    from search.assessment import PredictedLatency


@dataclass(frozen=True, slots=True)
class FrontMember(Generic[G]):
    """A feasible architecture at the end of a search.

    Attributes:
        genotype: The architecture.
        network_key: Content key of the network that it lowers to.
        accuracy: Validation accuracy under shared weights, 0 to 1: it ranks, it does not promise.
        prediction: Predicted latency with its interval.
        macs: Multiply-accumulate operations of one run.
        parameters: Number of weights.
    """

    genotype: G
    network_key: str
    accuracy: float
    prediction: PredictedLatency
    macs: int
    parameters: int


def pareto_rows(accuracy: Floats, latency_ms: Floats) -> Indices:
    """Return the rows that no other row dominates, fastest first.

    Args:
        accuracy: More is better, finite. Shape: (n,).
        latency_ms: Less is better, finite. Shape: (n,).

    Raises:
        ObjectiveError: A value is not finite.
    """
    if len(accuracy) == 0:
        return np.zeros(0, dtype=np.intp)
    front = non_dominated_sort(np.column_stack([-accuracy, latency_ms]))[0]
    return front[np.lexsort((-accuracy[front], latency_ms[front]))]


def hypervolume(accuracy: Floats, latency_ms: Floats, reference_ms: float) -> float:
    """Return which share of the box (accuracy 0..1, latency 0..reference) the points dominate.

    Args:
        accuracy: 0 to 1. Shape: (n,).
        latency_ms: In ms, >= 0; a point at or beyond the reference adds nothing. Shape: (n,).
        reference_ms: Where the box ends, in ms, > 0.

    Returns:
        A share, 0 to 1.

    Example:
        >>> hypervolume(np.array([0.5]), np.array([1.0]), reference_ms=2.0)
        0.25
    """
    from pymoo.indicators.hv import HV

    inside = latency_ms < reference_ms
    if not inside.any():
        return 0.0
    points = np.column_stack([1.0 - accuracy[inside], latency_ms[inside] / reference_ms])
    return float(HV(ref_point=np.ones(2))(points))


@dataclass(frozen=True, slots=True)
class ParetoFront(Generic[G]):
    """Architectures none of which beats another, fastest first; `of` makes one.

    Attributes:
        members: In ascending order of predicted latency, and so of accuracy.
    """

    members: tuple[FrontMember[G], ...]

    @classmethod
    def of(cls, candidates: Iterable[FrontMember[G]]) -> ParetoFront[G]:
        """Keep the candidates that no other dominates, one for each different network."""
        pool = tuple(candidates)
        rows = pareto_rows(
            np.array([member.accuracy for member in pool]),
            np.array([member.prediction.latency_ms for member in pool]),
        )
        different = {pool[row].network_key: pool[row] for row in reversed(rows.tolist())}
        return cls(tuple(reversed(different.values())))

    @property
    def best(self) -> FrontMember[G]:
        """The most accurate member."""
        return max(self.members, key=lambda member: member.accuracy)

    def hypervolume(self, reference_ms: float) -> float:
        """Return the share of the box (accuracy 0..1, latency 0..reference_ms) that the front dominates."""
        return hypervolume(
            np.array([member.accuracy for member in self.members]),
            np.array([member.prediction.latency_ms for member in self.members]),
            reference_ms,
        )

    def __iter__(self) -> Iterator[FrontMember[G]]:
        return iter(self.members)

    def __len__(self) -> int:
        return len(self.members)


def spread(members: Sequence[FrontMember[G]], count: int) -> list[FrontMember[G]]:
    """Pick members that lie far apart, the most accurate one first.

    Args:
        members: To pick from.
        count: How many to pick; all when there are not more.

    Returns:
        The picked members in order of choice: each is the one farthest from all picked before it, in
        accuracy and latency scaled to their ranges.
    """
    points = np.array([[member.accuracy, member.prediction.latency_ms] for member in members]).reshape(-1, 2)
    if len(points) == 0 or count < 1:
        return []
    span = np.ptp(points, axis=0)
    scaled = (points - points.min(axis=0)) / np.where(span > 0, span, 1.0)
    picked = [int(np.lexsort((points[:, 1], -points[:, 0]))[0])]
    nearest = np.linalg.norm(scaled - scaled[picked[0]], axis=1)
    nearest[picked[0]] = -1.0
    while len(picked) < min(count, len(members)):
        farthest = int(nearest.argmax())
        picked.append(farthest)
        nearest = np.minimum(nearest, np.linalg.norm(scaled - scaled[farthest], axis=1))
        nearest[picked] = -1.0
    return [members[row] for row in picked]
