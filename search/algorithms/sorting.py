"""Owns non-dominated sorting: which points no other point beats, and in what order of fronts.

All objectives are minimised here; a caller that wants more of something passes its negative.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from search.errors import ObjectiveError

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]


def require_finite(objectives: Floats) -> Floats:
    """Return the objectives as a float matrix, refusing what cannot be compared.

    A NaN is neither better nor worse than anything, so it would sit in the first front for ever.

    Args:
        objectives: One row a candidate. Shape: (n, m).

    Raises:
        ObjectiveError: The shape is not (n, m >= 1), or a value is NaN or infinite.
    """
    matrix = np.asarray(objectives, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[1] == 0:
        raise ObjectiveError(f"objectives must have the shape (candidates, objectives), not {matrix.shape}")
    wrong = np.argwhere(~np.isfinite(matrix))
    if len(wrong):
        row, column = (int(index) for index in wrong[0])
        raise ObjectiveError(
            f"objective {column} of candidate {row} is {matrix[row, column]}; only finite numbers can be compared",
            candidate=row,
        )
    return matrix


def domination_matrix(objectives: Floats) -> NDArray[np.bool_]:
    """Tell for each pair whether the first dominates the second: nowhere worse and somewhere better.

    Args:
        objectives: To be minimised. Shape: (n, m).

    Returns:
        Entry (i, j) is True where i dominates j. Shape: (n, n).
    """
    nowhere_worse = np.ones((len(objectives), len(objectives)), dtype=np.bool_)
    # One objective at a time: a reduction along an axis as short as that of objectives takes ten times as long.
    for column in objectives.T:
        nowhere_worse &= column[:, None] <= column[None, :]
    # Of two rows that are nowhere worse than each other both are the same, and neither is better.
    matrix: NDArray[np.bool_] = nowhere_worse & ~nowhere_worse.T
    return matrix


def non_dominated_sort(objectives: Floats) -> tuple[Indices, ...]:
    """Split candidates into fronts; each is dominated only by members of the fronts before it.

    Args:
        objectives: To be minimised, finite. Shape: (n, m).

    Returns:
        The fronts, best first, as ascending row indices; together every row exactly once.

    Raises:
        ObjectiveError: A value is not finite.

    Source: Deb et al. 2002 (NSGA-II), sec. III-A, with the pairwise comparisons as one array operation.

    Example:
        >>> [front.tolist() for front in non_dominated_sort(np.array([[1.0, 2.0], [2.0, 1.0], [2.0, 2.0]]))]
        [[0, 1], [2]]
    """
    dominates = domination_matrix(require_finite(objectives))
    dominators = dominates.sum(axis=0)
    placed = np.zeros(len(dominators), dtype=bool)
    fronts: list[Indices] = []
    while not placed.all():
        front = np.flatnonzero(~placed & (dominators == 0))
        placed[front] = True
        dominators = dominators - dominates[front].sum(axis=0)
        fronts.append(front)
    return tuple(fronts)
