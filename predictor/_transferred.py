"""Costs of a new device: those that measured devices agree on, times factors found from few labels.

The labels, kernels alone and whole networks, see the factors through their sums. Three more numbers are found with
them: what a call and a network's constant are on the new device, and the factor between kernels alone and inside a
network. Each has a prior from the sources, so that any number of labels will do, none at all included, and one label
moves everything that it says something about.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from predictor._common_costs import CommonCosts, CommonWork
from predictor._composition import Composition
from predictor._conformal import HeldOut, calibrated_factor
from predictor._costs import INTERVAL_DEVIATIONS, Estimate
from predictor._features import FloatArray, activation_megabytes
from predictor._through_sum import FactorPrior, FactorProcess, LabelledRows, SummedFactors
from profiler.kernels import Kernel

_LEVEL, _FAMILY, _SHAPE, _OCTAVES = 1.0, 0.3, 0.15, 3.0
"""Of the log factors between devices: of all kernels, of a family, and of a configuration with those within three
octaves of it. Between emulated phones, and between published ones, families differ by 20 to 40 %."""

_NOISE = 0.015
"""Log error of a label, and of what networks are beyond their kernels, where `Composition` assumes the same."""

_CALL, _CONSTANT, _SCALE = 1.0, 1.0, 0.1
"""Of the log factors on the sources' call beyond the level of all kernels, on their constant beyond the call's, and on
their scale: what is no work in an invocation depends on drivers and firmware more than on the processor's pace."""

_MOST_FACTOR, _MOST_LOG = np.log(1e3), 15.0
_HUBER = 3.0
_MOST_STEPS, _LEAST_STEP, _LEAST_GAIN = 20, 1e-3, 1e-3
_MOST_LEVERAGE = 1.0 - 1e-6
_ENOUGH_NETWORKS = 5
"""Networks among the labels from which intervals of networks are calibrated on these alone."""

_OWN = 3
"""Numbers found beside the factors: call, constant, scale."""


def transfer_process(common: CommonCosts, kernels: Sequence[Kernel]) -> FactorProcess:
    """Return the process of the log factors, laid over kernels: those of labels or of candidates."""
    prior = FactorPrior(_LEVEL, _FAMILY, _SHAPE, octaves=_OCTAVES, noise=_NOISE, directions=common.priors)
    return FactorProcess.over(kernels, prior)


@dataclass(frozen=True, eq=False)
class Linear:
    """Log latencies of rows, linear in all that is to be found, around some values of it.

    Attributes:
        log_ms: Log latencies there. Shape: (n,).
        design: Change with each number, in units of its prior deviation. Shape: (n, width + 3).
        variance: Of a row's own error: noise, and what sources and process leave open. Shape: (n,).
    """

    log_ms: FloatArray
    design: FloatArray
    variance: FloatArray


@dataclass(frozen=True, eq=False)
class RowModel:
    """Latencies of rows as a function of factors, call, constant and scale.

    Attributes:
        process: The process of the log factors.
        counts: How often each row has each kernel, dense. Shape: (n, kernels).
        rows: The rows; their latencies are not looked at.
        work: What the sources say of the rows' kernels.
        features: Of the kernels. Shape: (kernels, process.width).
        left_out: Variance of each kernel's log factor that the features leave out. Shape: (kernels,).
        composition: That of the sources.
    """

    process: FactorProcess
    counts: FloatArray
    rows: LabelledRows
    work: CommonWork
    features: FloatArray
    left_out: FloatArray
    composition: Composition

    @classmethod
    def of(cls, common: CommonCosts, process: FactorProcess, rows: LabelledRows) -> Self:
        """Prepare rows."""
        work = common.work(rows.kernels)
        features, left_out = process.features(rows.kernels, work.directions)
        counts = np.asarray(rows.counts.toarray())
        return cls(process, counts, rows, work, features, left_out, common.composition())

    @property
    def width(self) -> int:
        """How many numbers are to be found."""
        return self.process.width + _OWN

    def at(self, weights: FloatArray) -> Linear:
        """Return the rows' latencies around values, given in units of their prior deviations. Shape: (width,)."""
        alone = self.rows.alone
        log_factors = self.features @ weights[:-_OWN]
        work_ms = self.work.work_ms * np.exp(np.clip(log_factors, -_MOST_FACTOR, _MOST_FACTOR))
        there = moved_composition(self.composition, self.process, weights)
        inside_ms = self.counts @ work_ms
        entry_ms = self.counts.sum(axis=1) * there.call_ms + there.handover_ms * (self.counts @ self.work.megabytes)
        own_ms = np.where(alone, inside_ms / there.scale, inside_ms)
        other_ms = np.where(alone, entry_ms, there.constant_ms)
        total_ms = own_ms + other_ms
        slopes = self.counts * work_ms * np.where(alone, 1.0 / there.scale, 1.0)[:, None] / total_ms[:, None]
        design = np.empty((len(total_ms), self.width))
        design[:, :-_OWN] = slopes @ self.features
        # What is no work changes with the level of all kernels, too.
        design[:, 0] += self.process.prior.level * other_ms / total_ms
        # A network's constant is a call, and more.
        design[:, -3] = other_ms / total_ms * _CALL
        design[:, -2] = np.where(alone, 0.0, other_ms / total_ms) * _CONSTANT
        design[:, -1] = np.where(alone, -own_ms / total_ms, 0.0) * _SCALE
        variance = _NOISE**2 + slopes**2 @ (self.left_out + self.work.variance)
        return Linear(np.log(total_ms), design, variance)


