import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from predictor._conformal import calibrated_factor, held_out_coverage


def test_many_scores_give_the_corrected_quantile() -> None:
    assert calibrated_factor(np.arange(1.0, 100.0)) == 90.0


def test_few_scores_give_a_wide_student_interval() -> None:
    none, three, ten = (calibrated_factor(np.ones(count)) for count in (0, 3, 10))
    assert none == pytest.approx(6.3138, rel=1e-4)
    assert three == pytest.approx(2.1318, rel=1e-4)
    assert none > three > ten > 1.645


@settings(max_examples=50, deadline=None)
@given(scores=st.lists(st.floats(0, 1e6), min_size=0, max_size=60), factor=st.floats(0.01, 100.0))
def test_the_factor_is_finite_positive_and_grows_with_the_scores(scores: list[float], factor: float) -> None:
    values = np.array(scores)
    small = calibrated_factor(values)
    assert np.isfinite(small)
    assert small > 0
    assert calibrated_factor(values * (1 + factor)) >= small


@pytest.mark.parametrize("count", [6, 12, 19, 60])
def test_new_cases_are_covered_at_the_nominal_rate(count: int) -> None:
    rng = np.random.default_rng(count)
    covered = []
    for _ in range(400):
        factor = calibrated_factor(np.abs(rng.normal(size=count)))
        covered.append(np.abs(rng.normal(size=20)) <= factor)
    assert 0.87 <= np.mean(covered) <= 0.97


def test_held_out_coverage_is_honest_about_normal_errors() -> None:
    rng = np.random.default_rng(1)
    assert held_out_coverage(np.abs(rng.normal(size=300))) == pytest.approx(0.9, abs=0.03)
    assert held_out_coverage(np.empty(0)) == 1.0
