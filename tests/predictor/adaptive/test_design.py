"""The joint Gaussian of candidates and target networks."""

from __future__ import annotations

import numpy as np

from predictor.adaptive import Candidates, Configurations, MeasurementCost, TargetSpace, choose, design
from profiler.kernels import random_kernels
from tests.predictor._synthetic import KINDS
from tests.predictor.adaptive._space import belief_on, kernels_of, space_of, targets

COST = MeasurementCost(blocks=6, runs=15, block_s=0.1, kernels_per_pack=8)


def test_it_is_one_gaussian() -> None:
    space = space_of(targets(12))
    further = Configurations.of(random_kernels(5, np.random.default_rng(1), kinds=KINDS))
    kernels = np.arange(len(space.kernels) + len(further), dtype=np.intp)
    networks = np.array([0, 3], dtype=np.intp)
    made = design(belief_on(kernels_of(targets(3))), space, Candidates(kernels, networks, further), COST)
    among = made.among
    np.testing.assert_allclose(among, among.T, atol=1e-10)
    assert np.linalg.eigvalsh(among).min() > -1e-8
    # A measured network is one of the targets: the two agree but for what a network has of its own.
    np.testing.assert_allclose(np.diag(made.with_targets[networks][:, -2:]), np.diag(among)[-2:], rtol=1e-9)
    assert (made.target_variance[networks] > np.diag(among)[-2:]).all()
    # Every candidate's covariance with a target keeps within what both vary.
    bound = np.sqrt(np.outer(made.target_variance, np.diag(among)))
    assert (np.abs(made.with_targets) <= bound + 1e-9).all()


def test_packs_make_kernels_cheap_beside_networks() -> None:
    latency_ms = np.array([1.0])
    assert COST.kernels_s(latency_ms)[0] < COST.networks_s(latency_ms)[0]
    np.testing.assert_allclose(COST.networks_s(latency_ms), 6 * (0.1 + 0.015))


def test_the_first_network_is_worth_more_than_any_kernel() -> None:
    """Nothing but a whole network tells how kernels add up."""
    networks = targets(12)
    space = space_of(networks)
    kernels = np.arange(len(space.kernels), dtype=np.intp)
    belief = belief_on(kernels_of(networks))
    candidates = Candidates(kernels, np.arange(4, dtype=np.intp), Configurations.of([]))
    one = MeasurementCost(blocks=1, runs=0, block_s=1.0)
    first = choose(design(belief, space, candidates, one), 1)
    assert first.candidates[0] >= len(kernels)
    measured = design(belief, space, candidates, one, measured_networks=space_of(networks[4:]))
    assert measured.target_variance.mean() < 0.1 * design(belief, space, candidates, one).target_variance.mean()


def test_shares_are_of_latency() -> None:
    space = space_of(targets(3))
    shares = space.shares(np.arange(1.0, len(space.kernels) + 1))
    np.testing.assert_allclose(shares.sum(axis=1), 1.0)
    assert ((shares > 0) == (space.counts > 0)).all()
    assert isinstance(space, TargetSpace)
