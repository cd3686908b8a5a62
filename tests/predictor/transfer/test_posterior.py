from __future__ import annotations

import numpy as np
import pytest

from predictor.transfer._posterior import variance_of_bursts, weigh

_COUNT = 12
_NOISE, _BURST = 0.02, 0.2


def _level(deviation: float) -> np.ndarray:
    """Return the covariance of a constant."""
    return np.full((_COUNT, _COUNT), deviation**2)


def _labels(level: float) -> np.ndarray:
    return level + _NOISE * np.random.default_rng(0).standard_normal(_COUNT)


def _mean(covariance: np.ndarray, weights: np.ndarray) -> float:
    return float((covariance @ weights)[0])


def test_without_outliers_it_is_the_posterior_of_a_normal_process() -> None:
    labels, covariance = _labels(0.3), _level(1.0)
    evidence = weigh(covariance, labels, _NOISE, _BURST, beam=4)
    expected = labels.sum() / (_COUNT + _NOISE**2)
    assert _mean(covariance, evidence.weights) == pytest.approx(expected, abs=_NOISE / 10)
    assert evidence.outliers.max() < 0.5


@pytest.mark.parametrize("beam", [1, 8])
def test_slow_moments_do_not_move_the_rest(beam: int) -> None:
    labels, covariance = _labels(0.0), _level(1.0)
    slow = [1, 4, 7]
    labels[slow] += [0.15, 0.4, 0.6]
    evidence = weigh(covariance, labels, _NOISE, _BURST, beam)
    assert abs(_mean(covariance, evidence.weights)) < 2 * _NOISE
    assert evidence.outliers[slow].min() > 0.9
    assert np.delete(evidence.outliers, slow).max() < 0.5


def test_of_two_likely_labels_the_later_is_the_slow_one() -> None:
    evidence = weigh(np.full((2, 2), 1.0), np.array([0.0, 0.3]), _NOISE, _BURST, beam=4)
    assert evidence.outliers[1] > evidence.outliers[0]


def test_more_sets_looked_at_can_only_add_likelihood() -> None:
    labels = _labels(0.0)
    labels[:4] += 0.3
    few, many = (weigh(_level(0.5), labels, _NOISE, _BURST, beam).log_likelihood for beam in (1, 8))
    assert many >= few


def test_one_label_is_enough() -> None:
    evidence = weigh(np.ones((1, 1)), np.array([0.5]), _NOISE, _BURST)
    assert evidence.weights[0] == pytest.approx(0.5 / (1 + _NOISE**2))


def test_variance_of_bursts_is_what_slow_moments_add_on_average() -> None:
    rng = np.random.default_rng(0)
    slow = rng.random(200_000) < 0.1
    added = slow * (_BURST + 0.75 * _BURST * rng.standard_normal(len(slow)))
    assert variance_of_bursts(_BURST, 0.1) == pytest.approx(np.mean(added**2), rel=0.05)
    assert variance_of_bursts(_BURST, 0.0) == 0.0
