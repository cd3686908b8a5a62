"""Gaussian process on log residuals: for families with few rows, where it beats trees by far."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

from predictor._features import FloatArray

_PRIOR_AMPLITUDE, _PRIOR_OCTAVES, _PRIOR_NOISE = 0.3, 2.0, 0.03
"""Before rows speak: the base is wrong by about 30 %, alike within two octaves, and rows repeat to 3 %."""

_LEAST_NOISE = 0.01
"""No row repeats better than to 1 %; a smaller noise only fits chance."""

_LEAST_LENGTH = 0.3
"""Length scales below this share of a coordinate's own spread would tell each row apart."""

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
        return cls(rows, residuals, rates, amplitude, max(noise, _LEAST_NOISE))

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
        cross = self._covariance(points)
        explained = np.einsum("mn,nk,mk->m", cross, inverse, cross, optimize=True)
        variance = np.maximum(self.amplitude**2 - explained, 0.0) + self.noise**2
        return cross @ weights, np.sqrt(variance)

    @cached_property
    def _solution(self) -> tuple[FloatArray, FloatArray]:
        covariance = self._covariance(self.rows)
        covariance[np.diag_indices_from(covariance)] += self.noise**2
        inverse = np.linalg.inv(covariance)
        inverse = (inverse + inverse.T) / 2
        return inverse, inverse @ self.residuals

    def _covariance(self, points: FloatArray) -> FloatArray:
        """Return the Matern 5/2 covariance between points and rows. Shape: (m, n)."""
        left, right = points * self.rates, self.rows * self.rates
        squares = (left**2).sum(axis=1)[:, None] + (right**2).sum(axis=1)[None, :] - 2 * left @ right.T
        distance = np.sqrt(5.0 * np.maximum(squares, 0.0))
        return np.asarray(self.amplitude**2 * (1.0 + distance + distance**2 / 3.0) * np.exp(-distance))


def _search(rows: FloatArray, residuals: FloatArray) -> tuple[float, FloatArray, float]:
    """Return amplitude, length scales and noise of greatest marginal likelihood. Shape of rows: (n, d)."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    kernel = ConstantKernel(0.1, (1e-4, 1e1)) * Matern(np.full(rows.shape[1], 3.0), (_LEAST_LENGTH, 1e3), nu=2.5)
    kernel += WhiteKernel(1e-3, (_LEAST_NOISE**2, 1.0))
    with warnings.catch_warnings():
        # A length scale at its bound means that the coordinate does not matter: the answer, not a fault.
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted = GaussianProcessRegressor(kernel, alpha=1e-10).fit(rows, residuals).kernel_
    amplitude = float(np.sqrt(fitted.k1.k1.constant_value))
    lengths = np.atleast_1d(np.asarray(fitted.k1.k2.length_scale, dtype=np.float64))
    return amplitude, lengths, float(np.sqrt(fitted.k2.noise_level))
