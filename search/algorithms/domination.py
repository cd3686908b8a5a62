"""Owns constrained domination: what keeps the constraints comes before what breaks them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from search.algorithms.sorting import Floats, Indices
from search.errors import ObjectiveError


def feasible_first(violation: Floats, survivors: int, select_feasible: Callable[[Indices, int], Indices]) -> Indices:
    """Choose survivors under constrained domination.

    A feasible candidate beats every infeasible one, two infeasible ones are ordered by their violation
    alone, and among feasible ones the given selection decides.

    Args:
        violation: 0 where all constraints hold, else how far they are broken; inf is the worst. Shape: (n,).
        survivors: How many to keep.
        select_feasible: Chooses among feasible rows: (rows, places) -> the chosen rows. Called only when
            there are more of them than places, or to put them in order.

    Returns:
        Rows of the survivors, the feasible ones first. Shape: (min(n, survivors),).

    Raises:
        ObjectiveError: A violation is NaN or negative.

    Source: Deb et al. 2002, sec. VI; Jain & Deb 2014, alg. 2.
    """
    if np.isnan(violation).any() or (violation < 0).any():
        row = int(np.flatnonzero(~(violation >= 0))[0])
        raise ObjectiveError(f"violation of candidate {row} is {violation[row]}; it must be >= 0", candidate=row)
    feasible = np.flatnonzero(violation == 0)
    kept = select_feasible(feasible, survivors) if len(feasible) else feasible
    infeasible = np.flatnonzero(violation > 0)
    worst_last = infeasible[np.argsort(violation[infeasible], kind="stable")]
    return np.concatenate([kept, worst_last[: survivors - len(kept)]]).astype(np.intp)
