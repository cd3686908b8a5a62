"""The roofline is found where rows show it, said to be unknown where they do not, and kept as plain data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from predictor import Roofline
from predictor.errors import TrainingRowsError
from profiler.kernels import Kernel, random_kernels
from profiler.network import Add, Conv2d, Dense, Network, Operator, TensorSpec
from profiler.phone import load_phone
from profiler.phone.soc import Placement, call_overhead_s, step_latencies_s, steps_of

RNG_SEED = 7


def megabytes(kernel: Kernel) -> float:
    """Bytes of what a kernel reads and writes and of its weights, counted here by hand."""
    network = kernel.network
    elements = sum(spec.elements for spec in network.inputs) + network.cost().parameters
    return 4e-6 * (elements + sum(network.tensors[name].elements for name in network.outputs))


def law_ms(kernel: Kernel, peak: float, bandwidth: float, overhead_us: float) -> float:
    """A device that is exactly a roofline: GMAC/s, GB/s and us."""
    macs = kernel.network.cost().macs
    return overhead_us / 1e3 + max(macs / 1e6 / peak, megabytes(kernel) / bandwidth)


def single(operator: Operator, *shapes: tuple[int, ...]) -> Kernel:
    inputs = [TensorSpec(f"x{index}", shape) for index, shape in enumerate(shapes)]
    return Kernel(Network("kernel", inputs, [operator], operator.outputs))


def conv(size: int, read: int, written: int, window: int = 1) -> Kernel:
    return single(Conv2d("k0", ("x0",), written, (window, window)), (1, size, size, read))


def add(size: int, channels: int) -> Kernel:
    return single(Add("k0", ("x0", "x1")), (1, size, size, channels), (1, size, size, channels))


def noisy(latency_ms: Sequence[float], sigma: float = 0.02) -> np.ndarray:
    return np.array(latency_ms) * np.exp(np.random.default_rng(RNG_SEED).normal(0.0, sigma, len(latency_ms)))


LAWS = [(10.0, 9.0, 30.0), (50.0, 20.0, 0.5), (2.0, 1.0, 40.0), (100.0, 15.0, 5.0), (1.0, 20.0, 2.0)]


@pytest.mark.parametrize(("peak", "bandwidth", "overhead_us"), LAWS)
def test_limits_of_a_known_law_are_found(peak: float, bandwidth: float, overhead_us: float) -> None:
    kernels = random_kernels(300, np.random.default_rng(RNG_SEED))
    # Every other row runs at a share of what the law allows, as badly fitting kernels do.
    shares = np.where(np.arange(300) % 2, 1.0, np.random.default_rng(1).uniform(0.2, 1.0, 300))
    work_ms = np.array([law_ms(kernel, peak, bandwidth, 0.0) for kernel in kernels]) / shares
    found = Roofline.fit(kernels, noisy(list(work_ms + overhead_us / 1e3)))
    # Where next to no kernel is as short as the overhead, its number is only an upper bound.
    assert found.undetermined == (() if overhead_us >= 5.0 else ("overhead",))
    assert found.peak_gmac_per_s == pytest.approx(peak, rel=0.2)
    assert found.bandwidth_gb_per_s == pytest.approx(bandwidth, rel=0.2)
    if "overhead" in found.undetermined:
        assert found.overhead_interval is None
        assert found.overhead_us is not None and found.overhead_us > 0.9 * overhead_us
    else:
        assert found.overhead_us == pytest.approx(overhead_us, rel=0.2)
    assert found.kernels == 300
    for interval in (found.peak_interval, found.bandwidth_interval):
        assert interval is not None and interval[0] <= interval[1] < 1.5 * interval[0]


@pytest.mark.parametrize("phone", ["pixel4", "galaxy_a50"])
def test_limits_of_an_emulated_phone_are_those_of_its_law(phone: str) -> None:
    soc = load_phone(phone).soc
    placement = Placement(cores=tuple(soc.cores))
    kernels = random_kernels(300, np.random.default_rng(RNG_SEED))
    call_s = call_overhead_s(soc, placement)
    steps = [steps_of(kernel.network, delegate="xnnpack") for kernel in kernels]
    latency_ms = [1e3 * (call_s + step_latencies_s(soc, step, placement).sum()) for step in steps]
    found = Roofline.fit(kernels, noisy(latency_ms))
    fastest = max(soc.clusters, key=lambda cluster: cluster.frequency_hz)
    peak = fastest.frequency_hz * fastest.macs_per_cycle * soc.routines["gemm"].efficiency / 1e9
    assert found.peak_gmac_per_s == pytest.approx(peak, rel=0.2)
    overhead_us = 1e6 * call_s + soc.routines["elementwise"].overhead_us
    assert found.overhead_us == pytest.approx(overhead_us, rel=0.2)
    assert found.bandwidth_megabytes is not None and found.bandwidth_gb_per_s is not None
    streams = [_stream_gb_per_s(phone, size) for size in found.bandwidth_megabytes]
    assert 0.8 * min(streams) < found.bandwidth_gb_per_s < 1.2 * max(streams)


def _stream_gb_per_s(phone: str, size_mb: float) -> float:
    """What the law streams: all of it through the second level, what does not fit through the others as well."""
    soc = load_phone(phone).soc
    core = max(soc.clusters, key=lambda cluster: cluster.frequency_hz)
    missing = [
        (1e6 * size_mb) ** 2 / ((1e6 * size_mb) ** 2 + level**2) for level in (core.l2_bytes, soc.memory.l3_bytes)
    ]
    s_per_byte = 1 / (core.l2_bytes_per_cycle * core.frequency_hz)
    s_per_byte += missing[0] / core.l3_bytes_per_s + missing[1] / core.dram_bytes_per_s
    return 1e-9 / s_per_byte


def test_rows_that_only_memory_holds_do_not_tell_the_peak() -> None:
    kernels = [conv(size, 8, 8) for size in range(20, 120)]
    found = Roofline.fit(kernels, noisy([law_ms(kernel, 1e6, 10.0, 1.0) for kernel in kernels]))
    assert "compute" in found.undetermined and found.peak_interval is None
    assert found.peak_gmac_per_s is not None and found.peak_gmac_per_s < 1e6
    assert found.bound(conv(28, 512, 512, window=3)) is None, "the peak may be higher than was seen"


def test_rows_that_only_arithmetic_holds_do_not_tell_the_bandwidth() -> None:
    kernels = [conv(28, 8 * width, 256, window=3) for width in range(8, 60)]
    kernels += [conv(28, 64, 8 * width, window=1) for width in range(8, 60)]
    found = Roofline.fit(kernels, noisy([law_ms(kernel, 10.0, 1e6, 1.0) for kernel in kernels]))
    assert "memory" in found.undetermined
    assert found.bandwidth_interval is None and found.bandwidth_megabytes is None
    assert found.peak_gmac_per_s == pytest.approx(10.0, rel=0.2)
    assert found.bound(kernels[0]) == "compute"
    assert found.bound(add(112, 64)) is None, "the bandwidth may be higher than was seen"


def test_large_kernels_alone_do_not_tell_the_overhead() -> None:
    kernels = [conv(56, 8 * width, 128, window=3) for width in range(8, 40)] + [add(112, 4 * w) for w in range(8, 40)]
    found = Roofline.fit(kernels, noisy([law_ms(kernel, 10.0, 9.0, 20.0) for kernel in kernels]))
    assert "overhead" in found.undetermined and found.overhead_interval is None
    assert found.peak_gmac_per_s == pytest.approx(10.0, rel=0.2)
    assert found.bandwidth_gb_per_s == pytest.approx(9.0, rel=0.2)


def test_tiny_kernels_alone_tell_the_overhead_and_nothing_else() -> None:
    kernels = [add(size, channels) for size in (2, 4, 8) for channels in (4, 8, 16, 32)]
    kernels += [conv(size, 8, channels) for size in (2, 4) for channels in (4, 8, 16, 32)]
    found = Roofline.fit(kernels, noisy([law_ms(kernel, 10.0, 9.0, 50.0) for kernel in kernels]))
    assert set(found.undetermined) == {"compute", "memory"}
    assert found.overhead_us == pytest.approx(50.0, rel=0.1)
    assert found.bound(kernels[0]) == "overhead"


@pytest.mark.parametrize("count", [0, 1, 2])
def test_next_to_no_rows_determine_nothing(count: int) -> None:
    kernels = random_kernels(count, np.random.default_rng(0)) if count else []
    found = Roofline.fit(kernels, [1.0] * count)
    assert found.undetermined == ("compute", "memory", "overhead")
    assert found.bound(add(56, 64)) is None
    assert Roofline.model_validate_json(found.model_dump_json()) == found


@pytest.mark.parametrize("latency_ms", [[1.0], [1.0, 0.0], [1.0, float("nan")], [1.0, float("inf")], [[1.0, 2.0]]])
def test_latencies_that_are_none_are_refused(latency_ms: list[float]) -> None:
    with pytest.raises(TrainingRowsError):
        Roofline.fit([add(8, 8), add(16, 8)], np.array(latency_ms))


positive = st.floats(0.01, 1e4)
sizes = st.integers(1, 64)


def roofline(peak: float, bandwidth: float, overhead_us: float) -> Roofline:
    return Roofline(
        peak_gmac_per_s=peak,
        peak_interval=None,
        bandwidth_gb_per_s=bandwidth,
        bandwidth_interval=None,
        bandwidth_megabytes=None,
        overhead_us=overhead_us,
        overhead_interval=None,
        undetermined=(),
        kernels=9,
    )


@settings(max_examples=60, deadline=None)
@given(positive, positive, positive, sizes, sizes, sizes, st.sampled_from((1, 3)))
def test_bound_is_the_largest_part_and_nothing_is_faster_than_the_parts(
    peak: float, bandwidth: float, overhead_us: float, size: int, read: int, written: int, window: int
) -> None:
    device, kernel = roofline(peak, bandwidth, overhead_us), conv(size, read, written, window)
    parts = {
        "compute": kernel.network.cost().macs / 1e6 / peak,
        "memory": megabytes(kernel) / bandwidth,
        "overhead": overhead_us / 1e3,
    }
    bound = device.bound(kernel)
    assert bound is not None
    assert parts[bound] == pytest.approx(max(parts.values()))
    attainable_ms = device.attainable_ms(kernel)
    assert attainable_ms == pytest.approx(parts["overhead"] + max(parts["compute"], parts["memory"]))
    assert max(parts.values()) <= attainable_ms * (1 + 1e-9)
    assert device.efficiency(kernel, 2 * attainable_ms) == pytest.approx(0.5)
    assert device.bounds([kernel, kernel]) == [bound, bound]
    twice = roofline(2 * peak, 2 * bandwidth, overhead_us / 2)
    assert twice.attainable_ms(kernel) == pytest.approx(attainable_ms / 2)
    assert twice.attainable_ms(conv(size + 1, read, written, window)) >= twice.attainable_ms(kernel)


def test_inside_a_network_a_call_is_not_paid_again() -> None:
    device = roofline(10.0, 10.0, 30.0)
    inside = device.inside_network(0.028)
    assert inside.overhead_us == pytest.approx(2.0)
    assert device.inside_network(1.0).overhead_us == 0.0
    small = add(16, 16)
    assert (device.bound(small), inside.bound(small)) == ("overhead", "memory")


def test_int8_moves_a_quarter() -> None:
    kernels = random_kernels(100, np.random.default_rng(RNG_SEED))
    latency_ms = noisy([law_ms(kernel, 10.0, 9.0, 30.0) for kernel in kernels])
    wide, narrow = (Roofline.fit(kernels, latency_ms, element_bytes=size) for size in (4.0, 1.0))
    assert wide.bandwidth_gb_per_s is not None
    assert narrow.bandwidth_gb_per_s == pytest.approx(wide.bandwidth_gb_per_s / 4)
    assert narrow.bounds(kernels) == wide.bounds(kernels)


def test_weights_count_as_bytes() -> None:
    device = roofline(1e6, 1.0, 0.0)
    layer = single(Dense("k0", ("x0",), 1000), (1, 1000))
    assert device.attainable_ms(layer) == pytest.approx(4e-6 * (1000 + 1000 + 1000 * 1000 + 1000))


def test_a_damaged_document_is_no_roofline() -> None:
    good = roofline(10.0, 10.0, 30.0).model_dump(mode="json")
    assert Roofline.model_validate(good) == roofline(10.0, 10.0, 30.0)
    for change in (
        {"peak_gmac_per_s": -1.0},
        {"bandwidth_gb_per_s": float("nan")},
        {"undetermined": ["x"]},
        {"new": 1},
    ):
        with pytest.raises(ValidationError):
            Roofline.model_validate(good | change)
