"""The network's promises: order, identity, immutability, clear errors, and no recursion."""

from __future__ import annotations

import dataclasses
import time
from itertools import permutations

import numpy as np
import pytest

from profiler.errors import CycleError, NetworkError, ShapeError
from profiler.network import (
    Add,
    Concat,
    Conv2d,
    DepthwiseConv2d,
    MaxPool2d,
    Network,
    Opaque,
    Operator,
    PRelu,
    Relu,
    Split,
    TensorSpec,
    TransposeConv2d,
)

IMAGE = TensorSpec("x", (1, 8, 8, 4))


def branched(operators: list[object] | None = None) -> Network:
    parts = [Conv2d("c", ("x",), 4), Relu("r", ("c",)), Add("a", ("r", "x")), Concat("k", ("a", "c"))]
    return Network("branched", [IMAGE], operators or parts, ["k"])  # type: ignore[arg-type]


def test_operators_are_sorted_so_that_producers_come_first() -> None:
    parts = list(branched().operators)
    for order in permutations(parts):
        network = branched(list(order))
        position = {operator.name: index for index, operator in enumerate(network.operators)}
        assert all(
            position[tensor] < position[operator.name]
            for operator in network.operators
            for tensor in operator.inputs
            if tensor in position
        )
        assert network.key == branched().key


def test_key_ignores_names_and_weights_but_not_structure() -> None:
    network = branched()
    renamed = Network(
        "other",
        [TensorSpec("image", (1, 8, 8, 4))],
        [Conv2d("p", ("image",), 4), Relu("q", ("p",)), Add("s", ("q", "image")), Concat("t", ("s", "p"), axis=3)],
        ["t"],
    )
    assert renamed.key == network.key
    assert network.with_random_weights(np.random.default_rng(0)).key == network.key
    wider = Network("wider", [TensorSpec("x", (1, 8, 9, 4))], network.operators, ["k"])
    assert wider.key != network.key
    swapped = branched([*network.operators[:3], Concat("k", ("c", "a"))])
    assert swapped.key != network.key


def test_key_tells_a_shared_operator_from_a_repeated_one() -> None:
    shared = Network("s", [IMAGE], [Relu("r", ("x",)), Add("a", ("r", "r"))], ["a"])
    repeated = Network("s", [IMAGE], [Relu("r", ("x",)), Relu("q", ("x",)), Add("a", ("r", "q"))], ["a"])
    assert shared.key != repeated.key


def test_key_is_stable_across_versions() -> None:
    assert branched().key == "3b5170fcf84b9e005949c8458e28bab5"


def test_network_cannot_be_changed() -> None:
    network = branched().with_random_weights(np.random.default_rng(0))
    with pytest.raises(dataclasses.FrozenInstanceError):
        network.name = "other"  # type: ignore[misc]
    with pytest.raises(TypeError):
        network.tensors["x"] = IMAGE  # type: ignore[index]
    checked = branched().with_weights(dict(network.weights or {}))
    assert checked.weights is not None
    with pytest.raises(ValueError, match="read-only"):
        checked.weights["c/kernel"][0] = 1.0


def test_producers_and_consumers() -> None:
    network = branched()
    assert network.producer("x") is None
    assert network.producer("r") == Relu("r", ("c",))
    assert [operator.name for operator in network.consumers("c")] == ["r", "k"]
    assert network.consumers("k") == ()


def test_a_ring_is_named() -> None:
    parts = [Relu("a", ("c",)), Relu("b", ("a",)), Relu("c", ("b",)), Add("d", ("x", "c"))]
    with pytest.raises(CycleError) as caught:
        Network("ring", [IMAGE], parts, ["d"])
    assert caught.value.members in {("a", "b", "c", "a"), ("b", "c", "a", "b"), ("c", "a", "b", "c")}
    assert "cycle" in str(caught.value)


@pytest.mark.parametrize(
    ("inputs", "operators", "outputs", "message"),
    [
        ([IMAGE], [Relu("r", ("y",))], ["r"], "reads 'y', which nothing writes"),
        ([IMAGE], [Relu("r", ("x",)), Relu("r", ("x",))], ["r"], "'r' is given twice"),
        ([IMAGE, IMAGE], [Relu("r", ("x",))], ["r"], "'x' is given twice"),
        ([IMAGE], [Relu("r", ("x",))], ["q"], "output 'q' is written by no operator"),
        ([IMAGE], [], ["x"], "at least one input, one operator and one output"),
        ([TensorSpec("x", (1, 0))], [Relu("r", ("x",))], ["r"], "sizes must be whole and >= 1"),
        ([TensorSpec("x", (1, 4), "float8")], [Relu("r", ("x",))], ["r"], "dtype 'float8'"),
    ],
)
def test_ill_formed_networks_are_refused(
    inputs: list[TensorSpec], operators: list[Relu], outputs: list[str], message: str
) -> None:
    with pytest.raises(NetworkError, match=message):
        Network("bad", inputs, operators, outputs)


