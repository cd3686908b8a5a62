import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from profiler.kernels import FUSION_RULES, Fuser, fuse
from profiler.network import (
    Add,
    Concat,
    Conv2d,
    DepthwiseConv2d,
    GlobalAvgPool2d,
    HardSwish,
    MaxPool2d,
    Network,
    Opaque,
    Operator,
    Pad,
    Relu,
    Relu6,
    Reshape,
    Sigmoid,
    Split,
    TensorSpec,
)

LITERT = FUSION_RULES["litert"]
ONNXRUNTIME = FUSION_RULES["onnxruntime"]


def network(operators: list[Operator], outputs: list[str], *, channels: int = 8) -> Network:
    return Network("n", [TensorSpec("x", (1, 16, 16, channels))], operators, outputs)


def kinds(graph: Network, runtime: str = "litert") -> list[str]:
    return [kernel.kind for kernel in fuse(graph, FUSION_RULES[runtime])]


def test_clamps_join_what_they_follow() -> None:
    graph = network(
        [Conv2d("a", ("x",), 8), Relu6("b", ("a",)), DepthwiseConv2d("c", ("b",)), Relu("d", ("c",))], ["d"]
    )
    assert kinds(graph) == ["conv2d+relu6", "depthwise_conv2d+relu"]


@pytest.mark.parametrize(
    ("runtime", "expected"), [("litert", ["conv2d", "sigmoid"]), ("onnxruntime", ["conv2d+sigmoid"])]
)
def test_runtimes_fuse_different_activations(runtime: str, expected: list[str]) -> None:
    assert kinds(network([Conv2d("a", ("x",), 8), Sigmoid("b", ("a",))], ["b"]), runtime) == expected


def test_hard_swish_is_a_step_of_its_own() -> None:
    assert kinds(network([Conv2d("a", ("x",), 8), HardSwish("b", ("a",))], ["b"])) == ["conv2d", "hard_swish"]


def test_an_activation_is_not_fused_when_others_need_its_input() -> None:
    shared = network([Conv2d("a", ("x",), 8), Relu("b", ("a",)), Add("c", ("a", "b"))], ["c"])
    assert kinds(shared) == ["conv2d", "relu", "add"]
    returned = network([Conv2d("a", ("x",), 8), Relu("b", ("a",))], ["a", "b"])
    assert kinds(returned) == ["conv2d", "relu"]


def test_onnxruntime_folds_a_residual_into_one_convolution() -> None:
    residual = [Conv2d("a", ("x",), 8), Conv2d("b", ("x",), 8), Add("c", ("a", "b")), Relu("d", ("c",))]
    fused = fuse(network(residual, ["d"]), ONNXRUNTIME)
    assert [kernel.kind for kernel in fused] == ["conv2d", "conv2d+add+relu"]
    assert fused[1].input_shapes == ((1, 16, 16, 8), (1, 16, 16, 8))
    assert kinds(network(residual, ["d"])) == ["conv2d", "conv2d", "add+relu"]


def test_kernels_come_after_those_they_read() -> None:
    late = [Conv2d("a", ("x",), 8), Conv2d("b", ("x",), 8), Relu("r", ("b",)), Add("c", ("a", "r"))]
    assert kinds(network(late, ["c"]), "onnxruntime") == ["conv2d+relu", "conv2d+add"]


def test_zero_padding_joins_a_convolution() -> None:
    graph = network(
        [Pad("p", ("x",), ((0, 0), (1, 1), (1, 1), (0, 0))), Conv2d("a", ("p",), 8, padding="valid")], ["a"]
    )
    (kernel,) = fuse(graph, LITERT)
    assert kernel.kind == "pad+conv2d"
    assert kernel.family == "conv2d"
    assert kernel.describe() == "conv2d 1x16x16x8 -> 8 k3x3 pad+"


