"""Whole networks alone, and both kinds of rows together."""

from pathlib import Path

import numpy as np
import pytest

from predictor import NetworkPredictor
from predictor._kernels import KernelModel
from predictor._learning import learn
from predictor._rows import training_rows
from predictor._summed import PricedCosts, SummedCosts
from predictor.errors import OutOfDomainError
from profiler.kernels import FUSION_RULES, Fuser, Kernel, fuse
from profiler.network import Add, Conv2d, HardSwish, Network, Operator, Relu, TensorSpec
from tests.predictor._synthetic import (
    assert_same,
    law_table,
    network_rows,
    noisy,
    records,
    row,
    some_networks,
    table_of_rows,
    true_ms,
    true_network_ms,
)


@pytest.fixture(scope="module")
def from_networks() -> NetworkPredictor:
    """A predictor that saw whole networks only."""
    rng = np.random.default_rng(70)
    return NetworkPredictor().fit(table_of_rows(network_rows(some_networks(80, rng), rng)))


def tower(depth: int, width: int, size: int) -> Network:
    """A network unlike the small residual ones: no depthwise convolutions, no sums, larger maps."""
    operators: list[Operator] = []
    last = "x"
    for index in range(depth):
        operators += [Conv2d(f"c{index}", (last,), width), Relu(f"r{index}", (f"c{index}",))]
        last = f"r{index}"
    return Network("tower", [TensorSpec("x", (1, size, size, 3))], operators, [last])


def test_whole_networks_alone_are_enough(from_networks: NetworkPredictor) -> None:
    rng = np.random.default_rng(71)
    networks = some_networks(100, rng)
    predictions = from_networks.predict_many(networks)
    errors = [p.latency_ms / true_network_ms(n) - 1 for p, n in zip(predictions, networks, strict=True)]
    assert np.abs(errors).mean() < 0.05
    measured = [noisy(true_network_ms(network), rng) for network in networks]
    covered = np.mean([p.low_ms <= ms <= p.high_ms for p, ms in zip(predictions, measured, strict=True)])
    assert covered >= 0.83
    assert np.median([p.high_ms / p.low_ms for p in predictions]) < 1.6


def test_the_card_says_that_only_networks_were_seen(from_networks: NetworkPredictor) -> None:
    card = from_networks.card
    assert (card.learned_from, card.kernel_rows, card.roofline) == ("networks", 0, None)
    assert card.network_rows == card.networks.cases
    assert card.groups >= 2
    assert card.unlike_networks.cases == card.network_rows
    assert {family.regressor for family in card.families} == {"sums"}
    conv = next(family for family in card.families if family.family == "conv2d")
    assert conv.domain["input_channels"] == (3.0, 32.0)
    assert isinstance(from_networks.costs, SummedCosts)


def test_parts_sum_to_the_whole_there_too(from_networks: NetworkPredictor) -> None:
    prediction = from_networks.predict(some_networks(1, np.random.default_rng(72))[0])
    total = sum(part.latency_ms for part in prediction.kernels) + prediction.call_ms
    assert total == pytest.approx(prediction.latency_ms)
    assert all(part.latency_ms > 0 and part.bound is None for part in prediction.kernels)


def test_networks_unlike_the_measured_ones_get_wider_intervals(from_networks: NetworkPredictor) -> None:
    def width(network: Network) -> float:
        prediction = from_networks.predict(network)
        return float(np.log(prediction.high_ms / prediction.low_ms))

    usual = np.median([width(network) for network in some_networks(30, np.random.default_rng(73))])
    assert width(tower(1, 16, 28)) > usual
    assert width(tower(12, 256, 112)) > 2 * usual
    assert width(tower(12, 256, 112)) > width(tower(3, 32, 28))
    assert not from_networks.predict(tower(12, 256, 112)).in_domain


def test_a_kind_that_no_network_had_is_never_free(from_networks: NetworkPredictor) -> None:
    spec = TensorSpec("x", (1, 28, 28, 16))
    network = Network("n", [spec], [HardSwish("h", ("x",)), Add("a", ("h", "x"))], ["a"])
    with pytest.raises(OutOfDomainError, match="hard_swish"):
        from_networks.predict(network)
    bounded = from_networks.predict(network, allow_unknown=True)
    assert bounded.kernels[0].latency_ms > 0
    assert bounded.out_of_domain[0].startswith("hard_swish")
    assert bounded.high_ms / bounded.low_ms > 2


