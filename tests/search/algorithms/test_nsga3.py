"""NSGA-III survival against pymoo's, and what a selection must keep whatever the draw."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymoo.algorithms.moo.nsga3 import ReferenceDirectionSurvival
from pymoo.core.population import Population
from pymoo.core.problem import Problem

from search.algorithms.nsga3 import nsga3, select_by_fronts
from search.algorithms.reference import reference_points
from search.algorithms.sorting import non_dominated_sort


def grid(seed: int, objectives: int = 2) -> np.ndarray:
    points = np.random.default_rng(seed).integers(1, 64, (80, objectives)) / 64
    points[np.arange(objectives), np.arange(objectives)] = 0.0
    points[objectives + np.arange(objectives), np.arange(objectives)] = 1.0
    return points


def pymoo_survivors(points: np.ndarray, survivors: int, seed: int) -> list[int]:
    objectives = points.shape[1]
    survival = ReferenceDirectionSurvival(reference_points(objectives, survivors))
    population = Population.new(X=np.arange(len(points))[:, None], F=points)
    problem = Problem(n_var=1, n_obj=objectives, xl=0, xu=1)
    with np.errstate(divide="ignore"):
        kept = survival.do(problem, population, n_survive=survivors, random_state=np.random.default_rng(seed))
    return [int(row) for row in kept.get("X")[:, 0]]


@pytest.mark.parametrize("objectives", [2, 3])
@pytest.mark.parametrize("seed", range(10))
def test_whole_fronts_survive_as_in_pymoo(seed: int, objectives: int) -> None:
    points = grid(seed, objectives)
    fronts = non_dominated_sort(points)
    fitting = len(fronts[0]) + len(fronts[1])
    ours = nsga3(points, fitting, np.random.default_rng(0))
    assert sorted(ours.tolist()) == sorted(pymoo_survivors(points, fitting, 0))


@pytest.mark.parametrize("objectives", [2, 3])
@pytest.mark.parametrize("seed", range(3))
def test_partial_fronts_survive_as_in_pymoo_under_some_draw(seed: int, objectives: int) -> None:
    points = grid(seed, objectives)
    front = non_dominated_sort(points)[0]
    # One place less than the first front: few different outcomes, so that all are seen on both sides.
    places = len(front) - 1
    ours = {tuple(sorted(nsga3(points, places, np.random.default_rng(draw)).tolist())) for draw in range(150)}
    theirs = {tuple(sorted(pymoo_survivors(points, places, draw))) for draw in range(150)}
    assert ours == theirs


@given(st.integers(0, 10_000), st.integers(1, 90))
@settings(deadline=None, max_examples=40)
def test_better_fronts_come_whole_before_worse_ones(seed: int, survivors: int) -> None:
    points = np.random.default_rng(seed).integers(0, 20, (60, 3)).astype(float)
    kept = nsga3(points, survivors, np.random.default_rng(seed)).tolist()
    assert len(kept) == len(set(kept)) == min(survivors, len(points))
    left = survivors
    for front in non_dominated_sort(points):
        inside = set(front.tolist()) & set(kept)
        assert len(inside) == min(left, len(front))
        left -= len(inside)


def test_same_seed_same_survivors() -> None:
    points = np.random.default_rng(7).random((256, 3))
    runs = [nsga3(points, 128, np.random.default_rng(3)).tolist() for _ in range(2)]
    assert runs[0] == runs[1]


def test_no_places_no_survivors() -> None:
    assert len(select_by_fronts(np.zeros((3, 2)), [np.arange(3)], 0, np.random.default_rng(0))) == 0
