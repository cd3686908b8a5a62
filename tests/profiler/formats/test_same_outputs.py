"""torch, LiteRT, ONNX Runtime, ncnn and tflite-runtime compute the same outputs for random networks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from profiler.network import Network
from profiler.zoo import (
    ZOO,
    mobilenet_v2,
    mobilenet_v3_large,
    mobilenet_v3_small,
    shufflenet_v2,
    squeezenet,
    super_resolution,
)
from tests.runtimes import RUNNERS, Arrays, TfliteRuntimeProcess, outputs_or_refusal, random_inputs, run_torch
from tests.strategies import WRITABLE_KINDS, networks

RELATIVE, ABSOLUTE = 1e-4, 1e-5
"""Absolute is a share of the output's largest value: sums of large terms cancel with the error of the terms."""


def assert_same(actual: Arrays, expected: Arrays, network: Network) -> None:
    assert [array.shape for array in actual] == [network.tensors[tensor].shape for tensor in network.outputs]
    for tensor, left, right in zip(network.outputs, actual, expected, strict=True):
        peak = max(1.0, float(np.abs(right).max()))
        np.testing.assert_allclose(left, right, rtol=RELATIVE, atol=ABSOLUTE * peak, err_msg=tensor)


@pytest.mark.parametrize("runtime", RUNNERS)
@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(network=networks(), seed=st.integers(0, 2**16))
def test_a_random_network_has_the_same_outputs(runtime: str, network: Network, seed: int) -> None:
    inputs = random_inputs(network, seed)
    outputs = outputs_or_refusal(runtime, network, inputs)
    assume(outputs is not None)
    assert_same(outputs or [], run_torch(network, inputs), network)


@pytest.mark.parametrize("kind", WRITABLE_KINDS)
@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_each_kind_has_the_same_outputs(kind: str, data: st.DataObject) -> None:
    network = data.draw(networks(kinds=(kind,), max_operators=2))
    inputs = random_inputs(network, 0)
    expected = run_torch(network, inputs)
    for runtime in RUNNERS:
        outputs = outputs_or_refusal(runtime, network, inputs)
        if outputs is not None:
            assert_same(outputs, expected, network)


@pytest.mark.parametrize("kind", WRITABLE_KINDS)
@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_ncnn_computes_each_kind_for_one_image(kind: str, data: st.DataObject) -> None:
    network = data.draw(networks(kinds=(kind,), max_operators=2, most_images=1))
    inputs = random_inputs(network, 0)
    outputs = outputs_or_refusal("ncnn", network, inputs)
    assume(outputs is not None)
    assert_same(outputs or [], run_torch(network, inputs), network)


SMALL_ZOO = {
    "mobilenet_v2": mobilenet_v2(64, 0.35, 10),
    "mobilenet_v3_large": mobilenet_v3_large(48, 10, width=0.5),
    "mobilenet_v3_small": mobilenet_v3_small(64, 10),
    "shufflenet_v2": shufflenet_v2(64, 10),
    "squeezenet": squeezenet(64, 10),
    "super_resolution": super_resolution(20, 24, 3, 8),
}


@pytest.mark.parametrize("name", ZOO)
def test_a_whole_network_has_the_same_outputs(name: str) -> None:
    network = SMALL_ZOO[name].with_random_weights(np.random.default_rng(0))
    inputs = random_inputs(network, 1)
    expected = run_torch(network, inputs)
    assert float(np.abs(expected[0]).max()) > 0.01  # not all dead
    for run in RUNNERS.values():
        assert_same(run(network, inputs), expected, network)


@pytest.fixture(scope="module")
def tflite_runtime(tflite_runtime_python: Path) -> Iterator[TfliteRuntimeProcess]:
    with TfliteRuntimeProcess(tflite_runtime_python) as process:
        yield process


@pytest.mark.tflite_runtime
@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(network=networks(), seed=st.integers(0, 2**16))
def test_a_random_network_has_the_same_outputs_in_tflite_runtime(
    tflite_runtime: TfliteRuntimeProcess, network: Network, seed: int
) -> None:
    inputs = random_inputs(network, seed)
    assert_same(tflite_runtime.run(network, inputs), run_torch(network, inputs), network)


@pytest.mark.tflite_runtime
@pytest.mark.parametrize("name", ZOO)
def test_a_whole_network_has_the_same_outputs_in_tflite_runtime(
    tflite_runtime: TfliteRuntimeProcess, name: str
) -> None:
    network = SMALL_ZOO[name].with_random_weights(np.random.default_rng(0))
    inputs = random_inputs(network, 1)
    assert_same(tflite_runtime.run(network, inputs), run_torch(network, inputs), network)