def test_shared_and_broadcast_inputs_keep_their_shapes() -> None:
    graph = network(
        [GlobalAvgPool2d("g", ("x",), keep_dims=True), Add("s", ("x", "g")), Concat("c", ("s", "s"))], ["c"]
    )
    _, add, concat = fuse(graph, LITERT)
    assert add.input_shapes == ((1, 16, 16, 8), (1, 1, 1, 8))
    assert concat.input_shapes == ((1, 16, 16, 8),)
    assert concat.output_shapes == ((1, 16, 16, 16),)


def test_what_costs_little_or_is_unknown_is_not_dropped() -> None:
    strange = Opaque("o", ("x",), "CUSTOM_NMS", (TensorSpec("boxes", (1, 4)),))
    fused = fuse(network([strange, Reshape("r", ("boxes",), (4,))], ["r"]), LITERT)
    assert [kernel.kind for kernel in fused] == ["opaque", "reshape"]
    assert fused[0].describe() == "opaque CUSTOM_NMS 1x16x16x8 -> 1x4"


def test_a_split_keeps_all_its_parts() -> None:
    graph = network([Split("s", ("x",), 2), Add("a", ("s:0", "s:1"))], ["a"])
    split, add = fuse(graph, LITERT)
    assert split.output_shapes == ((1, 16, 16, 4), (1, 16, 16, 4))
    assert split.describe() == "split 1x16x16x8 -> 2 x 1x16x16x4"
    assert add.input_shapes == ((1, 16, 16, 4), (1, 16, 16, 4))


def test_equal_configurations_are_one_kernel_whatever_their_names() -> None:
    graph = network([Conv2d("a", ("x",), 8), Conv2d("other", ("a",), 8)], ["other"])
    first, second = fuse(graph, LITERT)
    assert first is second
    (alone,) = fuse(Network("m", [TensorSpec("y", (1, 16, 16, 8))], [Conv2d("z", ("y",), 8)], ["z"]), LITERT)
    assert (alone, alone.key, hash(alone)) == (first, first.key, hash(first))
    assert alone.network.to_json() == first.network.to_json()
    assert alone != "a kernel"


def test_a_full_fuser_starts_again() -> None:
    fuser = Fuser(LITERT, capacity=1)
    graph = network([Conv2d("a", ("x",), 4), Conv2d("b", ("a",), 6), Conv2d("c", ("b",), 8)], ["c"])
    assert [kernel.describe() for kernel in fuser(graph)] == [kernel.describe() for kernel in fuse(graph, LITERT)]


def test_long_chains_are_cut_without_recursion() -> None:
    operators: list[Operator] = [Relu("r0", ("x",))]
    operators += [Relu(f"r{index}", (f"r{index - 1}",)) for index in range(1, 20_000)]
    assert len(fuse(network(operators, ["r19999"]), LITERT)) == 20_000


@settings(max_examples=60, deadline=None)
@given(choices=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 100)), min_size=1, max_size=25))
def test_every_operator_is_in_exactly_one_kernel(choices: list[tuple[int, int]]) -> None:
    made = ["x"]
    operators: list[Operator] = []
    for index, (choice, pick) in enumerate(choices):
        name, source = f"t{index}", made[pick % len(made)]
        other = made[(pick // 7) % len(made)]
        options: list[Operator] = [
            Conv2d(name, (source,), 8), Relu(name, (source,)), Relu6(name, (source,)), Add(name, (source, other)),
            DepthwiseConv2d(name, (source,)), MaxPool2d(name, (source,), (3, 3), (1, 1), "same"),
        ]  # fmt: skip
        operators.append(options[choice])
        made.append(name)
    graph = network(operators, [made[-1]])
    for rules in (LITERT, ONNXRUNTIME):
        fused = fuse(graph, rules)
        inside = [operator.kind for kernel in fused for operator in kernel.network.operators]
        assert sorted(inside) == sorted(operator.kind for operator in graph.operators)
        assert sum(kernel.network.cost().macs for kernel in fused) == graph.cost().macs
        assert all(kernel.network.weights is None for kernel in fused)


def test_weights_stay_behind() -> None:
    graph = network([Conv2d("a", ("x",), 8)], ["a"]).with_random_weights(np.random.default_rng(0))
    assert fuse(graph, LITERT)[0].network.weights is None
