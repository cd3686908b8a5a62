"""The physical base: latency as a sum of amounts of work, each with a cost that is never negative."""

from __future__ import annotations

import numpy as np

from predictor._features import TERMS, FloatArray

_SHRINKAGE = 1e-3
"""Weight of the pull towards small costs, relative to each term's share; it settles collinear terms."""

_FLOOR_SHARE = 0.1
"""No prediction falls below this share of the cheapest row: work never costs nothing."""


def fit_costs(work: FloatArray, latency_ms: FloatArray) -> FloatArray:
    """Fit the cost of each term by non-negative least squares on relative errors.

    Args:
        work: Terms of the rows. Shape: (n, len(TERMS)), n >= 1.
        latency_ms: Their latencies, all > 0. Shape: (n,).

    Returns:
        Costs in ms a unit of each term, then the floor in ms. Shape: (len(TERMS) + 1,). Non-negative costs
        keep growing with the work beyond what was measured, where free ones may turn negative.
    """
    from scipy.optimize import nnls

    relative = work / latency_ms[:, None]
    share = np.abs(relative).mean(axis=0)
    rows = np.vstack([relative, _SHRINKAGE * np.sqrt(len(work)) * np.diag(share)])
    target = np.concatenate([np.ones(len(work)), np.zeros(len(TERMS))])
    costs, _ = nnls(rows, target)
    return np.append(costs, _FLOOR_SHARE * latency_ms.min())


def base_latency(costs: FloatArray, work: FloatArray) -> FloatArray:
    """Return the base's latencies in ms, all > 0. Shape: (n,), from work of shape (n, len(TERMS))."""
    return np.asarray(np.maximum(work @ costs[:-1], costs[-1]))
