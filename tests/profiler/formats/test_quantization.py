"""int8 models: what calibration sees, which scales follow from it, and how far outputs may be off."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from hypothesis import HealthCheck, given, settings
from numpy.typing import NDArray

from profiler.errors import NetworkError
from profiler.formats import Quantization, calibrate, write_tflite
from profiler.formats._fused_activations import fused_activations
from profiler.formats._int8_scales import activation_scales
from profiler.formats.torch_builder import build_torch
from profiler.network import (
    Concat,
    Conv2d,
    Dense,
    DepthwiseConv2d,
    GlobalAvgPool2d,
    MaxPool2d,
    Network,
    Operator,
    Relu,
    Sigmoid,
    TensorSpec,
)
from profiler.zoo import mobilenet_v2, mobilenet_v3_small, shufflenet_v2, super_resolution
from tests.runtimes import Arrays, TfliteRuntimeProcess, interpret, random_inputs, run_torch
from tests.strategies import networks

IMAGE = TensorSpec("image", (1, 6, 6, 3))
Interpret = Callable[[bytes, Network, Arrays], Arrays]


def with_weights(network: Network) -> Network:
    return network.with_random_weights(np.random.default_rng(0))


def run_int8(model: bytes, network: Network, inputs: Arrays, run: Interpret = interpret) -> Arrays:
    """Run an int8 model on real numbers; its outputs come back as real numbers."""
    signature = Interpreter(model_content=model).get_signature_runner()
    scales = {name: detail["quantization"] for name, detail in signature.get_input_details().items()}
    scales |= {name: detail["quantization"] for name, detail in signature.get_output_details().items()}
    integers = []
    for spec, values in zip(network.inputs, inputs, strict=True):
        scale, zero_point = scales[spec.name]
        integers.append(np.clip(np.rint(values / scale) + zero_point, -128, 127).astype(np.int8))
    results = run(model, network, integers)
    named = zip(network.outputs, results, strict=True)
    return [(result.astype(np.float32) - scales[tensor][1]) * scales[tensor][0] for tensor, result in named]


class ErrorBounds:
    """The largest error that rounding to int8 can cause in each tensor, by passing errors through the network.

    Each operator passes on its inputs' errors times its gain, adds what rounding its weights does, and rounds its
    own output; two steps are allowed for that, since kernels multiply in fixed point.
    """

    def __init__(self, network: Network, quantization: Quantization, values: Mapping[str, NDArray[Any]]) -> None:
        self._network = network
        self._peaks = {tensor: float(np.abs(array).max()) for tensor, array in values.items()}
        scales = activation_scales(network, quantization, fused_activations(network))
        self._steps = {tensor: scale.scale for tensor, scale in scales.items()}
        self._bounds = {spec.name: self._steps[spec.name] for spec in network.inputs}
        for operator in network.operators:
            passed = self._passed_on(operator)
            self._bounds |= {tensor: passed + 2 * self._steps[tensor] for tensor in operator.outputs}

    def __getitem__(self, tensor: str) -> float:
        return self._bounds[tensor]

    def _passed_on(self, operator: Operator) -> float:
        errors = [self._bounds[tensor] for tensor in operator.inputs]
        peaks = [self._peaks[tensor] for tensor in operator.inputs]
        weights = self._network.weights or {}
        if f"{operator.name}/kernel" in weights:
            return self._through_kernel(operator, weights[f"{operator.name}/kernel"], errors[0], peaks[0])
        if operator.kind == "prelu":
            alpha = float(np.abs(weights[f"{operator.name}/alpha"]).max())
            return max(1.0, alpha) * errors[0] + alpha / 254 * peaks[0]
        if operator.kind == "add":
            return errors[0] + errors[1]
        if operator.kind == "mul":
            return peaks[0] * errors[1] + peaks[1] * errors[0] + errors[0] * errors[1]
        if operator.kind == "concat":
            return max(errors) + self._steps[operator.name]  # an input may be converted first
        gain = 1.5 if operator.kind == "hard_swish" else 1.0
        inner = 6 / 255 if operator.kind == "hard_sigmoid" else 0.0
        return gain * errors[0] + inner

    def _through_kernel(self, operator: Operator, kernel: NDArray[np.float32], error: float, peak: float) -> float:
        axis = 3 if operator.kind == "depthwise_conv2d" else 0
        by_channel = np.abs(np.moveaxis(kernel, axis, 0).reshape(kernel.shape[axis], -1))
        bias = np.abs((self._network.weights or {}).get(f"{operator.name}/bias", np.zeros(1))).max()
        step = float(by_channel.max()) / 127
        rounded = by_channel.shape[1] * (peak + error) * step / 2
        return (
            float(by_channel.sum(axis=1).max()) * error
            + rounded
            + step * self._steps[operator.inputs[0]]
            + bias / 2**29
        )


def assert_as_close_as_rounding_allows(network: Network, run: Interpret) -> None:
    inputs = random_inputs(network, 0)
    quantization = calibrate(network, [inputs])
    bounds = ErrorBounds(network, quantization, build_torch(network).run_all(inputs))
    outputs = run_int8(write_tflite(network, quantization=quantization), network, inputs, run)
    for tensor, actual, expected in zip(network.outputs, outputs, run_torch(network, inputs), strict=True):
        assert float(np.abs(actual - expected).max()) <= bounds[tensor]


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(network=networks())
def test_a_random_network_in_int8_is_as_close_as_rounding_allows(network: Network) -> None:
    assert_as_close_as_rounding_allows(network, interpret)


@pytest.fixture(scope="module")
def tflite_runtime(tflite_runtime_python: Path) -> Iterator[TfliteRuntimeProcess]:
    with TfliteRuntimeProcess(tflite_runtime_python) as process:
        yield process


@pytest.mark.tflite_runtime
@settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(network=networks())
def test_a_random_network_in_int8_is_as_close_in_tflite_runtime(
    tflite_runtime: TfliteRuntimeProcess, network: Network
) -> None:
    assert_as_close_as_rounding_allows(network, tflite_runtime.interpret)


@pytest.mark.parametrize(
    "network",
    [mobilenet_v2(64, 0.5, 10), mobilenet_v3_small(64, 10), shufflenet_v2(64, 10), super_resolution(16, 16, 2, 8)],
    ids=lambda network: network.name,
)
def test_a_whole_network_in_int8_keeps_its_answer(network: Network) -> None:
    network = with_weights(network)
    samples = [random_inputs(network, seed) for seed in range(4)]
    model = write_tflite(network, quantization=calibrate(network, samples))
    expected = run_torch(network, samples[0])[0]
    error = run_int8(model, network, samples[0])[0] - expected
    # Rounding the weights alone moves a random, untrained MobileNetV2 by 13 %.
    assert np.linalg.norm(error) < 0.25 * np.linalg.norm(expected)


def tensors_of(model: bytes) -> dict[str, Any]:
    parsed = schema.ModelT.InitFromPackedBuf(model, 0)
    return {tensor.name.decode(): tensor for tensor in parsed.subgraphs[0].tensors}


def test_kernels_have_a_scale_a_channel_and_biases_int32() -> None:
    operators = [
        Conv2d("conv", ("image",), 5),
        DepthwiseConv2d("depthwise", ("conv",), multiplier=2),
        GlobalAvgPool2d("pool", ("depthwise",)),
        Dense("dense", ("pool",), 4),
    ]
    network = with_weights(Network("n", [IMAGE], operators, ["dense"]))
    tensors = tensors_of(write_tflite(network, quantization=Quantization.nominal(network)))
    for name, axis, channels in (("conv", 0, 5), ("depthwise", 3, 10), ("dense", 0, 1)):
        kernel, bias = tensors[f"{name}/kernel"].quantization, tensors[f"{name}/bias"]
        assert kernel.quantizedDimension == axis
        assert len(kernel.scale) == channels
        assert not np.any(kernel.zeroPoint)
        assert bias.type == schema.TensorType.INT32
    input_scale = tensors["image"].quantization.scale[0]
    conv_bias, conv_kernel = tensors["conv/bias"].quantization, tensors["conv/kernel"].quantization
    np.testing.assert_allclose(conv_bias.scale, conv_kernel.scale * input_scale, rtol=1e-6)
    assert tensors["image"].type == tensors["dense"].type == schema.TensorType.INT8


def test_zero_is_exact_and_the_range_is_covered() -> None:
    network = Network("n", [IMAGE], [Relu("r", ("image",))], ["r"])
    quantization = Quantization({"image": (-1.0, 3.0), "r": (2.0, 4.0)})
    scales = activation_scales(network, quantization, {})
    for tensor, (low, high) in {"image": (-1.0, 3.0), "r": (0.0, 4.0)}.items():
        scale = scales[tensor]
        assert (-128 - scale.zero_point) * scale.scale == pytest.approx(low, abs=scale.scale)
        assert (127 - scale.zero_point) * scale.scale == pytest.approx(high, abs=scale.scale)
    assert scales["r"].zero_point == -128


def test_operators_that_move_integers_share_a_scale_with_their_input() -> None:
    network = Network("n", [IMAGE], [MaxPool2d("pool", ("image",)), Relu("relu", ("pool",))], ["relu"])
    quantization = Quantization({"image": (-8.0, 8.0), "pool": (-1.0, 8.0), "relu": (0.0, 8.0)})
    scales = activation_scales(network, quantization, fused_activations(network))
    assert scales["image"] == scales["pool"] == scales["relu"]


def test_a_prescribed_scale_is_converted_on_its_way_into_a_concatenation() -> None:
    operators = [Sigmoid("gate", ("image",)), Concat("both", ("gate", "image"))]
    network = Network("n", [IMAGE], operators, ["both"])
    quantization = Quantization({"image": (-4.0, 4.0), "gate": (0.0, 1.0), "both": (-4.0, 4.0)})
    scales = activation_scales(network, quantization, {})
    assert (scales["gate"].scale, scales["gate"].zero_point) == (1 / 256, -128)
    assert scales["both"] == scales["image"]
    assert "both/gate/rescaled" in tensors_of(write_tflite(network, quantization=quantization))


def test_a_channel_of_zeros_and_a_large_bias_survive() -> None:
    kernel = np.zeros((2, 1, 1, 3), np.float32)
    kernel[1] = 1e-6
    weights = {"c/kernel": kernel, "c/bias": np.array([0.5, 4.0], np.float32)}
    network = Network("n", [IMAGE], [Conv2d("c", ("image",), 2, (1, 1))], ["c"], weights)
    inputs = random_inputs(network, 0)
    model = write_tflite(network, quantization=calibrate(network, [inputs]))
    np.testing.assert_allclose(run_int8(model, network, inputs)[0], run_torch(network, inputs)[0], atol=0.02)


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(network=networks())
def test_nominal_ranges_give_a_model_that_runs(network: Network) -> None:
    model = write_tflite(network, quantization=Quantization.nominal(network))
    outputs = run_int8(model, network, random_inputs(network, 0))
    assert [output.shape for output in outputs] == [network.tensors[tensor].shape for tensor in network.outputs]


@pytest.mark.parametrize("gain", [0.0, 1e-9, 1.0, 1e6])
def test_an_output_that_hardly_varies_is_no_reason_to_refuse_a_model(gain: float) -> None:
    kernel = np.full((2, 1, 1, 3), gain, np.float32)
    network = Network("n", [IMAGE], [Conv2d("c", ("image",), 2, (1, 1), use_bias=False)], ["c"], {"c/kernel": kernel})
    model = write_tflite(network, quantization=Quantization({"image": (-100.0, 100.0), "c": (1e-7, 2e-7)}))
    outputs = run_int8(model, network, [np.zeros(IMAGE.shape, np.float32)])
    np.testing.assert_allclose(outputs[0], 0, atol=1e-3 * gain)


def test_calibration_covers_every_sample() -> None:
    network = Network("n", [IMAGE], [Relu("r", ("image",))], ["r"])
    samples = [[np.full(IMAGE.shape, value, np.float32)] for value in (-2.0, 0.5, 3.0)]
    quantization = calibrate(network, samples)
    assert dict(quantization.ranges) == {"image": (-2.0, 3.0), "r": (0.0, 3.0)}


def test_calibration_needs_a_sample() -> None:
    network = Network("n", [IMAGE], [Relu("r", ("image",))], ["r"])
    with pytest.raises(NetworkError, match="at least one sample"):
        calibrate(network, [])


def test_a_tensor_without_a_range_is_refused() -> None:
    network = Network("n", [IMAGE], [Relu("r", ("image",))], ["r"])
    with pytest.raises(NetworkError, match="'r' has no range"):
        write_tflite(network, quantization=Quantization({"image": (0.0, 1.0)}))


@pytest.mark.parametrize("bad", [(1.0, 0.0), (float("nan"), 1.0), (0.0, float("inf"))])
def test_a_range_must_be_one(bad: tuple[float, float]) -> None:
    with pytest.raises(NetworkError, match="range"):
        Quantization({"image": bad})
