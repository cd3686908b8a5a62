"""Kernels -> network: the sum of the parts, corrected by what whole networks showed.

A kernel measured alone pays for one call of the runtime, and for bringing its activations in and out:
layouts are converted, caches are cold. Inside a network the call is paid once and most tensors stay where
they are. So

    network = scale * (sum over kernels of max(kernel - call - handover * MB, least share of kernel)) + constant

with scale, call, handover and constant >= 0 fitted on measured networks. When these are few they pull less
than a prior does: scale 1, no handover, and the call that kernels with hardly any work show, paid once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from predictor._conformal import HeldOut, calibrated_factor
from predictor._features import FloatArray

_LEAST_SHARE = 0.05
"""Of a kernel's own latency that always remains: no kernel is free."""

_LEAST_SCALE = 0.05
_PRIOR_NETWORKS = 0.3
"""How many networks the prior counts as."""

_HUBER = 0.05
"""Relative error from which a network's pull on the fit stops growing."""

_CORRELATION = 0.3
"""Between errors of different kernels of one network: they share the base, the day and the neighbours."""

_SPREAD_FITTED, _SPREAD_UNFITTED = 0.015, 0.4
"""Standard deviation, in log latency, that kernels do not explain: with networks measured, and without."""

_SPREAD_PER_OCTAVE = 0.05
"""Extra deviation for each octave between a network and the nearest size of the measured ones."""

_SPREAD_BETWEEN_CAMPAIGNS = 0.02
"""Half-width, in log latency, by which all latencies of one campaign may lie off those of another.

Held-out rows of the campaign that was learned from share its shift and cannot show it.  In four runs of the
quickstart, networks measured in a later campaign lay -1.9, -1.1, -0.3 and +1.0 % off the prediction on average:
a deviation of 1.2 %, so 2 % for 90 % of campaigns.
"""

_INTERVAL_DEVIATIONS = 1.645
"""Kernel spreads are half-widths of 90 % intervals; this makes standard deviations of them."""


@dataclass(frozen=True, eq=False)
class Parts:
    """Kernels of one network, each configuration once.

    Attributes:
        latency_ms: Latency of each run alone. Shape: (n,).
        spread: Half-width of its 90 % interval in log latency. Shape: (n,).
        megabytes: Activations that it reads and writes, in MB. Shape: (n,).
        counts: How often it occurs. Shape: (n,).
    """

    latency_ms: FloatArray
    spread: FloatArray
    megabytes: FloatArray
    counts: FloatArray

    @property
    def total_ms(self) -> float:
        """Sum of all kernels run alone."""
        return float(self.latency_ms @ self.counts)


@dataclass(frozen=True)
class Composition:
    """How kernels make a network on one device.

    Attributes:
        scale: Factor on the kernels' own work, > 0.
        call_ms: Part of each kernel's latency alone that a network does not pay again, >= 0.
        handover_ms: The same for each MB of activations, >= 0.
        constant_ms: What a network costs beyond its kernels, >= 0.
        networks: How many networks it was fitted on.
        smallest_ms: Least sum of kernels among them; 0 without networks.
        largest_ms: Greatest one.
        factor: Deviations that make an interval of nominal coverage.
    """

    scale: float
    call_ms: float
    handover_ms: float
    constant_ms: float
    networks: int
    smallest_ms: float
    largest_ms: float
    factor: float

    def contributions(self, latency_ms: FloatArray, megabytes: FloatArray) -> FloatArray:
        """Return what kernels add inside a network, in ms, from latency alone and activations. Shape: (n,)."""
        saved = self.call_ms + self.handover_ms * megabytes
        return np.asarray(self.scale * np.maximum(latency_ms - saved, _LEAST_SHARE * latency_ms))

    def slopes(self, latency_ms: FloatArray, megabytes: FloatArray) -> FloatArray:
        """Return how contributions change with the logarithm of the kernels' latencies, in ms. Shape: (n,)."""
        saved = self.call_ms + self.handover_ms * megabytes
        floored = latency_ms - saved < _LEAST_SHARE * latency_ms
        return np.asarray(self.scale * latency_ms * np.where(floored, _LEAST_SHARE, 1.0))

    def latency(self, parts: Parts) -> float:
        """Return the latency of a network in ms."""
        return float(self.contributions(parts.latency_ms, parts.megabytes) @ parts.counts) + self.constant_ms

    def deviation(self, parts: Parts) -> float:
        """Return the standard deviation of the logarithm of a network's latency, before calibration."""
        # A kernel's error is one of its work; the call is known far better than the rest.
        errors = (
            self.contributions(parts.latency_ms, parts.megabytes)
            * parts.counts
            * np.expm1(parts.spread)
            / _INTERVAL_DEVIATIONS
        )
        variance = (1 - _CORRELATION) * float(np.sum(errors**2)) + _CORRELATION * float(np.sum(errors)) ** 2
        own = math.log1p(math.sqrt(variance) / self.latency(parts))
        other = _SPREAD_FITTED if self.networks else _SPREAD_UNFITTED
        return math.sqrt(own**2 + other**2 + (_SPREAD_PER_OCTAVE * self._octaves_away(parts.total_ms)) ** 2)

    def spread(self, parts: Parts) -> float:
        """Return the half-width of the interval of the logarithm of a network's latency."""
        return math.hypot(self.factor * self.deviation(parts), _SPREAD_BETWEEN_CAMPAIGNS)

    def _octaves_away(self, total_ms: float) -> float:
        if not self.networks:
            return 0.0
        return max(math.log2(self.smallest_ms / total_ms), math.log2(total_ms / self.largest_ms), 0.0)


