"""How far off predictions of the target networks are expected to be, said before anyone measures them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from predictor._composition import Parts, fit_composition
from predictor._features import FloatArray, activation_megabytes
from predictor.adaptive._belief import KernelBelief
from predictor.adaptive._design import network_deviation
from predictor.adaptive._target_space import TargetSpace

_MEAN_OF_DEVIATION = math.sqrt(2.0 / math.pi)
"""Mean absolute value of a normal variable, in its standard deviations."""

_PRIOR_NETWORKS = 4.0
"""Measured networks that the process's own word on its errors counts as."""


@dataclass(frozen=True)
class StatedError:
    """Expected error of whole networks of the target space.

    Attributes:
        error: Mean |log(predicted / true latency)|: 0.03 is about 3 %.
        held_out: Measured networks that were held out to find it; with 0 it is the process's own word.
        held_out_error: Their mean error; None without any.
    """

    error: float
    held_out: int
    held_out_error: float | None


def stated_error(
    belief: KernelBelief, space: TargetSpace, measured_networks: TargetSpace, network_ms: FloatArray
) -> StatedError:
    """State the error of predictions of a target space.

    The process tells how errors spread over the space; measured networks, each predicted by a composition of the
    others, tell whether it is right. The measured ones should be drawn at random from the space.

    Args:
        belief: What rows say of kernels.
        space: The target networks.
        measured_networks: Networks that were measured; may be empty.
        network_ms: Their latencies. Shape: (n_measured,).
    """
    expected = _MEAN_OF_DEVIATION * network_deviation(belief, space, measured_networks=measured_networks)
    error = float(expected.mean())
    count = len(network_ms)
    if count < 2:
        return StatedError(error, 0, None)
    latency_ms = belief.latency_ms(measured_networks.kernels)
    megabytes = activation_megabytes(measured_networks.kernels.kernels)
    spread = np.zeros(len(latency_ms))
    parts = [Parts(latency_ms, spread, megabytes, counts) for counts in measured_networks.counts]
    _, held_out = fit_composition(parts, network_ms, belief.call_ms)
    errors = np.abs(np.log1p(held_out.errors))
    own = _MEAN_OF_DEVIATION * network_deviation(belief, measured_networks, measured_networks=measured_networks)
    factor = (_PRIOR_NETWORKS + float((errors / own).sum())) / (_PRIOR_NETWORKS + count)
    return StatedError(error * factor, count, float(errors.mean()))