def test_weights_are_checked() -> None:
    network = branched()
    weights = dict(network.with_random_weights(np.random.default_rng(0)).weights or {})
    with pytest.raises(ShapeError, match="missing \\['c/bias'\\]"):
        network.with_weights({"c/kernel": weights["c/kernel"]})
    with pytest.raises(ShapeError, match="'c/bias' has shape"):
        network.with_weights(weights | {"c/bias": np.zeros(5)})
    with pytest.raises(ShapeError, match="not finite"):
        network.with_weights(weights | {"c/bias": np.full(4, np.nan)})


def test_random_weights_are_he_normal_and_belong_to_the_seed() -> None:
    network = Network("wide", [TensorSpec("x", (1, 4, 4, 64))], [Conv2d("c", ("x",), 256), PRelu("p", ("c",))], ["p"])
    weights = network.with_random_weights(np.random.default_rng(7)).weights
    again = network.with_random_weights(np.random.default_rng(7)).weights
    assert weights is not None
    assert again is not None
    assert np.array_equal(weights["c/kernel"], again["c/kernel"])
    assert np.std(weights["c/kernel"]) == pytest.approx(np.sqrt(2 / (9 * 64)), rel=0.02)
    assert (weights["p/alpha"] == 0.25).all()


@pytest.mark.parametrize(
    ("operator", "fan_in"),
    [
        (Conv2d("c", ("x",), 1), 9 * 2048),
        (TransposeConv2d("c", ("x",), 1, (3, 3), (3, 3)), 9 * 2048),
        (DepthwiseConv2d("c", ("x",)), 9),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_the_kind_of_operator_says_how_many_values_an_output_sums(operator: Operator, fan_in: int) -> None:
    network = Network("one", [TensorSpec("x", (1, 4, 4, 2048))], [operator], ["c"])
    weights = network.with_random_weights(np.random.default_rng(7)).weights
    assert weights is not None
    assert weights["c/kernel"].shape == (1, 3, 3, 2048)
    assert np.std(weights["c/kernel"]) == pytest.approx(np.sqrt(2 / fan_in), rel=0.03)


def test_equality_sees_weights() -> None:
    network = branched()
    weighted = network.with_random_weights(np.random.default_rng(0))
    assert weighted == network.with_random_weights(np.random.default_rng(0))
    assert weighted != network
    assert weighted.without_weights() == network
    assert weighted != network.with_random_weights(np.random.default_rng(1))


def test_an_opaque_operator_keeps_its_declared_shapes() -> None:
    specs = (TensorSpec("o:0", (1, 7)), TensorSpec("o:1", (2,), "int32"))
    network = Network("opaque", [IMAGE], [Opaque("o", ("x",), "CUSTOM_NMS", specs), Relu("r", ("o:0",))], ["r", "o:1"])
    assert network.tensors["r"].shape == (1, 7)
    assert network.tensors["o:1"].dtype == "int32"


@pytest.mark.parametrize("count", [10**5, pytest.param(10**6, marks=pytest.mark.slow)])
def test_a_million_operators_neither_recurse_nor_take_long(count: int) -> None:
    operators = [Relu(f"r{index}", (f"r{index - 1}" if index else "x",)) for index in range(count)]
    started = time.monotonic()
    network = Network("long", [TensorSpec("x", (1, 2))], operators[::-1], [f"r{count - 1}"])
    assert len(network.operators) == count
    assert network.operators[0].name == "r0"
    ring = [Relu("r0", (f"r{count // 10 - 1}",)), *operators[1 : count // 10]]
    with pytest.raises(CycleError):
        Network("ring", [TensorSpec("x", (1, 2))], ring, ["r5"])
    assert time.monotonic() - started < 90


def test_split_outputs_are_tensors_of_their_own() -> None:
    network = Network("split", [IMAGE], [Split("s", ("x",), 2), Add("a", ("s:0", "s:1"))], ["a"])
    assert network.tensors["s:1"].shape == (1, 8, 8, 2)
    assert network.producer("s:1") == network.operators[0]


@pytest.mark.parametrize(
    ("operator", "same_work"),
    [
        (Conv2d("y", ("x",), 4, (1, 1)), True),
        (Conv2d("y", ("x",), 4, (3, 3)), False),
        (MaxPool2d("y", ("x",), (2, 2), (2, 2), "same"), True),
        (TransposeConv2d("y", ("x",), 4, (2, 2), (2, 2)), True),
        (TransposeConv2d("y", ("x",), 4, (3, 3), (2, 2)), False),
    ],
)
def test_padding_that_adds_nothing_does_not_change_the_key(operator: Operator, same_work: bool) -> None:
    keys = {
        Network("n", [TensorSpec("x", (1, 8, 8, 4))], [dataclasses.replace(operator, padding=padding)], ["y"]).key
        for padding in ("same", "valid")
    }
    assert len(keys) == (1 if same_work else 2)
