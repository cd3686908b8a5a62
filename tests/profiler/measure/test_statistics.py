"""Statistics on samples whose law is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from profiler.errors import MeasurementError
from profiler.measure.statistics import (
    Interval,
    block_interval,
    compare,
    early_stopping_p90,
    median_absolute_deviation,
    median_interval,
    outliers,
    warmup_length,
)

LATENCIES = st.lists(st.floats(1e-4, 1e4), min_size=1, max_size=40)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def coverage(blocks: int, campaigns: int, seed: int) -> float:
    """Share of intervals around the true latency 1 under log-normal noise."""
    draws = np.exp(0.05 * rng(seed).standard_normal((campaigns, blocks)))
    source = rng(seed + 1)
    intervals = [block_interval(draw, source, resamples=400) for draw in draws]
    return float(np.mean([interval.low <= 1.0 <= interval.high for interval in intervals]))


@pytest.mark.parametrize("blocks", [6, 9])
def test_interval_covers_the_truth_as_often_as_it_says(blocks: int) -> None:
    assert 0.93 <= coverage(blocks, 2000, seed=blocks) <= 0.97


@pytest.mark.slow
@pytest.mark.parametrize("blocks", [6, 7, 8, 10, 12, 15, 20, 30])
def test_interval_covers_the_truth_with_any_number_of_blocks(blocks: int) -> None:
    assert 0.93 <= coverage(blocks, 4000, seed=blocks) <= 0.97


def test_median_interval_of_many_samples_covers_the_truth() -> None:
    draws = np.exp(0.1 * rng().standard_normal((500, 60)))
    intervals = [median_interval(draw, rng(7)) for draw in draws]
    assert 0.92 <= np.mean([interval.low <= 1.0 <= interval.high for interval in intervals]) <= 0.98


@settings(max_examples=50, deadline=None)
@given(LATENCIES, st.floats(0.01, 100.0))
def test_estimates_scale_with_the_latency(samples: list[float], factor: float) -> None:
    once = block_interval(samples, rng(), resamples=50)
    scaled = block_interval(np.array(samples) * factor, rng(), resamples=50)
    assert (scaled.value, scaled.low, scaled.high) == pytest.approx(
        (once.value * factor, once.low * factor, once.high * factor), rel=1e-9
    )
    assert median_absolute_deviation(np.array(samples) * factor) == pytest.approx(
        median_absolute_deviation(samples) * factor, rel=1e-9
    )


@settings(max_examples=50, deadline=None)
@given(LATENCIES)
def test_interval_holds_its_estimate_and_stays_within_the_samples(samples: list[float]) -> None:
    interval = median_interval(samples, rng(), resamples=50)
    assert min(samples) <= interval.low <= interval.value <= interval.high <= max(samples)


def test_one_spike_in_a_hundred_barely_moves_the_median() -> None:
    samples = np.exp(0.05 * rng().standard_normal(2000))
    spiked = samples.copy()
    spiked[rng(1).random(2000) < 0.01] *= 50.0
    assert np.median(spiked) == pytest.approx(np.median(samples), rel=0.002)
    assert median_interval(spiked, rng()).high == pytest.approx(median_interval(samples, rng()).high, rel=0.005)


@pytest.mark.parametrize(("count", "place"), [(64, 1), (81, 2), (97, 3), (127, 5), (197, 10)])
def test_p90_by_early_stopping_is_the_published_order_statistic(count: int, place: int) -> None:
    samples = rng().permutation(np.arange(1.0, count + 1.0))
    assert early_stopping_p90(samples) == count + 1 - place
    assert early_stopping_p90(samples[:-1]) >= np.sort(samples[:-1])[-place] or count == 64


def test_p90_needs_64_samples() -> None:
    assert math.isnan(early_stopping_p90(np.ones(63)))


def test_outliers_are_flagged_and_kept() -> None:
    samples = np.array([1.0, 1.1, 0.9, 1.05, 0.95, 30.0])
    assert outliers(samples).tolist() == [False] * 5 + [True]
    assert not outliers([2.0, 2.0, 2.0, 9.0]).any()


@pytest.mark.parametrize("bad", [[], [1.0, math.nan], [1.0, math.inf], [0.0], [-1.0]])
def test_samples_that_cannot_be_latencies_are_refused(bad: list[float]) -> None:
    for statistic in (median_absolute_deviation, early_stopping_p90, outliers):
        with pytest.raises(MeasurementError):
            statistic(bad)
    for interval in (median_interval, block_interval):
        with pytest.raises(MeasurementError):
            interval(bad, rng())


def test_two_samples_of_one_law_differ_at_most_one_time_in_twenty() -> None:
    draws = np.exp(0.08 * rng().standard_normal((400, 2, 10)))
    different = [compare(first, second, rng(3), resamples=300).different for first, second in draws]
    assert np.mean(different) <= 0.05


def test_a_real_difference_is_seen_and_measured() -> None:
    first, second = np.exp(0.02 * rng().standard_normal((2, 12)))
    found = compare(first, second * 1.1, rng())
    assert found.different
    assert found.ratio.low <= 1.1 <= found.ratio.high
    assert found.p_value is not None
    assert found.p_value < 0.001


def test_a_difference_below_two_percent_is_none() -> None:
    first = np.linspace(0.999, 1.001, 20)
    found = compare(first, first * 1.01, rng())
    assert found.p_value is not None
    assert found.p_value < 0.001
    assert not found.different


def test_three_against_three_gives_no_p_value() -> None:
    found = compare([1.0, 1.01, 1.02], [2.0, 2.01, 2.02], rng())
    assert found.p_value is None
    assert not found.different


def test_warm_up_is_found_on_a_step_and_not_on_a_ramp() -> None:
    noise = np.exp(0.02 * rng().standard_normal((6, 30)))
    step = noise.copy()
    step[:, :8] *= 1.5
    ramp = noise * np.linspace(1.5, 1.0, 30)
    assert warmup_length(step) == 8
    assert warmup_length(ramp) == 0
    assert warmup_length(noise) == 0


def test_relative_half_width() -> None:
    assert Interval(2.0, 1.8, 2.4).relative_half_width == pytest.approx(0.15)
