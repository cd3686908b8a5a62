import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from predictor._composition import Composition, Parts, fit_composition
from predictor._conformal import HeldOut
from predictor._features import FloatArray

CALL_MS = 0.5


def some_parts(rng: np.random.Generator, kernels: int, *, calls: float = CALL_MS) -> Parts:
    return Parts(
        latency_ms=calls + rng.exponential(1.0, kernels),
        spread=np.full(kernels, 0.05),
        megabytes=rng.exponential(0.2, kernels),
        loadings=np.zeros((kernels, 0)),
    )


def some_counts(rng: np.random.Generator, networks: int, kernels: int, most: int = 4) -> FloatArray:
    """Networks of some of the kernels, each at least of one."""
    counts = rng.integers(1, most, (networks, kernels)) * (rng.random((networks, kernels)) < 0.3)
    counts[np.arange(networks), rng.integers(kernels, size=networks)] += 1
    return counts.astype(np.float64)


def truth(parts: Parts, counts: FloatArray, scale: float, handover: float, constant: float) -> FloatArray:
    work = np.maximum(parts.latency_ms - CALL_MS - handover * parts.megabytes, 0.05 * parts.latency_ms)
    return np.asarray(scale * (counts @ work) + constant)


def fitted(seed: int, networks: int = 20) -> tuple[Composition, Parts, FloatArray]:
    rng = np.random.default_rng(seed)
    parts = some_parts(rng, 40)
    counts = some_counts(rng, networks, 40)
    composition, _ = fit_composition(parts, counts, truth(parts, counts, 1.0, 0.0, 0.5), CALL_MS)
    return composition, parts, counts


def test_without_networks_only_repeated_calls_are_saved() -> None:
    rng = np.random.default_rng(0)
    parts, counts = some_parts(rng, 6), some_counts(rng, 1, 6)
    composition, held_out = fit_composition(parts, np.empty((0, 6)), np.empty(0), CALL_MS)
    assert composition.latency(parts, counts) == pytest.approx(truth(parts, counts, 1.0, 0.0, CALL_MS))
    assert len(held_out.errors) == 0
    assert composition.spread(parts, counts)[0] > 0.6


@pytest.mark.parametrize(("scale", "handover", "constant"), [(1.0, 0.0, 0.5), (1.5, 0.0, 3.0), (0.7, 1.5, 0.0)])
def test_the_law_is_found(scale: float, handover: float, constant: float) -> None:
    rng = np.random.default_rng(1)
    parts = some_parts(rng, 60)
    counts = some_counts(rng, 40, 60)
    composition, held_out = fit_composition(parts, counts, truth(parts, counts, scale, handover, constant), CALL_MS)
    assert np.abs(held_out.errors).mean() < 0.03
    assert composition.scale == pytest.approx(scale, rel=0.1)
    fresh = some_counts(rng, 5, 60)
    np.testing.assert_allclose(
        composition.latency(parts, fresh), truth(parts, fresh, scale, handover, constant), rtol=0.05
    )
    assert (composition.spread(parts, fresh) < 0.15).all()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), count=st.integers(0, 6), factor=st.floats(0.2, 5.0))
def test_predictions_stay_positive_and_costs_non_negative(seed: int, count: int, factor: float) -> None:
    rng = np.random.default_rng(seed)
    parts = some_parts(rng, 10, calls=0.01)
    counts = some_counts(rng, count, 10) if count else np.empty((0, 10))
    latency = factor * (counts @ parts.latency_ms) * rng.uniform(0.5, 2.0, count)
    composition, _ = fit_composition(parts, counts, latency, CALL_MS)
    tiny, one = Parts(np.array([1e-6]), np.array([1.0]), np.array([9.0]), np.zeros((1, 0))), np.ones((1, 1))
    assert composition.latency(tiny, one)[0] > 0
    assert composition.scale > 0
    assert min(composition.call_ms, composition.handover_ms, composition.constant_ms) >= 0
    assert (composition.contributions(tiny.latency_ms, tiny.megabytes) > 0).all()
    assert 0 < composition.spread(tiny, one)[0] < np.inf


def test_uncertain_kernels_widen_the_interval_of_a_network() -> None:
    composition, sure, counts = fitted(2)
    unsure = Parts(sure.latency_ms, np.full(40, 1.0), sure.megabytes, sure.loadings)
    assert (composition.deviation(unsure, counts) > 3 * composition.deviation(sure, counts)).all()
    assert (composition.spread(unsure, counts) > composition.spread(sure, counts)).all()


def test_an_interval_ends_where_nothing_more_is_said() -> None:
    composition, parts, counts = fitted(2)
    lost = Parts(parts.latency_ms, np.full(40, 300.0), parts.megabytes, parts.loadings)
    assert composition.spread(lost, counts) == pytest.approx(np.log(1e4))


def test_errors_that_go_against_each_other_cancel_in_a_sum() -> None:
    composition, parts, _ = fitted(2)
    loadings = np.zeros((40, 1))
    loadings[:2, 0] = 0.3 / (parts.latency_ms[:2] - composition.call_ms) * np.array([1.0, -1.0])
    shared = Parts(parts.latency_ms, parts.spread, parts.megabytes, loadings)
    both, one = np.zeros((1, 40)), np.zeros((1, 40))
    both[0, :2], one[0, 0] = 1.0, 1.0
    plain = composition.deviation(parts, both)
    assert composition.deviation(shared, both) == pytest.approx(plain)
    assert composition.deviation(shared, one) > 1.5 * composition.deviation(parts, one)


def test_larger_networks_than_measured_are_less_certain() -> None:
    composition, parts, counts = fitted(3)
    assert (composition.deviation(parts, 64 * counts) > 2 * composition.deviation(parts, counts)).all()
    assert (composition.spread(parts, 64 * counts) > composition.spread(parts, counts)).all()


def test_an_interval_is_never_narrower_than_campaigns_differ() -> None:
    composition, parts, counts = fitted(4)
    assert (composition.spread(parts, counts) >= 0.02).all()


def test_groups_are_held_out_whole() -> None:
    """Networks of the second group are slower, which those of the first cannot tell."""
    rng = np.random.default_rng(5)
    parts, counts = some_parts(rng, 30), some_counts(rng, 30, 30)
    groups = np.repeat([0, 1], 15)
    latency = truth(parts, counts, 1.0, 0.0, 0.5) * np.where(groups, 1.3, 1.0)

    def error(held_out: HeldOut) -> float:
        return float(np.abs(held_out.errors).mean())

    _, apart = fit_composition(parts, counts, latency, CALL_MS, groups)
    _, alone = fit_composition(parts, counts, latency, CALL_MS)
    assert error(apart) > 1.3 * error(alone)
