"""What the law must say whatever its numbers: monotone work, alignment, threads, clocks, and refusals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from profiler.errors import ConfigError
from profiler.network import Add, Conv2d, Network, Operator, TensorSpec
from profiler.phone import load_phone
from profiler.phone.description import phones_folder
from profiler.phone.soc import (
    Delegate,
    Placement,
    Soc,
    Step,
    StepTable,
    call_overhead_s,
    power_w,
    step_latencies_s,
    steps_of,
)
from profiler.zoo import ZOO

PHONES = sorted(path.stem for path in phones_folder().glob("*.yaml"))
PIXEL4 = load_phone("pixel4").soc
PRIME = Placement((7,))
BIG_CORES = (4, 5, 6, 7)


def delegates_of(soc: Soc) -> tuple[Delegate, ...]:
    accelerators: tuple[tuple[Delegate, bool], ...] = (("gpu", soc.gpu is not None), ("nnapi", soc.nnapi is not None))
    return ("xnnpack", "builtin", *(delegate for delegate, present in accelerators if present))


def conv(channels: int, *, side: int = 28, inputs: int = 32, kernel: int = 1, delegate: Delegate = "xnnpack") -> Step:
    operator = Conv2d("conv", ("x",), channels, (kernel, kernel))
    return _only_step(operator, (TensorSpec("x", (1, side, side, inputs)),), delegate)


def added(elements: int) -> Step:
    spec = (1, elements)
    return _only_step(Add("sum", ("x", "y")), (TensorSpec("x", spec), TensorSpec("y", spec)), "xnnpack")


def _only_step(operator: Operator, inputs: tuple[TensorSpec, ...], delegate: Delegate) -> Step:
    return steps_of(Network("n", inputs, [operator], operator.outputs), delegate=delegate)[0]


def latency_s(*steps: Step, soc: Soc = PIXEL4, placement: Placement = PRIME, **shares: float) -> float:
    return float(step_latencies_s(soc, steps, placement, shares).sum())


@pytest.mark.parametrize("phone", PHONES)
@pytest.mark.parametrize("name", ZOO)
def test_shipped_phones_run_the_zoo(phone: str, name: str) -> None:
    soc, network = load_phone(phone).soc, ZOO[name]()
    for delegate in delegates_of(soc):
        for int8 in (False, True):
            steps = steps_of(network, delegate=delegate, int8=int8)
            for threads in (1, 4):
                placement = Placement(tuple(soc.cores), threads, delegate)
                latencies_s = step_latencies_s(soc, steps, placement)
                assert latencies_s.shape == (len(steps),)
                assert np.all(np.isfinite(latencies_s)) and np.all(latencies_s > 0)
                assert 1e-3 < latencies_s.sum() + call_overhead_s(soc, placement) < 3.0


@settings(max_examples=60, deadline=None)
@given(
    tiles=st.integers(1, 40),
    more=st.integers(1, 40),
    side=st.sampled_from([7, 14, 28, 56, 112]),
    inputs=st.integers(1, 512),
    kernel=st.sampled_from([1, 3, 5]),
    phone=st.sampled_from(PHONES),
)
def test_more_work_at_whole_tiles_takes_longer(
    tiles: int, more: int, side: int, inputs: int, kernel: int, phone: str
) -> None:
    soc = load_phone(phone).soc
    width = soc.routines["gemm"].tile_columns
    few, many = (conv(width * count, side=side, inputs=inputs, kernel=kernel) for count in (tiles, tiles + more))
    for core in soc.cores:
        placement = Placement((core,))
        assert latency_s(few, soc=soc, placement=placement) < latency_s(many, soc=soc, placement=placement)


@settings(max_examples=60, deadline=None)
@given(tiles=st.integers(1, 30), surplus=st.integers(1, 3), side=st.sampled_from([14, 28, 56]))
def test_channels_beyond_a_whole_tile_cost_another_tile(tiles: int, surplus: int, side: int) -> None:
    width = PIXEL4.routines["gemm"].tile_columns
    whole, beyond, next_whole = (
        latency_s(conv(channels, side=side, inputs=128))
        for channels in (width * tiles, width * tiles + surplus, width * (tiles + 1))
    )
    per_tile_s = next_whole - whole
    assert beyond - whole > 0.75 * per_tile_s, "part of a tile costs nearly what the whole tile does"


def test_a_vector_of_channels_on_a_gpu_is_four() -> None:
    placement = Placement((7,), delegate="gpu")
    costs = [latency_s(conv(count, side=112, delegate="gpu"), placement=placement) for count in (32, 33, 36)]
    assert costs[1] - costs[0] > 0.75 * (costs[2] - costs[0])


def test_threads_help_up_to_a_point() -> None:
    large, small = conv(256, side=56, inputs=128, kernel=3), conv(8, side=7, inputs=8)
    one, two, four = (latency_s(large, placement=Placement(BIG_CORES, threads)) for threads in (1, 2, 4))
    assert one > 1.6 * two
    assert two > 1.3 * four
    assert latency_s(small, placement=Placement(BIG_CORES, 4)) > latency_s(small)
    crowded = latency_s(large, placement=Placement((6, 7), 4))
    assert latency_s(large, placement=Placement((6, 7), 2)) < crowded < one, "threads that share cores cost"


def test_the_fastest_allowed_cores_work() -> None:
    step = conv(64)
    assert latency_s(step, placement=Placement(tuple(range(8)))) == latency_s(step, placement=Placement((7,)))
    assert latency_s(step, placement=Placement((0,))) > 2.0 * latency_s(step, placement=Placement((4,)))


def test_the_runtime_itself_threads_only_products() -> None:
    sums = added(1 << 20)
    one, four = (latency_s(sums, placement=Placement(BIG_CORES, threads, "builtin")) for threads in (1, 4))
    assert one == four
    assert latency_s(sums, placement=Placement(BIG_CORES, 4)) < one


def test_clocks_scale_arithmetic_but_not_memory() -> None:
    half = {"Cortex-A76 (prime)": 0.5}
    arithmetic, traffic = conv(256, inputs=512, kernel=3), added(1 << 22)
    assert latency_s(arithmetic, **half) > 1.9 * latency_s(arithmetic)
    assert latency_s(traffic, **half) < 1.25 * latency_s(traffic)
    assert latency_s(arithmetic, **{"Cortex-A55": 0.5}) == latency_s(arithmetic), "another cluster's clock"
    assert call_overhead_s(PIXEL4, PRIME, half) == pytest.approx(2.0 * call_overhead_s(PIXEL4, PRIME))


def test_what_leaves_a_cache_costs_more_a_byte() -> None:
    per_element = [latency_s(added(elements)) / elements for elements in (1 << 14, 1 << 18, 1 << 22)]
    assert per_element[0] < per_element[1] < per_element[2]


def test_int8_is_faster_where_its_instructions_are() -> None:
    plain = conv(64)
    small = steps_of(ZOO["mobilenet_v2"](), delegate="xnnpack", int8=True)
    assert latency_s(*small) < 0.5 * latency_s(*steps_of(ZOO["mobilenet_v2"](), delegate="xnnpack"))
    assert latency_s(replace(plain, int8=True)) < latency_s(plain)


def test_steps_cost_the_same_in_any_company() -> None:
    steps = steps_of(ZOO["shufflenet_v2"](), delegate="xnnpack")
    together = step_latencies_s(PIXEL4, steps, PRIME)
    assert together.tolist() == step_latencies_s(PIXEL4, StepTable.of(steps), PRIME).tolist()
    assert together[5] == pytest.approx(latency_s(steps[5]))
    assert step_latencies_s(PIXEL4, [], PRIME).shape == (0,)


@pytest.mark.parametrize(
    ("placement", "message"),
    [
        (Placement((9,)), "cores"),
        (Placement(()), "cores"),
        (Placement((7,), 0), "threads"),
        (Placement((5,), 1, "gpu"), "no delegate 'gpu'"),
        (Placement((5,), 1, "nnapi"), "no delegate 'nnapi'"),
    ],
)
def test_what_a_phone_does_not_have_is_refused(placement: Placement, message: str) -> None:
    soc = load_phone("flaky").soc
    with pytest.raises(ConfigError, match=message):
        step_latencies_s(soc, [conv(8)], placement)
    with pytest.raises(ConfigError, match=message):
        call_overhead_s(soc, placement)
    with pytest.raises(ConfigError, match=message):
        power_w(soc, placement)


def test_power_follows_cores_and_clocks() -> None:
    idle, one, four = (power_w(PIXEL4, placement) for placement in (None, PRIME, Placement(BIG_CORES, 4)))
    assert idle < one < four
    assert idle < power_w(PIXEL4, PRIME, {"Cortex-A76 (prime)": 0.5}) < one
    assert power_w(PIXEL4, Placement((7,), 1, "gpu")) > idle


def _steady_c(soc: Soc, placement: Placement) -> float:
    return soc.thermal.ambient_c + soc.thermal.resistance_c_per_w * power_w(soc, placement)


@pytest.mark.parametrize("phone", PHONES)
def test_heat(phone: str) -> None:
    soc = load_phone(phone).soc
    first_c = soc.thermal.steps[0].above_c
    fastest = max(soc.cores)
    idle_c = soc.thermal.ambient_c + soc.thermal.resistance_c_per_w * power_w(soc, None)
    assert idle_c < first_c - soc.thermal.hysteresis_c, "an idle phone cools down"
    throttles_alone = _steady_c(soc, Placement((fastest,))) >= first_c
    assert throttles_alone == (phone == "flaky"), "only the flaky phone throttles with one core loaded"
    assert _steady_c(soc, Placement(tuple(soc.cores), 4)) >= first_c
