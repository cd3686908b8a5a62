"""What networks are wanted: budgets and devices as they were asked for, and the budget that is chosen where none is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from pocketnas.targets import GIVEN, AnyOf, Wish, limits_of, objectives_of, typical_budget
from predictor import Prediction
from profiler.errors import ConfigError
from profiler.network import Network
from search.assessment import Assessment, LatencyInterval
from search.constraints import AllOf, LatencyBudget
from search.errors import SearchError
from search.objectives import Objective
from tests.search._toy import ToyPredictor, ToySpace, toy_prediction


class HalfBlindPredictor(ToyPredictor):
    """Has no evidence on every other network, for which its rough bound is enormous."""

    def predict_many(self, networks: Sequence[Network], *, allow_unknown: bool) -> list[Prediction]:
        known = super().predict_many(networks, allow_unknown=allow_unknown)
        blind = toy_prediction(1e6, 1e5, 1e7, "dense 1x8 -> 4")
        return [blind if index % 2 else found for index, found in enumerate(known)]


def test_two_in_five_networks_keep_to_the_budget_with_the_upper_end() -> None:
    space, rng = ToySpace(), np.random.default_rng(0)
    budget_ms, _ = typical_budget([ToyPredictor()], space, np.random.default_rng(1))
    drawn = [space.lower(space.sample(rng)) for _ in range(2000)]
    within = [found.high_ms <= budget_ms for found in ToyPredictor().predict_many(drawn, allow_unknown=True)]
    assert np.mean(within) == pytest.approx(0.4, abs=0.08)


def test_networks_without_evidence_neither_end_the_choice_nor_move_it() -> None:
    all_known, _ = typical_budget([ToyPredictor()], ToySpace(), np.random.default_rng(0))
    half_known, _ = typical_budget([HalfBlindPredictor()], ToySpace(), np.random.default_rng(0))
    assert half_known == pytest.approx(all_known, rel=0.2)


def test_no_evidence_at_all_is_an_error() -> None:
    with pytest.raises(SearchError, match="no evidence"):
        typical_budget([ToyPredictor(known=False)], ToySpace(), np.random.default_rng(0))


PREDICTORS = {"phone": ToyPredictor(), "tablet": ToyPredictor()}


def wanted(wish: Wish) -> list[tuple[tuple[str, ...], float]]:
    targets = wish.targets(PREDICTORS, ToySpace(), np.random.default_rng(0))
    return [(target.devices, target.budget_ms) for target in targets]


def test_each_device_gets_a_network_for_each_budget_the_largest_first() -> None:
    assert wanted(Wish((1.0, 2.0, 1.0))) == [
        (("phone",), 2.0),
        (("phone",), 1.0),
        (("tablet",), 2.0),
        (("tablet",), 1.0),
    ]
    assert wanted(Wish((1.0,), for_all=True)) == [(("phone", "tablet"), 1.0)]


def test_without_a_budget_one_is_chosen_for_each_target() -> None:
    targets = Wish().targets(PREDICTORS, ToySpace(), np.random.default_rng(0))
    assert [target.devices for target in targets] == [("phone",), ("tablet",)]
    assert all(target.budget_reason != GIVEN and target.budget_ms > 0 for target in targets)


def assessment(phone_ms: float, tablet_ms: float) -> Assessment:
    latencies = {
        device: LatencyInterval(latency_ms, latency_ms, latency_ms, in_domain=True)
        for device, latency_ms in (("phone", phone_ms), ("tablet", tablet_ms))
    }
    return Assessment(latencies, macs=10, parameters=5)


def test_for_all_devices_the_worst_counts_and_for_any_the_best() -> None:
    both = Wish((1.0,), for_all=True)
    (target,) = both.targets(PREDICTORS, ToySpace(), np.random.default_rng(0))
    constraint = both.constraint(target, devices=2)
    assert constraint.violation(assessment(0.9, 1.5)) == pytest.approx(0.5)
    assert constraint.violation(assessment(0.9, 1.0)) == 0
    either = AnyOf((LatencyBudget(1.0, device="phone"), LatencyBudget(1.0, device="tablet")))
    assert either.violation(assessment(0.9, 1.5)) == 0
    assert either.violation(assessment(1.2, 1.5)) == pytest.approx(0.2)
    assert either.gap(assessment(1.2, 1.5)).amount == pytest.approx(0.2)
    assert " or " in either.description and len(either.reads) == 2
    assert either.bounds == {}, "no quantity is bounded by both"
    larger = AnyOf((LatencyBudget(1.0), LatencyBudget(2.0)))
    assert larger.bounds == {Objective("latency_ms"): 2.0}


def test_limits_stand_beside_the_budget() -> None:
    wish = Wish((1.0,), limits=limits_of(["macs=9", "latency_ms@tablet=3"], alpha=0.05))
    (target, _) = wish.targets(PREDICTORS, ToySpace(), np.random.default_rng(0))
    constraint = wish.constraint(target, devices=2)
    assert isinstance(constraint, AllOf) and len(constraint.constraints) == 3
    assert constraint.violation(assessment(0.5, 1.0)) == pytest.approx(1 / 9)


def test_devices_of_limits_and_objectives_are_those_of_the_search() -> None:
    limits = limits_of(["latency_ms@tablet=3"], alpha=0.05)
    Wish(limits=limits).check_devices(["phone", "tablet"], objectives_of(["latency_ms@phone", "macs"]))
    with pytest.raises(ConfigError, match="'tablet'"):
        Wish(limits=limits).check_devices(["phone"], ())
    with pytest.raises(ConfigError, match="did you mean 'phone'"):
        Wish().check_devices(["phone", "tablet"], objectives_of(["latency_ms@phon"]))


@pytest.mark.parametrize("text", ["macs", "macs=", "macs=x", "macs=nan", "macs=-1", "macs=inf", "accuracy=2", "mac=3"])
def test_limits_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        limits_of([text], alpha=0.05)


def test_objectives_are_named_once() -> None:
    assert objectives_of(["macs", "latency_ms@phone", "macs"]) == (Objective("macs"), Objective("latency_ms", "phone"))
