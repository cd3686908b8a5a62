from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from hypothesis import HealthCheck, given, settings

from profiler.errors import NetworkError
from profiler.formats import write_tflite
from profiler.network import (
    Add,
    Conv2d,
    Dense,
    DepthwiseConv2d,
    GlobalAvgPool2d,
    HardSwish,
    Network,
    Opaque,
    Operator,
    Relu,
    Relu6,
    Reshape,
    Softmax,
    TensorSpec,
)
from tests.strategies import networks

IMAGE = TensorSpec("image", (1, 8, 8, 4))
_CODES = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}


def network_of(operators: Sequence[Operator], outputs: Sequence[str]) -> Network:
    return Network("test", [IMAGE], operators, outputs).with_random_weights(np.random.default_rng(0))


def parse(model: bytes) -> Any:
    return schema.ModelT.InitFromPackedBuf(model, 0)


def operator_codes(model: bytes) -> list[str]:
    parsed = parse(model)
    codes = [_CODES[code.builtinCode] for code in parsed.operatorCodes]
    return [codes[operator.opcodeIndex] for operator in parsed.subgraphs[0].operators]


@settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(network=networks())
def test_every_weight_buffer_starts_at_a_multiple_of_16(network: Network) -> None:
    packed = write_tflite(network)
    model = schema.Model.GetRootAsModel(packed, 0)
    for index in range(model.BuffersLength()):
        buffer = model.Buffers(index)
        if not buffer.DataIsNone():
            vector = buffer._tab.Vector(buffer._tab.Offset(4))
            assert vector % 16 == 0


@settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(network=networks())
def test_equal_networks_give_equal_bytes(network: Network) -> None:
    again = Network(network.name, network.inputs, network.operators, network.outputs, network.weights)
    assert write_tflite(network) == write_tflite(again)


def test_inputs_and_outputs_keep_names_shapes_and_order() -> None:
    inputs = [TensorSpec("left", (1, 4, 4, 2)), TensorSpec("right", (1, 4, 4, 2))]
    network = Network("two", inputs, [Add("sum", ("right", "left")), Relu("positive", ("sum",))], ["positive", "sum"])
    interpreter = Interpreter(model_content=write_tflite(network))
    assert [detail["name"] for detail in interpreter.get_input_details()] == ["left", "right"]
    assert [detail["name"] for detail in interpreter.get_output_details()] == ["positive", "sum"]
    assert interpreter.get_signature_list() == {
        "serving_default": {"inputs": ["left", "right"], "outputs": ["positive", "sum"]}
    }
    assert [tuple(detail["shape"]) for detail in interpreter.get_input_details()] == [(1, 4, 4, 2)] * 2


def test_activations_fuse_into_what_they_follow() -> None:
    operators = [
        Conv2d("conv", ("image",), 4),
        Relu6("conv/relu6", ("conv",)),
        DepthwiseConv2d("depthwise", ("conv/relu6",)),
        Relu("depthwise/relu", ("depthwise",)),
        Add("add", ("depthwise/relu", "image")),
        Relu("add/relu", ("add",)),
        GlobalAvgPool2d("pool", ("add/relu",)),
        Dense("dense", ("pool",), 3),
        Relu("dense/relu", ("dense",)),
    ]
    model = write_tflite(network_of(operators, ["dense/relu"]))
    assert operator_codes(model) == ["CONV_2D", "DEPTHWISE_CONV_2D", "ADD", "MEAN", "FULLY_CONNECTED"]
    names = [tensor.name.decode() for tensor in parse(model).subgraphs[0].tensors]
    assert "conv/relu6" in names
    assert "conv" not in names


@pytest.mark.parametrize(
    ("operators", "outputs"),
    [
        ([Conv2d("c", ("image",), 4), Relu("r", ("c",))], ["r", "c"]),
        ([Conv2d("c", ("image",), 4), Relu("r", ("c",)), Add("s", ("r", "c"))], ["s"]),
        ([HardSwish("c", ("image",)), Relu("r", ("c",))], ["r"]),
        ([Relu("r", ("image",))], ["r"]),
    ],
    ids=["its input is an output", "its input has another reader", "its producer cannot", "nothing before it"],
)
def test_an_activation_stays_an_operator_where(operators: Sequence[Operator], outputs: Sequence[str]) -> None:
    assert "RELU" in operator_codes(write_tflite(network_of(operators, outputs)))


def test_a_model_of_several_megabytes_is_whole() -> None:
    network = network_of([Reshape("flat", ("image",), (1, 256)), Dense("wide", ("flat",), 8192)], ["wide"])
    model = write_tflite(network)
    interpreter = Interpreter(model_content=model)
    interpreter.allocate_tensors()
    assert len(model) > 8_000_000
    weights = [buffer.data for buffer in parse(model).buffers if buffer.data is not None and len(buffer.data) > 10**6]
    assert network.weights is not None
    np.testing.assert_array_equal(weights[0].view(np.float32), network.weights["wide/kernel"].reshape(-1))


def test_a_network_without_weights_is_refused() -> None:
    with pytest.raises(NetworkError, match="has no weights"):
        write_tflite(Network("test", [IMAGE], [Conv2d("c", ("image",), 4)], ["c"]))


def test_an_opaque_operator_is_refused_by_name() -> None:
    opaque = Opaque("mystery", ("image",), "WHERE_AM_I", (TensorSpec("out", (1, 2)),))
    with pytest.raises(NetworkError, match="WHERE_AM_I") as caught:
        write_tflite(Network("test", [IMAGE], [opaque], ["out"]))
    assert caught.value.operator == "mystery"


def test_only_float32_networks_are_written() -> None:
    integers = TensorSpec("numbers", (1, 4), "int32")
    with pytest.raises(NetworkError, match="int32"):
        write_tflite(Network("test", [integers], [Softmax("s", ("numbers",))], ["s"]))


def test_weights_that_no_file_can_hold_are_refused() -> None:
    network = Network("test", [TensorSpec("x", (1, 30_000))], [Dense("d", ("x",), 30_000, use_bias=False)], ["d"])
    weight = np.broadcast_to(np.float32(1), (30_000, 30_000))  # 3.6 GB that take four bytes
    huge = network._replaced(weights={"d/kernel": weight})
    with pytest.raises(NetworkError, match="bytes of weights"):
        write_tflite(huge)
