"""Hostile and broken model files: each ends in a network or in one of our errors, soon, with nothing executed."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import profiler.formats._source_graph as source_graph
import profiler.formats.model_file as model_file
from profiler.errors import DynamicShapeError, ModelFileError, PocketnasError
from profiler.formats import read_model, read_onnx, read_tflite, write_onnx, write_tflite
from profiler.formats._tflite_graph import TfliteGraph
from profiler.network import (
    Add,
    ChannelShuffle,
    Conv2d,
    Dense,
    GlobalAvgPool2d,
    HardSigmoid,
    Network,
    Opaque,
    Relu6,
    Split,
    TensorSpec,
)

NETWORK = Network(
    "small",
    [TensorSpec("x", (1, 8, 8, 4))],
    [
        Conv2d("conv", ("x",), 8, (3, 3), (2, 2)),
        Relu6("relu6", ("conv",)),
        ChannelShuffle("shuffle", ("relu6",), 2),
        Split("split", ("shuffle",), 2),
        HardSigmoid("gate", ("split:0",)),
        Add("add", ("gate", "split:1")),
        GlobalAvgPool2d("pool", ("add",)),
        Dense("dense", ("pool",), 3),
    ],
    ["dense"],
).with_random_weights(np.random.default_rng(0))
WRITERS = {"tflite": write_tflite, "onnx": write_onnx}
READERS = {"tflite": read_tflite, "onnx": read_onnx}


def onnx_model(nodes: list[onnx.NodeProto], *, shape: tuple[int | str, ...] = (1, 4, 8, 8), **graph: object) -> bytes:
    """Return a model from x to y, both float32; y's shape is left open."""
    values = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, shape),
        helper.make_tensor_value_info("y", TensorProto.FLOAT, None),
    ]
    made = helper.make_graph(nodes, "graph", values[:1], values[1:], **graph)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("acme", 1)]
    return helper.make_model(made, opset_imports=opsets, ir_version=8).SerializeToString()


# Row 7: names


@pytest.mark.parametrize(
    "name", ["$(touch canary).tflite", "-rf", "two\nlines.tflite", "📱.tflite", "; rm x &.onnx", "a b"]
)
def test_any_file_name_will_do(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path(name)
    path.write_bytes(write_tflite(NETWORK))
    assert read_model(path).key == NETWORK.key
    assert [entry.name for entry in Path().iterdir()] == [name]


def test_a_message_shows_a_hostile_name_on_one_line(tmp_path: Path) -> None:
    path = tmp_path / "two\nlines\x1b[2J.tflite"
    path.write_bytes(b"")
    with pytest.raises(ModelFileError) as caught:
        read_model(path)
    assert caught.value.path == path
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)


# Row 9: truncated, empty, random


@pytest.mark.parametrize("file_format", WRITERS)
def test_a_truncated_model_is_refused_or_read(file_format: str, tmp_path: Path) -> None:
    data = WRITERS[file_format](NETWORK)
    path = tmp_path / f"model.{file_format}"
    for length in range(0, len(data), 64):
        path.write_bytes(data[:length])
        with pytest.raises(ModelFileError, match="not a valid"):
            read_model(path)


def computed_shapes() -> bytes:
    """Return a model whose padding and shape are computed from constants, as torch's exporter leaves them."""
    constants = {
        "rest": [6],
        "cells": [0, 1, 1, 0],
        "end": [-1],
        "start": [-(2**62)],
        "axis": [0],
        "back": [-1],
        "flat": [1, -1],
    }
    nodes = [
        helper.make_node("ConstantOfShape", ["rest"], ["zeros"]),
        helper.make_node("Concat", ["cells", "zeros"], ["all"], axis=0),
        helper.make_node("Slice", ["all", "end", "start", "axis", "back"], ["turned"]),
        helper.make_node("Cast", ["turned"], ["sized"], to=TensorProto.INT64),
        helper.make_node("Slice", ["sized", "axis", "rest", "axis"], ["some"]),
        helper.make_node("Concat", ["some", "axis", "axis"], ["pads"], axis=0),
        helper.make_node("Pad", ["x", "pads"], ["p"]),
        helper.make_node("Shape", ["p"], ["s"]),
        helper.make_node("Gather", ["s", "axis"], ["n"]),
        helper.make_node("Concat", ["n", "end"], ["t"], axis=0),
        helper.make_node("Reshape", ["p", "t"], ["y"]),
    ]
    initializer = [helper.make_tensor(name, TensorProto.INT64, [len(v)], v) for name, v in constants.items()]
    return onnx_model(nodes, initializer=initializer)


