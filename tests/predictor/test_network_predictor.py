import time
from pathlib import Path

import numpy as np
import pytest

from predictor import NetworkPredictor, Prediction
from predictor.errors import DeviceMismatchError, NotFittedError, OutOfDomainError
from profiler.network import Add, Conv2d, Network, Opaque, TensorSpec
from tests.predictor import _synthetic
from tests.predictor._synthetic import (
    law_table,
    noisy,
    records,
    row,
    some_network,
    some_networks,
    table_of_rows,
    true_network_ms,
)


def relative_errors(predictions: list[Prediction], networks: list[Network]) -> np.ndarray:
    truth = np.array([true_network_ms(network) for network in networks])
    predicted = np.array([prediction.latency_ms for prediction in predictions])
    return np.asarray(np.abs(predicted / truth - 1))


def test_networks_are_predicted_and_covered(network_predictor: NetworkPredictor) -> None:
    rng = np.random.default_rng(50)
    networks = some_networks(200, rng)
    predictions = network_predictor.predict_many(networks)
    assert relative_errors(predictions, networks).mean() < 0.05
    measured = [noisy(true_network_ms(network), rng) for network in networks]
    covered = np.mean([p.low_ms <= ms <= p.high_ms for p, ms in zip(predictions, measured, strict=True)])
    assert 0.8 <= covered <= 1.0
    assert np.median([p.high_ms / p.low_ms for p in predictions]) < 1.4


def test_without_networks_calls_are_still_paid_once_and_the_interval_is_wider(
    network_predictor: NetworkPredictor,
) -> None:
    networks = some_networks(50, np.random.default_rng(51))
    bare = NetworkPredictor().fit(law_table(200))
    predictions = bare.predict_many(networks)
    assert relative_errors(predictions, networks).mean() < 0.1
    fitted = network_predictor.predict_many(networks)
    assert all(
        wide.high_ms / wide.low_ms > narrow.high_ms / narrow.low_ms
        for wide, narrow in zip(predictions, fitted, strict=True)
    )
    assert any("no whole network" in remark for remark in bare.card.remarks)
    assert bare.card.networks.cases == 0


@pytest.mark.parametrize("count", [1, 2, 4])
def test_few_networks_do_no_harm(count: int) -> None:
    networks = some_networks(50, np.random.default_rng(52))
    predictor = NetworkPredictor().fit(law_table(200, networks=count))
    assert relative_errors(predictor.predict_many(networks), networks).mean() < 0.1
    assert predictor.card.networks.cases == count


def test_slower_networks_than_their_kernels_are_learned_from_networks() -> None:
    rng = np.random.default_rng(53)
    rows = records(law_table(200))
    networks = some_networks(20, rng)
    rows += [row(network, "network", noisy(0.005 + 1.4 * true_network_ms(network), rng)) for network in networks]
    predictor = NetworkPredictor().fit(table_of_rows(rows))
    others = some_networks(50, rng)
    truth = np.array([0.005 + 1.4 * true_network_ms(network) for network in others])
    predicted = np.array([prediction.latency_ms for prediction in predictor.predict_many(others)])
    assert np.abs(predicted / truth - 1).mean() < 0.06


def test_one_outlier_among_networks_does_not_move_the_rest() -> None:
    rng = np.random.default_rng(54)
    table = law_table(200, networks=12)
    strange = some_network(rng)
    spoiled = table_of_rows([*records(table), row(strange, "network", 9 * true_network_ms(strange))])
    networks = some_networks(40, rng)
    assert relative_errors(NetworkPredictor().fit(spoiled).predict_many(networks), networks).mean() < 0.08


def test_larger_networks_than_measured_get_wider_intervals(network_predictor: NetworkPredictor) -> None:
    def tower(depth: int) -> Network:
        operators = [Conv2d("c0", ("x",), 32)]
        operators += [Conv2d(f"c{index}", (f"c{index - 1}",), 32) for index in range(1, depth)]
        return Network("tower", [TensorSpec("x", (1, 28, 28, 32))], operators, [f"c{depth - 1}"])

    small, large = network_predictor.predict_many([tower(1), tower(200)])
    assert large.high_ms / large.low_ms > 1.2 * small.high_ms / small.low_ms
    assert large.latency_ms > 150 * small.latency_ms


def test_parts_sum_to_the_whole(network_predictor: NetworkPredictor) -> None:
    network = some_network(np.random.default_rng(55))
    prediction = network_predictor.predict(network)
    assert sum(part.latency_ms for part in prediction.kernels) + prediction.call_ms == pytest.approx(
        prediction.latency_ms
    )
    assert 0.5 < sum(part.share for part in prediction.kernels) <= 1.0
    assert prediction.kernels[0].kind == "conv2d+relu"
    assert all(part.latency_ms > 0 for part in prediction.kernels)
    assert (prediction.source, prediction.device, prediction.runtime) == ("predicted", "bench", "litert")
    assert (prediction.threads, prediction.dtype) == (1, "float32")


