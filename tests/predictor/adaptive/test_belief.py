"""What rows say of kernels: means near the truth, covariances that shrink where rows are."""

from __future__ import annotations

import numpy as np
import pytest

from predictor.adaptive import Configurations, KernelBelief
from profiler.kernels import random_kernels
from tests.predictor._synthetic import KINDS, true_ms
from tests.predictor.adaptive._space import belief_on


@pytest.fixture(scope="module")
def belief() -> KernelBelief:
    return belief_on(random_kernels(150, np.random.default_rng(0), kinds=KINDS))


def test_means_are_near_the_truth(belief: KernelBelief) -> None:
    fresh = random_kernels(80, np.random.default_rng(1), kinds=KINDS)
    errors = np.log(belief.latency_ms(Configurations.of(fresh)) / [true_ms(kernel) for kernel in fresh])
    assert np.median(np.abs(errors)) < 0.08


def test_without_rows_there_are_means_and_wide_deviations() -> None:
    kernels = Configurations.of(random_kernels(10, np.random.default_rng(0), kinds=KINDS))
    none = KernelBelief.fit(Configurations.of([]), np.empty(0))
    assert not none.families
    assert (none.latency_ms(kernels) > 0).all()
    own = none.family("conv2d").covariance(kernels.points[:2], kernels.points[:2])
    assert (np.diag(own) > 0.1).all()


def test_rows_take_variance_off_what_is_near(belief: KernelBelief) -> None:
    family = belief.family("conv2d")
    rows = family.process.rows
    far = rows[:3] + 6.0
    near, away = (np.diag(family.covariance(points, points)) for points in (rows[:3], far))
    assert (near < away).all()
    assert np.linalg.eigvalsh(family.covariance(rows, rows)).min() > -1e-8


def test_weighted_covariance_is_the_product(belief: KernelBelief) -> None:
    family = belief.family("depthwise_conv2d")
    points = Configurations.of(random_kernels(9, np.random.default_rng(2), kinds=("depthwise_conv2d",))).points
    weights = np.random.default_rng(3).random((9, 4))
    np.testing.assert_allclose(
        family.weighted_covariance(points[:5], points, weights),
        family.covariance(points[:5], points) @ weights,
        atol=1e-10,
    )