DAMAGED = {
    "tflite": lambda: write_tflite(NETWORK),
    "onnx": lambda: write_onnx(NETWORK),
    "onnx, computed shapes": computed_shapes,
}


@pytest.mark.parametrize("example", DAMAGED)
def test_flipped_bytes_end_in_a_network_or_in_our_error(example: str) -> None:
    data, read = DAMAGED[example](), READERS[example.partition(",")[0]]
    assert read(data).operators
    rng = np.random.default_rng(7)
    outcomes = {"read": 0, "refused": 0}
    for _ in range(800):
        damaged = bytearray(data)
        for position in rng.integers(len(data), size=rng.integers(1, 4)):
            damaged[position] = rng.integers(256)
        try:
            read(bytes(damaged))
            outcomes["read"] += 1
        except PocketnasError:
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 10


@pytest.mark.parametrize("name", ["model.tflite", "model.onnx", "model", "model.json"])
@pytest.mark.parametrize("content", [b"", b"\0" * 4096, b"{", b'{"schema": 1}', bytes(range(256)) * 8, b"TFL3" * 9])
def test_what_is_no_model_is_called_so(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelFileError, match="not a valid"):
        read_model(tmp_path / name)


@pytest.mark.parametrize("seed", range(5))
def test_random_bytes_are_no_model(seed: int, tmp_path: Path) -> None:
    data = np.random.default_rng(seed).bytes(5000)
    for path in (tmp_path / "a.tflite", tmp_path / "a.onnx"):
        path.write_bytes(data)
        with pytest.raises(ModelFileError, match="not a valid"):
            read_model(path)
    with pytest.raises(ModelFileError, match="not a valid"):
        read_tflite(data[:4] + b"TFL3" + data[8:])


def test_pickles_are_never_opened(tmp_path: Path) -> None:
    for content in (b"PK\x03\x04" + b"0" * 99, b"\x80\x04cos\nsystem\n(S'touch canary'\ntR."):
        (tmp_path / "model.pt").write_bytes(content)
        with pytest.raises(ModelFileError, match="never opened"):
            read_model(tmp_path / "model.pt")


def test_what_is_not_there_or_is_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="no such"):
        read_model(tmp_path / "nothing.tflite")
    with pytest.raises(ModelFileError, match="folder"):
        read_model(tmp_path)
    with pytest.raises(ModelFileError):
        read_model("null\0character")


def test_a_model_that_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "huge.tflite").open("wb") as stream:
        stream.truncate(3 * 2**30)  # sparse: takes no room
    monkeypatch.setattr(Path, "read_bytes", lambda path: pytest.fail(f"{path} was read"))
    with pytest.raises(ModelFileError, match=str(model_file.MAX_MODEL_BYTES)):
        read_model(tmp_path / "huge.tflite")


def test_lists_that_point_at_one_another_do_not_multiply_the_work() -> None:
    """A FlatBuffer of a few kilobytes whose tensors all share one huge shape."""
    graph = TfliteGraph()
    x = graph.tensor("x", [1] * 3000, "float32")
    for index in range(3000):
        graph.tensor(f"t{index}", [1], "float32")
    y = graph.tensor("y", [1] * 3000, "float32")
    graph.operator("RELU", [x], [y])
    data = bytearray(graph.to_bytes({"x": x}, {"y": y}, description="bomb"))
    start = time.monotonic()
    with pytest.raises(ModelFileError, match="longer than the file"):
        read_tflite(bytes(_with_one_tensor_repeated(data)))
    assert time.monotonic() - start < 5


def _with_one_tensor_repeated(data: bytearray) -> bytearray:
    """Let every entry of the graph's list of tensors point at the first one."""
    from ai_edge_litert import schema_py_generated as schema

    graph = schema.Model.GetRootAs(bytes(data), 0).Subgraphs(0)
    field = graph._tab.Offset(4)
    vector = graph._tab.Vector(field)
    first = graph.Tensors(0)._tab.Pos
    for index in range(graph.TensorsLength()):
        entry = vector + 4 * index
        # Offsets are unsigned: only tensors that lie behind the entry can be pointed at.
        if first > entry:
            data[entry : entry + 4] = int(first - entry).to_bytes(4, "little")
    return data


# Row 11: external data


def with_external_weight(location: str) -> bytes:
    model = onnx.ModelProto.FromString(onnx_model([helper.make_node("Mul", ["x", "w"], ["y"])]))
    weight = model.graph.initializer.add(name="w", data_type=TensorProto.FLOAT, dims=[4, 1, 1])
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value=location)
    return model.SerializeToString()


