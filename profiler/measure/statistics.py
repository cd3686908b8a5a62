"""Statistics of latencies: estimates, their intervals, flags and comparisons.  Pure functions of numbers.

Samples of one block share the block's luck (clock, cache, placement), so intervals come from the
spread between blocks and not from the number of runs (Kalibera & Jones 2013).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from profiler.errors import MeasurementError

FloatArray = npt.NDArray[np.float64]

CONFIDENCE = 0.95
RESAMPLES = 1000
MIN_BLOCKS = 6
"""Fewest blocks whose extremes enclose the median with 95 %: 1 - 2 * 0.5**6 = 0.969, but 0.938 with five."""

OUTLIER_MADS = 14.826
"""Distance from the median, in MADs, of an outlier: ten standard deviations of a normal law.  Source: hyperfine."""

MATERIAL_DIFFERENCE = 0.02
"""Relative difference below which two latencies count as the same.  Source: MLPerf Inference."""

MIN_BLOCKS_TO_COMPARE = 4
"""Blocks a side below which no rank test can come under 0.05 (three against three stops at 0.10)."""

_P90_CONFIDENCE = 0.99
_WARMUP_STEP = 0.05
_WARMUP_NOISES = 5.0


@dataclass(frozen=True)
class Interval:
    """An estimate and the interval around it, in the unit of what it was made from.

    Attributes:
        value: The estimate.
        low: Lower end.
        high: Upper end.
    """

    value: float
    low: float
    high: float

    @property
    def relative_half_width(self) -> float:
        """Half the interval's length over the estimate."""
        return (self.high - self.low) / 2.0 / self.value


@dataclass(frozen=True)
class Comparison:
    """How two latencies compare.

    Attributes:
        ratio: Second over first, with its 95 % interval.
        p_value: Of the Mann-Whitney rank test on block medians; None below four blocks a side.
        different: Whether the interval leaves out 1, the rank test agrees at 0.05, and the ratio is at
            least 2 % from 1.
    """

    ratio: Interval
    p_value: float | None
    different: bool


def median_interval(
    samples_ms: Sequence[float] | FloatArray, rng: np.random.Generator, *, resamples: int = RESAMPLES
) -> Interval:
    """Return the median of independent samples and its 95 % percentile-bootstrap interval.

    Args:
        samples_ms: Latencies, in ms. Shape: (n,), n >= 1, all finite and > 0.
        rng: Source of the resampling; the caller owns the seed.
        resamples: How often the samples are drawn again.

    Raises:
        MeasurementError: There is no sample, or one is not finite and positive.

    Source: Efron & Tibshirani 1993, ch. 13. We differ in taking the tails as far out as Student's law
    has them beside the normal one, after Hesterberg 2015, section 4.3. Plain tails cover the truth in
    only 88 % (n = 7) to 94 %; his further factor sqrt(n / (n - 1)), right for a mean, covers up to
    98 %; these cover 93-97 % for n from 6 to 30, under normal and Laplace noise.

    Example:
        >>> median_interval([2.0, 2.0, 2.0], np.random.default_rng(0))
        Interval(value=2.0, low=2.0, high=2.0)
    """
    values = _checked(samples_ms)
    estimates = np.median(_resampled(values, rng, resamples), axis=1)
    return _percentile_interval(float(np.median(values)), estimates, len(values))


def location(block_medians_ms: FloatArray) -> FloatArray:
    """Return the middle of block medians along the last axis.

    Args:
        block_medians_ms: Shape: (..., n_blocks), n_blocks >= 1.

    Returns:
        Shape: (...).
    """
    return np.asarray(np.median(block_medians_ms, axis=-1), dtype=np.float64)


def block_interval(
    block_medians_ms: Sequence[float] | FloatArray, rng: np.random.Generator, *, resamples: int = RESAMPLES
) -> Interval:
    """Return the latency of a workload and its 95 % interval from the medians of its blocks.

    Whole blocks are drawn again and the runs inside them are not: a block's median already carries
    the noise of its runs (Davison & Hinkley 1997, section 3.8).

    Args:
        block_medians_ms: Median latency of each block, corrected for drift. Shape: (n_blocks,).
        rng: Source of the resampling.
        resamples: How often the blocks are drawn again.

    Raises:
        MeasurementError: There is no block, or a median is not finite and positive.
    """
    values = _checked(block_medians_ms)
    estimates = location(_resampled(values, rng, resamples))
    return _percentile_interval(float(location(values)), estimates, len(values))


def median_absolute_deviation(samples_ms: Sequence[float] | FloatArray) -> float:
    """Return the median distance from the median, in ms, not scaled to a standard deviation."""
    values = _checked(samples_ms)
    return float(np.median(np.abs(values - np.median(values))))


