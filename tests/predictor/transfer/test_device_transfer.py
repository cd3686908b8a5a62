from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from predictor.errors import TrainingRowsError
from predictor.transfer import DeviceTransfer, SourceDevices
from predictor.transfer._scale import Scale
from tests.predictor.transfer._catalogue import cell_text, device_costs, latencies, random_cells

CELLS = random_cells(400, np.random.default_rng(0))
TEXTS = [cell_text(cell.operations) for cell in CELLS]
ROOT = Scale(logarithmic=False)
SOURCES_MS = np.stack([latencies(CELLS, costs) for costs in device_costs(5, np.random.default_rng(1))], axis=1)
ROWS = np.arange(200)


@pytest.fixture(scope="module")
def transfer() -> DeviceTransfer:
    return DeviceTransfer(SourceDevices(TEXTS, SOURCES_MS, rows=ROWS))


def _new_device(*, prunes: bool = False) -> np.ndarray:
    return latencies(CELLS, device_costs(1, np.random.default_rng(7))[0], prunes=prunes)


def test_few_labels_predict_a_new_device(transfer: DeviceTransfer) -> None:
    truth_ms = _new_device()
    chosen = transfer.choose(10)
    predicted_ms = transfer.predict(chosen, truth_ms[chosen])
    assert spearmanr(predicted_ms, truth_ms).statistic > 0.99
    assert np.median(np.abs(predicted_ms / truth_ms - 1)) < 0.04


def test_a_device_that_drops_dead_parts_is_recognised(transfer: DeviceTransfer) -> None:
    truth_ms = _new_device(prunes=True)
    dead = np.array([cell.live() != cell for cell in CELLS])
    chosen = transfer.choose(12)
    predicted_ms = transfer.predict(chosen, truth_ms[chosen])
    assert spearmanr(predicted_ms[dead], truth_ms[dead]).statistic > 0.95


def test_a_slow_moment_among_the_labels_does_no_harm(transfer: DeviceTransfer) -> None:
    truth_ms = _new_device()
    chosen = transfer.choose(16)
    labels_ms = truth_ms[chosen] * (1 + 0.01 * np.random.default_rng(3).standard_normal(16))
    labels_ms[4] *= 3.0
    predicted_ms = transfer.predict(chosen, labels_ms)
    assert spearmanr(predicted_ms, truth_ms).statistic > 0.95


def test_scaling_the_labels_scales_the_predictions(transfer: DeviceTransfer) -> None:
    truth_ms = _new_device()
    chosen = transfer.choose(6)
    once, thousandfold = (transfer.predict(chosen, factor * truth_ms[chosen]) for factor in (1.0, 1000.0))
    np.testing.assert_allclose(thousandfold, 1000.0 * once, rtol=1e-6)


def test_fewer_labels_than_factors_are_enough_to_order(transfer: DeviceTransfer) -> None:
    truth_ms = _new_device()
    chosen = transfer.choose(1)
    assert spearmanr(transfer.predict(chosen, truth_ms[chosen]), truth_ms).statistic > 0.8


def test_choice_is_repeatable_distinct_and_among_what_can_be_measured(transfer: DeviceTransfer) -> None:
    possible = np.arange(50, 90)
    chosen = transfer.choose(8, possible)
    assert len(set(chosen.tolist())) == 8
    assert set(chosen.tolist()) <= set(possible.tolist())
    np.testing.assert_array_equal(chosen, transfer.choose(8, possible))


def test_only_the_rows_given_are_read() -> None:
    elsewhere = SOURCES_MS.copy()
    elsewhere[200:] = np.nan
    elsewhere[250] = -1.0
    pair = [DeviceTransfer(SourceDevices(TEXTS, table, rows=ROWS)) for table in (SOURCES_MS, elsewhere)]
    truth_ms, chosen = _new_device(), pair[0].choose(5)
    predicted = [one.predict(chosen, truth_ms[chosen]) for one in pair]
    np.testing.assert_array_equal(predicted[0], predicted[1])


