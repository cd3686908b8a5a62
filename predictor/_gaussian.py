"""Gaussian process on log residuals: for families with few rows, where it beats trees by far."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

from predictor._features import FloatArray

_PRIOR_AMPLITUDE, _PRIOR_OCTAVES, _PRIOR_NOISE = 0.3, 2.0, 0.03
"""Before rows speak: the base is wrong by about 30 %, alike within two octaves, and rows repeat to 3 %."""

_AMPLITUDES, _LENGTHS, _NOISES = (0.01, 3.0), (0.3, 1e3), (0.01, 1.0)
"""Ranges of the search. Length scales are in standard deviations of their coordinate: below 0.3 each row
would stand for itself, and no row repeats better than to 1 %."""

_FIRST_LENGTH = 3.0
_ROWS_FOR_SEARCH = 300
"""Length scales are searched on this many rows; the cost grows with the cube, the gain does not."""


@dataclass(frozen=True, eq=False)
class GaussianResidual:
    """A Gaussian process with a Matern 5/2 kernel and one length scale a coordinate.

    It keeps the rows and the length scales; what prediction needs beyond that is solved when first used,
    so that a file of it holds nothing that could contradict itself.

    Attributes:
        rows: Coordinates of the training rows. Shape: (n, d).
        residuals: Their log residuals. Shape: (n,).
        rates: Inverse length scale of each coordinate, >= 0; 0 for one that does not matter. Shape: (d,).
        amplitude: Standard deviation of the process, > 0.
        noise: Standard deviation of a row's own error, > 0.
    """

    rows: FloatArray
    residuals: FloatArray
    rates: FloatArray
    amplitude: float
    noise: float

    @classmethod
    def fit(cls, rows: FloatArray, residuals: FloatArray, seed: int, *, search: bool = True) -> Self:
        """Find the hyperparameters by maximum marginal likelihood.

        Args:
            rows: Coordinates. Shape: (n, d), n >= 1.
            residuals: Log of latency over base. Shape: (n,).
            seed: Chooses the rows to search on when there are many.
            search: False for so few rows that the prior's hyperparameters are the better ones.
        """
        varied = np.ptp(rows, axis=0) > 0
        if not search or not varied.any():
            rates = np.full(rows.shape[1], 1.0 / _PRIOR_OCTAVES)
            return cls(rows, residuals, rates, _PRIOR_AMPLITUDE, _PRIOR_NOISE)
        chosen = np.random.default_rng(seed).permutation(len(rows))[:_ROWS_FOR_SEARCH]
        scale = rows.std(axis=0)
        amplitude, lengths, noise = _search(rows[chosen][:, varied] / scale[varied], residuals[chosen])
        rates = np.zeros(rows.shape[1])
        rates[varied] = 1.0 / (lengths * scale[varied])
        return cls(rows, residuals, rates, amplitude, noise)

    def refitted(self, rows: FloatArray, residuals: FloatArray) -> GaussianResidual:
        """Return the process with the same hyperparameters on other rows."""
        return GaussianResidual(rows, residuals, self.rates, self.amplitude, self.noise)

    def predict(self, points: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return mean and standard deviation of the log residual, a row's own error included.

        Args:
            points: Coordinates. Shape: (m, d).

        Returns:
            Two arrays of shape (m,). Far from all rows the mean is 0 and the deviation the process's own.
        """
        inverse, weights = self._solution
        cross = self.covariance(points, self.rows)
        explained = np.einsum("mn,nk,mk->m", cross, inverse, cross, optimize=True)
        variance = np.maximum(self.amplitude**2 - explained, 0.0) + self.noise**2
        return cross @ weights, np.sqrt(variance)

    @cached_property
    def _solution(self) -> tuple[FloatArray, FloatArray]:
        covariance = self.covariance(self.rows, self.rows)
        covariance[np.diag_indices_from(covariance)] += self.noise**2
        inverse = np.linalg.inv(covariance)
        inverse = (inverse + inverse.T) / 2
        return inverse, inverse @ self.residuals

    def covariance(self, left: FloatArray, right: FloatArray) -> FloatArray:
        """Return the covariance of the process between points, before any row. Shape: (len(left), len(right))."""
        return self.amplitude**2 * matern(left * self.rates, right * self.rates)


def matern(left: FloatArray, right: FloatArray) -> FloatArray:
    """Return the Matern 5/2 correlation at unit length scale. Shapes: (m, d), (n, d) to (m, n)."""
    squares = (left**2).sum(axis=1)[:, None] + (right**2).sum(axis=1)[None, :] - 2 * left @ right.T
    distance = np.sqrt(5.0 * np.maximum(squares, 0.0))
    return np.asarray((1.0 + distance + distance**2 / 3.0) * np.exp(-distance))


def _search(rows: FloatArray, residuals: FloatArray) -> tuple[float, FloatArray, float]:
    """Return amplitude, length scales and noise of greatest marginal likelihood. Shape of rows: (n, d)."""
    from scipy.optimize import Bounds, minimize

    squares = (rows[:, None, :] - rows[None, :, :]) ** 2
    start = np.log([_PRIOR_AMPLITUDE, *np.full(rows.shape[1], _FIRST_LENGTH), _PRIOR_NOISE])
    bounds = Bounds(*np.log([_AMPLITUDES, *[_LENGTHS] * rows.shape[1], _NOISES]).T)
    found = minimize(_negative_log_likelihood, start, (squares, residuals), "L-BFGS-B", jac=True, bounds=bounds).x
    values = np.exp(found)
    return float(values[0]), values[1:-1], float(values[-1])


def _negative_log_likelihood(
    logarithms: FloatArray, squares: FloatArray, residuals: FloatArray
) -> tuple[float, FloatArray]:
    """Return the negative log marginal likelihood and its gradient.

    Args:
        logarithms: Of amplitude, length scales and noise. Shape: (d + 2,).
        squares: Squared differences of the rows in each coordinate. Shape: (n, n, d).
        residuals: Shape: (n,).

    Source: Rasmussen & Williams 2006, eq. 5.8 and 5.9.
    """
    amplitude, lengths, noise = np.exp(logarithms[0]), np.exp(logarithms[1:-1]), np.exp(logarithms[-1])
    distance = np.sqrt(5.0 * (squares @ lengths**-2.0))
    decay = np.exp(-distance)
    process = amplitude**2 * (1.0 + distance + distance**2 / 3.0) * decay
    lower = np.linalg.cholesky(process + noise**2 * np.eye(len(residuals)))
    root = np.linalg.inv(lower)
    inverse = root.T @ root
    weights = inverse @ residuals
    value = 0.5 * residuals @ weights + np.log(np.diag(lower)).sum() + 0.5 * len(residuals) * np.log(2 * np.pi)
    slope = inverse - np.outer(weights, weights)
    # d covariance / d log length_j = amplitude^2 * 5/3 * (1 + distance) * exp(-distance) * square_j / length_j^2
    shared = slope * (amplitude**2 * (5.0 / 3.0)) * (1.0 + distance) * decay
    gradient = np.concatenate(
        [
            [np.sum(slope * process)],
            0.5 * np.einsum("ij,ijk->k", shared, squares) * lengths**-2.0,
            [noise**2 * np.trace(slope)],
        ]
    )
    return float(value), gradient
