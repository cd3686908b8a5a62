"""Every kind on numbers small enough to work out by hand, in every runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from profiler.network import (
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
from tests.runtimes import RUNNERS, outputs_or_refusal, run_torch
from tests.strategies import WRITABLE_KINDS


@dataclass(frozen=True)
class Case:
    operator: Operator
    inputs: Sequence[Any]
    expected: Sequence[Any]
    weights: Mapping[str, Any] = field(default_factory=dict)

    def network(self) -> Network:
        specs = [TensorSpec(name, np.shape(value)) for name, value in zip("xyz", self.inputs, strict=False)]
        weights = {f"op/{role}": np.array(value, np.float32) for role, value in self.weights.items()}
        return Network("case", specs, [self.operator], self.operator.outputs, weights or None)


def row(*values: float) -> list[Any]:
    """One image of one row and one channel: shape (1, 1, n, 1)."""
    return [[[[value] for value in values]]]


def pixel(*channels: float) -> list[Any]:
    """One image of one pixel: shape (1, 1, 1, n)."""
    return [[[list(channels)]]]


X, XY = ("x",), ("x", "y")
SQUARE = np.arange(16.0).reshape(1, 4, 4, 1)
ONES = np.ones((1, 3, 3, 1))
THREE_BY_ROW = np.array([1.0, 10.0, 100.0]).reshape(1, 1, 3, 1)

CASES = {
    "conv2d: SAME with stride 2 pads an even image at the end only": Case(
        Conv2d("op", X, 1, stride=(2, 2), use_bias=False),
        [SQUARE],
        [[[[[45.0], [39.0]], [[66.0], [50.0]]]]],
        {"kernel": ONES},
    ),
    "conv2d: VALID": Case(
        Conv2d("op", X, 1, padding="valid"),
        [SQUARE],
        [[[[[46.0], [55.0]], [[82.0], [91.0]]]]],
        {"kernel": ONES, "bias": [1]},
    ),
    "conv2d: a window that steps over cells, padded on the other axis": Case(
        Conv2d("op", X, 1, kernel=(1, 3), stride=(2, 1), use_bias=False),
        [[[[[1.0], [2.0]], [[3.0], [4.0]]]]],
        [row(210.0, 21.0)],
        {"kernel": THREE_BY_ROW},
    ),
    "conv2d: dilation 2 reads every other cell": Case(
        Conv2d("op", X, 1, kernel=(1, 3), dilation=(1, 2), use_bias=False),
        [row(1, 2, 3, 4, 5)],
        [row(4, 6, 9, 6, 8)],
        {"kernel": np.ones((1, 1, 3, 1))},
    ),
    "conv2d: groups keep channels apart": Case(
        Conv2d("op", X, 2, kernel=(1, 1), groups=2),
        [pixel(1, 2, 3, 4)],
        [pixel(1 + 20 + 0.5, 300 + 4000 - 0.5)],
        {"kernel": [[[[1, 10]]], [[[100, 1000]]]], "bias": [0.5, -0.5]},
    ),
    "depthwise_conv2d: the copies of a channel are neighbours": Case(
        DepthwiseConv2d("op", X, kernel=(1, 1), multiplier=2),
        [pixel(1, 2)],
        [pixel(11, 20, 60, 80)],
        {"kernel": [[[[10, 20, 30, 40]]]], "bias": [1, 0, 0, 0]},
    ),
    "depthwise_conv2d: SAME, stride 2, dilation 2": Case(
        DepthwiseConv2d("op", X, kernel=(1, 3), stride=(1, 2), dilation=(1, 2), use_bias=False),
        [row(1, 2, 3, 4)],
        [row(20 + 400, 2 + 40)],  # three cells of padding: one before, two after
        {"kernel": THREE_BY_ROW},
    ),
    "transpose_conv2d: SAME cuts the odd cell at the end": Case(
        TransposeConv2d("op", X, 1, kernel=(1, 3), stride=(1, 2), use_bias=False),
        [row(1, 2)],
        [row(1, 10, 102, 20)],
        {"kernel": THREE_BY_ROW},
    ),
    "transpose_conv2d: SAME cuts both sides of a wide window": Case(
        TransposeConv2d("op", X, 1, kernel=(1, 4), stride=(1, 2)),
        [row(1, 2)],
        [row(10.5, 102.5, 1020.5, 200.5)],
        {"kernel": np.array([1.0, 10, 100, 1000]).reshape(1, 1, 4, 1), "bias": [0.5]},
    ),
    "transpose_conv2d: VALID keeps all": Case(
        TransposeConv2d("op", X, 1, kernel=(1, 3), stride=(1, 2), padding="valid", use_bias=False),
        [row(1, 2)],
        [row(1, 10, 102, 20, 200)],
        {"kernel": THREE_BY_ROW},
    ),
    "dense": Case(
        Dense("op", X, 3),
        [[[1.0, 2.0]]],
        [[[6.0, 11.0, 17.0]]],
        {"kernel": [[1, 2], [3, 4], [5, 6]], "bias": [1, 0, 0]},
    ),
    "add: broadcasts channels": Case(Add("op", XY), [row(1, 2), pixel(10)], [row(11, 12)]),
    "mul: broadcasts pixels": Case(
        Mul("op", XY), [[[[[1.0, 2.0], [3.0, 4.0]]]], pixel(10, 100)], [[[[[10, 200], [30, 400]]]]]
    ),
    "concat: along the height": Case(Concat("op", XY, axis=1), [row(1, 2), row(3, 4)], [[[[[1], [2]], [[3], [4]]]]]),
    "split: along the width": Case(Split("op", X, 2, axis=2), [row(1, 2, 3, 4)], [row(1, 2), row(3, 4)]),
    "channel_shuffle: deals the groups like cards": Case(
        ChannelShuffle("op", X, 2), [pixel(0, 1, 2, 3, 4, 5)], [pixel(0, 3, 1, 4, 2, 5)]
    ),
    "max_pool2d: padding is never the largest": Case(
        MaxPool2d("op", X, (1, 3), (1, 2), "same"), [row(-1, -2, -3, -4)], [row(-1, -3)]
    ),
    "avg_pool2d: equal padding is not counted": Case(
        AvgPool2d("op", X, (1, 3), (1, 1), "same"), [row(1, 2, 3)], [row(1.5, 2, 2.5)]
    ),
    "avg_pool2d: padding at the end only is not counted": Case(
        AvgPool2d("op", X, (1, 3), (1, 2), "same"), [row(1, 2, 3, 4)], [row(2, 3.5)]
    ),
    "global_avg_pool2d": Case(GlobalAvgPool2d("op", X), [[[[[1.0, 5.0], [3.0, 9.0]]]]], [[[2.0, 7.0]]]),
    "global_avg_pool2d: kept axes": Case(GlobalAvgPool2d("op", X, keep_dims=True), [row(1, 3)], [pixel(2)]),
    "relu": Case(Relu("op", X), [row(-1, 0, 7)], [row(0, 0, 7)]),
    "relu6": Case(Relu6("op", X), [row(-1, 3, 7)], [row(0, 3, 6)]),
    "prelu: one alpha a channel": Case(
        PRelu("op", X), [pixel(-2, -2, 2)], [pixel(-1, -0.5, 2)], {"alpha": [0.5, 0.25, 9]}
    ),
    "hard_swish": Case(HardSwish("op", X), [row(-4, -1, 0, 1, 4)], [row(0, -1 / 3, 0, 2 / 3, 4)]),
    "hard_sigmoid": Case(HardSigmoid("op", X), [row(-4, -1, 0, 1, 4)], [row(0, 1 / 3, 0.5, 2 / 3, 1)]),
    "sigmoid": Case(Sigmoid("op", X), [row(0, np.log(3))], [row(0.5, 0.75)]),
    "softmax: over channels": Case(Softmax("op", X), [pixel(0, np.log(2), np.log(5))], [pixel(0.125, 0.25, 0.625)]),
    "pad": Case(Pad("op", X, ((0, 0), (0, 0), (2, 1), (0, 0))), [row(1, 2)], [row(0, 0, 1, 2, 0)]),
    "resize_bilinear: half pixel centres": Case(
        ResizeBilinear("op", X, (1, 4), "half_pixel"), [row(0, 1)], [row(0, 0.25, 0.75, 1)]
    ),
    "resize_bilinear: aligned corners": Case(
        ResizeBilinear("op", X, (1, 4), "align_corners"), [row(0, 1)], [row(0, 1 / 3, 2 / 3, 1)]
    ),
    "resize_bilinear: asymmetric": Case(
        ResizeBilinear("op", X, (1, 4), "asymmetric"), [row(0, 1)], [row(0, 0.5, 1, 1)]
    ),
    "resize_nearest: rounds down": Case(ResizeNearest("op", X, (1, 5)), [row(1, 2, 3)], [row(1, 1, 2, 2, 3)]),
    "resize_nearest: where ONNX Runtime's own rounding is another": Case(
        ResizeNearest("op", X, (1, 2)), [row(*range(14))], [row(0, 7)]
    ),
    "depth_to_space: pixels of a block first, then channels": Case(
        DepthToSpace("op", X, 2), [pixel(0, 1, 2, 3, 4, 5, 6, 7)], [[[[[0, 1], [2, 3]], [[4, 5], [6, 7]]]]]
    ),
    "reshape: reads NHWC": Case(Reshape("op", X, (2, 2)), [[[[[1.0, 2.0], [3.0, 4.0]]]]], [[[1.0, 2.0], [3.0, 4.0]]]),
    "transpose": Case(Transpose("op", X, (0, 3, 1, 2)), [[[[[1.0, 2.0], [3.0, 4.0]]]]], [[[[[1, 3]], [[2, 4]]]]]),
    "mean: of channels": Case(Mean("op", X, (-1,)), [[[[[1.0, 2.0], [3.0, 5.0]]]]], [[[[1.5, 4.0]]]]),
}


REFUSED = {("ncnn", "resize_bilinear: asymmetric")}


def test_every_kind_has_a_case() -> None:
    assert {case.operator.kind for case in CASES.values()} == set(WRITABLE_KINDS)


@pytest.mark.parametrize("runtime", ["torch", *RUNNERS])
@pytest.mark.parametrize("name", CASES)
def test_values_worked_out_by_hand(name: str, runtime: str) -> None:
    case = CASES[name]
    network, inputs = case.network(), [np.array(value, np.float32) for value in case.inputs]
    outputs = run_torch(network, inputs) if runtime == "torch" else outputs_or_refusal(runtime, network, inputs)
    if outputs is None:
        assert (runtime, name) in REFUSED
        return
    assert len(outputs) == len(case.expected)
    for output, expected in zip(outputs, case.expected, strict=True):
        np.testing.assert_allclose(output, np.array(expected), rtol=1e-5, atol=1e-6, strict=False)
        assert output.shape == np.shape(expected)
