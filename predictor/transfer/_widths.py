"""How new a new device is: learned by taking each known device for new, and asking how likely it then is."""

from __future__ import annotations

import math

import numpy as np

from predictor._features import FloatArray
from predictor.transfer._architectures import Architectures, IntArray
from predictor.transfer._device_prior import DevicePrior, Widths, device_prior
from predictor.transfer._posterior import weigh
from predictor.transfer._scale import Scale

_MOST_ROWS = 150
_MOST_DEVICES = 6
_STEPS = (4.0, 2.0)
_PULL = 0.5
"""Weight of the pull of log widths towards where they start: one device in eight may be a freak."""


def learn_widths(
    architectures: Architectures, latency_ms: FloatArray, scale: Scale, rng: np.random.Generator
) -> tuple[Widths, float]:
    """Find widths under which known devices are likely when they are left out.

    Args:
        architectures: Architectures with values on all devices. Length: n.
        latency_ms: Their latencies. Shape: (n, devices), without missing values.
        scale: Where devices are compared.
        rng: Chooses rows and devices when there are many.

    Returns:
        The widths, and the mean log density of a left-out latency in ms, which compares scales. With one device
        there is nothing to leave out: the widths are those to start from, and the density is 0.
    """
    start = Widths() if np.ptp(architectures.kinds) else Widths(offset=0.0)
    devices = latency_ms.shape[1]
    if devices < 2:
        return start, 0.0
    relative = latency_ms / scale.typical(latency_ms)
    values = scale.forward(relative)
    rows = _alike_of_each_kind(architectures.kinds, rng)[:_MOST_ROWS]
    left_out = rng.permutation(devices)[:_MOST_DEVICES]
    every = np.arange(len(values))
    folds = []
    for device in left_out:
        prior = device_prior(np.delete(values, device, axis=1), every, architectures)
        folds.append((prior[rows], values[rows, device]))
    slopes = scale.log_slope(relative[np.ix_(rows, left_out)]) - np.log(scale.typical(latency_ms)[left_out])
    widths = _climb(folds, start, scale.burst)
    return widths, _likelihood(folds, widths, scale.burst) / len(rows) + float(slopes.mean())


def _alike_of_each_kind(kinds: IntArray, rng: np.random.Generator) -> IntArray:
    """Return rows in random order, but kinds in turn: how much kinds differ is learned from kinds, not from rows."""
    rows = rng.permutation(len(kinds))
    turn = np.empty(len(rows), dtype=np.int64)
    for kind in np.unique(kinds):
        own = np.flatnonzero(kinds[rows] == kind)
        turn[own] = np.arange(len(own))
    return rows[np.argsort(turn, kind="stable")]


def _climb(folds: list[tuple[DevicePrior, FloatArray]], start: Widths, burst: float) -> Widths:
    """Go up one width at a time, by smaller and smaller factors."""

    def objective(widths: Widths) -> float:
        pairs = [(getattr(widths, name), getattr(start, name)) for name in Widths.names()]
        away = sum(math.log(now / then) ** 2 for now, then in pairs if then)
        return _likelihood(folds, widths, burst) - _PULL * away

    best, height = start, objective(start)
    for step in _STEPS:
        for name in Widths.names():
            for factor in (step, 1.0 / step):
                tried = best.scaled(name, factor)
                found = objective(tried) if getattr(best, name) else -math.inf
                if found > height:
                    best, height = tried, found
                    break
    return best


def _likelihood(folds: list[tuple[DevicePrior, FloatArray]], widths: Widths, burst: float) -> float:
    """Return the mean over left-out devices of the log likelihood of their rows."""
    total = 0.0
    for prior, labels in folds:
        total += weigh(prior.covariance(prior, widths), labels - prior.mean, widths.noise, burst).log_likelihood
    return total / len(folds)
