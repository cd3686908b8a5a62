"""Kernels -> network: the sum of the parts, corrected by what whole networks showed.

A kernel measured alone pays for one call of the runtime, and for bringing its activations in and out:
layouts are converted, caches are cold. Inside a network the call is paid once and most tensors stay where
they are. So

    network = scale * (sum over kernels of max(kernel - call - handover * MB, least share of kernel)) + constant

with scale, call, handover and constant >= 0 fitted on measured networks. When these are few they pull less
than a prior does: scale 1, no handover, and the call that kernels with hardly any work show, paid once.

Networks are rows of a matrix of counts, one column a different kernel, so that thousands are composed at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from predictor._conformal import HeldOut, calibrated_factor
from predictor._costs import INTERVAL_DEVIATIONS
from predictor._features import FloatArray

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    Counts = FloatArray | csr_array

LEAST_SHARE = 0.05
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

_MOST_SPREAD = float(np.log(1e4))
"""Greatest half-width, in log latency. Work has prices that bound it, so further out nothing is said any more."""

_FOLDS = 10
_LEAVE_ONE_OUT_NETWORKS = 40
"""Above so many networks they are held out in folds: fitting anew without each takes as long as it has networks."""


@dataclass(frozen=True, eq=False)
class Parts:
    """Different kernels that networks are made of. All arrays have one entry a kernel.

    Attributes:
        latency_ms: Latency of each run alone. Shape: (k,).
        spread: Half-width of its 90 % interval in log latency, of errors of its own. Shape: (k,).
        megabytes: Activations that it reads and writes, in MB. Shape: (k,).
        loadings: Errors shared with other kernels, see Estimate. Shape: (k, r).
    """

    latency_ms: FloatArray
    spread: FloatArray
    megabytes: FloatArray
    loadings: FloatArray


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
        least_share: Of a kernel's latency alone that remains when call and handover are saved; 0 where costs are
            known to hold a call and work beside it.
        inflation: Factor on what kernels' own deviations say, from how networks of other kinds were met.
    """

    scale: float
    call_ms: float
    handover_ms: float
    constant_ms: float
    networks: int
    smallest_ms: float
    largest_ms: float
    factor: float
    least_share: float = LEAST_SHARE
    inflation: float = 1.0

    def contributions(self, latency_ms: FloatArray, megabytes: FloatArray) -> FloatArray:
        """Return what kernels add inside a network, in ms, from latency alone and activations. Shape: (k,)."""
        saved = self.call_ms + self.handover_ms * megabytes
        return np.asarray(self.scale * np.maximum(latency_ms - saved, self.least_share * latency_ms))

    def slopes(self, latency_ms: FloatArray, megabytes: FloatArray) -> FloatArray:
        """Return how contributions change with the logarithm of the kernels' latencies, in ms. Shape: (k,)."""
        saved = self.call_ms + self.handover_ms * megabytes
        floored = latency_ms - saved < self.least_share * latency_ms
        return np.asarray(self.scale * latency_ms * np.where(floored, self.least_share, 1.0))

    def latency(self, parts: Parts, counts: Counts) -> FloatArray:
        """Return the latencies of networks in ms. Shapes: (n, k) to (n,)."""
        return np.asarray(counts @ self.contributions(parts.latency_ms, parts.megabytes) + self.constant_ms)

    def deviation(self, parts: Parts, counts: Counts) -> FloatArray:
        """Return the standard deviations of the logarithms of networks' latencies, before calibration. Shape: (n,)."""
        own = self.inflation * self.parts_deviation(parts, counts)
        other = _SPREAD_FITTED if self.networks else _SPREAD_UNFITTED
        octaves = self._octaves_away(np.asarray(counts @ parts.latency_ms))
        return np.asarray(np.sqrt(own**2 + other**2 + (_SPREAD_PER_OCTAVE * octaves) ** 2))

    def parts_deviation(self, parts: Parts, counts: Counts) -> FloatArray:
        """Return the part of the deviation that the kernels' own errors make, before inflation. Shape: (n,)."""
        # A kernel's error is one of its work; the call is known far better than the rest.
        inside_ms = self.contributions(parts.latency_ms, parts.megabytes)
        errors = inside_ms * np.expm1(parts.spread) / INTERVAL_DEVIATIONS
        variance = (1 - _CORRELATION) * ((counts * counts) @ errors**2) + _CORRELATION * (counts @ errors) ** 2
        if parts.loadings.shape[1]:
            shared = counts @ (inside_ms[:, None] * parts.loadings)
            variance = variance + (shared**2).sum(axis=1)
        return np.asarray(np.log1p(np.sqrt(variance) / (counts @ inside_ms + self.constant_ms)))

    def spread(self, parts: Parts, counts: Counts) -> FloatArray:
        """Return the half-widths of the intervals of the logarithms of networks' latencies. Shape: (n,)."""
        own = self.factor * self.deviation(parts, counts)
        return np.minimum(np.hypot(own, _SPREAD_BETWEEN_CAMPAIGNS), _MOST_SPREAD)

    def _octaves_away(self, total_ms: FloatArray) -> FloatArray:
        if not self.networks:
            return np.zeros_like(total_ms)
        total_ms = np.maximum(total_ms, np.finfo(np.float64).tiny)
        below, above = np.log2(self.smallest_ms / total_ms), np.log2(total_ms / self.largest_ms)
        return np.asarray(np.maximum(np.maximum(below, above), 0.0))


