"""What a candidate is expected to improve, given a belief in its accuracy and its known costs.

A candidate of costs c and accuracy a raises the best accuracy within a budget b from f(b) to max(f(b), a) wherever
c <= b, and nowhere else. The hypervolume it adds is that gain over all budgets of the box; that of a list of budgets
is the mean over these. So all that is ever needed is E[(a - f)+] for a handful of accuracies f, weighted by how many
of the budgets with this f a candidate keeps to. As the error 1 - a is log-normal, each is in closed form, and with one
cost the whole expected hypervolume improvement is exact; with more, the integral over budgets is a mean over draws.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from search.algorithms.bayes._error_model import Belief

Floats = npt.NDArray[np.float64]

_NOTHING_FOUND = 1.0
"""Error where nothing that was scored keeps to a budget: that of accuracy 0."""


def expected_gain(belief: Belief, errors: Floats) -> Floats:
    """Return E[(error - e)+] of log-normal e: how much accuracy is gained over a known error, on average.

    Args:
        belief: Of log e. Shape: (m,).
        errors: Known errors, > 0. Shape: (m,) or (m, k) or whatever goes with m rows.

    Returns:
        Shape of the errors.
    """
    from scipy.special import ndtr

    shape = (-1,) + (1,) * (errors.ndim - 1)
    mean, sd = belief.mean.reshape(shape), belief.sd.reshape(shape)
    distance = (np.log(errors) - mean) / sd
    expected = np.exp(mean + sd**2 / 2.0)
    return np.asarray(np.maximum(errors * ndtr(distance) - expected * ndtr(distance - sd), 0.0))


def hypervolume_gain(belief: Belief, costs: Floats, front: Front, reference: float) -> Floats:
    """Return the expected hypervolume improvement of candidates with one cost; exact.

    Args:
        belief: Of their log errors. Shape: (m,).
        costs: Shape: (m,).
        front: What was found so far.
        reference: Where the box of costs ends.

    Returns:
        In accuracy times cost. Shape: (m,). 0 beyond the reference.
    """
    gain = np.zeros(len(costs))
    ends = np.append(front.costs, reference)
    starts = np.append(-np.inf, front.costs)
    for start, end, error in zip(starts, ends, np.append(_NOTHING_FOUND, front.errors), strict=True):
        within = costs < min(end, reference)
        if within.any():
            width = min(end, reference) - np.maximum(costs[within], start)
            rows = Belief(belief.mean[within], belief.sd[within])
            gain[within] += width * expected_gain(rows, np.full(len(width), error))
    return gain


def budgets_gain(belief: Belief, costs: Floats, found_costs: Floats, found_errors: Floats, budgets: Floats) -> Floats:
    """Return the expected gain in the best accuracy within budgets, as a mean over the budgets.

    Args:
        belief: Of the candidates' log errors. Shape: (m,).
        costs: Their costs. Shape: (m, d).
        found_costs: Costs of what was scored. Shape: (n, d).
        found_errors: Its errors. Shape: (n,).
        budgets: One a row. Shape: (k, d), k >= 1.

    Returns:
        In accuracy. Shape: (m,).
    """
    gain = np.zeros(len(costs))
    for budget in budgets:
        kept = (found_costs <= budget).all(axis=1)
        error = found_errors[kept].min(initial=_NOTHING_FOUND)
        within = (costs <= budget).all(axis=1)
        rows = Belief(belief.mean[within], belief.sd[within])
        gain[within] += expected_gain(rows, np.full(int(within.sum()), error))
    return gain / len(budgets)


class Front:
    """The non-dominated among points of one cost and an error: costs rise and errors fall.

    Args:
        costs: Shape: (n,), n >= 0.
        errors: Shape: (n,).
    """

    def __init__(self, costs: Floats | Sequence[float], errors: Floats | Sequence[float]) -> None:
        all_costs, all_errors = np.asarray(costs, dtype=np.float64), np.asarray(errors, dtype=np.float64)
        order = np.lexsort((all_errors, all_costs))
        least = np.minimum.accumulate(all_errors[order])
        better = np.append(True, least[1:] < least[:-1])[: len(order)]
        self.costs: npt.NDArray[np.float64] = all_costs[order][better]
        self.errors: npt.NDArray[np.float64] = least[better]
