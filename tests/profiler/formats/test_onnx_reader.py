"""What exporters put into .onnx files: each model has the numbers that ONNX Runtime gives it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import NodeProto, TensorProto, helper, numpy_helper

from profiler.errors import ModelFileError
from profiler.formats import read_onnx
from profiler.network import Network
from tests.runtimes import run_torch

Constants = dict[str, Any]


def constant(*shape: int) -> np.ndarray:
    """Return values that differ, some of them negative."""
    size = int(np.prod(shape))
    return (np.sin(np.arange(size) * 1.7) + 0.1).astype(np.float32).reshape(shape)


def integers(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def model(
    nodes: Sequence[NodeProto], constants: Constants, shape: Sequence[int] = (1, 4, 6, 8), *, opset: int = 17
) -> bytes:
    graph = helper.make_graph(
        nodes, "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        initializer=[numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )  # fmt: skip
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return made.SerializeToString()


def node(op_type: str, inputs: str, outputs: str = "y", **attributes: Any) -> NodeProto:
    """Return a node; names are separated by blanks, and - stands for an input that is left out."""
    names = ["" if name == "-" else name for name in inputs.split()]
    return helper.make_node(op_type, names, outputs.split(), **attributes)


def to_channels_last(values: np.ndarray) -> np.ndarray:
    return values.transpose(0, 2, 3, 1).copy() if values.ndim == 4 else values


def assert_same_numbers(data: bytes, network: Network, *, channels_last: bool = False) -> None:
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    shape = session.get_inputs()[0].shape
    x = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    (expected,) = session.run(None, {"x": x})
    move = np.asarray if channels_last else to_channels_last
    (actual,) = run_torch(network, [move(x)])
    np.testing.assert_allclose(actual, move(expected), rtol=1e-4, atol=1e-5)


def kinds(network: Network) -> list[str]:
    return [operator.kind for operator in network.operators]


NORM = {"scale": constant(4), "shift": constant(4), "mean": constant(4) / 2, "variance": np.abs(constant(4)) + 0.5}
WEIGHT = {"w": constant(6, 4, 3, 3), "b": constant(6)}

CASES: dict[str, tuple[list[NodeProto], Constants, list[str]]] = {
    "a batch norm without a convolution": (
        [node("BatchNormalization", "x scale shift mean variance")], NORM, ["depthwise_conv2d"],
    ),
    "a batch norm whose convolution has another reader": (
        [
            node("Conv", "x w", "c"), node("BatchNormalization", "c scale shift mean variance", "n"),
            node("Add", "c n"),
        ],
        NORM | {"w": constant(4, 4, 1, 1)}, ["conv2d", "depthwise_conv2d", "add"],
    ),
    "two affine maps after a convolution": (
        [node("Conv", "x w b", "c", pads=[1, 1, 1, 1]), node("Mul", "c two", "d"), node("Sub", "one d")],
        WEIGHT | {"two": np.float32(2), "one": constant(6, 1, 1)}, ["conv2d"],
    ),
    "padding that no convention gives": (
        [node("Conv", "x w b", pads=[2, 0, 1, 1], strides=[2, 1])], WEIGHT, ["pad", "conv2d"],
    ),
    "SAME_UPPER": ([node("Conv", "x w b", auto_pad="SAME_UPPER", strides=[2, 2])], WEIGHT, ["conv2d"]),
    "SAME_LOWER": ([node("Conv", "x w b", auto_pad="SAME_LOWER", strides=[2, 2])], WEIGHT, ["pad", "conv2d"]),
    "a transposed convolution": (
        [node("ConvTranspose", "x w b", strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 1])],
        {"w": constant(4, 5, 3, 3), "b": constant(5)}, ["transpose_conv2d"],
    ),
    "a dense layer as product and sum": (
        [node("Flatten", "x", "f"), node("MatMul", "f w", "p"), node("Add", "b p")],
        {"w": constant(192, 5), "b": constant(5)}, ["reshape", "dense"],
    ),
    "Gemm with its factors": (
        [node("GlobalAveragePool", "x", "g"), node("Flatten", "g", "f"), node("Gemm", "f w b", alpha=0.5, beta=2.0)],
        {"w": constant(4, 5), "b": constant(1, 5)}, ["global_avg_pool2d", "dense"],
    ),
    "a dense layer on the last axis of an image": (
        [node("MatMul", "x w")], {"w": constant(8, 3)}, ["transpose", "reshape", "dense", "reshape", "transpose"],
    ),
    "a hard swish spelled out": (
        [node("Add", "x three", "a"), node("Clip", "a zero six", "b"), node("Mul", "x b", "c"), node("Div", "c six")],
        {"three": np.float32(3), "zero": np.float32(0), "six": np.float32(6)}, ["hard_swish"],
    ),
    "swish": ([node("Sigmoid", "x", "s"), node("Mul", "x s")], {}, ["sigmoid", "mul"]),
    "a softmax over channels": ([node("Softmax", "x", axis=1)], {}, ["softmax"]),
    "a softmax over columns": ([node("Softmax", "x")], {}, ["transpose", "softmax", "transpose"]),
    "means": (
        [node("ReduceMean", "x", "m", axes=[1], keepdims=1), node("ReduceMean", "m", axes=[-1], keepdims=0)],
        {}, ["mean", "reshape", "mean"],
    ),
    "the largest of each channel": ([node("GlobalMaxPool", "x")], {}, ["max_pool2d"]),
    "an average that counts its padding": (
        [node("AveragePool", "x", kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1)],
        {}, ["pad", "avg_pool2d"],
    ),
    "an average that does not": (
        [node("AveragePool", "x", kernel_shape=[3, 3], pads=[1, 1, 1, 1])], {}, ["avg_pool2d"],
    ),
    "sizes rounded up": (
        [node("Relu", "x", "r"), node("MaxPool", "r", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)],
        {}, ["relu", "max_pool2d"],
    ),
    "nearest interpolation by half pixels": (
        [node("Resize", "x - scales")], {"scales": np.array([1, 1, 3, 2], np.float32)}, ["resize_nearest"],
    ),
    "linear interpolation": (
        [node("Resize", "x - - sizes", mode="linear", coordinate_transformation_mode="align_corners")],
        {"sizes": integers(1, 4, 9, 5)}, ["resize_bilinear"],
    ),
    "pixels from channels in torch's order": (
        [node("DepthToSpace", "x", blocksize=2, mode="CRD")], {}, ["channel_shuffle", "depth_to_space"],
    ),
    "slices that share a tensor out": (
        [
            node("Slice", "x two end axis", "b"), node("Slice", "x zero two axis", "a"), node("Concat", "b a", axis=1),
        ],
        {"zero": integers(0), "two": integers(2), "end": integers(2**62), "axis": integers(1)}, ["split", "concat"],
    ),
    "a size computed from a shape": (
        [
            node("Shape", "x", "s"), node("Gather", "s zero", "n", axis=0), node("Unsqueeze", "n axis", "u"),
            node("Concat", "u rest", "t", axis=0), node("Reshape", "x t", "r"), node("Relu", "r"),
        ],
        {"zero": np.int64(0), "axis": integers(0), "rest": integers(-1)}, ["transpose", "reshape", "relu"],
    ),
    "a gate of another rank": (
        [node("ReduceMean", "x", "m", axes=[0, 2, 3], keepdims=0), node("Reshape", "m s", "g"), node("Mul", "x g")],
        {"s": integers(4, 1, 1)}, ["mean", "reshape", "reshape", "mul"],
    ),
    "a gate of another rank that varies over the image": (
        [node("ReduceMean", "x", "m", axes=[0], keepdims=0), node("Add", "m x")], {},
        ["transpose", "mean", "reshape", "transpose", "add"],
    ),
    "nothing": ([node("Identity", "x", "a"), node("Dropout", "a", "b"), node("Relu", "b")], {}, ["relu"]),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_exporters_write_is_read_with_its_numbers(case: str) -> None:
    nodes, constants, expected = CASES[case]
    data = model(nodes, constants)
    network = read_onnx(data)
    assert_same_numbers(data, network)
    assert kinds(network) == expected


def test_a_model_that_is_channels_last_outside_stays_so() -> None:
    """Converters from TensorFlow keep NHWC outside and transpose around the convolutions."""
    nodes = [
        node("Transpose", "x", "a", perm=[0, 3, 1, 2]), node("Conv", "a w b", "c"),
        node("Transpose", "c", "y", perm=[0, 2, 3, 1]),
    ]  # fmt: skip
    data = model(nodes, {"w": constant(6, 8, 3, 3), "b": constant(6)})
    network = read_onnx(data)
    assert network.inputs[0].shape == (1, 4, 6, 8)
    assert network.outputs == ("y",)
    assert kinds(network) == ["conv2d"]
    assert_same_numbers(data, network, channels_last=True)


@pytest.mark.parametrize(
    ("nodes", "constants", "name"),
    [
        ([node("Split", "x sizes", "y z", axis=1)], {"sizes": integers(1, 3)}, "Split"),
        ([node("MaxPool", "x", kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2])], {}, "MaxPool"),
        ([node("Clip", "x low high")], {"low": np.float32(-1), "high": np.float32(1)}, "Clip"),
        ([node("Conv", "x x")], {}, "Conv"),
        ([node("HardSigmoid", "x")], {}, "HardSigmoid"),
        ([node("Resize", "x - scales", mode="cubic")], {"scales": np.array([1, 1, 2, 2], np.float32)}, "Resize"),
        ([node("Add", "x image")], {"image": constant(4, 6, 8)}, "Add"),
        ([node("Sub", "x x")], {}, "Sub"),
    ],
)
def test_what_a_network_cannot_say_is_opaque(nodes: list[NodeProto], constants: Constants, name: str) -> None:
    shape = (1, 4, 6, 8) if name != "Conv" else (2, 2, 2, 2)
    (operator,) = read_onnx(model(nodes, constants, shape)).operators
    assert operator.kind == "opaque"
    assert operator.op_type == name  # type: ignore[attr-defined]


def test_a_branch_keeps_what_it_reads() -> None:
    """A convolution whose output a branch reads by capture must not be folded away."""
    branch = helper.make_graph(
        [node("Relu", "c", "r")], "branch", [], [helper.make_tensor_value_info("r", TensorProto.FLOAT, (1, 6, 4, 6))]
    )
    condition = numpy_helper.from_array(np.array(True), "condition")
    nodes = [
        node("Conv", "x w b", "c"), node("Mul", "c two", "m"),
        node("If", "condition", "i", then_branch=branch, else_branch=branch), node("Add", "m i"),
    ]  # fmt: skip
    network = read_onnx(model(nodes, WEIGHT | {"two": np.float32(2), "condition": numpy_helper.to_array(condition)}))
    assert kinds(network) == ["conv2d", "depthwise_conv2d", "opaque", "add"]
    assert network.operators[2].inputs == ("c",)


def test_quantised_models_are_read_as_float_networks() -> None:
    nodes = [
        node("QuantizeLinear", "x scale zero", "q"), node("DequantizeLinear", "q scale zero", "d"),
        node("DequantizeLinear", "w scale zero", "v"), node("Conv", "d v"),
    ]  # fmt: skip
    weight = np.arange(-8, 8, dtype=np.int8).reshape(4, 4, 1, 1)
    network = read_onnx(model(nodes, {"w": weight, "scale": np.float32(0.5), "zero": np.int8(0)}))
    assert kinds(network) == ["conv2d"]
    assert network.weights is not None
    np.testing.assert_array_equal(network.weights["y/kernel"].reshape(-1), weight.reshape(-1) * 0.5)


def test_old_opsets_keep_numbers_in_attributes() -> None:
    nodes = [
        node("Clip", "x", "c", min=0.0, max=6.0), node("Pad", "c", "p", pads=[0, 0, 1, 0, 0, 0, 0, 2]),
        node("Reshape", "p s", "r"), node("Unsqueeze", "r", "u", axes=[0]), node("Squeeze", "u", "v", axes=[0]),
        node("Softmax", "v"),
    ]  # fmt: skip
    data = model(nodes, {"s": integers(0, -1)}, opset=10)
    network = read_onnx(data)
    assert kinds(network) == ["relu6", "pad", "transpose", "reshape", "reshape", "reshape", "softmax"]
    assert_same_numbers(data, network)


def test_shapes_that_contradict_one_another_are_damage() -> None:
    with pytest.raises(ModelFileError, match="not a valid"):
        read_onnx(model([node("Conv", "x w")], {"w": constant(6, 3, 3, 3)}))
