from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import HealthCheck, given, settings

from profiler.errors import NetworkError
from profiler.formats import write_onnx
from profiler.network import Add, Conv2d, Network, Opaque, Relu, ResizeNearest, TensorSpec
from profiler.zoo import mobilenet_v2, mobilenet_v3_small, shufflenet_v2, super_resolution
from tests.runtimes import random_inputs, run_torch
from tests.strategies import networks

IMAGE = TensorSpec("image", (1, 8, 8, 4))


def node_types(model: bytes) -> Counter[str]:
    return Counter(node.op_type for node in onnx.load_from_string(model).graph.node)


def with_weights(network: Network) -> Network:
    return network.with_random_weights(np.random.default_rng(0))


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(network=networks())
def test_the_checker_finds_nothing_wrong(network: Network) -> None:
    model = onnx.load_from_string(write_onnx(network))
    onnx.checker.check_model(model, full_check=True)
    names = [node.name for node in model.graph.node]
    assert len(set(names)) == len(names)


@settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(network=networks())
def test_equal_networks_give_equal_bytes(network: Network) -> None:
    again = Network(network.name, network.inputs, network.operators, network.outputs, network.weights)
    assert write_onnx(network) == write_onnx(again)


@pytest.mark.parametrize(
    ("network", "transposes"),
    [
        (mobilenet_v2(64, 0.35, 10), 1),  # the image; the logits have no channels-first form
        (mobilenet_v3_small(64, 10), 1),
        (super_resolution(8, 8, 2, 4), 2),  # the image, and the image out
    ],
    ids=lambda value: value.name if isinstance(value, Network) else None,
)
def test_transposes_stand_only_at_the_ends(network: Network, transposes: int) -> None:
    assert node_types(write_onnx(with_weights(network)))["Transpose"] == transposes


def test_a_channel_shuffle_costs_one_transpose() -> None:
    network = with_weights(shufflenet_v2(64, 10))
    shuffles = sum(operator.kind == "channel_shuffle" for operator in network.operators)
    assert node_types(write_onnx(network))["Transpose"] == 1 + shuffles


def test_an_elementwise_network_has_no_transposes() -> None:
    network = Network("plain", [IMAGE], [Relu("r", ("image",)), Add("s", ("r", "image"))], ["s"])
    assert node_types(write_onnx(network)) == {"Relu": 1, "Add": 1}


def test_channels_first_ends_need_no_transposes_and_compute_the_same() -> None:
    network = with_weights(super_resolution(8, 10, 2, 4))
    model = write_onnx(network, channels_first=True)
    assert node_types(model)["Transpose"] == 0
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape == [1, 3, 8, 10]
    image = random_inputs(network, 0)[0]
    (output,) = session.run(None, {"image": image.transpose(0, 3, 1, 2)})
    np.testing.assert_allclose(output.transpose(0, 2, 3, 1), run_torch(network, [image])[0], rtol=1e-4, atol=1e-5)


def test_generated_names_make_way_for_the_networks_own() -> None:
    operators = [Conv2d("image/nchw", ("image",), 4), Conv2d("b", ("image/nchw",), 4)]
    network = with_weights(Network("names", [IMAGE], operators, ["image/nchw", "b"]))
    model = onnx.load_from_string(write_onnx(network))
    onnx.checker.check_model(model, full_check=True)
    assert [output.name for output in model.graph.output] == ["image/nchw", "b"]


def test_a_nearest_resize_gathers_only_where_the_rounding_differs() -> None:
    resize = lambda size: Network("r", [IMAGE], [ResizeNearest("r", ("image",), size)], ["r"])  # noqa: E731
    assert node_types(write_onnx(resize((16, 16))))["Resize"] == 1
    fourteen = Network("r", [TensorSpec("image", (1, 14, 4, 1))], [ResizeNearest("r", ("image",), (2, 4))], ["r"])
    assert node_types(write_onnx(fourteen))["Gather"] == 2


def test_what_cannot_be_written_is_refused() -> None:
    with pytest.raises(NetworkError, match="has no weights"):
        write_onnx(Network("test", [IMAGE], [Conv2d("c", ("image",), 4)], ["c"]))
    opaque = Opaque("mystery", ("image",), "WHERE_AM_I", (TensorSpec("out", (1, 2)),))
    with pytest.raises(NetworkError, match="WHERE_AM_I"):
        write_onnx(Network("test", [IMAGE], [opaque], ["out"]))
