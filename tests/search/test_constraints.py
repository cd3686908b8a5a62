"""Limits: which budgets are accepted, what breaks them, and that a missing latency is never within one."""

from __future__ import annotations

import math

import pytest

from predictor import Prediction
from profiler.errors import ConfigError
from search.assessment import Assessment
from search.constraints import Constraint, LatencyBudget
from tests.search._toy import toy_prediction


def assessment(prediction: Prediction, parameters: int = 100) -> Assessment:
    return Assessment(prediction, macs=10, parameters=parameters)


@pytest.mark.parametrize("budget_ms", [0.0, -1.0, math.nan, math.inf, -math.inf])
def test_a_budget_that_is_no_latency_is_refused(budget_ms: float) -> None:
    with pytest.raises(ConfigError, match="budget_ms") as caught:
        LatencyBudget(budget_ms)
    assert caught.value.exit_code == 2


def test_the_upper_bound_is_held_to_the_budget() -> None:
    found = assessment(toy_prediction(1.9, 1.5, 2.5))
    assert LatencyBudget(2.0).excess(found) == pytest.approx(0.5)
    assert LatencyBudget(2.0).violation(found) == pytest.approx(0.25)
    assert LatencyBudget(2.0, bound="point").violation(found) == 0.0
    assert LatencyBudget(2.5).violation(found) == 0.0


def test_without_evidence_there_is_no_latency_and_the_budget_is_broken() -> None:
    confident_zero = toy_prediction(0.0, 0.0, 0.0, "conv2d")
    assert LatencyBudget(2.0).violation(assessment(confident_zero)) == math.inf


@pytest.mark.parametrize("latency_ms", [math.nan, math.inf, 0.0, -1.0])
def test_a_number_that_is_no_latency_breaks_the_budget(latency_ms: float) -> None:
    found = assessment(toy_prediction(latency_ms, latency_ms, latency_ms))
    assert LatencyBudget(2.0).violation(found) == math.inf


def test_description_names_bound_and_unit() -> None:
    assert LatencyBudget(2.5).description == "predicted latency (high) <= 2.5 ms"
    assert (LatencyBudget(2.5).limit, LatencyBudget(2.5).unit) == (2.5, "ms")


class ParameterLimit(Constraint):
    """The seam in its smallest form: what a limit on anything but latency must say."""

    description, limit, unit = "parameters <= 50", 50.0, "parameters"

    def excess(self, assessment: Assessment) -> float:
        return max(0.0, assessment.parameters - self.limit)


def test_other_limits_need_only_their_excess() -> None:
    known = toy_prediction(1.0, 0.9, 1.1)
    assert ParameterLimit().violation(assessment(known, parameters=100)) == 1.0
    assert ParameterLimit().violation(assessment(known, parameters=50)) == 0.0
    assert ParameterLimit().violation(assessment(toy_prediction(1, 1, 1, "conv2d"), parameters=1)) == math.inf
    assert ParameterLimit().latency_limit_ms is None
