import numpy as np
import pytest
from scipy.optimize import approx_fprime
from scipy.stats import multivariate_normal
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from predictor._gaussian import GaussianResidual, _negative_log_likelihood


def smooth(rows: np.ndarray) -> np.ndarray:
    return np.asarray(0.3 * np.sin(rows[:, 0]) + 0.1 * rows[:, 1])


@pytest.fixture
def rows() -> np.ndarray:
    return np.random.default_rng(0).uniform(-2, 2, (60, 3))


def test_predictions_agree_with_scikit_learn_s_process(rows: np.ndarray) -> None:
    points = np.random.default_rng(1).uniform(-3, 3, (20, 3))
    ours = GaussianResidual(rows, smooth(rows), np.array([1.0, 0.5, 0.1]), 0.4, 0.05)
    kernel = ConstantKernel(0.16) * Matern([1.0, 2.0, 10.0], nu=2.5) + WhiteKernel(0.0025)
    theirs = GaussianProcessRegressor(kernel, optimizer=None).fit(rows, smooth(rows))
    mean, deviation = theirs.predict(points, return_std=True)
    ours_mean, ours_deviation = ours.predict(points)
    np.testing.assert_allclose(ours_mean, mean, atol=1e-6)
    np.testing.assert_allclose(ours_deviation, deviation, rtol=1e-5)


def test_the_likelihood_and_its_gradient_are_right(rows: np.ndarray) -> None:
    few, values = rows[:15], smooth(rows[:15])
    squares = (few[:, None, :] - few[None, :, :]) ** 2
    at = np.log([0.4, 1.0, 2.0, 10.0, 0.05])
    kernel = ConstantKernel(0.16) * Matern([1.0, 2.0, 10.0], nu=2.5) + WhiteKernel(0.0025)
    expected = -multivariate_normal.logpdf(values, np.zeros(15), kernel(few))
    assert _negative_log_likelihood(at, squares, values)[0] == pytest.approx(expected)
    _, gradient = _negative_log_likelihood(at, squares, values)

    def value(at: np.ndarray) -> float:
        return _negative_log_likelihood(at, squares, values)[0]

    numeric = approx_fprime(at, value, 1e-6)
    np.testing.assert_allclose(gradient, numeric, rtol=1e-3, atol=1e-3)


def test_the_search_finds_which_coordinates_matter(rows: np.ndarray) -> None:
    noisy = smooth(rows) + np.random.default_rng(2).normal(0, 0.02, len(rows))
    fitted = GaussianResidual.fit(rows, noisy, seed=0)
    assert fitted.rates[2] < 0.1 * fitted.rates[0]
    assert 0.01 <= fitted.noise < 0.05
    points = np.random.default_rng(3).uniform(-1.5, 1.5, (50, 3))
    assert np.abs(fitted.predict(points)[0] - smooth(points)).mean() < 0.02


def test_far_away_nothing_is_known_but_the_base(rows: np.ndarray) -> None:
    fitted = GaussianResidual.fit(rows, smooth(rows), seed=0)
    mean, deviation = fitted.predict(np.array([[1e4, 1e4, 1e4]]))
    assert abs(mean[0]) < 1e-6
    assert deviation[0] == pytest.approx(np.hypot(fitted.amplitude, fitted.noise))


def test_one_row_and_constant_coordinates_are_enough_for_the_prior() -> None:
    fitted = GaussianResidual.fit(np.ones((1, 3)), np.array([0.2]), seed=0)
    mean, deviation = fitted.predict(np.ones((1, 3)))
    assert mean[0] == pytest.approx(0.2, abs=0.01)
    assert deviation[0] < 0.1
