"""torch, LiteRT, ONNX Runtime and tflite-runtime compute the same outputs for random networks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from profiler.network import Network
from tests.runtimes import RUNNERS, Arrays, random_inputs, run_torch
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
    assert_same(RUNNERS[runtime](network, inputs), run_torch(network, inputs), network)


@pytest.mark.parametrize("kind", WRITABLE_KINDS)
@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_each_kind_has_the_same_outputs(kind: str, data: st.DataObject) -> None:
    network = data.draw(networks(kinds=(kind,), max_operators=2))
    inputs = random_inputs(network, 0)
    expected = run_torch(network, inputs)
    for run in RUNNERS.values():
        assert_same(run(network, inputs), expected, network)
