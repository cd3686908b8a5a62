"""Which architectures to measure on a new device: those whose labels leave the least variance over all."""

from __future__ import annotations

import numpy as np

from predictor._features import FloatArray
from predictor.transfer._architectures import IntArray


def choose_for_all(covariance: FloatArray, to_reference: FloatArray, noise: float, count: int) -> IntArray:
    """Choose one by one what lowers the mean posterior variance of reference architectures most.

    Args:
        covariance: Prior covariance of the candidates. Shape: (c, c), c >= count.
        to_reference: Prior covariance of reference architectures with candidates. Shape: (r, c).
        noise: Standard deviation of a label's own error, > 0.
        count: How many to choose.

    Returns:
        Places among the candidates, in the order of choice. Shape: (count,).

    Source: Cohn 1996, "Neural network exploration using optimal experiment design" (active learning, Cohn).
    """
    left, cross = covariance.copy(), to_reference.copy()
    chosen: list[int] = []
    for _ in range(count):
        variance = np.diag(left) + noise**2
        gains = (cross**2).sum(axis=0) / variance
        gains[chosen] = -np.inf
        best = int(gains.argmax())
        chosen.append(best)
        own = left[best] / variance[best]
        cross -= np.outer(cross[:, best], own)
        left -= np.outer(left[:, best], own)
    return np.array(chosen, dtype=np.int64)
