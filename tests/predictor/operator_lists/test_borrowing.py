"""What a device with few rows takes over from another, and what its own rows change."""

from __future__ import annotations

import numpy as np
import pytest

from predictor.operator_lists._borrowing import BorrowedModel
from predictor.operator_lists._device import DeviceModel
from predictor.operator_lists._shapes import ShapeFeatures
from tests.predictor.operator_lists._synthetic import graphs, latency_ms, lists

_ROWS, _TESTS = 240, 120
FEATURES = ShapeFeatures.drawn(0)


def _donor(faster: float) -> DeviceModel:
    networks, families = graphs(_ROWS, seed=1)
    measured_ms = latency_ms(networks, noise=0.01, faster=faster)
    return DeviceModel.fit(FEATURES, lists(networks), measured_ms, np.array(families), 0)


@pytest.fixture(scope="module")
def donors() -> dict[str, DeviceModel]:
    """Two devices with rows enough, one of which computes convolutions much faster."""
    return {"plain": _donor(1.0), "faster": _donor(4.0)}


def _borrowed(donors: dict[str, DeviceModel], count: int, faster: float, only: str | None = None) -> BorrowedModel:
    networks, families = graphs(count if only is None else 6 * count, seed=2)
    measured_ms, family_of = latency_ms(networks, noise=0.01, seed=3, faster=faster), np.array(families)
    rows = np.flatnonzero(family_of == only)[:count] if only else np.arange(count)
    return BorrowedModel.fit(FEATURES, lists(networks).selected(rows), measured_ms[rows], family_of[rows], donors)


def _errors(model: BorrowedModel, faster: float) -> tuple[np.ndarray, np.ndarray]:
    """Return log errors and half widths on fresh networks."""
    networks, families = graphs(_TESTS, seed=5)
    estimate = model.estimate(lists(networks), np.array(families))
    measured_ms = latency_ms(networks, noise=0.01, seed=6, faster=faster)
    return np.abs(np.log(measured_ms) - estimate.log_ms), estimate.half_width


@pytest.mark.parametrize(("faster", "donor"), [(1.2, "plain"), (3.5, "faster")])
def test_it_stands_on_the_device_that_is_most_alike(donors: dict[str, DeviceModel], faster: float, donor: str) -> None:
    model = _borrowed(donors, 20, faster)
    assert model.donor == donor
    errors, _ = _errors(model, faster)
    assert np.mean(errors <= 0.095) >= 0.97


def test_intervals_cover(donors: dict[str, DeviceModel]) -> None:
    errors, half_width = _errors(_borrowed(donors, 20, 1.5), 1.5)
    assert np.mean(errors <= half_width) >= 0.85


def test_rows_of_one_family_do_not_spoil_the_others(donors: dict[str, DeviceModel]) -> None:
    errors, half_width = _errors(_borrowed(donors, 20, 1.2, only="plain"), 1.2)
    assert np.median(errors) <= 0.06
    assert np.mean(errors <= half_width) >= 0.8


def test_more_rows_make_intervals_narrower(donors: dict[str, DeviceModel]) -> None:
    few, many = (np.median(_errors(_borrowed(donors, count, 1.5), 1.5)[1]) for count in (5, 50))
    assert many < few


def test_one_row_scales_the_donor(donors: dict[str, DeviceModel]) -> None:
    only = {"plain": donors["plain"]}
    networks, families = graphs(1, seed=7)
    model = BorrowedModel.fit(FEATURES, lists(networks), 3.0 * latency_ms(networks), np.array(families), only)
    tests, test_families = graphs(40, seed=8)
    estimate = model.estimate(lists(tests), np.array(test_families))
    assert np.median(np.abs(np.exp(estimate.log_ms) / (3.0 * latency_ms(tests)) - 1.0)) <= 0.1
    assert np.isfinite(estimate.half_width).all()


def test_a_throttled_row_does_not_bend_the_rest(donors: dict[str, DeviceModel]) -> None:
    only = {"plain": donors["plain"]}
    networks, families = graphs(20, seed=9)
    measured_ms = latency_ms(networks, noise=0.01)
    slow_ms = measured_ms * np.where(np.arange(20) == 3, 2.0, 1.0)
    model = BorrowedModel.fit(FEATURES, lists(networks), slow_ms, np.array(families), only)
    errors, _ = _errors(model, 1.0)
    assert np.median(errors) <= 0.05
