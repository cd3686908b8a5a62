"""Reference points against pymoo's and against their count in closed form."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from pymoo.util.ref_dirs import get_reference_directions

from search.algorithms.reference import das_dennis, reference_points


@pytest.mark.parametrize("objectives", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("partitions", [1, 2, 5, 7])
def test_grid_is_pymoos(objectives: int, partitions: int) -> None:
    theirs = get_reference_directions("das-dennis", objectives, n_partitions=partitions)
    ours = das_dennis(objectives, partitions)
    assert len(ours) == comb(partitions + objectives - 1, objectives - 1)
    np.testing.assert_allclose(ours, theirs, atol=1e-15)


@pytest.mark.parametrize("objectives", [2, 3, 4])
@pytest.mark.parametrize("most", [1, 2, 4, 10, 91, 128])
def test_points_are_the_finest_grid_that_is_not_larger(objectives: int, most: int) -> None:
    points = reference_points(objectives, most)
    partitions = round(1 / points[points > 0].min())
    assert len(points) <= max(most, objectives)
    assert comb(partitions + 1 + objectives - 1, objectives - 1) > most
    np.testing.assert_allclose(points.sum(axis=1), 1.0)


def test_one_objective_has_one_direction() -> None:
    assert reference_points(1, 50).tolist() == [[1.0]]
