"""pNSGA-III: what the union of two sorts keeps, and that it lets late starters live."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.algorithms.nsga3 import nsga3
from search.algorithms.pnsga3 import pnsga3, unite_fronts
from search.algorithms.sorting import non_dominated_sort
from search.errors import ObjectiveError


def candidates(seed: int, count: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.random(count).round(2), rng.normal(0, 0.05, count).round(3), rng.random((count, 1)).round(2)


@given(st.integers(0, 10_000))
@settings(deadline=None, max_examples=40)
def test_united_fronts_hold_each_row_once_at_its_better_level(seed: int) -> None:
    accuracy, growth, costs = candidates(seed)
    first = non_dominated_sort(np.column_stack([-accuracy, costs]))
    second = non_dominated_sort(np.column_stack([-growth, costs]))
    united = unite_fronts(first, second)
    rows = [row for front in united for row in front.tolist()]
    assert sorted(rows) == list(range(len(accuracy)))
    levels = {row: level for level, front in enumerate(first) for row in front.tolist()}
    for level, front in enumerate(second):
        for row in front.tolist():
            levels[row] = min(level, levels[row])
    assert [levels[row] for row in rows] == sorted(levels.values())


@given(st.integers(0, 10_000), st.integers(1, 60))
@settings(deadline=None, max_examples=40)
def test_survivors_come_front_by_front_of_the_union(seed: int, survivors: int) -> None:
    accuracy, growth, costs = candidates(seed)
    kept = pnsga3(accuracy, growth, costs, survivors, np.random.default_rng(seed)).tolist()
    assert len(kept) == len(set(kept)) == survivors
    by_accuracy = non_dominated_sort(np.column_stack([-accuracy, costs]))
    by_growth = non_dominated_sort(np.column_stack([-growth, costs]))
    left = survivors
    for front in unite_fronts(by_accuracy, by_growth):
        assert len(set(front.tolist()) & set(kept)) == min(left, len(front))
        left = max(0, left - len(front))


def test_the_first_fronts_of_both_sorts_survive() -> None:
    accuracy, growth, costs = candidates(5)
    first = set(non_dominated_sort(np.column_stack([-accuracy, costs]))[0].tolist())
    second = set(non_dominated_sort(np.column_stack([-growth, costs]))[0].tolist())
    kept = set(pnsga3(accuracy, growth, costs, len(first | second), np.random.default_rng(0)).tolist())
    assert kept == first | second


def test_a_large_network_that_still_learns_is_kept_only_under_protection() -> None:
    # Rows 0 to 3 are small and accurate; row 4 is large, not yet accurate, and grows fastest.
    accuracy = np.array([0.60, 0.62, 0.64, 0.66, 0.40])
    growth = np.array([0.01, 0.01, 0.01, 0.01, 0.08])
    costs = np.array([[1.0], [1.2], [1.4], [1.6], [9.0]])
    protected = pnsga3(accuracy, growth, costs, 4, np.random.default_rng(0)).tolist()
    plain = nsga3(np.column_stack([-accuracy, costs]), 4, np.random.default_rng(0)).tolist()
    assert 4 in protected
    assert sorted(plain) == [0, 1, 2, 3]


def test_growth_counts_and_cost_counts_down() -> None:
    # The fault of a published implementation: a second sort on (accuracy up, size up).
    growth = np.array([0.1, 0.1])
    kept = pnsga3(np.array([0.5, 0.5]), growth, np.array([[2.0], [1.0]]), 1, np.random.default_rng(0))
    assert kept.tolist() == [1]


@pytest.mark.parametrize("column", ["accuracy", "growth", "costs"])
def test_nan_is_refused(column: str) -> None:
    values = dict(zip(("accuracy", "growth", "costs"), candidates(0), strict=True))
    values[column][3] = np.nan
    with pytest.raises(ObjectiveError, match="candidate 3"):
        pnsga3(**values, survivors=10, rng=np.random.default_rng(0))


def test_golden_selection() -> None:
    accuracy, growth, costs = candidates(42, 24)
    kept = pnsga3(accuracy, growth, costs, 10, np.random.default_rng(1)).tolist()
    assert kept == [1, 5, 6, 11, 17, 18, 20, 23, 21, 9]
