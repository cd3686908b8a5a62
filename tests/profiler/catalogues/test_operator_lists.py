"""Operator lists: sizes are kept, edges found again, and what is not known is named."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from typing import Any

import pytest

from predictor import NetworkPredictor
from predictor.errors import OutOfDomainError
from profiler.catalogues import OperatorList
from profiler.catalogues.operator_lists import lower_row
from profiler.errors import ArchitectureTextError
from profiler.kernels import FUSION_RULES, fuse
from profiler.zoo import mobilenet_v2
from tests.predictor._synthetic import law_table
from tests.profiler.catalogues._phone_data import PHONE_DATA, needs_phone_data

QUICK = ("alexnet", "squeezenet")
FAMILIES = (
    *("densenet", "googlenet", "mnasnet", "mobilenetv1", "mobilenetv2", "mobilenetv3", "proxylessnas", "resnet"),
    *("shufflenetv2", "vgg"),
)
STEM = ["conv", 224, 224, 3, 112, 112, 32, 3, 2]


def mobilenet_v2_rows() -> list[list[Any]]:
    """MobileNetV2 1.0 by its table: expansion, channels, repeats, stride."""
    rows: list[list[Any]] = [STEM, ["relu6", 112, 112, 32, 112, 112, 32, 0, 0]]
    size, channels = 112, 32
    for expansion, filters, repeats, first_stride in (
        *((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2)),
        *((6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)),
    ):
        for place in range(repeats):
            stride, hidden = 1 if place else first_stride, channels * expansion
            small = -(-size // stride)
            if expansion > 1:
                rows += conv(size, channels, hidden, "relu6")
            rows += [["dwconv", size, size, hidden, small, small, hidden, 3, stride]]
            rows += [["relu6", small, small, hidden, small, small, hidden, 0, 0]]
            rows += conv(small, hidden, filters)
            if stride == 1 and channels == filters:
                rows += [["add", small, small, filters, small, small, filters, 0, 0]]
            size, channels = small, filters
    rows += conv(7, 320, 1280, "relu6")
    return [*rows, ["gap", 7, 7, 1280, 1, 1, 1280, 0, 0], ["fc", 1, 1, 1280, 1, 1, 1000, 0, 0]]


def conv(size: int, channels: int, filters: int, activation: str = "") -> list[list[Any]]:
    rows: list[list[Any]] = [["conv", size, size, channels, size, size, filters, 1, 1]]
    return [*rows, [activation, size, size, filters, size, size, filters, 0, 0]] if activation else rows


@pytest.mark.parametrize("rules", ["litert", "onnxruntime"])
def test_mobilenet_v2_is_the_same_from_its_list(rules: str) -> None:
    network, known = OperatorList.parse(mobilenet_v2_rows()).to_network(), mobilenet_v2()
    assert network.cost().macs == known.cost().macs
    assert network.cost().macs == pytest.approx(300e6, rel=0.01)
    assert network.cost().parameters == known.cost().parameters
    assert Counter(fuse(network, FUSION_RULES[rules])) == Counter(fuse(known, FUSION_RULES[rules]))
    assert network.key == known.key


def test_dense_blocks_join_what_they_read_behind_a_batch_norm() -> None:
    rows = [
        *conv(8, 3, 16, "relu"), *conv(8, 16, 12), ["concat", 8, 8, 28, 8, 8, 28, 2, 0],
        ["relu", 8, 8, 28, 8, 8, 28, 0, 0], *conv(8, 28, 12), ["concat", 8, 8, 40, 8, 8, 40, 2, 0],
    ]  # fmt: skip
    network = OperatorList.parse(rows).to_network()
    assert [operator.kind for operator in network.operators] == [
        *("conv2d", "relu", "conv2d", "concat", "mul", "add", "relu", "conv2d", "concat"),
    ]
    assert len(network.outputs) == 1
    assert [spec.shape for spec in network.inputs] == [(1, 8, 8, 3), (1, 1, 1, 28), (1, 1, 1, 28)]


def test_branches_of_splits_and_fire_modules_meet_again() -> None:
    rows = [
        *conv(8, 3, 16, "relu"), *conv(8, 16, 64, "relu"), *conv(8, 16, 32, "relu"),
        ["concat", 8, 8, 96, 8, 8, 96, 2, 0], ["split", 8, 8, 96, 8, 8, 96, 2, 0], *conv(8, 48, 48, "relu"),
        ["concat", 8, 8, 96, 8, 8, 96, 2, 0], ["shuffle", 8, 8, 96, 8, 8, 96, 0, 0],
    ]  # fmt: skip
    network = OperatorList.parse(rows).to_network()
    assert (len(network.inputs), len(network.outputs)) == (1, 1)
    assert [len(operator.inputs) for operator in network.operators if operator.kind == "concat"] == [2, 2]


def test_parts_that_are_nowhere_are_inputs() -> None:
    network = OperatorList.parse([["concat", 4, 4, 10, 4, 4, 10, 3, 0]]).to_network()
    assert [spec.shape[3] for spec in network.inputs] == [4, 3, 3]
    assert network.tensors[network.outputs[0]].shape == (1, 4, 4, 10)


def test_a_row_alone_is_fused_with_its_activation() -> None:
    network = lower_row(STEM, "relu")
    assert [kernel.kind for kernel in fuse(network, FUSION_RULES["litert"])] == ["conv2d+relu"]


def test_an_unknown_operator_is_named_and_out_of_domain_and_never_0(network_predictor: NetworkPredictor) -> None:
    lists = OperatorList.parse([*conv(8, 3, 16, "relu"), ["gelu", 8, 8, 16, 8, 8, 16, 0, 0], *conv(8, 16, 8)])
    assert lists.unknown == ("gelu",)
    with pytest.raises(OutOfDomainError, match="gelu"):
        network_predictor.predict(lists.to_network())
    guessed = network_predictor.predict(lists.to_network(), allow_unknown=True)
    assert not guessed.in_domain
    assert any("gelu" in kernel for kernel in guessed.out_of_domain)
    assert all(share.latency_ms > 0 for share in guessed.kernels)


@pytest.fixture(scope="module")
def network_predictor() -> NetworkPredictor:
    return NetworkPredictor().fit(law_table(60))


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ([], "8 whole numbers"),
        ("conv", "8 whole numbers"),
        (STEM[:-1], "8 whole numbers"),
        ([3, *STEM[1:]], "8 whole numbers"),
        (["conv", 224.0, *STEM[2:]], "height must be a whole number"),
        (["conv", True, *STEM[2:]], "height must be a whole number"),
        (["conv", 0, *STEM[2:]], "height must be a whole number"),
        (["conv", -8, *STEM[2:]], "height must be a whole number"),
        (["conv", 1 << 40, *STEM[2:]], "height must be a whole number"),
        ([*STEM[:-1], 0], "at least 1"),
        (["conv", 224, 224, 3, 50, 50, 32, 3, 2], "no padding"),
        (["add", 8, 8, 3, 8, 8, 4, 0, 0], "the shape that it reads"),
        (["dwconv", 8, 8, 3, 8, 8, 4, 3, 1], "as many channels"),
        (["fc", 1, 1, 8, 2, 2, 10, 0, 0], "one cell"),
        (["concat", 8, 8, 8, 8, 8, 8, 1, 0], "two parts"),
        (["concat", 8, 8, 8, 8, 8, 8, 9, 0], "two parts"),
        (["split", 8, 8, 9, 8, 8, 9, 2, 0], "evenly"),
        (["shuffle", 8, 8, 9, 8, 8, 9, 0, 0], "evenly"),
        (["se", 8, 8, 8, 8, 8, 8, 0, 0], "in the middle"),
    ],
)
def test_rows_that_do_not_fit_together_are_refused_by_number(row: Any, problem: str) -> None:
    with pytest.raises(ArchitectureTextError, match=problem) as caught:
        OperatorList.parse([STEM, row])
    assert "operator 2" in str(caught.value)


def test_no_list_and_endless_lists_are_refused() -> None:
    for rows in ([], [STEM] * 10_001):
        with pytest.raises(ArchitectureTextError, match="operators, not 1 to"):
            OperatorList.parse(rows)


def published(family: str) -> dict[str, list[Any]]:
    with gzip.open(PHONE_DATA / "nn-meter" / "graphs" / f"{family}.json.gz", "rt", encoding="utf-8") as text:
        graphs: dict[str, list[Any]] = json.load(text)
    return graphs


@needs_phone_data
@pytest.mark.parametrize(
    "family", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in (*QUICK, *FAMILIES)]
)
def test_published_lists_are_lowered_with_the_work_of_their_rows(family: str) -> None:
    graphs = published(family)
    for rows in graphs.values():
        assert not OperatorList.parse(rows).unknown
    for name, rows in list(graphs.items())[::400]:
        network = OperatorList.parse(rows).to_network(name)
        assert network.cost().macs == sum(map(macs_of_row, rows))
        squeezes = sum(row[0] == "se" for row in rows)
        kinds = Counter(operator.kind for operator in network.operators)
        assert kinds["conv2d"] == sum(row[0] == "conv" for row in rows) + 2 * squeezes
        # Branches of a googlenet with equal widths cannot be told apart.
        assert len(network.outputs) == 1 or family == "googlenet", name


def macs_of_row(row: list[Any]) -> int:
    operator, _, _, channels, height, width, filters, window, _ = row
    work = {"conv": channels * window**2, "dwconv": window**2, "fc": channels}
    return 2 * channels * window if operator == "se" else height * width * filters * work.get(operator, 0)
