"""Labels -> what a process and its rivals say of all architectures, with labels that are out of line set aside."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from predictor._features import FloatArray

_BURST_SPREAD = 0.75
"""Standard deviation of bursts in units of their mean."""

_MISFIT = 10.0
"""Standard deviation of what no known device explains of an architecture, in units of a label's own error."""

_FEW, _MOST = 1.0, 6.0
"""The share of labels that are out of line is Beta(1, 6) distributed over devices: one in seven, but it may be none or
a third. Whole columns of published latencies of phones have bursts in 6 to 25 % of their rows, of servers in none."""

_MOST_OUTLIERS = 0.5
_HOPELESS = 8.0
"""Sets this much less likely, in log probability, than the best one do not count."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """What labels say of one process.

    Attributes:
        log_likelihood: Of the labels, over the sets of outliers that were looked at.
        weights: Weight of each label; a covariance with the labels times this is a posterior mean. Shape: (k,).
        outliers: Probability that a label is out of line. Shape: (k,).
    """

    log_likelihood: float
    weights: FloatArray
    outliers: FloatArray


@dataclass(frozen=True)
class _Excess:
    """What a label that is out of line has more than others: a normal variable."""

    mean: float
    variance: float


@dataclass(frozen=True, eq=False)
class _Set:
    """Labels that are taken for outliers.

    Attributes:
        members: The labels. Shape: (k,).
        value: Log of the joint density of the labels and the set.
        inverse: Inverse covariance of the labels. Shape: (k, k).
        weights: Inverse times residuals. Shape: (k,).
    """

    members: npt.NDArray[np.bool_]
    value: float
    inverse: FloatArray
    weights: FloatArray

    def gains(self, excess: _Excess) -> FloatArray:
        """Return what taking each further label for an outlier adds to the log density. Shape: (k,)."""
        # One label more changes the inverse by rank one (Sherman-Morrison), so every gain is known at once.
        own = np.diag(self.inverse)
        damping = 1.0 + excess.variance * own
        left = self.weights - excess.mean * own
        gains = excess.mean * self.weights - 0.5 * excess.mean**2 * own
        gains += 0.5 * (excess.variance * left**2 / damping - np.log(damping))
        gains[self.members] = -np.inf
        return np.asarray(gains)

    def with_outlier(self, label: int, excess: _Excess, value: float) -> _Set:
        """Return the set with one label more, of which the value is known."""
        members = self.members.copy()
        members[label] = True
        column = self.inverse[:, label]
        rate = excess.variance / (1.0 + excess.variance * column[label])
        shifted = self.weights - excess.mean * column
        return _Set(
            members,
            value,
            self.inverse - np.outer(column, column) * rate,
            shifted - column * (rate * shifted[label]),
        )


def weigh(covariance: FloatArray, residuals: FloatArray, noise: float, burst: float, beam: int = 1) -> Evidence:
    """Weigh labels, some of which may be out of line: taken in a slow moment, or of an architecture unlike all others.

    Sets of outliers are searched from the empty one upwards, always the likeliest `beam` of each size, and averaged.

    Args:
        covariance: Prior covariance of the labels without their own error. Shape: (k, k).
        residuals: Labels less the prior mean. Shape: (k,), k >= 1.
        noise: Standard deviation of a label's own error, > 0.
        burst: Mean of what a slow moment adds, > 0.
        beam: How many sets of each size are followed.
    """
    count = len(residuals)
    inverse = np.asarray(np.linalg.inv(covariance + noise**2 * np.eye(count)), dtype=np.float64)
    weights = inverse @ residuals
    _, log_determinant = np.linalg.slogdet(inverse)
    value = 0.5 * (log_determinant - residuals @ weights - count * math.log(2 * math.pi)) + _log_prior(0, count)
    excesses = (_Excess(burst, (_BURST_SPREAD * burst) ** 2), _Excess(0.0, (_MISFIT**2 - 1.0) * noise**2))
    level = [_Set(np.zeros(count, bool), float(value), inverse, weights)]
    found = list(level)
    for size in range(1, int(count * _MOST_OUTLIERS) + 1):
        prior = _log_prior(size, count) - _log_prior(size - 1, count) - math.log(len(excesses))
        best = max(one.value for one in found)
        level = [one for one in _larger(level, excesses, prior, beam) if one.value > best - _HOPELESS]
        if not level:
            break
        found += level
    values = np.array([one.value for one in found])
    shares = np.exp(values - values.max())
    total = float(shares.sum())
    shares /= total
    return Evidence(
        float(values.max() + math.log(total)),
        shares @ np.stack([one.weights for one in found]),
        shares @ np.stack([one.members.astype(float) for one in found]),
    )


def variance_of_bursts(burst: float, share: float) -> float:
    """Return the mean square that slow moments add to labels, when a share of these is taken in one.

    Args:
        burst: Mean of what a slow moment adds.
        share: Of the labels, 0 to 1.
    """
    return share * burst**2 * (1.0 + _BURST_SPREAD**2)


def _log_prior(size: int, count: int) -> float:
    """Return the log probability of one set of outliers of this size among so many labels."""
    logs = [math.lgamma(_FEW + size), math.lgamma(_MOST + count - size), -math.lgamma(_FEW + _MOST + count)]
    return sum(logs) + math.lgamma(_FEW + _MOST) - math.lgamma(_FEW) - math.lgamma(_MOST)


def _larger(level: list[_Set], excesses: tuple[_Excess, ...], prior: float, beam: int) -> list[_Set]:
    """Return the likeliest sets with one label more; `prior` is what their size adds to their values."""
    tried: dict[tuple[bytes, _Excess], tuple[float, _Set, int, _Excess]] = {}
    for one in level:
        for excess in excesses:
            gains = one.gains(excess)
            for label in np.argsort(-gains)[:beam].tolist():
                members = one.members.copy()
                members[label] = True
                if np.isfinite(gains[label]):
                    value = one.value + float(gains[label]) + prior
                    tried.setdefault((members.tobytes(), excess), (value, one, label, excess))
    likeliest = sorted(tried.values(), key=lambda entry: -entry[0])[:beam]
    return [one.with_outlier(label, excess, value) for value, one, label, excess in likeliest]
