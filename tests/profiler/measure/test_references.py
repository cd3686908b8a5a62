"""Reference kernels and what their readings say."""

from __future__ import annotations

import numpy as np
import pytest

from profiler.measure.references import reference_level, reference_workloads, slowdown


def test_the_pair_is_a_convolution_and_a_depthwise_one() -> None:
    conv, depthwise = reference_workloads()
    assert (conv.kind, depthwise.kind) == ("conv2d", "depthwise_conv2d")
    assert conv.key != depthwise.key
    assert conv.network.cost().macs / conv.network.cost().bytes_moved > 10
    assert depthwise.network.cost().macs / depthwise.network.cost().bytes_moved < 2


def test_level_is_the_calm_one_when_other_work_slows_most_readings() -> None:
    rng = np.random.default_rng(0)
    calm = np.array([0.1, 0.2]) * np.exp(0.01 * rng.standard_normal((40, 2)))
    disturbed = np.array([0.1, 0.2]) * rng.uniform(1.1, 2.0, (60, 1))
    level = reference_level([*map(tuple, calm), *map(tuple, disturbed), ()])
    assert level == pytest.approx((0.1, 0.2), rel=0.01)


def test_level_of_a_small_drift_is_its_middle() -> None:
    drift = 1.0 + 0.02 * np.sin(np.linspace(0, 60, 500))
    assert reference_level([(0.1 * d, 0.3 * d) for d in drift]) == pytest.approx((0.1, 0.3), rel=0.003)


def test_no_reading_has_no_level() -> None:
    assert reference_level([(), ()]) == ()


def test_slowdown_is_the_geometric_mean() -> None:
    assert slowdown((0.2, 0.2), (0.1, 0.2)) == pytest.approx(2**0.5)
    assert slowdown((0.1, 0.2), (0.1, 0.2)) == pytest.approx(1.0)


def test_level_is_the_middle_of_scattered_readings() -> None:
    rng = np.random.default_rng(0)
    readings = np.array([0.1, 0.3]) * np.exp(0.03 * rng.standard_normal((3000, 2)))
    assert reference_level([*map(tuple, readings)]) == pytest.approx((0.1, 0.3), rel=0.003)