def test_external_data_beside_the_model_is_read(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(with_external_weight("weights.bin"))
    (tmp_path / "weights.bin").write_bytes(np.arange(4, dtype="<f4").tobytes())
    network = read_model(tmp_path / "model.onnx")
    assert network.weights is not None
    np.testing.assert_array_equal(network.weights["y/kernel"].reshape(-1), [0, 1, 2, 3])


@pytest.mark.parametrize(
    "location", ["../secret", "/etc/passwd", "link", "linked/secret", "", "a/../../secret", "a\0b"]
)
def test_external_data_elsewhere_is_refused(location: str, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(np.arange(4, dtype="<f4").tobytes())
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "linked").symlink_to(tmp_path)
    (folder / "model.onnx").write_bytes(with_external_weight(location))
    with pytest.raises(ModelFileError, match="refused"):
        read_model(folder / "model.onnx")


def test_external_data_of_a_model_without_a_folder_is_refused() -> None:
    with pytest.raises(ModelFileError, match="refused"):
        read_onnx(with_external_weight("weights.bin"))


def test_external_data_that_is_missing_or_short_is_told(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(with_external_weight("weights.bin"))
    with pytest.raises(ModelFileError, match="missing"):
        read_model(tmp_path / "model.onnx")
    (tmp_path / "weights.bin").write_bytes(b"short")
    with pytest.raises(ModelFileError, match="not a valid"):
        read_model(tmp_path / "model.onnx")


# Row 12: unknown operators


def test_an_unknown_onnx_operator_is_opaque_and_keeps_its_name() -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["a"]),
        helper.make_node("Wobble", ["a"], ["b"], domain="acme"),
        helper.make_node("Erf", ["b"], ["c"]),
        helper.make_node("Sigmoid", ["c"], ["y"]),
    ]
    network = read_onnx(onnx_model(nodes))
    opaque = [operator for operator in network.operators if isinstance(operator, Opaque)]
    assert [operator.op_type for operator in opaque] == ["Wobble", "Erf"]
    assert {network.tensors[operator.outputs[0]].shape for operator in opaque} == {(1, 8, 8, 4)}
    assert [operator.kind for operator in network.operators] == ["relu", "opaque", "opaque", "sigmoid"]


def test_an_unknown_tflite_operator_is_opaque_and_keeps_its_name() -> None:
    graph = TfliteGraph()
    x, a, y = (graph.tensor(name, (1, 5, 7), "float32") for name in "xay")
    graph.operator("COS", [x], [a])
    graph.operator("RELU", [a], [y])
    network = read_tflite(graph.to_bytes({"x": x}, {"y": y}, description="cosine"))
    assert network.operators[0] == Opaque("a", ("x",), "COS", (TensorSpec("a", (1, 5, 7)),))
    assert network.operators[1].kind == "relu"


# Row 13: dynamic shapes


