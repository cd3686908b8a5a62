"""A Gaussian process of the logarithm of a genotype's error, for a few dozen to a few hundred scored genotypes.

Errors live on a log scale: what a choice is worth is a share of the error that is left, and the scatter of trainings
is one, too. The process is linear in the inputs, for what each choice does by itself, plus a Matern 5/2 of their
distance, for what choices do together, plus scatter. Its four numbers are found by maximum a posteriori, which keeps
them sane where a dozen rows say little.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_PRIOR = np.log([0.1, 0.3, 1.5, 0.1])
"""Of the linear part's and the smooth part's deviation, the length scale and the scatter: the median of each."""

_PRIOR_DEVIATIONS = np.array([1.0, 1.0, 0.7, 1.0])
"""How far each may be off, as factors' logarithms."""

_BOUNDS = ((-5.0, 3.0), (-5.0, 3.0), (-2.0, 3.0), (-4.0, 1.0))
_CONSTANT = 0.3
"""Variance of the level beside a typical linear part of 1; the mean is the median of the rows."""

_JITTER = 1e-6
_SEARCH_ITERATIONS = 30
_LEAST_SD = 1e-4


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """What the process is like before any row.

    Attributes:
        linear: Standard deviation of the linear part at a typical row.
        smooth: Standard deviation of the smooth part.
        length: Its length scale, where typical rows are about the square root of 2 apart.
        scatter: Standard deviation of a row about the process.
    """

    linear: float
    smooth: float
    length: float
    scatter: float


@dataclass(frozen=True, slots=True)
class Belief:
    """What the process says of points, after rows.

    Attributes:
        mean: Expected log error. Shape: (m,).
        sd: Standard deviation of a score there, its scatter included. Shape: (m,).
    """

    mean: Floats
    sd: Floats


def scaled(features: Floats, rows: Floats) -> tuple[Floats, Floats]:
    """Return features and rows, centred and on one common scale: a typical row of features has the length 1.

    Columns keep their scale to one another, which is the space's word on how much a choice matters.

    Args:
        features: What decides centre and scale. Shape: (m, d).
        rows: Shape: (n, d).
    """
    centre = features.mean(axis=0)
    scale = float(np.sqrt(features.var(axis=0).sum())) or 1.0
    return (features - centre) / scale, (rows - centre) / scale


def fit(rows: Floats, log_errors: Floats) -> Hyperparameters:
    """Return the hyperparameters that rows make likeliest, given the prior.

    Args:
        rows: Scaled inputs. Shape: (n, d), n >= 1.
        log_errors: Shape: (n,).
    """
    from scipy.optimize import Bounds, minimize

    inner, distance = _pairs(rows, rows)
    residuals = log_errors - np.median(log_errors)
    lows, highs = np.array(_BOUNDS).T
    found = minimize(
        _loss,
        _PRIOR,
        (inner, distance, residuals),
        "L-BFGS-B",
        jac=True,
        bounds=Bounds(lows, highs),
        options={"maxiter": _SEARCH_ITERATIONS},
    ).x
    return Hyperparameters(*(float(value) for value in np.exp(found)))


def _loss(logarithms: Floats, inner: Floats, distance: Floats, residuals: Floats) -> tuple[float, Floats]:
    """Return the negative log posterior of hyperparameters and its gradient.

    Source: Rasmussen & Williams 2006, eq. 5.8 and 5.9.
    """
    linear, smooth, length, scatter = np.exp(logarithms)
    steps = distance / length
    decay = np.exp(-steps)
    line = linear**2 * (inner + _CONSTANT)
    curve = smooth**2 * (1.0 + steps + steps**2 / 3.0) * decay
    lower = np.linalg.cholesky(line + curve + (scatter**2 + _JITTER) * np.eye(len(residuals)))
    root = np.linalg.inv(lower)
    inverse = root.T @ root
    weights = inverse @ residuals
    off = (logarithms - _PRIOR) / _PRIOR_DEVIATIONS
    value = 0.5 * (residuals @ weights + off @ off) + np.log(np.diag(lower)).sum()
    slope = inverse - np.outer(weights, weights)
    # d curve / d log length = smooth^2 * steps^2 * (1 + steps) / 3 * exp(-steps)
    gradient = np.array(
        [
            np.sum(slope * line),
            np.sum(slope * curve),
            0.5 * smooth**2 * np.sum(slope * steps**2 * (1.0 + steps) * decay) / 3.0,
            scatter**2 * np.trace(slope),
        ]
    )
    return float(value), gradient + off / _PRIOR_DEVIATIONS


class Posterior:
    """The process after rows, at fixed points, to which further rows can be added one by one.

    Args:
        hyperparameters: Of the process.
        points: Scaled inputs of all candidates. Shape: (m, d).
        rows: Scaled inputs of what was scored. Shape: (n, d), n >= 1.
        log_errors: Shape: (n,).
    """

    def __init__(self, hyperparameters: Hyperparameters, points: Floats, rows: Floats, log_errors: Floats) -> None:
        self._prior, self._points = hyperparameters, points
        self._level = float(np.median(log_errors))
        among = self._covariance(rows, rows)
        among[np.diag_indices_from(among)] += hyperparameters.scatter**2 + _JITTER
        root = np.linalg.inv(np.linalg.cholesky(among))
        whitened = root @ (log_errors - self._level)
        # One row for each scored genotype: what of the points' covariance it explains.
        self._explained = root @ self._covariance(rows, points)
        self._mean = self._level + whitened @ self._explained
        own = hyperparameters.linear**2 * ((points**2).sum(axis=1) + _CONSTANT) + hyperparameters.smooth**2
        self._variance = own - (self._explained**2).sum(axis=0)

    @property
    def belief(self) -> Belief:
        """What is expected of a score at the points."""
        variance = np.maximum(self._variance, 0.0) + self._prior.scatter**2
        return Belief(self._mean, np.maximum(np.sqrt(variance), _LEAST_SD))

    def suppose(self, point: int) -> None:
        """Go on as if a point had been scored at its mean ("kriging believer"): only the doubt about it shrinks."""
        among = self._covariance(self._points[point : point + 1], self._points)[0]
        left = among - self._explained[:, point] @ self._explained
        row = left / np.sqrt(max(left[point], 0.0) + self._prior.scatter**2 + _JITTER)
        self._explained = np.vstack([self._explained, row])
        self._variance = self._variance - row**2

    def _covariance(self, left: Floats, right: Floats) -> Floats:
        prior = self._prior
        inner, distance = _pairs(left, right)
        steps = distance / prior.length
        inner += _CONSTANT
        inner *= prior.linear**2
        inner += prior.smooth**2 * (1.0 + steps + steps**2 / 3.0) * np.exp(-steps)
        return inner


def _pairs(left: Floats, right: Floats) -> tuple[Floats, Floats]:
    """Return inner products, and distances times the square root of 5. Shapes: (len(left), len(right))."""
    inner = left @ right.T
    squares = (left**2).sum(axis=1)[:, None] + (right**2).sum(axis=1)[None, :] - 2.0 * inner
    return inner, np.sqrt(5.0 * np.maximum(squares, 0.0))
