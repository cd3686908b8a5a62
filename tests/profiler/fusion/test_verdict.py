"""Verdicts on invented latencies, whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from profiler.fusion import PairTimes, saved_share
from profiler.measure import Interval
from profiler.measure.statistics import block_interval

BLOCKS = 8


def exact(value: float) -> Interval:
    return Interval(value, value, value)


def noisy(truth_ms: float, sigma: float, rng: np.random.Generator) -> Interval:
    return block_interval(truth_ms * np.exp(sigma * rng.standard_normal(BLOCKS)), rng)


def pair(a_ms: float, b_ms: float, call_ms: float, *, fused: bool, sigma: float, rng: np.random.Generator) -> PairTimes:
    """Latencies of two parts without their call, and of both together."""
    together_ms = max(a_ms, b_ms) + 0.05 * min(a_ms, b_ms) if fused else a_ms + b_ms
    a, b, ab = (noisy(part_ms + call_ms, sigma, rng) for part_ms in (a_ms, b_ms, together_ms))
    return PairTimes(a, b, ab, noisy(call_ms, sigma, rng) if call_ms else None)


@settings(max_examples=40, deadline=None)
@given(
    a_ms=st.floats(0.05, 5.0),
    ratio=st.floats(0.2, 3.0),
    call=st.floats(0.0, 2.0),
    fused=st.booleans(),
    sigma=st.floats(0.0, 0.15),
    seed=st.integers(0, 2**32 - 1),
)
def test_noise_makes_it_unclear_and_hardly_ever_wrong(
    a_ms: float, ratio: float, call: float, fused: bool, sigma: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    call_ms = call * a_ms if call > 0.01 else 0.0
    shapes = [
        pair(scale * a_ms, scale * a_ms * ratio, call_ms, fused=fused, sigma=sigma, rng=rng) for scale in (1, 2, 3)
    ]
    saved = saved_share(shapes)
    if saved is None:
        assert sigma > 0.01
        return
    truth = 0.95 if fused else 0.0
    # Six standard deviations, so that it holds for every seed; the 95 % of the intervals are tested below.
    assert saved.low <= saved.value <= saved.high
    assert abs(saved.value - truth) <= 3.0 * (saved.high - saved.value)


def test_wrong_verdicts_are_rarer_than_the_intervals_promise() -> None:
    rng = np.random.default_rng(0)
    verdicts = []
    for trial in range(120):
        fused = trial % 2 == 0
        shapes = [pair(scale, 0.25 * scale, 0.1, fused=fused, sigma=0.06, rng=rng) for scale in (0.5, 1.0, 1.5)]
        saved = saved_share(shapes)
        assert saved is not None
        verdicts.append((saved.verdict, "fused" if fused else "apart"))
    wrong = sum(found not in (truth, "unclear") for found, truth in verdicts)
    right = sum(found == truth for found, truth in verdicts)
    assert wrong <= 0.025 * len(verdicts)
    assert right >= 0.5 * len(verdicts)


@pytest.mark.parametrize(
    ("ab_ms", "verdict"), [(1.0, "fused"), (1.1, "fused"), (1.15, "unclear"), (1.25, "apart"), (1.3, "apart")]
)
def test_one_half_of_the_shorter_part_decides(ab_ms: float, verdict: str) -> None:
    saved = saved_share([PairTimes(exact(1.0), exact(0.3), exact(ab_ms))])
    assert saved is not None
    assert saved.verdict == verdict
    assert saved.value == pytest.approx((1.3 - ab_ms) / 0.3)


def test_a_call_is_taken_off_once() -> None:
    apart = PairTimes(exact(1.2), exact(0.5), exact(1.5), exact(0.2))
    saved = saved_share([apart])
    assert saved is not None
    assert saved.value == pytest.approx(0.0)
    assert saved.verdict == "apart"


def test_shapes_that_contradict_one_another_are_unclear() -> None:
    apart = PairTimes(exact(1.0), exact(0.5), exact(1.5))
    fused = PairTimes(exact(1.0), exact(0.5), exact(1.0))
    saved = saved_share([apart, fused])
    assert saved is not None
    assert saved.verdict == "unclear"


def test_a_part_that_is_no_longer_than_a_call_tells_nothing() -> None:
    assert saved_share([PairTimes(exact(1.0), exact(0.2), exact(1.0), exact(0.2))]) is None
    assert saved_share([]) is None
