"""Constrained domination: feasible before infeasible, and those by how far they are off."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.algorithms.domination import feasible_first
from search.errors import ObjectiveError


def first_come(rows: np.ndarray, places: int) -> np.ndarray:
    return rows[:places]


@given(st.lists(st.sampled_from([0.0, 0.1, 0.5, 2.0, math.inf]), min_size=1, max_size=30), st.integers(1, 30))
@settings(deadline=None, max_examples=80)
def test_no_one_dropped_is_less_violating_than_one_kept(violations: list[float], survivors: int) -> None:
    violation = np.array(violations)
    kept = feasible_first(violation, survivors, first_come)
    dropped = np.setdiff1d(np.arange(len(violation)), kept)
    assert len(kept) == min(survivors, len(violation))
    assert violation[kept].tolist() == sorted(violation[kept].tolist())
    if len(dropped):
        assert violation[kept].max() <= violation[dropped].min()


def test_selection_decides_among_feasible_ones_only() -> None:
    violation = np.array([0.0, 1.0, 0.0, 0.0])
    kept = feasible_first(violation, 2, lambda rows, places: rows[::-1][:places])
    assert kept.tolist() == [3, 2]


@pytest.mark.parametrize("wrong", [math.nan, -0.1])
def test_a_violation_that_is_no_distance_is_refused(wrong: float) -> None:
    with pytest.raises(ObjectiveError, match="candidate 1") as caught:
        feasible_first(np.array([0.0, wrong]), 1, first_come)
    assert caught.value.candidate == 1
