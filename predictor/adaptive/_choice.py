"""Greedy choice of what to measure: the candidate first whose answer takes most variance off the targets a second."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from predictor._features import FloatArray
from predictor.adaptive._configurations import IndexArray

_LEAST_VARIANCE = 1e-12


@dataclass(frozen=True, eq=False)
class Design:
    """How candidates bear on targets: a joint Gaussian of the logarithms of their latencies.

    Attributes:
        with_targets: Covariance of targets and candidates. Shape: (n_targets, n_candidates).
        among: Covariance of candidates, their measurement noise left out. Shape: (n_candidates, n_candidates).
        noise: Variance of a candidate's measurement. Shape: (n_candidates,).
        target_variance: Variance of the targets. Shape: (n_targets,).
        seconds: What measuring a candidate takes, > 0. Shape: (n_candidates,).
    """

    with_targets: FloatArray
    among: FloatArray
    noise: FloatArray
    target_variance: FloatArray
    seconds: FloatArray


@dataclass(frozen=True, eq=False)
class Choice:
    """A batch.

    Attributes:
        candidates: Indices of what is to be measured, in the order of choice.
        target_variance: Variance of the targets that is expected afterwards. Shape: (n_targets,).
        seconds: What measuring the batch is expected to take.
    """

    candidates: IndexArray
    target_variance: FloatArray
    seconds: float


def choose(design: Design, count: int, *, first: IndexArray | None = None, enough_deviation: float = 0.0) -> Choice:
    """Choose a batch of candidates.

    Each pick is the one that reduces the targets' mean variance most for its seconds, given those picked before it,
    so that a batch does not ask the same thing twice. What an answer teaches does not depend on the answer, so no
    measurement is needed in between.

    Args:
        design: Candidates and targets.
        count: Most candidates to choose, >= 0.
        first: Candidates that are in the batch in any case; they count.
        enough_deviation: Mean standard deviation of the targets at which no more is chosen.

    Returns:
        At most `count` candidates; fewer when there are fewer.

    Source: Seo et al. 2000, "Gaussian process regression: active data selection and test point rejection" (ALC, after
    Cohn 1996), here for sums of points, by the second, and with the posterior kept as rank-one terms.
    """
    with_targets = design.with_targets.copy()
    variance = np.diag(design.among) + design.noise
    open_: npt.NDArray[np.bool_] = np.ones(len(variance), dtype=bool)
    given = [] if first is None else [int(index) for index in first]
    left = design.target_variance.copy()
    picks: list[int] = []
    known: list[FloatArray] = []
    while len(picks) < min(count, len(variance)):
        if len(picks) >= len(given) and float(np.sqrt(left).mean()) <= enough_deviation:
            break
        pick = given[len(picks)] if len(picks) < len(given) else _best(with_targets, variance, design.seconds, open_)
        picks.append(pick)
        open_[pick] = False
        column = design.among[:, pick].copy()
        for direction in known:
            column -= direction * direction[pick]
        scale = np.sqrt(variance[pick])
        direction = column / scale
        known.append(direction)
        left = np.maximum(left - (with_targets[:, pick] / scale) ** 2, 0.0)
        with_targets -= np.outer(with_targets[:, pick] / scale, direction)
        variance = np.maximum(variance - direction**2, _LEAST_VARIANCE)
    candidates = np.array(picks, dtype=np.intp)
    return Choice(candidates, left, float(design.seconds[candidates].sum()))


def _best(with_targets: FloatArray, variance: FloatArray, seconds: FloatArray, open_: npt.NDArray[np.bool_]) -> int:
    gain = np.einsum("tc,tc->c", with_targets, with_targets) / (variance * seconds)
    return int(np.argmax(np.where(open_, gain, -1.0)))
