"""Labels -> what a process and its rivals say of all architectures, with outliers among the labels set aside."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from predictor._features import FloatArray

_OUTLIER_SHARE = 0.1
_OUTLIER_VARIANCE = 100.0
"""One label in ten was taken in a slow moment, and says a hundredth of what others do. Whole columns of published
latencies of phones have bursts in 6 to 20 % of their rows."""

_MOST_OUTLIERS = 0.25


@dataclass(frozen=True, eq=False)
class Evidence:
    """What labels say of one process.

    Attributes:
        log_likelihood: Of the labels and of the best set of outliers.
        weights: Weight of each label; a covariance with the labels times this is a posterior mean. Shape: (k,).
        outliers: Labels set aside. Shape: (k,).
    """

    log_likelihood: float
    weights: FloatArray
    outliers: npt.NDArray[np.bool_]


def weigh(covariance: FloatArray, residuals: FloatArray, noise: float) -> Evidence:
    """Find which labels are outliers, one by one while that makes the labels likelier, and weigh the rest.

    Args:
        covariance: Prior covariance of the labels without their own error. Shape: (k, k).
        residuals: Labels less the prior mean. Shape: (k,), k >= 1.
        noise: Standard deviation of a label's own error, > 0.
    """
    count = len(residuals)
    inverse = np.linalg.inv(covariance + noise**2 * np.eye(count))
    weights = inverse @ residuals
    _, log_determinant = np.linalg.slogdet(inverse)
    value = 0.5 * (log_determinant - residuals @ weights - count * math.log(2 * math.pi))
    value += count * math.log(1.0 - _OUTLIER_SHARE)
    odds = math.log(_OUTLIER_SHARE / (1.0 - _OUTLIER_SHARE))
    widened = noise**2 * (_OUTLIER_VARIANCE - 1.0)
    outliers = np.zeros(count, bool)
    for _ in range(int(count * _MOST_OUTLIERS)):
        # Widening one label changes the inverse by rank one (Sherman-Morrison), so every gain is known at once.
        damping = 1.0 + widened * np.diag(inverse)
        gains = 0.5 * (widened * weights**2 / damping - np.log(damping)) + odds
        gains[outliers] = -np.inf
        worst = int(gains.argmax())
        if gains[worst] <= 0:
            break
        outliers[worst] = True
        value += float(gains[worst])
        column = inverse[:, worst].copy()
        inverse = inverse - np.outer(column, column) * (widened / damping[worst])
        weights = inverse @ residuals
    return Evidence(float(value), weights, outliers)
