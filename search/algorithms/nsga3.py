"""Owns NSGA-III survival: whole fronts while they fit, the rest by reference points."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from search.algorithms.niching import associate, fill_niches
from search.algorithms.normalisation import normalise
from search.algorithms.reference import reference_points
from search.algorithms.sorting import Floats, Indices, non_dominated_sort


def nsga3(objectives: Floats, survivors: int, rng: np.random.Generator) -> Indices:
    """Choose who survives by plain NSGA-III.

    Args:
        objectives: To be minimised, finite. Shape: (n, m).
        survivors: How many to keep; all are kept when n is not larger.
        rng: Breaks ties in niching.

    Returns:
        Rows of the survivors, front by front. Shape: (min(n, survivors),).

    Raises:
        ObjectiveError: A value is not finite.

    Source: Deb & Jain 2014, alg. 1.
    """
    return select_by_fronts(objectives, non_dominated_sort(objectives), survivors, rng)


def select_by_fronts(
    objectives: Floats, fronts: Sequence[Indices], survivors: int, rng: np.random.Generator
) -> Indices:
    """Take fronts whole while they fit and fill the remaining places from the next one by niching.

    Args:
        objectives: The space in which directions are counted; minimised. Shape: (n, m).
        fronts: Rows in order of preference; together every row once.
        survivors: How many to keep.
        rng: Breaks ties in niching.

    Returns:
        Rows of the survivors in order of preference. Shape: (min(n, survivors),).
    """
    kept: list[int] = []
    for front in fronts:
        places = survivors - len(kept)
        if len(front) > places:
            if places > 0:
                kept += _fill_up(objectives, fronts[0], np.array(kept, dtype=np.intp), front, places, rng)
            break
        kept += front.tolist()
    return np.array(kept, dtype=np.intp)


def _fill_up(
    objectives: Floats, first: Indices, kept: Indices, last: Indices, places: int, rng: np.random.Generator
) -> list[int]:
    directions = reference_points(objectives.shape[1], len(kept) + places)
    niche, distance = associate(normalise(objectives, first), directions)
    counts = np.bincount(niche[kept], minlength=len(directions))
    return [int(row) for row in last[fill_niches(counts, niche[last], distance[last], places, rng)]]
