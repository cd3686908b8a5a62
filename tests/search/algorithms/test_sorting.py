"""Non-dominated sorting against a pairwise oracle and against pymoo."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

from search.algorithms.sorting import domination_matrix, non_dominated_sort
from search.errors import ObjectiveError

MATRICES = st.tuples(st.integers(1, 40), st.integers(1, 4)).flatmap(
    lambda shape: arrays(np.float64, shape, elements=st.integers(0, 6).map(float))
)


def slow_fronts(objectives: np.ndarray) -> list[list[int]]:
    """Peel off, again and again, the rows that no remaining row dominates."""

    def dominates(first: int, second: int) -> bool:
        pairs = list(zip(objectives[first], objectives[second], strict=True))
        return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)

    left = list(range(len(objectives)))
    fronts = []
    while left:
        front = [row for row in left if not any(dominates(other, row) for other in left)]
        fronts.append(front)
        left = [row for row in left if row not in front]
    return fronts


@given(MATRICES)
@settings(deadline=None, max_examples=80)
def test_sort_agrees_with_the_pairwise_oracle(objectives: np.ndarray) -> None:
    assert [front.tolist() for front in non_dominated_sort(objectives)] == slow_fronts(objectives)


@given(MATRICES)
@settings(deadline=None, max_examples=80)
def test_no_member_of_a_front_dominates_another(objectives: np.ndarray) -> None:
    fronts = non_dominated_sort(objectives)
    assert sorted(np.concatenate(fronts).tolist()) == list(range(len(objectives)))
    for front in fronts:
        assert not domination_matrix(objectives[front]).any()


@pytest.mark.parametrize("seed", range(20))
def test_sort_agrees_with_pymoo(seed: int) -> None:
    objectives = np.random.default_rng(seed).random((100, 2 + seed % 3)).round(2)
    theirs = NonDominatedSorting().do(objectives)
    ours = non_dominated_sort(objectives)
    assert [front.tolist() for front in ours] == [sorted(front.tolist()) for front in theirs]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_cannot_be_compared_is_refused_with_its_row(value: float) -> None:
    with pytest.raises(ObjectiveError, match="objective 1 of candidate 2") as caught:
        non_dominated_sort(np.array([[1.0, 2.0], [2.0, 1.0], [0.0, value]]))
    assert caught.value.candidate == 2


def test_objectives_must_be_a_matrix() -> None:
    with pytest.raises(ObjectiveError, match=r"\(3,\)"):
        non_dominated_sort(np.zeros(3))


def test_no_candidates_make_no_fronts() -> None:
    assert non_dominated_sort(np.zeros((0, 2))) == ()
