import numpy as np
import pytest

from predictor._prices import WorkPrices
from predictor._through_sum import LabelledRows
from profiler.kernels import FUSION_RULES, Fuser, random_kernels
from profiler.network import Conv2d, Network, TensorSpec
from tests.predictor._synthetic import KINDS, some_networks, true_ms, true_network_ms


def some_rows(networks: int, seed: int = 0) -> LabelledRows:
    fuser = Fuser(FUSION_RULES["litert"])
    drawn = some_networks(networks, np.random.default_rng(seed))
    latency = np.array([true_network_ms(network) for network in drawn])
    return LabelledRows.of([], np.empty(0), [fuser(network) for network in drawn], latency)


def predicted(prices: WorkPrices, rows: LabelledRows) -> np.ndarray:
    return np.asarray(rows.counts @ prices.inside_ms(rows.kernels) + prices.constant_ms)


@pytest.mark.parametrize("networks", [12, 80])
def test_prices_found_on_sums_price_other_sums(networks: int) -> None:
    prices = WorkPrices.fit(some_rows(networks))
    fresh = some_rows(60, seed=1)
    errors = predicted(prices, fresh) / fresh.latency_ms - 1
    assert np.abs(errors).mean() < (0.1 if networks == 12 else 0.05)


def test_no_price_is_negative_and_no_kernel_is_free() -> None:
    prices = WorkPrices.fit(some_rows(40))
    assert (prices.prices >= 0).all()
    assert (prices.common >= 0).all()
    assert prices.constant_ms >= 0
    everything = random_kernels(200, np.random.default_rng(2))
    assert (prices.inside_ms(everything) > 0).all()


def test_classes_that_no_row_held_have_the_common_prices() -> None:
    prices = WorkPrices.fit(some_rows(40))
    pools = random_kernels(20, np.random.default_rng(3), kinds=("max_pool2d",))
    assert "max_pool2d" not in prices.classes
    truth = np.array([true_ms(kernel) for kernel in pools])
    assert np.median(np.abs(np.log(prices.inside_ms(pools) / truth))) < np.log(6.0)


def test_a_device_twice_as_slow_costs_twice_as_much() -> None:
    rows = some_rows(40)
    slow = LabelledRows(rows.kernels, rows.counts, rows.alone, 2.0 * rows.latency_ms)
    kernels = random_kernels(30, np.random.default_rng(4), kinds=KINDS)
    np.testing.assert_allclose(
        WorkPrices.fit(slow).inside_ms(kernels), 2.0 * WorkPrices.fit(rows).inside_ms(kernels), rtol=0.02
    )


def test_a_kernel_that_all_rows_hold_alike_is_priced_like_others_and_not_free() -> None:
    rng = np.random.default_rng(5)
    fuser = Fuser(FUSION_RULES["litert"])
    stem = Network("s", [TensorSpec("x", (1, 8, 8, 1))], [Conv2d("c", ("x",), 8)], ["c"])
    bags = [[*fuser(stem), *fuser(network)] for network in some_networks(24, rng)]
    latency = np.array([sum(map(true_ms, bag)) for bag in bags])
    prices = WorkPrices.fit(LabelledRows.of([], np.empty(0), bags, latency))
    large = Network("l", [TensorSpec("x", (1, 1024, 1024, 1))], [Conv2d("c", ("x",), 8)], ["c"])
    alike = Network("a", [TensorSpec("x", (1, 1024, 1024, 8))], [Conv2d("c", ("x",), 8)], ["c"])
    assert prices.inside_ms(fuser(large))[0] > 0.01 * prices.inside_ms(fuser(alike))[0]