def test_a_dynamic_onnx_input_asks_for_its_shape_and_takes_it(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(onnx_model([helper.make_node("Relu", ["x"], ["y"])], shape=("batch", 3, "h", 224)))
    with pytest.raises(DynamicShapeError, match="--input x:1x3x1x224") as caught:
        read_model(path)
    assert (caught.value.input_name, caught.value.shape, caught.value.path) == ("x", (None, 3, None, 224), path)
    network = read_model(path, input_shapes={"x": (1, 3, 64, 224)})
    assert network.inputs == (TensorSpec("x", (1, 64, 224, 3)),)


def test_a_dynamic_tflite_input_asks_for_its_shape_and_takes_it() -> None:
    graph = TfliteGraph()
    x, y = (graph.tensor(name, (1, -1, 224, 3), "float32") for name in "xy")
    graph.operator("RELU", [x], [y])
    data = graph.to_bytes({"x": x}, {"y": y}, description="open")
    with pytest.raises(DynamicShapeError, match="--input x:1x1x224x3"):
        read_tflite(data)
    network = read_tflite(data, input_shapes={"x": (1, 224, 224, 3)})
    assert network.tensors["y"].shape == (1, 224, 224, 3)


@pytest.mark.parametrize("file_format", WRITERS)
def test_another_shape_can_be_asked_for(file_format: str) -> None:
    operators = [
        Conv2d("conv", ("x",), 8, (3, 3), (2, 2)),
        HardSigmoid("gate", ("conv",)),
        GlobalAvgPool2d("y", ("gate",)),
    ]
    network = Network("any", NETWORK.inputs, operators, ["y"]).with_random_weights(np.random.default_rng(0))
    wider = READERS[file_format](WRITERS[file_format](network), input_shapes={"x": (2, 32, 16, 4)})
    assert [wider.tensors[name].shape for name in ("gate", "y")] == [(2, 16, 8, 8), (2, 8)]
    assert [operator.kind for operator in wider.operators] == [operator.kind for operator in network.operators]


@pytest.mark.parametrize("file_format", WRITERS)
def test_a_shape_for_an_input_that_is_not_there_is_refused(file_format: str) -> None:
    with pytest.raises(ModelFileError, match="no input 'image'; its inputs are 'x'"):
        READERS[file_format](WRITERS[file_format](NETWORK), input_shapes={"image": (1, 8, 8, 4)})


# Row 14: cycles and size


def test_a_cycle_is_an_error() -> None:
    nodes = [helper.make_node("Add", ["x", "b"], ["a"]), helper.make_node("Add", ["a", "x"], ["b"])]
    with pytest.raises(ModelFileError):
        read_onnx(onnx_model([*nodes, helper.make_node("Relu", ["b"], ["y"])]))
    graph = TfliteGraph()
    x, a, b = (graph.tensor(name, (1, 4), "float32") for name in "xab")
    graph.operator("ADD", [x, b], [a])
    graph.operator("ADD", [a, x], [b])
    with pytest.raises(ModelFileError, match="cycle"):
        read_tflite(graph.to_bytes({"x": x}, {"b": b}, description="ring"))


def test_a_long_chain_is_read_without_recursion() -> None:
    count = 5000
    names = ["x", *(f"t{index}" for index in range(count - 1)), "y"]
    nodes = [helper.make_node("Sigmoid", [before], [after]) for before, after in itertools.pairwise(names)]
    assert len(read_onnx(onnx_model(nodes)).operators) == count
    graph = TfliteGraph()
    tensors = [graph.tensor(name, (1, 4), "float32") for name in names]
    for before, after in itertools.pairwise(tensors):
        graph.operator("LOGISTIC", [before], [after])
    data = graph.to_bytes({"x": tensors[0]}, {"y": tensors[-1]}, description="chain")
    assert len(read_tflite(data).operators) == count


def test_a_million_nodes_are_refused_soon() -> None:
    node = helper.make_node("Relu", ["x"], ["y"]).SerializeToString()
    graph = helper.make_graph(
        [], "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 4))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 4))],
    ).SerializeToString()  # fmt: skip
    graph += (b"\x0a" + len(node).to_bytes(1, "big") + node) * 1_000_000  # field 1 of a graph: its nodes
    model = helper.make_model(helper.make_graph([], "", [], []), ir_version=8).SerializeToString()
    size = len(graph)
    varint = bytearray()
    while size:
        varint.append((size & 127) | (128 if size > 127 else 0))
        size >>= 7
    start = time.monotonic()
    with pytest.raises(ModelFileError, match="1000000 operators"):
        read_onnx(model + b"\x3a" + bytes(varint) + graph)  # field 7 of a model: its graph
    assert time.monotonic() - start < 30


# Claims of size that the file does not back


@pytest.mark.parametrize("shape", [(1, 1, 1, 2**31 - 1), (2**31 - 1, 2**31 - 1, 2**31 - 1, 2**31 - 1)])
def test_a_huge_shape_costs_no_memory(shape: tuple[int, ...]) -> None:
    graph = TfliteGraph()
    x, y = (graph.tensor(name, shape, "float32") for name in "xy")
    three = graph.constant("three", np.array([3], np.float32))
    graph.operator("ADD", [x, three], [y])
    network = read_tflite(graph.to_bytes({"x": x}, {"y": y}, description="large"))
    assert network.operators[0].kind == "opaque"


def test_a_constant_that_many_operators_share_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_graph, "MAX_WEIGHT_BYTES", 2**20)
    weight = helper.make_tensor("w", TensorProto.FLOAT16, [8, 8], bytes(128), raw=True)
    names = ["x", *(f"t{index}" for index in range(5000)), "y"]
    nodes = [helper.make_node("MatMul", [before, "w"], [after]) for before, after in itertools.pairwise(names)]
    with pytest.raises(ModelFileError, match="weights of more than"):
        read_onnx(onnx_model(nodes, initializer=[weight]))


def test_constants_are_only_computed_where_they_stay_small() -> None:
    size = helper.make_tensor("size", TensorProto.INT64, [4], [60000, 60000, 60000, 1])
    nodes = [helper.make_node("ConstantOfShape", ["size"], ["zeros"]), helper.make_node("Relu", ["x"], ["y"])]
    network = read_onnx(onnx_model(nodes, initializer=[size]))
    assert [operator.kind for operator in network.operators] == ["opaque", "relu"]
