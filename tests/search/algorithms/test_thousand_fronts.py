"""Sorting, reference points, normalisation and niching against pymoo's on a thousand random fronts."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from pymoo.algorithms.moo.nsga3 import HyperplaneNormalization, associate_to_niches, niching
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting
from pymoo.util.ref_dirs import get_reference_directions

from search.algorithms.niching import associate, fill_niches
from search.algorithms.normalisation import normalise
from search.algorithms.reference import das_dennis, reference_points
from search.algorithms.sorting import non_dominated_sort

FRONTS = 1000


def fronts() -> Iterator[tuple[int, np.ndarray]]:
    """Points of 2 to 4 objectives, each from 0 to 1, where pymoo's absolute tolerances do not bite; with ties."""
    for seed in range(FRONTS):
        rng = np.random.default_rng(seed)
        objectives, count = int(rng.integers(2, 5)), int(rng.integers(12, 80))
        points = rng.integers(0, 65, (count, objectives)) / 64
        points[np.arange(objectives), np.arange(objectives)] = 0.0
        points[objectives + np.arange(objectives), np.arange(objectives)] = 1.0
        yield seed, points


def test_sorts_are_pymoos() -> None:
    for seed, points in fronts():
        theirs = [sorted(front.tolist()) for front in NonDominatedSorting().do(points)]
        assert [front.tolist() for front in non_dominated_sort(points)] == theirs, seed


def test_reference_points_are_pymoos() -> None:
    for objectives in (2, 3, 4, 5):
        for partitions in range(1, 13):
            theirs = get_reference_directions("das-dennis", objectives, n_partitions=partitions)
            ours = das_dennis(objectives, partitions)
            np.testing.assert_allclose(ours, theirs[np.lexsort(theirs.T[::-1])], atol=1e-12)


def test_normalisation_is_pymoos() -> None:
    for seed, points in fronts():
        front = non_dominated_sort(points)[0]
        theirs = HyperplaneNormalization(points.shape[1])
        with np.errstate(divide="ignore"):  # pymoo divides by the plane before it looks whether there is one
            theirs.update(points, nds=front)
        expected = (points - theirs.ideal_point) / (theirs.nadir_point - theirs.ideal_point)
        np.testing.assert_allclose(normalise(points, front), expected, rtol=1e-9, atol=1e-9, err_msg=str(seed))


def test_niching_is_pymoos() -> None:
    for seed, points in fronts():
        survivors = len(points) // 2
        sorted_fronts = non_dominated_sort(points)
        kept: list[int] = []
        for front in sorted_fronts:
            if len(kept) + len(front) > survivors:
                break
            kept += front.tolist()
        places = survivors - len(kept)
        directions = reference_points(points.shape[1], survivors)
        normalised = normalise(points, sorted_fronts[0])
        niche, distance = associate(normalised, directions)
        ideal, nadir = np.zeros(points.shape[1]), np.ones(points.shape[1])
        their_niche, their_distance, to_all = associate_to_niches(normalised, directions, ideal, nadir)
        # Where a point is as near to two directions, rounding alone decides.
        settled = niche == their_niche
        nearest_two = np.sort(to_all, axis=1)[~settled, :2]
        np.testing.assert_allclose(nearest_two[:, 0], nearest_two[:, 1], atol=1e-12, err_msg=str(seed))
        np.testing.assert_allclose(distance, their_distance, atol=1e-12, err_msg=str(seed))

        counts = np.bincount(niche[kept], minlength=len(directions))
        last_niche, last_distance = niche[front], distance[front]
        rng = np.random.default_rng(seed)
        ours = fill_niches(counts, last_niche, last_distance, places, rng)
        theirs = niching(front, places, counts.copy(), last_niche, last_distance, random_state=rng)
        # Which of equally empty directions are filled is chance; how full they become in all is not.
        filled = [counts + np.bincount(last_niche[rows], minlength=len(counts)) for rows in (ours, theirs)]
        assert sorted(filled[0]) == sorted(filled[1]), seed
        for rows in (ours, np.array(theirs, dtype=np.intp)):
            for direction in set(last_niche[rows].tolist()) & set(np.flatnonzero(counts == 0).tolist()):
                chosen = rows[last_niche[rows] == direction]
                assert last_distance[chosen].min() == last_distance[last_niche == direction].min(), seed