def test_missing_values_of_a_source_are_accepted() -> None:
    holes = SOURCES_MS.copy()
    holes[10:60, 2] = np.nan
    transfer = DeviceTransfer(SourceDevices(TEXTS, holes, rows=ROWS))
    truth_ms, chosen = _new_device(), transfer.choose(10)
    assert spearmanr(transfer.predict(chosen, truth_ms[chosen]), truth_ms).statistic > 0.98


def test_one_source_is_enough() -> None:
    transfer = DeviceTransfer(SourceDevices(TEXTS, SOURCES_MS[:, :1], rows=ROWS))
    truth_ms, chosen = _new_device(), transfer.choose(20)
    assert spearmanr(transfer.predict(chosen, truth_ms[chosen]), truth_ms).statistic > 0.95


def test_sources_can_be_left_out_and_are_then_not_looked_at() -> None:
    poisoned = np.concatenate([SOURCES_MS, np.random.default_rng(5).uniform(1, 9, (len(CELLS), 1))], axis=1)
    apart = DeviceTransfer(SourceDevices(TEXTS, SOURCES_MS, rows=ROWS))
    left_out = DeviceTransfer(SourceDevices(TEXTS, poisoned, rows=ROWS), devices=np.arange(5))
    truth_ms, chosen = _new_device(), apart.choose(5)
    one, other = (each.predict(chosen, truth_ms[chosen]) for each in (apart, left_out))
    np.testing.assert_allclose(one, other, rtol=1e-6)


@pytest.mark.parametrize("wrong", [0.0, -1.0, np.inf])
def test_latencies_that_are_none_are_refused(wrong: float, transfer: DeviceTransfer) -> None:
    table = SOURCES_MS.copy()
    table[3, 1] = wrong
    with pytest.raises(TrainingRowsError, match="row 4"):
        SourceDevices(TEXTS, table)
    with pytest.raises(TrainingRowsError, match="row 8"):
        transfer.predict(np.array([7]), np.array([wrong]))


def test_too_little_to_go_on_is_said(transfer: DeviceTransfer) -> None:
    with pytest.raises(TrainingRowsError, match="at least one measured"):
        transfer.predict(np.array([], dtype=np.int64), np.array([]))
    with pytest.raises(TrainingRowsError, match="cannot choose 5 of 3"):
        transfer.choose(5, np.arange(3))
    with pytest.raises(TrainingRowsError, match="measure 20"):
        DeviceTransfer(SourceDevices(TEXTS, SOURCES_MS, rows=np.arange(19)))
    with pytest.raises(TrainingRowsError, match="at least one source"):
        SourceDevices(TEXTS, SOURCES_MS[:, :0])


def _sources_with_outliers(factor: float) -> SourceDevices:
    """Return sources of which the third has a tenth of its rows out of line by a factor."""
    latency_ms = SOURCES_MS * np.exp(0.01 * np.random.default_rng(2).standard_normal(SOURCES_MS.shape))
    latency_ms[np.random.default_rng(3).permutation(400)[:40], 2] *= factor
    return SourceDevices(TEXTS, latency_ms)


def test_the_share_of_slow_moments_is_that_of_the_device_with_most_of_them() -> None:
    sources = _sources_with_outliers(1.8)
    assert 0.02 < sources.burst_share(np.arange(5), ROOT) < 0.12
    assert sources.burst_share(np.array([0, 1, 3, 4]), ROOT) == 0.0


def test_rows_that_are_too_early_are_no_slow_moments() -> None:
    assert _sources_with_outliers(1 / 1.8).burst_share(np.arange(5), ROOT) == 0.0


def test_where_sources_have_slow_moments_labels_are_sought_where_more_is_to_be_seen() -> None:
    mean_ms = SOURCES_MS.mean(axis=1)
    sources = _sources_with_outliers(1.8)
    every, calm = (DeviceTransfer(sources, devices=used).choose(10) for used in (None, np.array([0, 1, 3, 4])))
    assert np.std(mean_ms[every]) > np.std(mean_ms[calm])
