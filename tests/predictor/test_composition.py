import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from predictor._composition import Parts, fit_composition

CALL_MS = 0.5


def parts(rng: np.random.Generator, kernels: int, *, calls: float = CALL_MS) -> Parts:
    return Parts(
        latency_ms=calls + rng.exponential(1.0, kernels),
        spread=np.full(kernels, 0.05),
        megabytes=rng.exponential(0.2, kernels),
        counts=rng.integers(1, 4, kernels).astype(np.float64),
    )


def truth(network: Parts, scale: float, handover: float, constant: float) -> float:
    work = np.maximum(network.latency_ms - CALL_MS - handover * network.megabytes, 0.05 * network.latency_ms)
    return float(scale * (work @ network.counts) + constant)


def test_without_networks_only_repeated_calls_are_saved() -> None:
    network = parts(np.random.default_rng(0), 6)
    composition, held_out = fit_composition([], np.empty(0), CALL_MS)
    assert composition.latency(network) == pytest.approx(truth(network, 1.0, 0.0, CALL_MS))
    assert len(held_out.errors) == 0
    assert composition.spread(network) > 0.6


@pytest.mark.parametrize(("scale", "handover", "constant"), [(1.0, 0.0, 0.5), (1.5, 0.0, 3.0), (0.7, 1.5, 0.0)])
def test_the_law_is_found(scale: float, handover: float, constant: float) -> None:
    rng = np.random.default_rng(1)
    networks = [parts(rng, int(rng.integers(3, 40))) for _ in range(40)]
    latency = np.array([truth(network, scale, handover, constant) for network in networks])
    composition, held_out = fit_composition(networks, latency, CALL_MS)
    assert np.abs(held_out.errors).mean() < 0.03
    assert composition.scale == pytest.approx(scale, rel=0.1)
    fresh = parts(rng, 20)
    assert composition.latency(fresh) == pytest.approx(truth(fresh, scale, handover, constant), rel=0.05)
    assert composition.spread(fresh) < 0.15


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), count=st.integers(0, 6), factor=st.floats(0.2, 5.0))
def test_predictions_stay_positive_and_costs_non_negative(seed: int, count: int, factor: float) -> None:
    rng = np.random.default_rng(seed)
    networks = [parts(rng, int(rng.integers(1, 6)), calls=0.01) for _ in range(count)]
    latency = np.array([factor * network.total_ms * rng.uniform(0.5, 2.0) for network in networks])
    composition, _ = fit_composition(networks, latency, CALL_MS)
    tiny = Parts(np.array([1e-6]), np.array([1.0]), np.array([9.0]), np.ones(1))
    assert composition.latency(tiny) > 0
    assert composition.scale > 0
    assert min(composition.call_ms, composition.handover_ms, composition.constant_ms) >= 0
    assert (composition.contributions(tiny.latency_ms, tiny.megabytes) > 0).all()
    assert 0 < composition.spread(tiny) < np.inf


def test_uncertain_kernels_widen_the_interval_of_a_network() -> None:
    rng = np.random.default_rng(2)
    networks = [parts(rng, 10) for _ in range(20)]
    composition, _ = fit_composition(networks, np.array([truth(n, 1.0, 0.0, 0.5) for n in networks]), CALL_MS)
    sure = networks[0]
    unsure = Parts(sure.latency_ms, np.full(10, 1.0), sure.megabytes, sure.counts)
    assert composition.deviation(unsure) > 3 * composition.deviation(sure)
    assert composition.spread(unsure) > composition.spread(sure)


def test_larger_networks_than_measured_are_less_certain() -> None:
    rng = np.random.default_rng(3)
    networks = [parts(rng, 10) for _ in range(20)]
    composition, _ = fit_composition(networks, np.array([truth(n, 1.0, 0.0, 0.5) for n in networks]), CALL_MS)
    usual = networks[0]
    large = Parts(usual.latency_ms, usual.spread, usual.megabytes, usual.counts * 64)
    assert composition.deviation(large) > 2 * composition.deviation(usual)
    assert composition.spread(large) > composition.spread(usual)


def test_an_interval_is_never_narrower_than_campaigns_differ() -> None:
    rng = np.random.default_rng(4)
    networks = [parts(rng, 10) for _ in range(20)]
    exact, _ = fit_composition(networks, np.array([truth(n, 1.0, 0.0, 0.5) for n in networks]), CALL_MS)
    assert exact.spread(networks[0]) >= 0.02