def fit_composition(
    parts: Parts,
    counts: Counts,
    latency_ms: FloatArray,
    call_ms: float,
    groups: npt.NDArray[np.intp] | None = None,
) -> tuple[Composition, HeldOut]:
    """Fit a composition on measured networks.

    Args:
        parts: The different kernels of all networks.
        counts: How often each network has each kernel. Shape: (n, k), n may be 0.
        latency_ms: Measured latencies. Shape: (n,).
        call_ms: Prior of the call, >= 0.
        groups: Group of each network; whole groups are held out. None: networks by themselves, or in folds when
            they are many. Shape: (n,).

    Returns:
        The composition, and how compositions fitted without the network in question did on it.
    """
    count = len(latency_ms)
    if count == 0:
        return _unfitted(call_ms, INTERVAL_DEVIATIONS), HeldOut(np.empty(0), np.empty(0))
    if groups is None:
        groups = np.arange(count) % (count if count <= _LEAVE_ONE_OUT_NETWORKS else _FOLDS)
    scores, errors = np.empty(count), np.empty(count)
    for group in np.unique(groups):
        test = groups == group
        partial = fit_composition_once(parts, counts[~test], latency_ms[~test], call_ms)
        log_errors = np.log(partial.latency(parts, counts[test]) / latency_ms[test])
        scores[test] = np.abs(log_errors) / partial.deviation(parts, counts[test])
        errors[test] = np.expm1(log_errors)
    fitted = fit_composition_once(parts, counts, latency_ms, call_ms, factor=calibrated_factor(scores))
    return fitted, HeldOut(scores, errors)


def _unfitted(call_ms: float, factor: float) -> Composition:
    """Return the prior: kernels as they are, one call for all of them together."""
    return Composition(1.0, call_ms, 0.0, call_ms, 0, 0.0, 0.0, factor)


def fit_composition_once(
    parts: Parts, counts: Counts, latency_ms: FloatArray, call_ms: float, *, factor: float = 1.0
) -> Composition:
    """Fit a composition without holding out anything: robust, bounded least squares on relative errors."""
    if len(latency_ms) == 0:
        return _unfitted(call_ms, factor)
    from scipy.optimize import least_squares

    alone, megabytes = parts.latency_ms, parts.megabytes
    totals = np.asarray(counts @ alone)
    columns = np.column_stack([totals, counts @ np.ones_like(alone), counts @ megabytes, np.ones(len(totals))])
    weights = np.sqrt(_PRIOR_NETWORKS * ((columns / latency_ms[:, None]) ** 2).mean(axis=0))
    prior = np.array([1.0, call_ms, 0.0, call_ms])

    def residuals(values: FloatArray) -> FloatArray:
        scale, call, handover, constant = values
        work = np.maximum(alone - call - handover * megabytes, LEAST_SHARE * alone)
        errors = (scale * (counts @ work) + constant) / latency_ms - 1.0
        return np.concatenate([errors, weights * (values - prior)])

    bounds = ([_LEAST_SCALE, 0.0, 0.0, 0.0], np.inf)
    found = least_squares(residuals, prior, bounds=bounds, loss="huber", f_scale=_HUBER, x_scale=1.0 / weights).x
    scale, call, handover, constant = (float(value) for value in found)
    sizes = float(totals.min()), float(totals.max())
    return Composition(scale, call, handover, constant, len(totals), *sizes, factor)