def early_stopping_p90(samples_ms: Sequence[float] | FloatArray) -> float:
    """Return an upper estimate of the 90th percentile that holds with 99 % confidence.

    The t - 1 highest samples are discarded and the highest of the rest is reported, with the largest
    t that the number of samples allows.

    Returns:
        The estimate in ms; NaN below 64 samples, which allow none.

    Raises:
        MeasurementError: There is no sample, or one is not finite and positive.

    Source: MLPerf Inference rules, appendix on early stopping (d = 0, c = 0.99).
    """
    values = np.sort(_checked(samples_ms))
    allowed = _allowed_overruns(len(values))
    return float(values[-allowed]) if allowed else math.nan


def outliers(samples_ms: Sequence[float] | FloatArray) -> npt.NDArray[np.bool_]:
    """Flag samples far from the median; they are flagged and never removed.

    Args:
        samples_ms: Shape: (n,).

    Returns:
        True for outliers. Shape: (n,). With more than half of the samples equal nothing is flagged.
    """
    values = _checked(samples_ms)
    deviation = median_absolute_deviation(values)
    if deviation == 0.0:
        return np.zeros(len(values), dtype=np.bool_)
    return np.asarray(np.abs(values - np.median(values)) > OUTLIER_MADS * deviation)


def warmup_length(samples_ms: FloatArray) -> int:
    """Return how many runs at the start of each block are still a warm-up.

    A warm-up ends in a step down, at the same run in every block; a latency that falls bit by bit
    through the whole block is a drift and no warm-up.

    Args:
        samples_ms: Latencies in order of running. Shape: (n_blocks, n_runs), n_runs >= 8.

    Returns:
        The number of runs before the step; 0 when there is none in the first half.
    """
    half = samples_ms.shape[1] // 2
    settled = np.median(samples_ms[:, half:], axis=1, keepdims=True)
    profile = np.median(samples_ms / settled, axis=0)
    drops = profile[:-1] - profile[1:]
    noise = 1.4826 * float(np.median(np.abs(drops - np.median(drops))))
    step = int(np.argmax(drops[:half]))
    return step + 1 if drops[step] > max(_WARMUP_STEP, _WARMUP_NOISES * noise) else 0


def compare(
    first_ms: Sequence[float] | FloatArray,
    second_ms: Sequence[float] | FloatArray,
    rng: np.random.Generator,
    *,
    resamples: int = RESAMPLES,
) -> Comparison:
    """Compare two workloads, or two measurements of one, by the medians of their blocks.

    Args:
        first_ms: Block medians of the first. Shape: (n_first,).
        second_ms: Block medians of the second. Shape: (n_second,).
        rng: Source of the resampling.
        resamples: How often both are drawn again.

    Raises:
        MeasurementError: A side is empty, or a median is not finite and positive.
    """
    first, second = _checked(first_ms), _checked(second_ms)
    ratios = location(_resampled(second, rng, resamples)) / location(_resampled(first, rng, resamples))
    fewest = min(len(first), len(second))
    ratio = _percentile_interval(float(location(second) / location(first)), ratios, fewest)
    p_value = _rank_test(first, second) if fewest >= MIN_BLOCKS_TO_COMPARE else None
    apart = not ratio.low <= 1.0 <= ratio.high and abs(ratio.value - 1.0) >= MATERIAL_DIFFERENCE
    return Comparison(ratio, p_value, apart and p_value is not None and p_value < 1.0 - CONFIDENCE)


def _checked(samples: Sequence[float] | FloatArray) -> FloatArray:
    values = np.asarray(samples, dtype=np.float64)
    if values.ndim != 1 or not len(values):
        raise MeasurementError(f"statistics need a row of at least one latency, not shape {values.shape}")
    if not (np.isfinite(values) & (values > 0.0)).all():
        raise MeasurementError("a latency is not a finite number above 0; such samples are rejected with their block")
    return values


def _resampled(values: FloatArray, rng: np.random.Generator, resamples: int) -> FloatArray:
    """Draw with replacement. Shape: (resamples, n)."""
    return values[rng.integers(0, len(values), (resamples, len(values)))]


def _percentile_interval(value: float, estimates: FloatArray, n: int) -> Interval:
    tail = _tail(n)
    low, high = np.quantile(estimates, [tail, 1.0 - tail])
    return Interval(value, min(float(low), value), max(float(high), value))


def _tail(n: int) -> float:
    """Return the share of bootstrap estimates beyond either end of an interval from n values."""
    from scipy.special import ndtr, stdtrit

    if n == 1:
        return (1.0 - CONFIDENCE) / 2.0
    return float(ndtr(-stdtrit(n - 1, 1.0 - (1.0 - CONFIDENCE) / 2.0)))


def _allowed_overruns(n: int) -> int:
    """Return the largest t for which t or fewer of n samples above the p90 are improbable; 0 for none."""
    from scipy.special import bdtr

    counts = np.arange(1, n)
    allowed = counts[bdtr(counts, n, 0.1) <= 1.0 - _P90_CONFIDENCE]
    return int(allowed[-1]) if len(allowed) else 0


def _rank_test(first: FloatArray, second: FloatArray) -> float:
    from scipy.stats import mannwhitneyu

    return float(mannwhitneyu(first, second, alternative="two-sided").pvalue)
