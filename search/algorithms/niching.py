"""Owns niching: which candidates of the last front fill the emptiest directions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from search.algorithms.sorting import Floats, Indices


def perpendicular_distances(points: Floats, directions: Floats) -> Floats:
    """Distance of each point to each line from the origin along a direction.

    Args:
        points: Shape: (n, m).
        directions: Not zero; need not have unit length. Shape: (h, m).

    Returns:
        Distances. Shape: (n, h).
    """
    units = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    along = points @ units.T
    # The residual itself, not sqrt(|x|^2 - along^2): that difference cancels for points near a line.
    residual = points[:, None, :] - along[:, :, None] * units[None, :, :]
    distances: Floats = np.linalg.norm(residual, axis=2)
    return distances


def associate(points: Floats, directions: Floats) -> tuple[Indices, Floats]:
    """Give each point to its nearest direction.

    Args:
        points: Normalised objectives. Shape: (n, m).
        directions: Reference points. Shape: (h, m).

    Returns:
        Index of the direction, and the distance to it, of each point. Shapes: (n,), (n,).

    Source: Deb & Jain 2014, alg. 3.
    """
    distances = perpendicular_distances(points, directions)
    niche = distances.argmin(axis=1)
    return niche, distances[np.arange(len(points)), niche]


def fill_niches(
    counts: NDArray[np.int64], niche: Indices, distance: Floats, places: int, rng: np.random.Generator
) -> Indices:
    """Choose candidates one by one, each time from a direction with the fewest members so far.

    Args:
        counts: Members that each direction has already. Shape: (h,). Not changed.
        niche: Direction of each candidate of the last front. Shape: (n,).
        distance: Its distance to that direction. Shape: (n,).
        places: How many to choose, <= n.
        rng: Breaks ties between directions and, in a direction that has members, between candidates.

    Returns:
        Indices of the chosen candidates in the order of choice. Shape: (places,).

    Source: Deb & Jain 2014, alg. 4.
    """
    counts = counts.copy()
    free = np.ones(len(niche), dtype=bool)
    chosen: list[int] = []
    while len(chosen) < places:
        open_niches = np.unique(niche[free])
        least = open_niches[counts[open_niches] == counts[open_niches].min()]
        target = rng.choice(least)
        members = rng.permutation(np.flatnonzero(free & (niche == target)))
        # An empty direction takes the candidate that represents it best; in others diversity is by chance.
        pick = members[distance[members].argmin()] if counts[target] == 0 else members[0]
        free[pick] = False
        counts[target] += 1
        chosen.append(int(pick))
    return np.array(chosen, dtype=np.intp)
