"""Steps of networks: what joins what, under which name, and that they are the operators of the file that is run."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from profiler.errors import NetworkError
from profiler.formats import write_tflite
from profiler.formats._tflite_file import parse_tflite
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
    Opaque,
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
from profiler.phone.soc import Delegate, Step, steps_of
from profiler.zoo import ZOO

DELEGATES: tuple[Delegate, ...] = get_args(Delegate)
IMAGE = TensorSpec("x", (1, 16, 16, 8))


def network_of(*operators: Operator, inputs: tuple[TensorSpec, ...] = (IMAGE,)) -> Network:
    return Network("n", inputs, operators, [operators[-1].outputs[0]])


def every_kind() -> Network:
    """A network with each kind of operator that can be run."""
    operators = [
        Conv2d("conv", ("x",), 16, (3, 3)), Relu("relu", ("conv",)), DepthwiseConv2d("depthwise", ("relu",)),
        Conv2d("pointwise", ("depthwise",), 16, (1, 1)), PRelu("prelu", ("pointwise",)), HardSwish("hs", ("prelu",)),
        HardSigmoid("hard_sigmoid", ("hs",)), Sigmoid("sigmoid", ("hard_sigmoid",)), Add("add", ("sigmoid", "relu")),
        Relu6("relu6", ("add",)), Mul("mul", ("relu6", "relu")), Concat("concat", ("mul", "relu")),
        Split("split", ("concat",), 2), ChannelShuffle("shuffle", ("split:0",), 2), MaxPool2d("max", ("shuffle",)),
        AvgPool2d("avg", ("max",)), ResizeBilinear("bilinear", ("avg",), (8, 8)),
        ResizeNearest("nearest", ("bilinear",), (16, 16)), DepthToSpace("space", ("nearest",), 2),
        Pad("pad", ("space",), ((0, 0), (1, 1), (1, 1), (0, 0))), TransposeConv2d("up", ("pad",), 8),
        Transpose("transpose", ("up",), (0, 2, 1, 3)), Mean("mean", ("transpose",), (1, 2)),
        Dense("dense", ("mean",), 8), Softmax("softmax", ("dense",)), GlobalAvgPool2d("pool", ("split:1",)),
        Reshape("reshape", ("pool",), (16, 1)),
    ]  # fmt: skip
    return Network("every_kind", [IMAGE], operators, ["softmax", "reshape"])


@pytest.mark.parametrize("delegate", DELEGATES)
@pytest.mark.parametrize("int8", [False, True])
def test_every_kind_becomes_steps(delegate: Delegate, int8: bool) -> None:
    network = every_kind()
    assert {operator.kind for operator in network.operators} == OPERATOR_KINDS.keys() - {"opaque"}
    steps = steps_of(network, delegate=delegate, int8=int8)
    done = {name for step in steps for name in step.operators}
    views = {"reshape"} if delegate in ("gpu", "nnapi") else set()
    assert done == {operator.name for operator in network.operators} - views
    assert all(step.int8 == int8 and step.written_bytes > 0 for step in steps)
    assert len({step.outputs for step in steps}) == len(steps), "each step writes tensors of its own"


@pytest.mark.parametrize("name", [*ZOO, "every_kind"])
def test_builtin_steps_are_the_operators_of_the_file(name: str) -> None:
    network = every_kind() if name == "every_kind" else ZOO[name]()
    file = parse_tflite(write_tflite(network.with_random_weights(np.random.default_rng(0))))
    codes = [operator.code for operator in file.operators]
    assert [step.node_type for step in steps_of(network, delegate="builtin")] == codes


def test_an_unknown_operator_has_no_steps() -> None:
    operator = Opaque("what", ("x",), "WHAT", (TensorSpec("y", (1, 2)),))
    with pytest.raises(NetworkError, match="opaque"):
        steps_of(Network("n", [IMAGE], [operator], ["y"]), delegate="builtin")


@pytest.mark.parametrize(
    ("activation", "joined_by"),
    [(Relu6, set(DELEGATES)), (HardSwish, {"gpu"}), (Sigmoid, {"gpu"})],
)
def test_activations_join_what_they_follow(activation: type[Operator], joined_by: set[str]) -> None:
    network = network_of(Conv2d("conv", ("x",), 8), activation("act", ("conv",)))
    joined = {delegate for delegate in DELEGATES if len(steps_of(network, delegate=delegate)) == 1}
    assert joined == joined_by
    assert steps_of(network, delegate="gpu")[0].outputs == ("act",)


def test_an_activation_joins_nothing_that_others_read() -> None:
    operators = [Conv2d("conv", ("x",), 8), Relu("act", ("conv",)), Add("sum", ("conv", "act"))]
    assert len(steps_of(network_of(*operators), delegate="xnnpack")) == 3
    output = Network("n", [IMAGE], operators[:2], ["conv", "act"])
    assert len(steps_of(output, delegate="xnnpack")) == 2


@pytest.mark.parametrize(("delegate", "count"), [("xnnpack", 1), ("gpu", 1), ("builtin", 2), ("nnapi", 2)])
def test_padding_joins_convolutions(delegate: Delegate, count: int) -> None:
    pad = Pad("pad", ("x",), ((0, 0), (1, 1), (1, 1), (0, 0)))
    network = network_of(pad, Conv2d("conv", ("pad",), 8, padding="valid"), Relu("relu", ("conv",)))
    steps = steps_of(network, delegate=delegate)
    assert len(steps) == count
    assert steps[-1].outputs == ("relu",)
    assert steps[-1].read_bytes == 4 * 8 * (16 * 16 if count == 1 else 18 * 18)


def _conv(**changes: object) -> Step:
    settings = {"out_channels": 24, "kernel": (3, 3)} | changes
    return steps_of(network_of(Conv2d("conv", ("x",), **settings)), delegate="xnnpack")[0]  # type: ignore[arg-type]


def test_convolutions_are_products_of_matrices() -> None:
    step = _conv()
    assert (step.groups, step.rows, step.columns, step.depth) == (1, 256, 24, 72)
    assert step.weight_bytes == 4 * (24 * 72 + 24)
    assert (step.read_bytes, step.written_bytes, step.copied_bytes) == (4 * 256 * 8, 4 * 256 * 24, 4 * 256 * 72)
    grouped = _conv(groups=4)
    assert (grouped.groups, grouped.columns, grouped.depth) == (4, 6, 18)
    pointwise = _conv(kernel=(1, 1))
    assert (pointwise.copied_bytes, pointwise.node_type) == (0, "Convolution (NHWC, F32) GEMM")


def test_int8_moves_a_quarter() -> None:
    network = network_of(DepthwiseConv2d("op", ("x",)))
    plain, small = (steps_of(network, delegate="xnnpack", int8=int8)[0] for int8 in (False, True))
    assert plain.read_bytes == 4 * small.read_bytes
    assert small.node_type == "Convolution (NHWC, QC8) DWConv"