def fit_composition(networks: Sequence[Parts], latency_ms: FloatArray, call_ms: float) -> tuple[Composition, HeldOut]:
    """Fit a composition on measured networks.

    Args:
        networks: Kernels of each network; may be empty.
        latency_ms: Measured latencies. Shape: (len(networks),).
        call_ms: Prior of the call, >= 0.

    Returns:
        The composition, and how compositions fitted without the network in question did on it.
    """
    if not networks:
        return _unfitted(call_ms, _INTERVAL_DEVIATIONS), HeldOut(np.empty(0), np.empty(0))
    scores, errors = [], []
    for index, parts in enumerate(networks):
        others = [other for position, other in enumerate(networks) if position != index]
        partial = _fit(others, np.delete(latency_ms, index), call_ms)
        log_error = math.log(partial.latency(parts) / latency_ms[index])
        scores.append(abs(log_error) / partial.deviation(parts))
        errors.append(math.expm1(log_error))
    fitted = _fit(networks, latency_ms, call_ms, factor=calibrated_factor(np.array(scores)))
    return fitted, HeldOut(np.array(scores), np.array(errors))


def _unfitted(call_ms: float, factor: float) -> Composition:
    """Return the prior: kernels as they are, one call for all of them together."""
    return Composition(1.0, call_ms, 0.0, call_ms, 0, 0.0, 0.0, factor)


def _fit(networks: Sequence[Parts], latency_ms: FloatArray, call_ms: float, *, factor: float = 1.0) -> Composition:
    """Find scale, call, handover and constant by robust, bounded least squares on relative errors."""
    if not networks:
        return _unfitted(call_ms, factor)
    from scipy.optimize import least_squares

    alone = np.concatenate([parts.latency_ms for parts in networks])
    megabytes = np.concatenate([parts.megabytes for parts in networks])
    counts = np.concatenate([parts.counts for parts in networks])
    starts = np.cumsum([0, *(len(parts.counts) for parts in networks[:-1])])

    def total(per_kernel: FloatArray) -> FloatArray:
        return np.asarray(np.add.reduceat(per_kernel * counts, starts))

    totals = total(alone)
    columns = np.column_stack([totals, total(np.ones_like(alone)), total(megabytes), np.ones(len(networks))])
    weights = np.sqrt(_PRIOR_NETWORKS * ((columns / latency_ms[:, None]) ** 2).mean(axis=0))
    prior = np.array([1.0, call_ms, 0.0, call_ms])

    def residuals(values: FloatArray) -> FloatArray:
        scale, call, handover, constant = values
        work = np.maximum(alone - call - handover * megabytes, _LEAST_SHARE * alone)
        errors = (scale * total(work) + constant) / latency_ms - 1.0
        return np.concatenate([errors, weights * (values - prior)])

    bounds = ([_LEAST_SCALE, 0.0, 0.0, 0.0], np.inf)
    found = least_squares(residuals, prior, bounds=bounds, loss="huber", f_scale=_HUBER, x_scale=1.0 / weights).x
    scale, call, handover, constant = (float(value) for value in found)
    sizes = float(totals.min()), float(totals.max())
    return Composition(scale, call, handover, constant, len(networks), *sizes, factor)
