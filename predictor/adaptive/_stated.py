"""How far off predictions of the target networks are expected to be, said before anyone measures them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from predictor._features import FloatArray
from predictor.adaptive._belief import KernelBelief
from predictor.adaptive._design import network_covariance, network_deviation
from predictor.adaptive._target_space import TargetSpace

_MEAN_OF_DEVIATION = math.sqrt(2.0 / math.pi)
"""Mean absolute value of a normal variable, in its standard deviations."""

_PRIOR_NETWORKS = 4.0
"""Measured networks that the process's own word on its errors counts as."""

_LEAST_NETWORKS = 2
"""Holding one out leaves nothing to predict it by."""


@dataclass(frozen=True)
class StatedError:
    """Expected error of whole networks of the target space.

    Attributes:
        error: Mean |log(predicted / true latency)|: 0.03 is about 3 %.
        held_out: Measured networks that were held out to find it; with 0 it is the process's own word.
        held_out_error: Their mean error; None without any.
        factor: What they multiplied the process's own word by.
    """

    error: float
    held_out: int
    held_out_error: float | None
    factor: float

    def deviation_for(self, error: float) -> float:
        """Return the mean standard deviation of log latency at which this error would be stated."""
        return error / (_MEAN_OF_DEVIATION * self.factor)


def stated_error(
    belief: KernelBelief, space: TargetSpace, measured_networks: TargetSpace, network_ms: FloatArray
) -> StatedError:
    """State the error of predictions of a target space.

    The process tells how errors spread over the space; measured networks, each predicted from its kernels and from
    the other networks, tell whether it is right. The measured ones should be drawn at random from the space.

    Args:
        belief: What rows say of kernels.
        space: The target networks.
        measured_networks: Networks that were measured; may be empty.
        network_ms: Their latencies. Shape: (n_measured,).
    """
    deviation = network_deviation(belief, space, measured_networks=measured_networks)
    error = _MEAN_OF_DEVIATION * float(deviation.mean())
    if len(network_ms) < _LEAST_NETWORKS:
        return StatedError(error, 0, None, 1.0)
    sums_ms = measured_networks.counts @ belief.latency_ms(measured_networks.kernels)
    errors, own = _left_out(np.log(network_ms / sums_ms), network_covariance(belief, measured_networks))
    ratio = errors / (_MEAN_OF_DEVIATION * own)
    factor = (_PRIOR_NETWORKS + float(ratio.sum())) / (_PRIOR_NETWORKS + len(errors))
    return StatedError(error * factor, len(errors), float(errors.mean()), factor)


def _left_out(residuals: FloatArray, covariance: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return how far each case lies off what the others say, and the deviation of that.

    Args:
        residuals: Of cases with mean 0. Shape: (n,).
        covariance: Of the cases. Shape: (n, n).

    Returns:
        Two arrays of shape (n,), both >= 0.

    Source: Rasmussen & Williams 2006, eq. 5.12.
    """
    inverse = np.linalg.inv(covariance)
    precision = np.diag(inverse)
    return np.abs(inverse @ residuals / precision), np.sqrt(1.0 / precision)
