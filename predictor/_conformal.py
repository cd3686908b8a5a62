"""Conformal calibration: how many of a model's own standard deviations make an interval that covers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from predictor._features import FloatArray

NOMINAL_COVERAGE = 0.9
"""Share of true latencies that an interval is meant to hold."""

ENOUGH_FOR_QUANTILE = 19
"""With fewer scores, the 90 % quantile with its finite-sample correction rests on the one or two largest."""

_LEAST_FACTOR = 0.1
"""A device without noise, such as an emulated one, still gets an interval of some width."""

_ENOUGH_FOR_OUTLIERS = 5
_DEVIATIONS_IN_MEDIAN = 1.4826
"""Standard deviation over median absolute value of a normal variable."""


@dataclass(frozen=True, eq=False)
class HeldOut:
    """How a model did on cases that it had not seen.

    Attributes:
        scores: |log error| over the model's standard deviation. Shape: (n,).
        errors: Predicted over measured latency, minus 1. Shape: (n,).
    """

    scores: FloatArray
    errors: FloatArray


def calibrated_factor(scores: FloatArray) -> float:
    """Return the multiple of the model's standard deviation that covers NOMINAL_COVERAGE of new cases.

    Args:
        scores: |error| / standard deviation of cases held out, >= 0. Shape: (n,), n >= 0.

    Returns:
        With enough scores the conformal quantile, rank ceil((n + 1) * 0.9). With few, a Student t
        quantile times their root mean square, which counts one further score of 1 so that a lucky pair
        does not shrink an interval to nothing, and in which a lone outlier counts as three deviations.

    Source: Lei et al. 2018, "Distribution-free predictive inference for regression", normalised scores.
    """
    count = len(scores)
    if count >= ENOUGH_FOR_QUANTILE:
        rank = min(math.ceil((count + 1) * NOMINAL_COVERAGE), count)
        return max(float(np.sort(scores)[rank - 1]), _LEAST_FACTOR)
    from scipy.special import stdtrit

    if count >= _ENOUGH_FOR_OUTLIERS:
        scores = np.minimum(scores, 3.0 * _DEVIATIONS_IN_MEDIAN * np.median(scores))
    spread = math.sqrt((1.0 + float(np.sum(scores**2))) / (count + 1))
    return max(spread * float(stdtrit(count + 1, (1 + NOMINAL_COVERAGE) / 2)), _LEAST_FACTOR)


def held_out_coverage(scores: FloatArray) -> float:
    """Return the share of cases that intervals calibrated on all the other cases cover; 1.0 for no case."""
    count = len(scores)
    if count == 0:
        return 1.0
    if count <= ENOUGH_FOR_QUANTILE:
        covered = [score <= calibrated_factor(np.delete(scores, index)) for index, score in enumerate(scores)]
        return float(np.mean(covered))
    # Without a score below it, the quantile's rank among all is one higher.
    ordered = np.sort(scores)
    rank = min(math.ceil(count * NOMINAL_COVERAGE), count - 1)
    quantile = np.where(scores <= ordered[rank - 1], ordered[rank], ordered[rank - 1])
    return float(np.mean(scores <= np.maximum(quantile, _LEAST_FACTOR)))