def moved_composition(composition: Composition, process: FactorProcess, weights: FloatArray) -> Composition:
    """Return the sources' composition with the call, the constant and the scale that values stand for."""
    level = process.prior.level * weights[0]
    call, constant, scale = weights[-_OWN:] * (_CALL, _CONSTANT, _SCALE)
    call, constant = np.clip([level + call, level + call + constant], -_MOST_LOG, _MOST_LOG)
    return replace(
        composition,
        call_ms=float(composition.call_ms * np.exp(call)),
        handover_ms=float(composition.handover_ms * np.exp(call)),
        constant_ms=float(composition.constant_ms * np.exp(constant)),
        scale=float(composition.scale * np.exp(scale)),
    )


@dataclass(frozen=True, eq=False)
class TransferredCosts:
    """What kernels cost on a device that stands on others.

    Attributes:
        common: What the sources agree on.
        factors: What the new device multiplies it by.
        call_ms: Call of a kernel alone on the new device, >= 0.
        handover_ms: The same for each MB of its activations, >= 0.
        scale: Work inside a network over work alone, > 0.
    """

    common: CommonCosts
    factors: SummedFactors
    call_ms: float
    handover_ms: float
    scale: float

    def estimate(self, kernels: Sequence[Kernel]) -> Estimate:
        """Return the kernels' costs; those that a source has never measured rest on its bound."""
        work = self.common.work(kernels)
        log_factor, loadings, left_out = self.factors.joint(kernels, work.directions)
        entry_ms = self.call_ms + self.handover_ms * activation_megabytes(kernels)
        own = np.sqrt(left_out + work.variance)
        return Estimate(
            latency_ms=entry_ms + work.work_ms * np.exp(log_factor) / self.scale,
            spread=INTERVAL_DEVIATIONS * own,
            known=work.known,
            in_domain=work.in_domain,
            loadings=loadings,
        )


@dataclass(frozen=True, eq=False)
class TransferFit:
    """A new device as its labels show it.

    Attributes:
        costs: What its kernels cost.
        composition: What makes networks of them.
        kernels: How kernels among the labels were met without their own label.
        networks: How networks among the labels were met without their own label.
        settled: How many independent numbers the labels settle; the others are as the prior has them.
        needed: Factors that tell devices apart: the level, one for each family of kernels, call and constant.
    """

    costs: TransferredCosts
    composition: Composition
    kernels: HeldOut
    networks: HeldOut
    settled: float
    needed: int


