"""The stated error: near the true one, and led by networks that were measured."""

from __future__ import annotations

import numpy as np

from predictor.adaptive import KernelBelief, TargetSpace, stated_error
from tests.predictor._synthetic import CALL_MS, noisy, true_network_ms
from tests.predictor.adaptive._space import belief_on, kernels_of, space_of, targets

NO_NETWORKS = TargetSpace.of_kernels([])


def test_more_rows_state_less() -> None:
    networks = targets(40)
    space = space_of(networks)
    kernels = kernels_of(networks)
    few, many = (stated_error(belief_on(some), space, NO_NETWORKS, np.empty(0)) for some in (kernels[:12], kernels))
    assert many.error < few.error
    assert (few.held_out, few.held_out_error, few.factor) == (0, None, 1.0)


def test_networks_settle_how_kernels_add_up_and_the_statement_holds() -> None:
    networks = targets(60)
    rng = np.random.default_rng(4)
    measured, fresh = networks[:10], networks[10:]
    belief = belief_on(kernels_of(networks)[:60])
    measured_ms = np.array([noisy(true_network_ms(network), rng) for network in measured])
    before = stated_error(belief, space_of(fresh), NO_NETWORKS, np.empty(0))
    stated = stated_error(belief, space_of(fresh), space_of(measured), measured_ms)
    assert stated.error < 0.5 * before.error
    assert stated.held_out == 10
    # What level and calls do is learnt from the measured networks, as a predictor's composition learns it.
    known, asked = space_of(measured), space_of(fresh)
    (known_sums_ms, known_calls), (sums_ms, calls) = (_sums(belief, space) for space in (known, asked))
    found, *_ = np.linalg.lstsq(known_calls, np.log(measured_ms / known_sums_ms), rcond=None)
    truth_ms = np.array([true_network_ms(network) for network in fresh])
    error = np.abs(np.log(sums_ms / truth_ms) + calls @ found).mean()
    assert 0.3 * stated.error < error < 2.0 * stated.error


def _sums(belief: KernelBelief, space: TargetSpace) -> tuple[np.ndarray, np.ndarray]:
    """Sums of kernels, and how level and calls move their logarithm."""
    sums_ms = space.counts @ belief.latency_ms(space.kernels)
    return sums_ms, np.column_stack([np.ones(len(sums_ms)), space.counts.sum(axis=1) * CALL_MS / sums_ms])


def test_networks_that_contradict_their_kernels_raise_it() -> None:
    networks = targets(30)
    belief, space = belief_on(kernels_of(networks)), space_of(networks[10:])
    true_ms = np.array([true_network_ms(network) for network in networks[:10]])
    scattered_ms = true_ms * np.exp(0.2 * np.random.default_rng(5).standard_normal(10))
    calm, wild = (stated_error(belief, space, space_of(networks[:10]), ms) for ms in (true_ms, scattered_ms))
    assert wild.error > 2.0 * calm.error
    assert wild.held_out_error is not None and wild.held_out_error > 0.08
    assert wild.deviation_for(wild.error) < calm.deviation_for(wild.error)
