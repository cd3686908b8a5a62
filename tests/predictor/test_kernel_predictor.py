import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from predictor import KernelPredictor
from predictor.errors import NotFittedError, OutOfDomainError
from profiler.kernels import RECIPES, Kernel, random_kernels
from profiler.network import Conv2d, HardSwish, Network, Opaque, TensorSpec
from profiler.table import LatencyTable
from tests.predictor._synthetic import KINDS, law_table, noisy, true_ms


def one_conv(size: int, channels: int, filters: int, window: int = 3) -> Kernel:
    operator = Conv2d("k0", ("x0",), filters, (window, window))
    return Kernel(Network("kernel", [TensorSpec("x0", (1, size, size, channels))], [operator], ["k0"]))


def test_unseen_kernels_of_a_known_law_are_predicted(kernel_predictor: KernelPredictor) -> None:
    kernels = random_kernels(200, np.random.default_rng(99), kinds=KINDS)
    predicted = kernel_predictor.predict(kernels)
    error = predicted.latency_ms / [true_ms(kernel) for kernel in kernels] - 1
    assert np.abs(error).mean() < 0.05
    assert np.mean(np.abs(error) < 0.1) > 0.85


def test_intervals_cover_what_they_promise(kernel_predictor: KernelPredictor) -> None:
    rng = np.random.default_rng(98)
    kernels = random_kernels(400, rng, kinds=KINDS)
    measured = np.array([noisy(true_ms(kernel), rng) for kernel in kernels])
    predicted = kernel_predictor.predict(kernels)
    covered = np.mean((predicted.low_ms <= measured) & (measured <= predicted.high_ms))
    assert 0.82 <= covered <= 0.98
    widths = np.log(predicted.high_ms / predicted.low_ms)
    assert np.median(widths) < 0.35


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_latencies_and_intervals_are_positive_and_ordered(kernel_predictor: KernelPredictor, seed: int) -> None:
    kernels = random_kernels(13, np.random.default_rng(seed), kinds=tuple(RECIPES))
    predicted = kernel_predictor.predict(kernels, allow_unknown=True)
    assert (predicted.low_ms > 0).all()
    assert (predicted.low_ms < predicted.latency_ms).all()
    assert (predicted.latency_ms < predicted.high_ms).all()
    assert np.isfinite(predicted.high_ms).all()
    known = np.array([kernel.family in KINDS for kernel in kernels])
    assert not predicted.in_domain[~known].any()


@pytest.mark.parametrize("factor", [1e-3, 7.0, 1e4])
def test_a_slower_device_is_predicted_slower_by_the_same_factor(factor: float) -> None:
    table = law_table(80)
    frame = table.frame.copy()
    for column in ("median_ms", "low_ms", "high_ms", "p90_ms"):
        frame[column] *= factor
    kernels = random_kernels(30, np.random.default_rng(5), kinds=KINDS)
    plain = KernelPredictor().fit(table).predict(kernels).latency_ms
    scaled = KernelPredictor().fit(LatencyTable(frame)).predict(kernels).latency_ms
    np.testing.assert_allclose(scaled, plain * factor, rtol=0.02)


def test_more_work_takes_longer_far_outside_what_was_measured(kernel_predictor: KernelPredictor) -> None:
    sizes = [one_conv(56 * 2**step, 64, 64) for step in range(4)]
    predicted = kernel_predictor.predict(sizes)
    assert (np.diff(predicted.latency_ms) > 0).all()
    assert not predicted.in_domain[-1]
    width = predicted.high_ms / predicted.low_ms
    assert width[-1] > 2 * width[0]
    truth = true_ms(sizes[-1])
    assert truth / 2 < predicted.latency_ms[-1] < truth * 2


