"""Normalisation against pymoo's, in the units that a search has, and where no plane exists."""

from __future__ import annotations

import numpy as np
import pytest
from pymoo.algorithms.moo.nsga3 import HyperplaneNormalization

from search.algorithms.normalisation import normalise
from search.algorithms.sorting import non_dominated_sort


def unit_grid(seed: int, objectives: int) -> np.ndarray:
    """Points on a grid whose every axis runs from 0 to 1, where pymoo's absolute tolerances do not bite."""
    points = np.random.default_rng(seed).integers(0, 65, (60, objectives)) / 64
    points[np.arange(objectives), np.arange(objectives)] = 0.0
    points[objectives + np.arange(objectives), np.arange(objectives)] = 1.0
    return points


@pytest.mark.parametrize("objectives", [2, 3])
@pytest.mark.parametrize("seed", range(25))
def test_normalised_points_are_pymoos(seed: int, objectives: int) -> None:
    points = unit_grid(seed, objectives)
    front = non_dominated_sort(points)[0]
    theirs = HyperplaneNormalization(objectives)
    with np.errstate(divide="ignore"):  # pymoo divides by the plane before it looks whether there is one
        theirs.update(points, nds=front)
    expected = (points - theirs.ideal_point) / (theirs.nadir_point - theirs.ideal_point)
    np.testing.assert_allclose(normalise(points, front), expected, rtol=1e-12, atol=1e-12)


def test_units_do_not_matter() -> None:
    points = unit_grid(3, 3)
    front = non_dominated_sort(points)[0]
    in_other_units = points * np.array([1e-3, 40.0, 1e6]) + np.array([-0.9, 2.0, 1e4])
    np.testing.assert_allclose(normalise(in_other_units, front), normalise(points, front), rtol=1e-8, atol=1e-9)


def test_intercepts_of_a_known_plane() -> None:
    points = np.array([[0.0, 2.0], [4.0, 0.0], [1.0, 1.0], [4.0, 2.0]])
    normalised = normalise(points, np.array([0, 1, 2]))
    np.testing.assert_allclose(normalised, [[0, 1], [1, 0], [0.25, 0.5], [1, 1]])


@pytest.mark.parametrize(
    "points",
    [
        np.array([[1.0, 5.0], [1.0, 5.0]]),
        np.array([[0.0, 5.0], [1.0, 5.0], [2.0, 5.0]]),
        np.array([[3.0, 4.0]]),
    ],
)
def test_equal_objectives_become_zero_and_nothing_is_nan(points: np.ndarray) -> None:
    normalised = normalise(points, non_dominated_sort(points)[0])
    assert np.isfinite(normalised).all()
    assert (normalised[:, 1] == 0).all()