def fit_transferred(common: CommonCosts, rows: LabelledRows) -> TransferFit:
    """Find a new device's costs from labels.

    Args:
        common: What its sources agree on.
        rows: Labels: kernels alone, whole networks or both; at least one.
    """
    process = transfer_process(common, rows.kernels)
    model = RowModel.of(common, process, rows)
    observed = np.log(rows.latency_ms)
    weights, linear, precision = _find(model, observed)
    gram = (linear.design * precision[:, None]).T @ linear.design
    root = _root(gram)
    held_out = _left_out(linear, precision, observed, root)
    alone = rows.alone
    kernels, networks = _subset(held_out, alone), _subset(held_out, ~alone)
    factor = calibrated_factor((networks if len(networks.scores) >= _ENOUGH_NETWORKS else held_out).scores)
    if alone.all():
        # Kernels do not show how they make networks: how far that is off is assumed, and no label narrows it.
        factor = max(factor, INTERVAL_DEVIATIONS)
    # The numbers beside the factors are taken as found: what is left open of them goes with networks' own deviation.
    factors = SummedFactors(process, weights[:-_OWN], _root(gram[:-_OWN, :-_OWN]))
    there = moved_composition(model.composition, process, weights)
    sizes_ms = _sums_alone(model, factors, there)[~alone]
    composition = replace(
        there,
        networks=int(np.sum(~alone)),
        smallest_ms=float(sizes_ms.min(initial=np.inf)) if len(sizes_ms) else 0.0,
        largest_ms=float(sizes_ms.max(initial=0.0)),
        factor=factor,
    )
    costs = TransferredCosts(common, factors, there.call_ms, there.handover_ms, there.scale)
    settled = len(gram) - float(np.trace(np.linalg.inv(gram + np.eye(len(gram)))))
    needed = 1 + len(process.families) + 2
    return TransferFit(costs, composition, kernels, networks, settled, needed)


def _find(model: RowModel, observed: FloatArray) -> tuple[FloatArray, Linear, FloatArray]:
    """Return the likeliest values, the rows around them, and each row's precision. Gauss-Newton with halved steps."""
    weights = np.zeros(model.width)
    linear = model.at(weights)
    weights[0] = np.median(observed - linear.log_ms) / model.process.prior.level
    linear = model.at(weights)
    for _ in range(_MOST_STEPS):
        residual = observed - linear.log_ms
        precision = _robust_precision(residual, linear.variance)
        gram = (linear.design * precision[:, None]).T @ linear.design + np.eye(model.width)
        target = linear.design.T @ (precision * (residual + linear.design @ weights))
        step = np.linalg.solve(gram, target) - weights
        before = float(precision @ residual**2 + weights @ weights)
        length = 1.0
        while length >= _LEAST_STEP:
            moved = weights + length * step
            there = model.at(moved)
            after = float(precision @ (observed - there.log_ms) ** 2 + moved @ moved)
            if after <= before:
                break
            length /= 2.0
        else:
            break
        weights, linear = moved, there
        if before - after < _LEAST_GAIN:
            break
    return weights, linear, _robust_precision(observed - linear.log_ms, linear.variance)


def _robust_precision(residual: FloatArray, variance: FloatArray) -> FloatArray:
    """Return each row's precision, less for those that lie far off: labels hold throttled runs."""
    deviations = np.abs(residual) / np.sqrt(variance)
    return np.asarray(np.minimum(1.0, _HUBER / np.maximum(deviations, _HUBER)) / variance)


def _left_out(linear: Linear, precision: FloatArray, observed: FloatArray, root: FloatArray) -> HeldOut:
    """Return how each row is met without its own label, in closed form around what was found."""
    from scipy.linalg import solve_triangular

    loadings = solve_triangular(root, linear.design.T, lower=True)
    remaining = 1.0 - np.minimum(precision * (loadings**2).sum(axis=0), _MOST_LEVERAGE)
    errors = (observed - linear.log_ms) / remaining
    deviations = np.sqrt(linear.variance / remaining)
    return HeldOut(np.abs(errors) / deviations, np.expm1(-errors))


def _root(gram: FloatArray) -> FloatArray:
    """Return the lower Cholesky factor of the precision of weights with unit normal prior."""
    return np.asarray(np.linalg.cholesky(gram + np.eye(len(gram))), dtype=np.float64)


def _subset(held_out: HeldOut, chosen: npt.NDArray[np.bool_]) -> HeldOut:
    return HeldOut(held_out.scores[chosen], held_out.errors[chosen])


def _sums_alone(model: RowModel, factors: SummedFactors, there: Composition) -> FloatArray:
    """Return the sum over each row's kernels run alone, in ms: what `Composition` compares sizes of networks by."""
    work_ms = model.work.work_ms * np.exp(factors.predict(model.rows.kernels, model.work.directions)[0])
    alone_ms = there.call_ms + there.handover_ms * model.work.megabytes + work_ms / there.scale
    return np.asarray(model.counts @ alone_ms)
