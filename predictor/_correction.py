"""How strongly factors learned through sums may correct a base: chosen, and judged, on rows held out.

Rows are held out twice: in random folds, which tell how well a model interpolates, and in groups of like networks,
which tell what becomes of networks unlike all that were measured. A correction is chosen for both, and none is
among the choices. For each group, the choice is made on the others, so that what is said of it holds for the choice,
too. Intervals are widened with what the kernels' own deviations say until both kinds of rows are covered alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from predictor._composition import Composition, Parts
from predictor._conformal import HeldOut, calibrated_factor
from predictor._features import FloatArray, activation_megabytes
from predictor._summed import times_factors
from predictor._through_sum import FactorFit, FactorPrior, FactorProcess, LabelledRows, SummedFactors, UnitFeatures

IndexArray = npt.NDArray[np.intp]

_STRENGTHS = ((0.0, 0.0), (0.03, 0.02), (0.1, 0.05), (0.3, 0.15), (0.6, 0.4))
"""Deviations of the log factor to choose from: of a family, and within one. The first moves nothing."""

_LEAST_STRENGTH = (0.03, 0.02)
"""Where factors move nothing, what they would know if they could move a little still says how sure a sum is."""

_GAIN = 0.03
"""A correction must better the held-out errors by this much for each step that it is stronger than none."""

_FOLDS, _LEAVE_ONE_OUT_ROWS = 5, 40
_MOST_ROWS_JUDGED = 3000
_LEAST_ROWS = 8
"""With fewer rows nothing can be held out that would tell strengths apart: there is no correction."""

_INFLATIONS = np.geomspace(1.0, 8.0, 22)
"""What distance says is never made less of: rows that were held out are nearer than what may come."""

_INFLATION_PULL, _INFLATION_PULL_OF_FEW = 0.03, 3.0
"""Pull towards no inflation, against an equal difference between the widths, and what is added to it over the number
of rows: few rows tell it badly."""


@dataclass(frozen=True, eq=False)
class Base:
    """What is corrected, fitted on some rows.

    Attributes:
        latency_ms: Of all kernels of the rows, alone. Shape: (k,).
        spread: Half-width of the 90 % interval of its logarithm. Shape: (k,).
        fixed_ms: Part of each kernel's latency alone that factors leave as it is.
        composition: What makes networks of kernels alone.
        judges_itself: Whether the half-widths say how sure each cost is. If not, what factors would know if they
            could move a little says it, where they are not to move at all.
    """

    latency_ms: FloatArray
    spread: FloatArray
    fixed_ms: float
    composition: Composition
    judges_itself: bool

    @property
    def moved_ms(self) -> FloatArray:
        """What factors multiply."""
        return self.latency_ms - self.fixed_ms

    @property
    def inner(self) -> Composition:
        """What makes networks of what factors multiply."""
        return replace(self.composition, call_ms=self.composition.call_ms - self.fixed_ms)


@dataclass(frozen=True, eq=False)
class Corrected:
    """A base on all rows, its correction, and how the same did on rows held out.

    Attributes:
        base: The base.
        factors: Its correction; None, or factors of 1 with what is known of sums, when the choice was none.
        composition: The base's, with calibrated intervals.
        strength: Deviations of the log factor that were chosen: of a family, and within one.
        alone: Rows held out in random folds.
        groups: Rows held out in groups; None without groups.
    """

    base: Base
    factors: SummedFactors | None
    composition: Composition
    strength: tuple[float, float]
    alone: HeldOut
    groups: HeldOut | None


FitBase = Callable[[LabelledRows], Base]


def correct(
    rows: LabelledRows, fit_base: FitBase, groups: IndexArray | None, *, points: FloatArray, seed: int
) -> Corrected:
    """Fit a base on rows and choose its correction.

    Args:
        rows: Whole networks, and kernels alone as networks of one kernel.
        fit_base: Fits the base on some of the rows; its estimate is of all kernels.
        groups: Group of each row; None when rows cannot be told apart. Shape: (rows,).
        points: Coordinates of rows.kernels.
        seed: Of the random folds.
    """
    process = FactorProcess.over(rows.kernels, _prior(_LEAST_STRENGTH), points=points)
    unit = process.unit(rows.kernels, points=points)
    megabytes = activation_megabytes(rows.kernels)
    judged = _judged(len(rows), seed)
    table = rows.subset(judged)
    folds = np.arange(len(table)) % (len(table) if len(table) <= _LEAVE_ONE_OUT_ROWS else _FOLDS)
    strengths = _STRENGTHS if len(rows) >= _LEAST_ROWS else _STRENGTHS[:1]
    by_fold = _hold_out(table, fit_base, folds, process, unit, megabytes, strengths)
    by_group = (
        None if groups is None else _hold_out(table, fit_base, groups[judged], process, unit, megabytes, strengths)
    )
    best = _choose(by_fold.errors, None if by_group is None else by_group.errors, folds, _of(groups, judged))
    chosen_fold = by_fold.of(np.full(len(table), best))
    chosen_group = None
    if by_group is not None and groups is not None:
        chosen_group = by_group.of(_nested_choice(by_fold.errors, by_group.errors, folds, groups[judged]))
    inflation = 1.0 if chosen_group is None else _inflation(chosen_fold, chosen_group)
    alone = chosen_fold.scores(inflation)
    apart = None if chosen_group is None else chosen_group.scores(inflation)
    factor = max(calibrated_factor(held_out.scores) for held_out in (alone, apart) if held_out is not None)
    base = fit_base(rows)
    factors = _factors(process, unit, megabytes, rows, base, strengths[best])
    composition = replace(base.composition, factor=factor, inflation=inflation)
    return Corrected(base, factors, composition, strengths[best], alone, apart)


@dataclass(frozen=True, eq=False)
class _Judgement:
    """Rows held out under each strength. Shapes: (strengths, rows).

    Attributes:
        errors: Log of predicted over measured latency.
        kernels: Deviation that the kernels' errors make.
        rest: Deviation of everything else.
    """

    errors: FloatArray
    kernels: FloatArray
    rest: FloatArray

    def of(self, choice: IndexArray) -> _Judgement:
        """Return each row under the strength chosen for it. Shapes: (rows,)."""
        rows = np.arange(len(choice))
        return _Judgement(self.errors[choice, rows], self.kernels[choice, rows], self.rest[choice, rows])

    def scores(self, inflation: float) -> HeldOut:
        """Return scores with the kernels' part inflated."""
        deviation = np.sqrt((inflation * self.kernels) ** 2 + self.rest**2)
        return HeldOut(np.abs(self.errors) / deviation, np.expm1(self.errors))