def test_a_predictor_of_networks_survives_its_file(from_networks: NetworkPredictor, tmp_path: Path) -> None:
    from_networks.save(tmp_path / "p.safetensors")
    again = NetworkPredictor.load(tmp_path / "p.safetensors")
    networks = some_networks(20, np.random.default_rng(74))
    assert_same(again.predict_many(networks), from_networks.predict_many(networks))
    assert again.card == from_networks.card


def test_fewer_kernels_than_make_a_model_count_as_networks_of_one() -> None:
    rng = np.random.default_rng(75)
    few = records(law_table(12, seed=75))
    table = table_of_rows([*few, *network_rows(some_networks(40, rng), rng)])
    predictor = NetworkPredictor().fit(table)
    assert (predictor.card.learned_from, predictor.card.kernel_rows) == ("kernels and networks", 12)
    networks = some_networks(40, rng)
    errors = [
        p.latency_ms / true_network_ms(n) - 1 for p, n in zip(predictor.predict_many(networks), networks, strict=True)
    ]
    assert np.abs(errors).mean() < 0.06


def slow_depthwise_ms(network: Network) -> float:
    """A device on which depthwise convolutions take twice as long inside a network as alone."""
    kernels = fuse(network, FUSION_RULES["litert"])
    return 0.001 + sum((2.0 if k.family == "depthwise_conv2d" else 1.0) * (true_ms(k) - 0.001) for k in kernels)


def test_networks_refine_kernels_through_the_sum() -> None:
    rng = np.random.default_rng(76)
    kernels = records(law_table(200))
    seen, fresh = some_networks(60, rng), some_networks(60, rng)
    rows = [row(network, "network", noisy(slow_depthwise_ms(network), rng)) for network in seen]
    both = NetworkPredictor().fit(table_of_rows([*kernels, *rows]))
    assert both.card.learned_from == "kernels and networks"
    assert both.card.correction != (0.0, 0.0)
    assert isinstance(both.costs, SummedCosts)
    errors = [p.latency_ms / slow_depthwise_ms(n) - 1 for p, n in zip(both.predict_many(fresh), fresh, strict=True)]
    assert np.abs(errors).mean() < 0.05
    prediction = both.predict(fresh[0])
    depthwise = [part.latency_ms for part in prediction.kernels if part.kind.startswith("depthwise")]
    alone = [true_ms(k) - 0.001 for k in fuse(fresh[0], FUSION_RULES["litert"]) if k.family == "depthwise_conv2d"]
    assert sum(depthwise) > 1.3 * sum(alone)


def test_where_networks_are_their_kernels_nothing_is_corrected(network_predictor: NetworkPredictor) -> None:
    assert network_predictor.card.correction == (0.0, 0.0)
    assert isinstance(network_predictor.costs, KernelModel)


def test_networks_of_families_without_kernel_rows_are_learned_as_sums() -> None:
    rng = np.random.default_rng(77)
    kernels = [record for record in records(law_table(120)) if not record["kind"].startswith("depthwise")]
    rows = training_rows(table_of_rows([*kernels, *network_rows(some_networks(30, rng), rng)]))
    learned = learn(rows, Fuser(FUSION_RULES["litert"]), seed=0)
    assert isinstance(learned.costs, SummedCosts)
    assert isinstance(learned.costs.base, PricedCosts)
    assert "depthwise_conv2d" in learned.costs.base.domains


def test_a_kernel_alone_is_a_network_of_one_kernel(from_networks: NetworkPredictor) -> None:
    network = tower(1, 16, 28)
    (kernel,) = fuse(network, FUSION_RULES["litert"])
    assert isinstance(kernel, Kernel)
    estimate = from_networks.costs.estimate([kernel])
    assert from_networks.predict(network).latency_ms == pytest.approx(float(estimate.latency_ms[0]))
