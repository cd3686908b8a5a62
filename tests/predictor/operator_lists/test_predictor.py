from __future__ import annotations

import numpy as np
import pytest

from predictor.errors import NotFittedError, TrainingRowsError
from predictor.operator_lists import OperatorLists, WholeNetworkPredictor
from tests.predictor.operator_lists._synthetic import graph_of, graphs, latency_ms, lists

_ROWS = 360


@pytest.fixture(scope="module")
def fitted() -> WholeNetworkPredictor:
    """One device with rows of all families."""
    networks, families = graphs(_ROWS, seed=1)
    measured_ms = latency_ms(networks, noise=0.01)
    return WholeNetworkPredictor().fit(lists(networks), ["cpu"] * _ROWS, families, measured_ms)


def test_it_finds_a_known_law(fitted: WholeNetworkPredictor) -> None:
    networks, families = graphs(150, seed=2)
    answer = fitted.predict(lists(networks), ["cpu"] * 150, families)
    truth_ms = latency_ms(networks)
    assert np.mean(np.abs(answer.latency_ms / truth_ms - 1.0) <= 0.05) >= 0.97
    assert answer.in_domain.all()


def test_intervals_cover_what_they_say(fitted: WholeNetworkPredictor) -> None:
    networks, families = graphs(300, seed=3)
    answer = fitted.predict(lists(networks), ["cpu"] * 300, families)
    measured_ms = latency_ms(networks, noise=0.01, seed=4)
    covered = np.mean((answer.low_ms <= measured_ms) & (measured_ms <= answer.high_ms))
    assert 0.82 <= covered <= 0.99


def test_an_unseen_family_gets_a_wider_interval(fitted: WholeNetworkPredictor) -> None:
    networks, families = graphs(30, seed=5)
    known = fitted.predict(lists(networks), ["cpu"] * 30, families)
    unseen = fitted.predict(lists(networks), ["cpu"] * 30, ["another"] * 30)
    assert np.median(unseen.high_ms / unseen.latency_ms) > np.median(known.high_ms / known.latency_ms)


def test_a_network_far_from_all_gets_a_wider_interval(fitted: WholeNetworkPredictor) -> None:
    near = [["conv", 64, 64, 3, 32, 32, 16, 3, 2], ["conv", 32, 32, 16, 32, 32, 64, 3, 1]]
    far = [["conv", 64, 64, 3, 32, 32, 16, 3, 2], ["conv", 4, 4, 4096, 4, 4, 4096, 7, 1]]
    answer = fitted.predict(OperatorLists.of([near, far]), ["cpu"] * 2, ["another"] * 2)
    widths = answer.high_ms / answer.latency_ms
    assert widths[1] > widths[0]


def test_a_network_larger_than_all_that_were_measured_follows_the_law(fitted: WholeNetworkPredictor) -> None:
    large = []
    for filters in (192, 256, 320, 384):
        rows = [["conv", 128, 128, 3, 64, 64, filters, 3, 2], ["conv", 64, 64, filters, 64, 64, filters, 3, 1]]
        large.append([*rows, ["maxpool", 64, 64, filters, 32, 32, filters, 2, 2]])
    answer = fitted.predict(lists(large), ["cpu"] * 4, ["another"] * 4)
    truth_ms = latency_ms(large)
    assert truth_ms.min() > 3.0 * latency_ms(graphs(_ROWS, seed=1)[0]).max()
    np.testing.assert_allclose(answer.latency_ms, truth_ms, rtol=0.1)
    assert ((answer.low_ms <= truth_ms) & (truth_ms <= answer.high_ms)).all()


@pytest.mark.parametrize("operator", ["shuffle", "se", "fc", "softmax", "hswish"])
def test_an_operator_never_seen_is_out_of_domain_and_costs_something(
    fitted: WholeNetworkPredictor, operator: str
) -> None:
    graph = graph_of("plain", np.random.default_rng(6))
    more = [*graph, [operator, 32, 32, 256, 32, 32, 256, 2, 0]]
    answer = fitted.predict(OperatorLists.of([graph, more]), ["cpu"] * 2, ["plain"] * 2)
    assert answer.in_domain.tolist() == [True, False]
    assert answer.latency_ms[1] > answer.latency_ms[0]
    assert np.isfinite(answer.high_ms).all()


def test_a_device_with_few_rows_borrows() -> None:
    networks, families = graphs(_ROWS, seed=7)
    few, few_families = graphs(20, seed=8)
    measured_ms = np.concatenate([latency_ms(networks, noise=0.01), latency_ms(few, noise=0.01, seed=9, faster=2.0)])
    predictor = WholeNetworkPredictor().fit(
        lists([*networks, *few]), ["rich"] * _ROWS + ["new"] * 20, families + few_families, measured_ms
    )
    assert predictor.donors == {"new": "rich"}
    tests, test_families = graphs(150, seed=10)
    answer = predictor.predict(lists(tests), ["new"] * 150, test_families)
    error = np.abs(answer.latency_ms / latency_ms(tests, faster=2.0) - 1.0)
    assert np.mean(error <= 0.1) >= 0.95


def test_the_same_rows_give_the_same_predictions() -> None:
    networks, families = graphs(60, seed=11)
    answers = [
        WholeNetworkPredictor(seed=3)
        .fit(lists(networks), ["cpu"] * 60, families, latency_ms(networks))
        .predict(lists(networks), ["cpu"] * 60, families)
        for _ in range(2)
    ]
    np.testing.assert_array_equal(answers[0].latency_ms, answers[1].latency_ms)
    np.testing.assert_array_equal(answers[0].high_ms, answers[1].high_ms)


def test_one_row_is_enough_for_a_prediction() -> None:
    networks, families = graphs(4, seed=12)
    predictor = WholeNetworkPredictor().fit(lists(networks[:1]), ["cpu"], families[:1], latency_ms(networks[:1]))
    answer = predictor.predict(lists(networks), ["cpu"] * 4, families)
    assert (answer.low_ms < answer.latency_ms).all()
    assert np.isfinite(answer.high_ms).all()


def test_what_cannot_be_learned_from_is_refused() -> None:
    networks, families = graphs(3, seed=13)
    with pytest.raises(NotFittedError):
        WholeNetworkPredictor().predict(lists(networks), ["cpu"] * 3, families)
    with pytest.raises(TrainingRowsError, match="row 2"):
        WholeNetworkPredictor().fit(lists(networks), ["cpu"] * 3, families, [1.0, 0.0, 1.0])
    with pytest.raises(TrainingRowsError, match="no rows"):
        WholeNetworkPredictor().fit(lists([]), [], [], [])
    predictor = WholeNetworkPredictor().fit(lists(networks), ["cpu"] * 3, families, latency_ms(networks))
    with pytest.raises(TrainingRowsError, match="'gpu'"):
        predictor.predict(lists(networks), ["gpu"] * 3, families)
