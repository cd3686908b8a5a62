"""The greedy choice, held against conditioning a Gaussian by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from predictor.adaptive import Design, choose


def _design(seed: int, targets: int = 5, candidates: int = 12) -> Design:
    rng = np.random.default_rng(seed)
    factors = rng.standard_normal((targets + candidates, 6))
    joint = factors @ factors.T + 0.1 * np.eye(targets + candidates)
    return Design(
        with_targets=joint[:targets, targets:],
        among=joint[targets:, targets:],
        noise=rng.uniform(0.05, 0.5, candidates),
        target_variance=np.diag(joint)[:targets].copy(),
        seconds=rng.uniform(0.5, 2.0, candidates),
    )


def _variance_after(design: Design, picks: np.ndarray) -> np.ndarray:
    if len(picks) == 0:
        return design.target_variance
    cross = design.with_targets[:, picks]
    covariance = design.among[np.ix_(picks, picks)] + np.diag(design.noise[picks])
    return design.target_variance - np.diag(cross @ np.linalg.inv(covariance) @ cross.T)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 12))
def test_the_variance_left_is_the_conditional_one(seed: int, count: int) -> None:
    design = _design(seed)
    choice = choose(design, count)
    assert len(set(choice.candidates.tolist())) == count
    np.testing.assert_allclose(choice.target_variance, _variance_after(design, choice.candidates), atol=1e-8)
    assert choice.seconds == pytest.approx(design.seconds[choice.candidates].sum())


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_each_pick_is_the_best_second_spent(seed: int) -> None:
    design = _design(seed)
    picks = choose(design, 4).candidates
    for place, pick in enumerate(picks):
        before = _variance_after(design, picks[:place]).mean()
        gains = {
            other: (before - _variance_after(design, np.append(picks[:place], other)).mean()) / design.seconds[other]
            for other in set(range(12)) - set(picks[:place].tolist())
        }
        assert gains[pick] >= max(gains.values()) - 1e-9


def test_a_batch_does_not_ask_the_same_twice() -> None:
    # Two candidates are copies of the first target, one is the second target, which matters less.
    with_targets = np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 0.6]])
    among = np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 0.36]])
    design = Design(with_targets, among, np.full(3, 0.01), np.array([1.0, 0.36]), np.ones(3))
    assert set(choose(design, 2).candidates.tolist()) == {0, 2}


def test_what_costs_more_must_tell_more() -> None:
    alike = Design(np.ones((1, 2)), np.ones((2, 2)), np.full(2, 0.1), np.ones(1), np.array([3.0, 1.0]))
    assert choose(alike, 1).candidates.tolist() == [1]


def test_given_candidates_come_first_and_enough_ends_the_batch() -> None:
    design = _design(3)
    assert choose(design, 3, first=np.array([7, 2])).candidates[:2].tolist() == [7, 2]
    most = float(np.sqrt(design.target_variance).mean())
    assert choose(design, 12, enough_deviation=most).candidates.tolist() == []
    assert choose(design, 12, first=np.array([7]), enough_deviation=most).candidates.tolist() == [7]
    some = choose(design, 12, enough_deviation=0.6 * most)
    assert 0 < len(some.candidates) < 12
    assert float(np.sqrt(some.target_variance).mean()) <= 0.6 * most
