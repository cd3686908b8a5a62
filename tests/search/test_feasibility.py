"""Finding feasible individuals: uniform where all are, climbing where few are, an error where none is."""

from __future__ import annotations

import numpy as np
import pytest

from search.assessment import UNKNOWN_LATENCY, Assessor
from search.constraints import LatencyBudget
from search.errors import InfeasibleError, SearchError
from search.feasibility import Screen, find_feasible
from tests.search._toy import LAYERS, ToyGenotype, ToyPredictor, ToySpace


def screen(budget_ms: float, predictor: ToyPredictor | None = None, choices: int = 8) -> Screen[ToyGenotype]:
    space = ToySpace(choices)
    return Screen(space, Assessor(space, {"toy": predictor or ToyPredictor()}), LatencyBudget(budget_ms))


def smallest_high_ms() -> float:
    return 1.1 * ToySpace().lower(ToyGenotype((0,) * LAYERS)).cost().macs / 1000


def test_a_loose_budget_starts_from_uniform_draws() -> None:
    predictor = ToyPredictor()
    found = find_feasible(screen(1e6, predictor), 24, 480, np.random.default_rng(0))
    rng = np.random.default_rng(0)
    drawn = [ToySpace().sample(rng).key for _ in range(24)]
    assert sorted(item.genotype.key for item in found) == sorted(drawn)
    assert [len(batch) for batch in predictor.batches] == [24]


def test_a_tight_budget_is_met_by_climbing() -> None:
    # 3 of 1000 random genotypes are as small as this.
    budget_ms = 4 * smallest_high_ms()
    found = find_feasible(screen(budget_ms), 10, 200, np.random.default_rng(1))
    assert len({item.genotype.key for item in found}) == 10
    assert all(item.feasible and item.assessment.latency().high_ms <= budget_ms for item in found)


def test_least_violating_ones_fill_up_where_feasible_ones_are_few() -> None:
    found = find_feasible(screen(1.001 * smallest_high_ms(), choices=2), 12, 32, np.random.default_rng(0))
    assert [item.feasible for item in found] == [True] + [False] * 11
    assert [item.violation for item in found] == sorted(item.violation for item in found)


def test_an_impossible_budget_names_the_closest_and_its_gap() -> None:
    budget_ms = 0.5 * smallest_high_ms()
    predictor = ToyPredictor()
    with pytest.raises(InfeasibleError, match="none of 60 architectures") as caught:
        find_feasible(screen(budget_ms, predictor), 6, 60, np.random.default_rng(0))
    error = caught.value
    assert error.exit_code == 4
    assert error.unit == "ms"
    assert error.gap >= 0.5 * smallest_high_ms()
    assert error.tries == sum(len(batch) for batch in predictor.batches) == 60
    assert "widths" in error.closest
    assert "\n" not in str(error)


def test_a_small_space_is_given_up_when_it_is_exhausted() -> None:
    with pytest.raises(InfeasibleError) as caught:
        find_feasible(screen(1e-9, choices=2), 4, 10_000, np.random.default_rng(0))
    assert caught.value.tries == 32
    assert caught.value.closest == '{"widths": [0, 0, 0, 0, 0]}'
    assert caught.value.gap == pytest.approx(smallest_high_ms(), rel=1e-6)


def test_no_evidence_at_all_says_what_to_profile() -> None:
    with pytest.raises(SearchError, match=r"no evidence .* dense 1x8 -> 4.* profile") as caught:
        find_feasible(screen(1.0, ToyPredictor(known=False)), 4, 40, np.random.default_rng(0))
    assert not isinstance(caught.value, InfeasibleError)


def test_without_evidence_no_latency_is_recorded() -> None:
    judged = screen(1.0, ToyPredictor(known=False)).judge([ToyGenotype((0,) * LAYERS)])[0]
    assert judged.assessment.latency() == UNKNOWN_LATENCY
    assert not judged.feasible
