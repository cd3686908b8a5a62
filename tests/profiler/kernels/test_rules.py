from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from profiler.formats import write_ncnn, write_onnx
from profiler.kernels import FUSION_RULES, fuse
from profiler.network import (
    Add,
    Conv2d,
    Dense,
    DepthwiseConv2d,
    HardSigmoid,
    HardSwish,
    Network,
    Operator,
    Pad,
    Relu,
    Relu6,
    Sigmoid,
    TensorSpec,
    TransposeConv2d,
)

ACTIVATIONS: dict[type[Operator], set[str]] = {
    Relu: {"Relu"}, Relu6: {"Clip"}, Sigmoid: {"Sigmoid"}, HardSigmoid: {"HardSigmoid"},
    HardSwish: {"HardSwish", "HardSigmoid", "Mul"},
}  # fmt: skip


def optimised_kinds(network: Network, folder: Path) -> list[str]:
    """Node types of the graph that ONNX Runtime really runs."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    options.log_severity_level = 3
    content = write_onnx(network.with_random_weights(np.random.default_rng(0)))
    onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return [node.op_type for node in onnx.load(folder / "optimised.onnx").graph.node]


def anchored(kind: str) -> tuple[TensorSpec, list[Operator]]:
    image = TensorSpec("x", (1, 16, 16, 16))
    first, again = Conv2d("a", ("x",), 16), Conv2d("b", ("x",), 16)
    anchors: dict[str, tuple[TensorSpec, list[Operator]]] = {
        "conv2d": (image, [Conv2d("last", ("x",), 16)]),
        "depthwise_conv2d": (image, [DepthwiseConv2d("last", ("x",))]),
        "dense": (TensorSpec("x", (1, 16)), [Dense("last", ("x",), 16)]),
        "transpose_conv2d": (image, [TransposeConv2d("last", ("x",), 16)]),
        "pad+conv2d": (image, [Pad("a", ("x",), ((0, 0), (1, 2), (3, 0), (0, 0))), Conv2d("last", ("a",), 16)]),
        "conv2d+add": (image, [first, again, Add("last", ("a", "b"))]),
    }
    return anchors[kind]


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=lambda activation: activation.kind)
@pytest.mark.parametrize("kind", ["conv2d", "depthwise_conv2d", "dense", "conv2d+add"])
def test_rules_are_what_onnxruntime_does(kind: str, activation: type[Operator], tmp_path: Path) -> None:
    spec, operators = anchored(kind)
    network = Network("n", [spec], [*operators, activation("act", ("last",))], ["act"])
    fused_by_us = any(
        kernel.kind.endswith(f"{kind}+{activation.kind}") for kernel in fuse(network, FUSION_RULES["onnxruntime"])
    )
    alone = ACTIVATIONS[activation] & set(optimised_kinds(network, tmp_path))
    assert fused_by_us == (not alone)


NCNN_LAYERS: dict[type[Operator], str] = {
    Relu: "ReLU", Relu6: "Clip", Sigmoid: "Sigmoid", HardSigmoid: "HardSigmoid", HardSwish: "HardSwish",
}  # fmt: skip


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=lambda activation: activation.kind)
@pytest.mark.parametrize(
    "kind", ["conv2d", "depthwise_conv2d", "transpose_conv2d", "dense", "conv2d+add", "pad+conv2d"]
)
def test_rules_are_what_ncnn_is_given(kind: str, activation: type[Operator]) -> None:
    spec, operators = anchored(kind)
    network = Network("n", [spec], [*operators, activation("act", ("last",))], ["act"])
    layers = [line.split()[0] for line in write_ncnn(network, channels_first=True).param.splitlines()[2:]]
    kernels = fuse(network, FUSION_RULES["ncnn"])
    assert len(kernels) == sum(layer not in ("Input", "Split") for layer in layers)
    assert (NCNN_LAYERS[activation] in layers) == any(kernel.kind == activation.kind for kernel in kernels)


def test_every_beginning_of_a_chain_is_a_chain() -> None:
    for rules in FUSION_RULES.values():
        for chain in rules.chains:
            assert all(len(chain[:end]) == 1 or chain[:end] in rules.chains for end in range(1, len(chain)))
