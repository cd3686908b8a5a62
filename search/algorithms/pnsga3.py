"""Owns pNSGA-III: NSGA-III that protects what is still learning from what learned fast.

Under shared weights small networks are accurate first.  A sort on (accuracy, cost) alone therefore drops
large networks before they are trained: the small model trap.  pNSGA-III sorts a second time on how fast
accuracy grows, and takes the two series of fronts together, level by level.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from search.algorithms.nsga3 import select_by_fronts
from search.algorithms.sorting import Floats, Indices, non_dominated_sort


def pnsga3(accuracy: Floats, growth: Floats, costs: Floats, survivors: int, rng: np.random.Generator) -> Indices:
    """Choose who survives, protecting candidates whose accuracy grows fast for their cost.

    Args:
        accuracy: Accuracy under the present shared weights, more is better. Shape: (n,).
        growth: Accuracy under the present weights minus accuracy under those of the generation before.
            Shape: (n,).
        costs: What shall be small, such as latency in ms. Shape: (n, c), c >= 1.
        survivors: How many to keep; all are kept when n is not larger.
        rng: Breaks ties in niching.

    Returns:
        Rows of the survivors in order of preference. Shape: (min(n, survivors),).

    Raises:
        ObjectiveError: A value is not finite.

    Source: Yang et al. 2020 (CARS), sec. 3.3. The paper leaves open in which space the last, partial front
    is spread; ours has all objectives of both sorts: (accuracy, growth, costs).
    """
    by_accuracy = non_dominated_sort(np.column_stack([-accuracy, costs]))
    by_growth = non_dominated_sort(np.column_stack([-growth, costs]))
    objectives = np.column_stack([-accuracy, -growth, costs])
    return select_by_fronts(objectives, unite_fronts(by_accuracy, by_growth), survivors, rng)


def unite_fronts(first: Sequence[Indices], second: Sequence[Indices]) -> tuple[Indices, ...]:
    """Merge two sorts of the same rows level by level; each row appears at its better level.

    Args:
        first: Fronts of one sort, best first.
        second: Fronts of the other sort of the same rows.

    Returns:
        United fronts as ascending rows; a level whose rows all came earlier is left out.

    Example:
        >>> unite_fronts([np.array([0]), np.array([1, 2])], [np.array([2]), np.array([0, 1])])[0].tolist()
        [0, 2]
    """
    united: list[Indices] = []
    taken: set[int] = set()
    for level in range(max(len(first), len(second))):
        rows = {int(row) for fronts in (first, second) if level < len(fronts) for row in fronts[level]} - taken
        taken |= rows
        if rows:
            united.append(np.array(sorted(rows), dtype=np.intp))
    return tuple(united)
