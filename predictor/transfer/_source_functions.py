"""Source devices as functions of the architecture: measured on some rows, predicted with less noise on all.

One Gaussian process a device. Its kernel is one of a few mixtures of linear terms and of likeness of choices and
sizes; each device takes the one with the least leave-one-out error on its own rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from predictor._features import FloatArray
from predictor.errors import TrainingRowsError
from predictor.transfer._architectures import Architectures, IntArray
from predictor.transfer._scale import Scale

_MOST_ROWS = 3000
"""The cost grows with the cube of the rows; further rows correct their own predictions only."""

_ROWS_FOR_CHOICE = 800
_CHUNK = 4096

_OUTLIER_DEVIATIONS = 3.0
"""A phone that was slow for a moment must not bend its function: residuals beyond this many robust standard
deviations count as if they were there (Huber's rule)."""

_CHANCE_DEVIATIONS = 2.0
_LEAST_BURST = 0.25
_ROWS_A_COEFFICIENT = 10
_HUBER_ROUNDS = 5
_NORMAL_MAD = 1.4826

LEAST_ROWS = 20
"""Rows of a source device from which a function of the architecture can be learned at all."""


@dataclass(frozen=True)
class _Mixture:
    """Weights of a kernel, and the variance of a row's own error, in units of the device's variance."""

    linear: float
    written: float
    live: float
    reach: float
    noise: float


_MIXTURES = (
    _Mixture(linear=1.0, written=0.0, live=0.0, reach=1.0, noise=0.01),
    _Mixture(linear=1.0, written=0.0, live=0.0, reach=1.0, noise=0.5),
    _Mixture(linear=1.0, written=0.1, live=0.1, reach=0.7, noise=0.02),
    _Mixture(linear=1.0, written=0.1, live=1.0, reach=1.7, noise=0.05),
    _Mixture(linear=1.0, written=0.3, live=0.3, reach=1.0, noise=0.2),
    _Mixture(linear=1.0, written=0.1, live=0.1, reach=1.7, noise=1.0),
    _Mixture(linear=1.0, written=1.0, live=0.0, reach=1.0, noise=0.001),
)


@dataclass(frozen=True, eq=False)
class SourceFunctions:
    """Latencies of the source devices, relative to each one's typical latency and on one scale.

    Attributes:
        values: As the architectures are written. Shape: (n, devices).
        pruned: As if they had no dead parts. Shape: (n, devices).
    """

    values: FloatArray
    pruned: FloatArray


@dataclass(frozen=True, eq=False)
class SourceFits:
    """What each source device's own rows say of it, before devices are compared.

    Attributes:
        values: Predictions of all architectures. Shape: (n, devices).
        pruned: The same as if they had no dead parts. Shape: (n, devices).
        observed: Measured values of the rows; NaN where missing. Shape: (m, devices).
        expected: Predictions of these from all other rows; NaN where missing. Shape: (m, devices).
        trust: How much a row's own measurement says beside all others', 0 to 1. Shape: (devices,).
        rows: The measured architectures. Shape: (m,).
    """

    values: FloatArray
    pruned: FloatArray
    observed: FloatArray
    expected: FloatArray
    trust: FloatArray
    rows: IntArray

    def functions(self, devices: IntArray) -> SourceFunctions:
        """Return the functions of some devices; measured architectures keep what is more than noise."""
        surprise = (self.observed - self.expected)[:, devices]
        trust = np.maximum(self.trust[devices], _shared_share(surprise))
        values, pruned = self.values[:, devices], self.pruned[:, devices]
        better = self.expected[:, devices] + trust * surprise
        values[self.rows] = np.where(np.isnan(better), values[self.rows], better)
        return SourceFunctions(values, pruned)

    def burst_share(self, devices: IntArray, burst: float) -> float:
        """Return the share of rows that were taken in slow moments, of the device among some that has most.

        A slow moment only ever makes a row later, while an architecture unlike others may be earlier as well: what
        counts is by how much outliers above outnumber those below, beyond what chance may do.

        Args:
            devices: The devices to look at.
            burst: What a slow moment typically adds; much less is no slow moment, however well a device repeats.
        """
        surprise = (self.observed - self.expected)[:, devices]
        surprise -= np.nanmedian(surprise, axis=0)
        limit = _OUTLIER_DEVIATIONS * _NORMAL_MAD * np.nanmedian(np.abs(surprise), axis=0)
        limit = np.maximum(limit, _LEAST_BURST * burst)
        later, earlier = (surprise > limit).sum(axis=0), (surprise < -limit).sum(axis=0)
        excess = later - earlier - _CHANCE_DEVIATIONS * np.sqrt(later + earlier)
        return max(0.0, float((excess / (~np.isnan(surprise)).sum(axis=0)).max()))


def fit_sources(architectures: Architectures, latency_ms: FloatArray, rows: IntArray, scale: Scale) -> SourceFits:
    """Learn each device's function from its measured rows.

    Args:
        architectures: All architectures. Length: n.
        latency_ms: Latencies; only `rows` are read, where NaN is a missing value. Shape: (n, devices).
        rows: Rows that may be used, in random order. Shape: (m,).
        scale: Where the functions are learned.

    Raises:
        TrainingRowsError: A device has fewer than LEAST_ROWS values.
    """
    measured = latency_ms[rows]
    known = ~np.isnan(measured)
    if known.sum(axis=0).min() < LEAST_ROWS:
        raise TrainingRowsError(f"each source device needs at least {LEAST_ROWS} measured architectures")
    observed = scale.forward(measured / scale.typical(measured))
    values = np.empty(latency_ms.shape)
    pruned, expected = np.empty_like(values), np.full(observed.shape, np.nan)
    trust = np.empty(observed.shape[1])
    for pattern in np.unique(known, axis=1).T:
        devices = np.flatnonzero((known == pattern[:, None]).all(axis=0))
        fit = _fit_devices(architectures, rows[pattern], observed[pattern][:, devices])
        values[:, devices], pruned[:, devices], trust[devices] = fit.values, fit.pruned, fit.trust
        expected[np.ix_(pattern, devices)] = fit.expected
    return SourceFits(values, pruned, observed, expected, trust, rows)


def _shared_share(surprise: FloatArray) -> FloatArray:
    """Return how much of what each device shows beyond its prediction others show, too: no noise does that.

    Args:
        surprise: Measured less predicted from all other rows; NaN where not measured. Shape: (m, devices).

    Returns:
        Correlation with the best linear combination of the others, 0 to 1: the share of the device's variance that
        is no noise, if the others together have as much noise as it has. Shape: (devices,).
    """
    unexplained = np.ones(surprise.shape[1])
    whole = surprise[~np.isnan(surprise).any(axis=1)]
    if len(unexplained) < 2 or len(whole) < _ROWS_A_COEFFICIENT * len(unexplained):
        return np.zeros(len(unexplained))
    for device in range(len(unexplained)):
        own, others = whole[:, device], np.delete(whole, device, axis=1)
        rest = own - others @ np.linalg.lstsq(others, own, rcond=None)[0]
        unexplained[device] = float(np.mean(rest**2)) / max(float(np.mean(own**2)), 1e-300)
    return np.sqrt(np.clip(1.0 - unexplained, 0.0, 1.0))


@dataclass(frozen=True, eq=False)
class _Fit:
    """Devices measured on the same rows.

    Attributes:
        values: Predictions of all architectures. Shape: (n, devices).
        pruned: The same without dead parts. Shape: (n, devices).
        expected: Predictions of the measured rows from all other rows. Shape: (m, devices).
        trust: How much a row's own measurement says beside all others', 0 to 1. Shape: (devices,).
    """

    values: FloatArray
    pruned: FloatArray
    expected: FloatArray
    trust: FloatArray


def _fit_devices(architectures: Architectures, rows: IntArray, observed: FloatArray) -> _Fit:
    """Fit a process to each device, with the mixture that suits it. Shape of observed: (m, devices)."""
    centre, spread = observed.mean(axis=0), np.maximum(observed.std(axis=0), 1e-12)
    targets = (observed - centre) / spread
    few = rows[:_ROWS_FOR_CHOICE]
    linear = _LinearTerms(architectures)
    errors = [
        _Process(mixture, linear, architectures, few).solve(targets[: len(few)]).typical_error for mixture in _MIXTURES
    ]
    best = np.argmin(errors, axis=0)
    values = np.empty((len(architectures), len(best)))
    pruned, expected, trust = np.empty_like(values), np.empty_like(targets), np.empty(len(best))
    for place in np.unique(best):
        own = np.flatnonzero(best == place)
        process = _Process(_MIXTURES[place], linear, architectures, rows[:_MOST_ROWS])
        solution = process.solve(targets[:_MOST_ROWS, own])
        values[:, own] = process.predict(architectures, solution.weights)
        expected[:, own] = values[np.ix_(rows, own)]
        expected[:_MOST_ROWS, own] = solution.without
        trust[own] = solution.trust
        pruned[:, own] = values[:, own]
        if architectures.has_dead_parts:
            pruned[:, own] = process.predict(architectures.pruned(), solution.weights)
    whole = [part * spread + centre for part in (values, pruned, expected)]
    return _Fit(whole[0], whole[1], whole[2], trust)


@dataclass(frozen=True, eq=False)
class _Solution:
    """What a process makes of its rows.

    Attributes:
        weights: Of the rows. Shape: (m, devices).
        without: Leave-one-out predictions. Shape: (m, devices).
        typical_error: Median of their absolute errors. Shape: (devices,).
        trust: How much one row says of itself beside all others, 0 to 1.
    """

    weights: FloatArray
    without: FloatArray
    typical_error: FloatArray
    trust: float


class _Process:
    """A Gaussian process on some rows; devices measured on these share its inverse."""

    def __init__(self, mixture: _Mixture, linear: _LinearTerms, architectures: Architectures, rows: IntArray) -> None:
        self._mixture, self._linear, self._rows = mixture, linear, architectures[rows]
        covariance = self._covariance(self._rows)
        covariance[np.diag_indices_from(covariance)] += mixture.noise
        self._inverse = np.linalg.inv(covariance)

    def solve(self, targets: FloatArray) -> _Solution:
        """Return weights of the rows, by Huber's rule on leave-one-out residuals. Shape of targets: (m, devices)."""
        own = np.diag(self._inverse)[:, None]
        believed = targets
        for _ in range(_HUBER_ROUNDS):
            weights = self._inverse @ believed
            without = believed - weights / own
            residual = targets - without
            size = np.median(np.abs(residual), axis=0)
            limit = _OUTLIER_DEVIATIONS * _NORMAL_MAD * size
            believed = without + np.clip(residual, -limit, limit)
        return _Solution(weights, without, size, float(1.0 - self._mixture.noise * own.mean()))

    def predict(self, architectures: Architectures, weights: FloatArray) -> FloatArray:
        """Return values. Shape: (n, devices)."""
        every = np.arange(len(architectures))
        parts = [every[start : start + _CHUNK] for start in range(0, len(every), _CHUNK)]
        return np.concatenate([self._covariance(architectures[part]) @ weights for part in parts])

    def _covariance(self, left: Architectures) -> FloatArray:
        mixture, right = self._mixture, self._rows
        covariance: FloatArray = mixture.linear * self._linear(left) @ self._linear(right).T
        covariance *= left.kinds[:, None] == right.kinds
        covariance += 0.1
        for weight, chosen in ((mixture.written, "choices"), (mixture.live, "live")):
            if weight:
                covariance += weight * likeness(left, right, mixture.reach, live=chosen == "live")
        return covariance


class _LinearTerms:
    """Choices, their counts and the amounts of architectures, standardised over all of them."""

    def __init__(self, architectures: Architectures) -> None:
        terms = self._terms(architectures)
        self._mean, spread = terms.mean(axis=0), terms.std(axis=0)
        self._rate = np.where(spread > 1e-9, 1.0 / np.maximum(spread, 1e-9), 0.0)
        self._rate /= np.sqrt(max(1, int(np.count_nonzero(self._rate))))

    def __call__(self, architectures: Architectures) -> FloatArray:
        own = (self._terms(architectures) - self._mean) * self._rate
        return np.concatenate([own, np.ones((len(own), 1))], axis=1)

    @staticmethod
    def _terms(architectures: Architectures) -> FloatArray:
        written, live = (
            one_hot(choices, architectures.options) for choices in (architectures.choices, architectures.live)
        )
        counts = [part.sum(axis=1) for part in (written, live)]
        parts = [part.reshape(len(architectures), -1) for part in (written, live)]
        squares = [count**2 for count in counts]
        amounts = [architectures.amounts, architectures.amounts**2]
        return np.concatenate([*parts, *counts, *squares, *amounts], axis=1, dtype=np.float64)


def one_hot(choices: IntArray, options: int) -> FloatArray:
    """Return marks of the options taken. Shape: (n, positions) -> (n, positions, options)."""
    return np.equal(choices[:, :, None], np.arange(options)).astype(np.float64)


def likeness(left: Architectures, right: Architectures, reach: float, *, live: bool) -> FloatArray:
    """Return how alike architectures are, 1 for the same and 0 for other kinds. Shape: (len(left), len(right)).

    Args:
        left: Some architectures.
        right: Others of the same catalogue.
        reach: How far one says something of another: in shares of the positions that differ, about a third of which
            count as far, and in standard deviations of amounts.
        live: Compare what is left without dead parts.
    """
    positions = left.choices.shape[1]
    alike: FloatArray = np.equal(left.kinds[:, None], right.kinds).astype(float)
    if positions:
        pair = (left.live, right.live) if live else (left.choices, right.choices)
        marks = [one_hot(choices, left.options).reshape(len(choices), -1) for choices in pair]
        alike = alike * np.exp((marks[0] @ marks[1].T - positions) / (positions * reach))
    if left.amounts.shape[1]:
        squares = (left.amounts**2).sum(axis=1)[:, None] + (right.amounts**2).sum(axis=1)
        squares -= 2.0 * left.amounts @ right.amounts.T
        alike *= np.exp(-np.maximum(squares, 0.0) / (8.0 * reach**2))
    return alike