def test_unknown_operators_are_named_and_give_no_number_unless_asked(network_predictor: NetworkPredictor) -> None:
    opaque = Opaque("o", ("x",), "CUSTOM_ATTENTION", (TensorSpec("o", (1, 16, 16, 8)),))
    network = Network("n", [TensorSpec("x", (1, 16, 16, 8))], [opaque, Add("a", ("o", "x"))], ["a"])
    with pytest.raises(OutOfDomainError, match="CUSTOM_ATTENTION") as caught:
        network_predictor.predict(network)
    assert caught.value.kernels == ("opaque CUSTOM_ATTENTION 1x16x16x8 -> 1x16x16x8",)
    prediction = network_predictor.predict(network, allow_unknown=True)
    assert prediction.latency_ms > 0
    assert not prediction.in_domain
    assert prediction.out_of_domain == caught.value.kernels
    assert [part.in_domain for part in prediction.kernels] == [False, True]
    assert prediction.high_ms / prediction.low_ms > 2


def test_a_network_of_one_kernel_costs_what_the_kernel_does() -> None:
    predictor = NetworkPredictor().fit(law_table(200))
    small = Network("n", [TensorSpec("x", (1, 7, 7, 8))], [Add("a", ("x", "x"))], ["a"])
    assert predictor.predict(small).latency_ms == pytest.approx(true_network_ms(small), rel=0.2)


def test_a_kernel_unlike_all_measured_ones_gets_a_finite_and_useless_interval(
    network_predictor: NetworkPredictor,
) -> None:
    vast = Network("n", [TensorSpec("x", (1, 1, 10**6, 4096))], [Add("a", ("x", "x"))], ["a"])
    prediction = network_predictor.predict(vast)
    assert not prediction.in_domain
    assert np.isfinite(prediction.high_ms)
    assert prediction.high_ms / prediction.low_ms > 100


def test_networks_with_unmeasured_kinds_do_not_calibrate() -> None:
    rng = np.random.default_rng(56)
    opaque = Opaque("o", ("x",), "NMS", (TensorSpec("o", (1, 4)),))
    strange = Network("n", [TensorSpec("x", (1, 4))], [opaque], ["o"])
    rows = records(law_table(60, networks=4))
    predictor = NetworkPredictor().fit(table_of_rows([*rows, row(strange, "network", noisy(1.0, rng))]))
    assert predictor.card.networks.cases == 4


def test_another_device_needs_force_and_is_labelled(network_predictor: NetworkPredictor) -> None:
    assert network_predictor.check_device("bench") == ""
    with pytest.raises(DeviceMismatchError) as caught:
        network_predictor.check_device("pixel")
    assert (caught.value.fitted, caught.value.asked) == ("bench", "pixel")
    assert network_predictor.check_device("pixel", force=True) == "predicted for 'bench', not for 'pixel'"


def test_prediction_is_fast_enough_for_a_search(network_predictor: NetworkPredictor) -> None:
    networks = some_networks(300, np.random.default_rng(57))
    start = time.process_time()
    network_predictor.predict_many(networks)
    assert len(networks) / (time.process_time() - start) > 200


def test_same_table_and_seed_give_the_same_file(tmp_path: Path) -> None:
    table = law_table(60, networks=5)
    for name in ("a", "b"):
        NetworkPredictor(seed=4).fit(table).save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_refitting_forgets_what_was_known() -> None:
    rng = np.random.default_rng(58)
    network = some_network(rng)
    predictor = NetworkPredictor().fit(law_table(80))
    before = predictor.predict(network).latency_ms
    kernels = [record | {key: record[key] * 10 for key in ("median_ms", "low_ms", "high_ms", "p90_ms")}
               for record in records(law_table(80))]  # fmt: skip
    assert predictor.fit(table_of_rows(kernels)).predict(network).latency_ms == pytest.approx(10 * before, rel=0.05)


def test_nothing_is_predicted_or_saved_before_fitting(tmp_path: Path) -> None:
    with pytest.raises(NotFittedError):
        NetworkPredictor().predict_many([])
    with pytest.raises(NotFittedError):
        NetworkPredictor().save(tmp_path / "p")


def test_a_device_without_noise_still_gets_intervals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_synthetic, "NOISE", 0.0)
    predictor = NetworkPredictor().fit(law_table(100, networks=20))
    prediction = predictor.predict(some_network(np.random.default_rng(60)))
    assert prediction.low_ms < prediction.latency_ms < prediction.high_ms
    predictor.save(tmp_path / "p.safetensors")
    assert NetworkPredictor.load(tmp_path / "p.safetensors").card == predictor.card
