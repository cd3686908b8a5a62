"""What is written is read again: the same network, or where a format has no word for it, one with the same outputs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from profiler.formats import read_onnx, read_tflite, write_onnx, write_tflite
from profiler.network import (
    OPERATOR_KINDS,
    Add,
    AvgPool2d,
    ChannelShuffle,
    Concat,
    Conv2d,
    Dense,
    DepthToSpace,
    DepthwiseConv2d,
    GlobalAvgPool2d,
    HardSigmoid,
    HardSwish,
    MaxPool2d,
    Mean,
    Mul,
    Network,
    Operator,
    Pad,
    PRelu,
    Relu,
    Relu6,
    Reshape,
    ResizeBilinear,
    ResizeNearest,
    Sigmoid,
    Softmax,
    Split,
    TensorSpec,
    Transpose,
    TransposeConv2d,
)
from profiler.zoo import ZOO
from tests.runtimes import random_inputs, run_torch
from tests.strategies import WRITABLE_KINDS, networks

ROUND_TRIPS: dict[str, Callable[[Network], Network]] = {
    "tflite": lambda network: read_tflite(write_tflite(network)),
    "onnx": lambda network: read_onnx(write_onnx(network)),
    "onnx, channels first": lambda network: read_onnx(write_onnx(network, channels_first=True)),
}

IMAGE = TensorSpec("x", (2, 12, 10, 8))
EXAMPLES: dict[str, list[Operator]] = {
    "conv2d": [Conv2d("y", ("x",), 6, (3, 5), (2, 1), (1, 2))],
    "conv2d, groups": [Conv2d("y", ("x",), 12, groups=4, padding="valid", use_bias=False)],
    "depthwise_conv2d": [DepthwiseConv2d("y", ("x",), (5, 5), (2, 2), multiplier=2)],
    "transpose_conv2d": [TransposeConv2d("y", ("x",), 5, (4, 3), (2, 3))],
    "transpose_conv2d, valid": [TransposeConv2d("y", ("x",), 5, (3, 3), (2, 2), "valid", use_bias=False)],
    "dense": [Reshape("flat", ("x",), (2, 960)), Dense("y", ("flat",), 7)],
    "add": [Relu("a", ("x",)), Add("y", ("x", "a"))],
    "mul": [GlobalAvgPool2d("g", ("x",), keep_dims=True), Mul("y", ("x", "g"))],
    "concat": [Relu("a", ("x",)), Concat("y", ("x", "a"), 2)],
    "split": [Split("s", ("x",), 4, 3), Add("y", ("s:0", "s:3")), Mul("z", ("s:1", "s:2"))],
    "channel_shuffle": [ChannelShuffle("y", ("x",), 4)],
    "max_pool2d": [MaxPool2d("y", ("x",), (3, 3), (2, 2), "same")],
    "avg_pool2d": [AvgPool2d("y", ("x",), (3, 2), (1, 2), "same")],
    "global_avg_pool2d": [GlobalAvgPool2d("y", ("x",))],
    "relu": [Conv2d("c", ("x",), 4), Relu("y", ("c",))],
    "relu6": [Conv2d("c", ("x",), 4), Relu6("y", ("c",))],
    "prelu": [PRelu("y", ("x",))],
    "hard_swish": [HardSwish("y", ("x",))],
    "hard_sigmoid": [HardSigmoid("y", ("x",))],
    "sigmoid": [Sigmoid("y", ("x",))],
    "softmax": [Softmax("y", ("x",))],
    "pad": [Pad("y", ("x",), ((0, 0), (1, 2), (0, 3), (0, 0)))],
    "resize_bilinear": [ResizeBilinear("y", ("x",), (7, 21), "align_corners")],
    "resize_nearest": [ResizeNearest("y", ("x",), (24, 20))],
    "resize_nearest, gathered": [ResizeNearest("y", ("x",), (7, 3))],
    "depth_to_space": [DepthToSpace("y", ("x",), 2)],
    "reshape": [Conv2d("c", ("x",), 4), Reshape("y", ("c",), (6, 160))],
    "transpose": [Conv2d("c", ("x",), 4), Transpose("y", ("c",), (0, 3, 1, 2))],
    "transpose, other": [Transpose("t", ("x",), (0, 2, 3, 1)), Relu("y", ("t",))],
    "mean": [Mean("y", ("x",), (1,), keep_dims=True), Mean("z", ("y",), (1, 3))],
}


def assert_same_outputs(actual: Network, expected: Network) -> None:
    assert [spec.shape for spec in actual.inputs] == [spec.shape for spec in expected.inputs]
    inputs = random_inputs(expected, 0)
    for left, right in zip(run_torch(actual, inputs), run_torch(expected, inputs), strict=True):
        peak = max(1.0, float(np.abs(right).max()))
        np.testing.assert_allclose(left, right, rtol=1e-4, atol=1e-5 * peak)


@pytest.mark.parametrize("file_format", ROUND_TRIPS)
@pytest.mark.parametrize("example", EXAMPLES)
def test_each_kind_is_read_as_it_was_written(example: str, file_format: str) -> None:
    operators = EXAMPLES[example]
    read = {tensor for operator in operators for tensor in operator.inputs}
    outputs = [tensor for operator in operators for tensor in operator.outputs if tensor not in read]
    network = Network("example", [IMAGE], operators, outputs).with_random_weights(np.random.default_rng(0))
    again = ROUND_TRIPS[file_format](network)
    assert again.key == network.key
    assert (again.name, again.inputs, again.outputs) == (network.name, network.inputs, network.outputs)
    assert_same_outputs(again, network)


def test_the_examples_hold_every_kind_that_can_be_written() -> None:
    assert {operator.kind for operators in EXAMPLES.values() for operator in operators} == set(WRITABLE_KINDS)
    assert set(WRITABLE_KINDS) == OPERATOR_KINDS.keys() - {"opaque"}


@pytest.mark.parametrize("file_format", ROUND_TRIPS)
@settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(network=networks())
def test_a_random_network_is_read_with_the_same_outputs(file_format: str, network: Network) -> None:
    round_trip = ROUND_TRIPS[file_format]
    again = round_trip(network)
    assert "opaque" not in {operator.kind for operator in again.operators}
    assert again.outputs == network.outputs
    assert_same_outputs(again, network)
    assert round_trip(again).key == again.key


@pytest.mark.parametrize("file_format", ROUND_TRIPS)
@pytest.mark.parametrize("make", ZOO.values(), ids=ZOO)
def test_the_zoo_is_read_as_it_was_written(make: Callable[[], Network], file_format: str) -> None:
    network = make().with_random_weights(np.random.default_rng(0))
    again = ROUND_TRIPS[file_format](network)
    assert again.key == network.key
    assert again.weights is not None
    assert network.weights is not None
    assert again.cost() == network.cost()
    for left, right in zip(again.weights.values(), network.weights.values(), strict=True):
        np.testing.assert_array_equal(left, right)
