"""Costs against figures worked out by hand."""

from __future__ import annotations

from profiler.network import (
    Conv2d,
    Dense,
    DepthwiseConv2d,
    GlobalAvgPool2d,
    Network,
    NetworkCost,
    OperatorCost,
    TensorSpec,
    TransposeConv2d,
    operator_cost,
)


def test_costs_of_a_small_classifier() -> None:
    network = Network(
        "small",
        [TensorSpec("x", (1, 8, 8, 3))],
        [
            Conv2d("c", ("x",), 16, stride=(2, 2), groups=1),
            DepthwiseConv2d("d", ("c",), (3, 3)),
            GlobalAvgPool2d("g", ("d",)),
            Dense("f", ("g",), 10),
        ],
        ["f"],
    )
    conv = 4 * 4 * 16 * 9 * 3
    depthwise = 4 * 4 * 16 * 9
    dense = 16 * 10
    parameters = (16 * 9 * 3 + 16) + (9 * 16 + 16) + (160 + 10)
    activations = (192 + 256) + (256 + 256) + (256 + 16) + (16 + 10)
    assert network.cost() == NetworkCost(conv + depthwise + dense, parameters, 4 * (activations + parameters))


def test_cost_of_grouped_and_transposed_convolutions() -> None:
    image = TensorSpec("x", (1, 6, 6, 8))
    grouped = Network("g", [image], [Conv2d("c", ("x",), 4, groups=2)], ["c"])
    assert operator_cost(grouped, grouped.operators[0]) == OperatorCost(
        macs=36 * 4 * 9 * 4, parameters=4 * 9 * 4 + 4, input_bytes=36 * 8 * 4, output_bytes=36 * 4 * 4, weight_bytes=592
    )
    transposed = Network("t", [image], [TransposeConv2d("c", ("x",), 4, (2, 2), (2, 2))], ["c"])
    assert transposed.cost().macs == 36 * 8 * 4 * 4