def _hold_out(
    rows: LabelledRows,
    fit_base: FitBase,
    groups: IndexArray,
    process: FactorProcess,
    unit: UnitFeatures,
    megabytes: FloatArray,
    strengths: Sequence[tuple[float, float]],
) -> _Judgement:
    """Predict each group by bases and factors that were learned from the others."""
    shape = (len(strengths), len(rows))
    errors, kernels, rest = np.empty(shape), np.empty(shape), np.empty(shape)
    for group in np.unique(groups):
        test = groups == group
        train, held = rows.subset(~test), rows.subset(test)
        base = fit_base(train)
        used = np.unique(held.counts.indices).astype(np.intp)
        counts, tested = held.counts[:, used], unit.taken(used)
        for index, strength in enumerate(strengths):
            factors = _factors(process, unit, megabytes, train, base, strength)
            mean, loadings, left_out = _joint(factors, tested)
            latency_ms, spread = times_factors(base.latency_ms[used], base.spread[used], mean, left_out, base.fixed_ms)
            parts = Parts(latency_ms, spread, megabytes[used], loadings)
            errors[index, test] = np.log(base.composition.latency(parts, counts) / held.latency_ms)
            own = base.composition.parts_deviation(parts, counts)
            whole = base.composition.deviation(parts, counts)
            kernels[index, test] = own
            rest[index, test] = np.sqrt(np.maximum(whole**2 - own**2, 0.0))
    return _Judgement(errors, kernels, rest)


def _prior(strength: tuple[float, float]) -> FactorPrior:
    return FactorPrior(level=strength[0], family=strength[0], shape=strength[1])


def _factors(
    process: FactorProcess,
    unit: UnitFeatures,
    megabytes: FloatArray,
    rows: LabelledRows,
    base: Base,
    strength: tuple[float, float],
) -> SummedFactors | None:
    moves = strength != (0.0, 0.0)
    if not moves and base.judges_itself:
        return None
    process = process.with_prior(_prior(strength if moves else _LEAST_STRENGTH))
    fit = FactorFit.of(process, rows, base.moved_ms, base.inner, unit=unit, megabytes=megabytes)
    return fit.factors if moves else replace(fit.factors, weights=np.zeros_like(fit.factors.weights))


def _joint(factors: SummedFactors | None, unit: UnitFeatures) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return mean, loadings and left-out variance of log factors; nothing moves and nothing is shared without any."""
    if factors is None:
        count = len(unit.foreign)
        return np.zeros(count), np.zeros((count, 0)), np.zeros(count)
    return factors.joint_of(*factors.process.scaled(unit))


def _choose(by_fold: FloatArray, by_group: FloatArray | None, folds: IndexArray, groups: IndexArray | None) -> int:
    """Return the strength whose errors are least, on random folds and on groups alike."""
    loss = _log_loss(by_fold, folds)
    if by_group is not None and groups is not None:
        loss = (loss + _log_loss(by_group, groups)) / 2
    return int(np.argmin(loss + _GAIN * np.arange(len(loss))))


def _nested_choice(by_fold: FloatArray, by_group: FloatArray, folds: IndexArray, groups: IndexArray) -> IndexArray:
    """Return for each row the strength that the other groups choose."""
    choice = np.empty(len(groups), dtype=np.intp)
    for group in np.unique(groups):
        others = groups != group
        choice[~others] = _choose(by_fold[:, others], by_group[:, others], folds[others], groups[others])
    return choice


def _log_loss(errors: FloatArray, groups: IndexArray) -> FloatArray:
    """Return the logarithm of each strength's typical error, groups counting alike. Shape: (strengths,)."""
    each = [np.sqrt(np.mean(errors[:, groups == group] ** 2, axis=1)) for group in np.unique(groups)]
    return np.asarray(np.log(np.mean(each, axis=0) + 1e-9))


def _inflation(by_fold: _Judgement, by_group: _Judgement) -> float:
    """Return the factor on the kernels' deviations with which both kinds of rows need the same width."""
    pull = _INFLATION_PULL + _INFLATION_PULL_OF_FEW / len(by_group.errors)

    def apart(value: float) -> float:
        """How far the widths lie apart."""
        factors = [calibrated_factor(rows.scores(value).scores) for rows in (by_fold, by_group)]
        return abs(float(np.log(factors[0] / factors[1]))) + pull * abs(float(np.log(value)))

    needed = [apart(value) for value in _INFLATIONS]
    return float(_INFLATIONS[int(np.argmin(needed))])


def _judged(count: int, seed: int) -> IndexArray:
    order = np.random.default_rng(seed).permutation(count)
    return order[:_MOST_ROWS_JUDGED]


def _of(groups: IndexArray | None, chosen: IndexArray) -> IndexArray | None:
    return None if groups is None else groups[chosen]
