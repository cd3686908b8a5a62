"""Niching: distances in closed form, association against pymoo, the order in which places are filled."""

from __future__ import annotations

import numpy as np
import pytest
from pymoo.algorithms.moo.nsga3 import associate_to_niches, niching

from search.algorithms.niching import associate, fill_niches, perpendicular_distances
from search.algorithms.reference import das_dennis


def test_distance_to_the_diagonal_is_known() -> None:
    distances = perpendicular_distances(np.array([[1.0, 0.0], [2.0, 2.0]]), np.array([[0.5, 0.5], [0.0, 3.0]]))
    np.testing.assert_allclose(distances, [[np.sqrt(0.5), 1.0], [0.0, 2.0]], atol=1e-15)


@pytest.mark.parametrize("objectives", [2, 3, 4])
def test_association_is_pymoos(objectives: int) -> None:
    points = np.random.default_rng(objectives).random((200, objectives))
    directions = das_dennis(objectives, 6)
    niche, distance = associate(points, directions)
    their_niche, their_distance, _ = associate_to_niches(points, directions, np.zeros(objectives), np.ones(objectives))
    np.testing.assert_array_equal(niche, their_niche)
    np.testing.assert_allclose(distance, their_distance, atol=1e-12)


def test_empty_directions_take_their_closest_candidate_first() -> None:
    counts = np.array([3, 0, 0])
    niche, distance = np.array([0, 1, 1, 2, 2]), np.array([0.0, 0.3, 0.1, 0.2, 0.4])
    chosen = fill_niches(counts, niche, distance, 2, np.random.default_rng(0))
    assert sorted(chosen.tolist()) == [2, 3]
    assert counts.tolist() == [3, 0, 0], "the caller's counts stay as they were"


def test_full_directions_wait_for_the_others() -> None:
    chosen = fill_niches(np.array([2, 0]), np.array([0, 1, 1]), np.zeros(3), 2, np.random.default_rng(0))
    assert sorted(chosen.tolist()) == [1, 2]


def test_outcomes_under_all_seeds_are_pymoos() -> None:
    counts, niche = np.array([1, 0, 0, 2]), np.array([0, 0, 1, 1, 2, 3])
    distance = np.array([0.5, 0.1, 0.2, 0.3, 0.0, 0.0])

    def ours(seed: int) -> frozenset[int]:
        return frozenset(fill_niches(counts, niche, distance, 4, np.random.default_rng(seed)).tolist())

    def theirs(seed: int) -> frozenset[int]:
        rng = np.random.default_rng(seed)
        return frozenset(niching(niche, 4, counts.copy(), niche, distance, random_state=rng))

    assert {ours(seed) for seed in range(60)} == {theirs(seed) for seed in range(60)}