def test_domain_is_what_was_measured(kernel_predictor: KernelPredictor) -> None:
    inside, wide_window = one_conv(28, 32, 32), one_conv(28, 32, 32, window=11)
    strange = Kernel(
        Network(
            "kernel",
            [TensorSpec("x0", (1, 28, 28, 32))],
            [Conv2d("k0", ("x0",), 32), HardSwish("k1", ("k0",))],
            ["k1"],
        )
    )
    assert kernel_predictor.predict([inside, wide_window, strange]).in_domain.tolist() == [True, False, False]


def test_unknown_kinds_are_named_and_only_bounded_when_asked(kernel_predictor: KernelPredictor) -> None:
    (pool,) = random_kernels(1, np.random.default_rng(0), kinds=("max_pool2d",))
    opaque = Opaque("o", ("x",), "NMS", (TensorSpec("o", (1, 4)),))
    unknown = Kernel(Network("kernel", [TensorSpec("x", (1, 4))], [opaque], ["o"]))
    with pytest.raises(OutOfDomainError) as caught:
        kernel_predictor.predict([pool, unknown, one_conv(8, 8, 8)])
    assert caught.value.kernels == (pool.describe(), unknown.describe())
    assert "NMS" in str(caught.value)
    bounded = kernel_predictor.predict([pool, unknown], allow_unknown=True)
    assert not bounded.in_domain.any()
    assert (bounded.low_ms > 0).all()
    assert (bounded.high_ms / bounded.low_ms >= 15).all()


def test_a_kind_with_few_rows_borrows_the_common_base() -> None:
    frame = law_table(200).frame
    few = frame[(frame["kind"] != "add") & ~frame["kind"].str.startswith("add+")]
    three = frame[frame["kind"] == "add"].head(3)
    predictor = KernelPredictor().fit(LatencyTable(pd.concat([few, three])))
    (card,) = [family for family in predictor.card.families if family.family == "add"]
    assert (card.rows, card.held_out.cases, card.held_out.coverage) == (3, 0, None)
    assert any("add" in remark for remark in predictor.card.remarks)
    measured = [Kernel(Network.from_json(config)) for config in three["config"]]
    again = predictor.predict(measured)
    np.testing.assert_allclose(again.latency_ms, three["median_ms"], rtol=0.15)
    adds = random_kernels(30, np.random.default_rng(3), kinds=("add",))
    others = predictor.predict(adds)
    truth = np.array([true_ms(kernel) for kernel in adds])
    assert np.mean((others.low_ms <= truth) & (truth <= others.high_ms)) >= 0.9


def test_the_card_says_what_was_learned_and_how_well(kernel_predictor: KernelPredictor) -> None:
    card = kernel_predictor.card
    assert (card.device, card.source, card.runtime, card.threads, card.dtype) == (
        "bench", "measured", "litert", 1, "float32",
    )  # fmt: skip
    assert {family.family for family in card.families} == set(KINDS)
    assert sum(family.rows for family in card.families) == 300
    for family in card.families:
        assert family.held_out.mape_percent is not None
        assert family.held_out.mape_percent < 10
        assert family.held_out.coverage is not None
        assert 0.8 <= family.held_out.coverage <= 1.0


def test_nothing_is_predicted_before_fitting() -> None:
    with pytest.raises(NotFittedError):
        KernelPredictor().predict([])
    with pytest.raises(NotFittedError):
        _ = KernelPredictor().card


def test_no_kernels_give_no_predictions(kernel_predictor: KernelPredictor) -> None:
    assert kernel_predictor.predict([]).latency_ms.shape == (0,)


@pytest.mark.parametrize("count", [60, 100])
def test_intervals_cover_even_when_rows_are_few(count: int) -> None:
    rng = np.random.default_rng(count)
    predictor = KernelPredictor().fit(law_table(count, seed=count))
    kernels = random_kernels(300, rng, kinds=KINDS)
    measured = np.array([noisy(true_ms(kernel), rng) for kernel in kernels])
    predicted = predictor.predict(kernels)
    assert np.mean((predicted.low_ms <= measured) & (measured <= predicted.high_ms)) >= 0.78
