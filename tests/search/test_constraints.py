"""Limits: which are accepted, what breaks them, and that a missing latency is never within one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from profiler.errors import ConfigError
from search.assessment import UNKNOWN_LATENCY, Assessment, LatencyInterval
from search.constraints import AllOf, LatencyBudget, Limit, SingleLimit
from search.objectives import Objective
from tests.search._toy import toy_assessment


def on_two(first_ms: float, second_ms: float) -> Assessment:
    """An architecture on two devices, each interval a tenth about its latency."""
    found = [LatencyInterval(ms, 0.9 * ms, 1.1 * ms) for ms in (first_ms, second_ms)]
    return Assessment(dict(zip(("a", "b"), found, strict=True)), macs=10, parameters=10)


@pytest.mark.parametrize("budget_ms", [0.0, -1.0, math.nan, math.inf, -math.inf])
def test_a_budget_that_is_no_latency_is_refused(budget_ms: float) -> None:
    with pytest.raises(ConfigError, match="budget_ms") as caught:
        LatencyBudget(budget_ms)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("alpha", [0.0, -0.1, 0.51, 1.0, math.nan, math.inf])
def test_an_alpha_out_of_range_is_refused(alpha: float) -> None:
    with pytest.raises(ConfigError, match="alpha"):
        LatencyBudget(1.0, alpha)


def test_the_upper_end_is_held_to_the_budget_at_one_in_twenty() -> None:
    found = toy_assessment(1.9, 1.5, 2.5)
    assert LatencyBudget(2.0).excess(found) == 0.5
    assert LatencyBudget(2.0).violation(found) == 0.25
    assert LatencyBudget(2.5).violation(found) == 0.0
    assert LatencyBudget(math.nextafter(2.5, 0)).violation(found) > 0.0


def test_the_prediction_itself_is_held_to_the_budget_at_one_in_two() -> None:
    found = toy_assessment(1.9, 1.5, 2.5)
    assert LatencyBudget(1.9001, alpha=0.5).violation(found) == 0.0
    assert LatencyBudget(1.8999, alpha=0.5).violation(found) > 0.0


@given(st.floats(0.01, 100), st.floats(1.0, 3.0), st.floats(0.001, 0.5), st.floats(0.2, 5.0))
@settings(deadline=None, max_examples=80)
def test_the_budget_holds_exactly_with_its_probability(
    latency_ms: float, factor: float, alpha: float, budget_share: float
) -> None:
    found = toy_assessment(latency_ms, latency_ms / factor, latency_ms * factor)
    budget = LatencyBudget(latency_ms * budget_share, alpha)
    deviation = math.log(factor) / NormalDist().inv_cdf(0.95)
    if deviation > 1e-6:
        probability = NormalDist(math.log(latency_ms), deviation).cdf(math.log(budget.budget_ms))
        if abs(probability - (1 - alpha)) > 1e-9:
            assert (budget.violation(found) == 0.0) == (probability >= 1 - alpha)


def test_draws_of_the_law_exceed_the_quantile_as_often_as_said() -> None:
    interval = LatencyInterval(2.0, 1.0, 3.0)
    drawn = np.exp(np.random.default_rng(0).normal(np.log(2.0), np.log(1.5) / 1.6449, 20_000))
    for alpha in (0.3, 0.1, 0.05, 0.01):
        quantile_ms = LatencyBudget(1.0, alpha).latency_ms(interval)
        assert np.mean(drawn > quantile_ms) == pytest.approx(alpha, abs=4 * math.sqrt(alpha / 20_000))


@given(st.floats(0.01, 0.49))
@settings(deadline=None, max_examples=30)
def test_a_smaller_alpha_is_stricter(alpha: float) -> None:
    interval = LatencyInterval(2.0, 1.5, 2.5)
    assert LatencyBudget(1.0, alpha).latency_ms(interval) > LatencyBudget(1.0, alpha + 0.01).latency_ms(interval)


def test_without_evidence_there_is_no_latency_and_every_limit_is_broken() -> None:
    unknown = Assessment({"toy": UNKNOWN_LATENCY}, macs=1, parameters=1)
    for constraint in (LatencyBudget(2.0), Limit(Objective("macs"), 5.0), Limit(Objective("accuracy"), 0.5)):
        assert constraint.violation(unknown) == math.inf
        assert constraint.gap(unknown).amount == math.inf


@pytest.mark.parametrize("latency_ms", [math.nan, math.inf, 0.0, -1.0])
def test_a_number_that_is_no_latency_breaks_the_budget(latency_ms: float) -> None:
    found = Assessment({"toy": LatencyInterval(latency_ms, latency_ms, latency_ms)}, 1, 1)
    assert LatencyBudget(2.0).violation(found) == math.inf
    assert LatencyInterval.of(latency_ms, latency_ms, latency_ms, True) == UNKNOWN_LATENCY


def test_description_names_probability_device_and_unit() -> None:
    assert LatencyBudget(2.5).description == "P(latency <= 2.5 ms) >= 0.95"
    assert LatencyBudget(2.5, 0.1, "pixel4").description == "P(latency on pixel4 <= 2.5 ms) >= 0.9"
    assert (LatencyBudget(2.5).limit, LatencyBudget(2.5).unit) == (2.5, "ms")
    assert Limit(Objective("macs"), 2e6).description == "macs <= 2000000 MACs"
    assert Limit(Objective("accuracy"), 0.9).description == "accuracy >= 0.9"


@pytest.mark.parametrize("quantity", ["parameters", "macs", "memory_bytes", "energy_uj"])
def test_other_quantities_have_an_upper_limit(quantity: str) -> None:
    found = Assessment(toy_assessment(1.0).latencies, macs=100, parameters=100, memory_bytes=100, energy_uj=100.0)
    objective = Objective.parse(quantity)
    assert Limit(objective, 50.0).violation(found) == 1.0
    assert Limit(objective, 100.0).violation(found) == 0.0
    assert Limit(objective, 80.0).gap(found).amount == 20.0
    assert Limit(objective, 80.0).gap(found).unit == objective.unit
    assert Limit(objective, 80.0).bounds == {objective: 80.0}


def test_accuracy_has_a_lower_limit_that_counts_once_it_is_known() -> None:
    limit, found = Limit(Objective("accuracy"), 0.8), toy_assessment(1.0)
    assert limit.violation(found) == 0.0
    assert limit.violation(found, 0.8) == limit.violation(found, 0.9) == 0.0
    assert limit.violation(found, 0.6) == pytest.approx(0.25)
    gap = limit.gap(found, 0.6)
    assert (gap.amount, gap.unit, gap.limit) == (pytest.approx(20.0), "points", "accuracy >= 0.8")
    assert limit.bounds == {}


@pytest.mark.parametrize("bound", [0.0, -1.0, math.nan, math.inf])
@pytest.mark.parametrize("quantity", ["macs", "accuracy", "energy_uj"])
def test_a_limit_that_is_no_number_is_refused(quantity: str, bound: float) -> None:
    with pytest.raises(ConfigError, match=quantity):
        Limit(Objective.parse(quantity), bound)


def test_limits_of_the_wrong_kind_are_refused() -> None:
    with pytest.raises(ConfigError, match="no accuracy"):
        Limit(Objective("accuracy"), 90.0)
    with pytest.raises(ConfigError, match="budget"):
        Limit(Objective("latency_ms"), 1.0)


def test_of_several_devices_the_worst_counts() -> None:
    both = AllOf((LatencyBudget(2.0, device="a"), LatencyBudget(4.0, device="b")))
    assert both.violation(on_two(1.0, 2.0)) == 0.0
    assert both.violation(on_two(2.0, 2.0)) == pytest.approx(0.1)
    assert both.violation(on_two(2.0, 5.0)) == pytest.approx(0.375)
    gap = both.gap(on_two(2.0, 5.0))
    assert (gap.amount, gap.limit) == (pytest.approx(1.5), "P(latency on b <= 4 ms) >= 0.95")
    assert both.description == "P(latency on a <= 2 ms) >= 0.95 and P(latency on b <= 4 ms) >= 0.95"
    assert both.bounds == {Objective("latency_ms", "a"): 2.0, Objective("latency_ms", "b"): 4.0}


def test_the_tightest_bound_of_a_quantity_counts() -> None:
    macs = Objective("macs")
    assert AllOf((Limit(macs, 5.0), Limit(macs, 3.0), Limit(macs, 4.0))).bounds == {macs: 3.0}
    with pytest.raises(ConfigError, match="at least one"):
        AllOf(())


def test_a_device_must_be_named_where_there_are_several() -> None:
    with pytest.raises(ConfigError, match=r"needs its device.*a, b"):
        LatencyBudget(2.0).violation(on_two(1.0, 1.0))
    with pytest.raises(ConfigError, match=r"no predictor of 'c'.*a, b"):
        LatencyBudget(2.0, device="c").violation(on_two(1.0, 1.0))


class DepthLimit(SingleLimit):
    """The seam in its smallest form: what a limit of one's own must say."""

    description, limit, unit = "parameters <= 50", 50.0, "parameters"
    reads = (Objective("parameters"),)
    bounds: Mapping[Objective, float] = {}

    def excess(self, assessment: Assessment, accuracy: float | None = None) -> float:
        return max(0.0, assessment.parameters - self.limit)


def test_a_limit_of_ones_own_needs_only_its_excess() -> None:
    assert DepthLimit().violation(toy_assessment(1.0, parameters=100)) == 1.0
    assert DepthLimit().violation(toy_assessment(1.0, parameters=50)) == 0.0
