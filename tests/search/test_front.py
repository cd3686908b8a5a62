"""The front: against the definition of domination, and its hypervolume against a sum of boxes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.front import FrontMember, ParetoFront, hypervolume, pareto_rows, spread
from tests.search._toy import ToyGenotype, toy_assessment

POINTS = st.lists(st.tuples(st.integers(0, 20), st.integers(1, 20)), min_size=1, max_size=30)


def member(accuracy: float, latency_ms: float, key: str = "") -> FrontMember[ToyGenotype]:
    return FrontMember(ToyGenotype((1,)), key or f"{accuracy}/{latency_ms}", accuracy, toy_assessment(latency_ms))


def members(points: list[tuple[int, int]]) -> list[FrontMember[ToyGenotype]]:
    return [member(accuracy / 20, latency / 10) for accuracy, latency in points]


@given(POINTS)
@settings(deadline=None, max_examples=60)
def test_no_member_beats_another_and_each_other_is_beaten(points: list[tuple[int, int]]) -> None:
    front = ParetoFront.of(members(points))
    kept = {(m.accuracy, m.latency().latency_ms) for m in front}

    def beats(first: tuple[float, float], second: tuple[float, float]) -> bool:
        return first != second and first[0] >= second[0] and first[1] <= second[1]

    assert len(kept) == len(front)
    assert not any(beats(first, second) for first in kept for second in kept)
    for accuracy, latency in points:
        point = (accuracy / 20, latency / 10)
        assert point in kept or any(beats(other, point) for other in kept)


@given(POINTS)
@settings(deadline=None, max_examples=60)
def test_members_ascend_in_latency_and_accuracy(points: list[tuple[int, int]]) -> None:
    front = ParetoFront.of(members(points))
    assert [m.latency().latency_ms for m in front] == sorted(m.latency().latency_ms for m in front)
    assert [m.accuracy for m in front] == sorted(m.accuracy for m in front)
    assert front.best is front.members[-1]


@given(POINTS)
@settings(deadline=None, max_examples=60)
def test_hypervolume_is_the_sum_of_boxes(points: list[tuple[int, int]]) -> None:
    accuracy = np.array([point[0] for point in points]) / 20
    latency_ms = np.array([point[1] for point in points]) / 10
    steps = np.linspace(0, 2, 21)
    covered = [max((a for a, t in zip(accuracy, latency_ms, strict=True) if t <= left), default=0) for left in steps]
    # Accuracy reached by the left edge of each of 20 strips of latency from 0 to 2 ms.
    expected = sum(covered[:-1]) * 0.1 / 2
    assert hypervolume(accuracy, latency_ms[:, None], [2.0]) == pytest.approx(expected)


def test_hypervolume_of_nothing_within_the_reference_is_zero() -> None:
    assert hypervolume(np.array([0.9]), np.array([[2.0]]), [2.0]) == 0.0
    assert hypervolume(np.zeros(0), np.zeros((0, 1)), [2.0]) == 0.0
    assert ParetoFront.of([member(0.5, 1.0)]).hypervolume([2.0]) == pytest.approx(0.25)


def test_genotypes_with_one_network_count_once() -> None:
    front = ParetoFront.of([member(0.5, 1.0, "same"), member(0.5, 1.0, "same"), member(0.7, 2.0)])
    assert [m.network_key for m in front] == ["same", "0.7/2.0"]


def test_nothing_has_an_empty_front() -> None:
    assert len(ParetoFront.of([])) == 0
    assert pareto_rows(np.zeros(0), np.zeros((0, 1))).tolist() == []


def test_spread_takes_the_best_then_the_farthest() -> None:
    pool = [member(0.5, 1.0), member(0.6, 1.1), member(0.7, 2.0), member(0.89, 3.9), member(0.9, 4.0)]
    picked = spread(pool, 3)
    assert [m.accuracy for m in picked] == [0.9, 0.5, 0.7]
    assert len(spread(pool, 9)) == 5
    assert spread([], 2) == spread(pool, 0) == []


def test_spread_of_equal_points_picks_each_once() -> None:
    pool = [member(0.5, 1.0, key) for key in "abc"]
    assert sorted(m.network_key for m in spread(pool, 3)) == ["a", "b", "c"]
