"""Owns the reference points of NSGA-III: directions spread evenly over the unit simplex."""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import NDArray


def das_dennis(objectives: int, partitions: int) -> NDArray[np.float64]:
    """Lay a regular grid on the unit simplex.

    Args:
        objectives: Number of axes m, >= 1.
        partitions: Steps p along each axis, >= 1.

    Returns:
        Points whose coordinates are multiples of 1/p and sum to 1, in lexicographic order.
        Shape: (comb(p + m - 1, m - 1), m).

    Source: Das & Dennis 1998, sec. 4. Each point is a choice of m - 1 bars among p + m - 1 places;
    the gaps between the bars are its coordinates.

    Example:
        >>> das_dennis(2, 2).tolist()
        [[0.0, 1.0], [0.5, 0.5], [1.0, 0.0]]
    """
    places = partitions + objectives - 1
    edges = np.array([(-1, *bars, places) for bars in combinations(range(places), objectives - 1)])
    points: NDArray[np.float64] = (np.diff(edges, axis=1) - 1) / partitions
    return points


def reference_points(objectives: int, most: int) -> NDArray[np.float64]:
    """Return the finest grid with at most as many points as there are places to fill.

    Args:
        objectives: Number of axes m, >= 1.
        most: Number of survivors; the coarsest grid (the m corners) is returned when it is below m.

    Returns:
        Reference points. Shape: (h, m), h <= max(most, m).

    Source: Deb & Jain 2014, sec. IV-A: the population is about as large as the set of points.
    """
    partitions = 1
    while objectives > 1 and comb(partitions + objectives, objectives - 1) <= most:
        partitions += 1
    return das_dennis(objectives, partitions)
