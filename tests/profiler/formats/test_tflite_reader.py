"""What converters other than ours put into .tflite files, built here operator by operator."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from profiler.errors import ModelFileError
from profiler.formats import calibrate, read_tflite, write_tflite
from profiler.formats._tflite_graph import TfliteGraph
from profiler.network import Conv2d, Dense, Mul, Network, Opaque, Relu6, Reshape, TensorSpec
from tests.runtimes import random_inputs, run_torch

SHAPE = (1, 6, 6, 4)


class Model:
    """A .tflite model from x to y, written by naming tensors."""

    def __init__(self, shape: tuple[int, ...] = SHAPE) -> None:
        self.graph = TfliteGraph()
        self.shapes = {"x": shape}
        self.indices = {"x": self.graph.tensor("x", shape, "float32")}

    def constant(self, values: object) -> int:
        array = np.asarray(values)
        kind = np.float32 if array.dtype.kind == "f" else np.int32
        return self.graph.constant(f"constant{len(self.indices)}", array.astype(kind))

    def add(
        self, code: str, output: str, *inputs: str | int, shape: tuple[int, ...] | None = None, options: object = None
    ) -> None:
        given = [self.indices[name] if isinstance(name, str) else name for name in inputs]
        self.shapes[output] = shape or self.shapes["x"]
        self.indices[output] = self.graph.tensor(output, self.shapes[output], "float32")
        self.graph.operator(code, given, [self.indices[output]], options=options)

    def bytes(self) -> bytes:
        return self.graph.to_bytes({"x": self.indices["x"]}, {"y": self.indices["y"]}, description="model")


def with_activation(options: object, activation: int) -> object:
    options.fusedActivationFunction = activation  # type: ignore[attr-defined]
    return options


def interpreted(data: bytes, values: np.ndarray) -> np.ndarray:
    interpreter = Interpreter(model_content=data, num_threads=1)
    return next(iter(interpreter.get_signature_runner()(x=values).values()))


def assert_same_numbers(data: bytes, network: Network) -> None:
    (values,) = random_inputs(network, 1)
    np.testing.assert_allclose(run_torch(network, [values])[0], interpreted(data, values), rtol=1e-4, atol=1e-5)


def kinds(network: Network) -> list[str]:
    return [operator.kind for operator in network.operators]


def hard_swish_scaled_last(model: Model) -> None:
    model.add("ADD", "a", "x", model.constant([3.0]), options=with_activation(schema.AddOptionsT(), 3))
    model.add("MUL", "b", "x", "a", options=schema.MulOptionsT())
    model.add("MUL", "y", "b", model.constant([1 / 6]), options=schema.MulOptionsT())


def hard_swish_scaled_first(model: Model) -> None:
    model.add("ADD", "a", "x", model.constant([3.0]), options=schema.AddOptionsT())
    model.add("RELU6", "b", "a")
    model.add("MUL", "c", "x", model.constant(np.float32(1 / 6)), options=schema.MulOptionsT())
    model.add("MUL", "y", "c", "b", options=schema.MulOptionsT())


def hard_swish_of_a_gate(model: Model) -> None:
    model.add("ADD", "a", "x", model.constant([3.0]), options=with_activation(schema.AddOptionsT(), 3))
    model.add("DIV", "b", "a", model.constant([6.0]), options=schema.DivOptionsT())
    model.add("MUL", "y", "b", "x", options=schema.MulOptionsT())


@pytest.mark.parametrize("spell", [hard_swish_scaled_last, hard_swish_scaled_first, hard_swish_of_a_gate])
def test_a_spelled_out_hard_swish_is_one_operator(spell: Callable[[Model], None]) -> None:
    model = Model()
    spell(model)
    network = read_tflite(model.bytes())
    assert kinds(network) == ["hard_swish"]
    assert_same_numbers(model.bytes(), network)


def test_a_hard_swish_whose_parts_are_used_elsewhere_stays_in_parts() -> None:
    model = Model()
    model.add("ADD", "a", "x", model.constant([3.0]), options=with_activation(schema.AddOptionsT(), 3))
    model.add("MUL", "b", "a", model.constant([1 / 6]), options=schema.MulOptionsT())
    model.add("MUL", "c", "x", "b", options=schema.MulOptionsT())
    model.add("MUL", "y", "c", "a", options=schema.MulOptionsT())
    network = read_tflite(model.bytes())
    assert "hard_swish" not in kinds(network)
    assert_same_numbers(model.bytes(), network)


def test_channels_scaled_and_shifted_are_a_depthwise_convolution() -> None:
    model = Model()
    model.add("MUL", "a", "x", model.constant(np.arange(4.0)), options=schema.MulOptionsT())
    model.add("SUB", "b", "a", model.constant([[[[0.5, 1.0, 2.0, 3.0]]]]), options=schema.SubOptionsT())
    model.add("SUB", "y", model.constant([1.0]), "b", options=schema.SubOptionsT())
    network = read_tflite(model.bytes())
    assert kinds(network) == ["depthwise_conv2d"]
    assert_same_numbers(model.bytes(), network)


def test_rows_scaled_and_shifted_are_read_too() -> None:
    model = Model((3, 5))
    model.add("DIV", "y", "x", model.constant([2.0]), options=schema.DivOptionsT())
    network = read_tflite(model.bytes())
    assert kinds(network) == ["reshape", "depthwise_conv2d", "reshape"]
    assert_same_numbers(model.bytes(), network)


def test_a_constant_that_varies_over_the_image_is_opaque() -> None:
    model = Model()
    model.add("ADD", "y", "x", model.constant(np.ones((6, 6, 4))), options=schema.AddOptionsT())
    (operator,) = read_tflite(model.bytes()).operators
    assert isinstance(operator, Opaque)
    assert operator.op_type == "ADD"


def test_an_activation_that_networks_lack_is_opaque_after_its_operator() -> None:
    model = Model()
    options = with_activation(schema.AddOptionsT(), schema.ActivationFunctionType.RELU_N1_TO_1)
    model.add("ADD", "y", "x", "x", options=options)
    network = read_tflite(model.bytes())
    assert kinds(network) == ["add", "opaque"]
    assert network.operators[1].op_type == "RELU_N1_TO_1"  # type: ignore[attr-defined]


def test_a_dense_layer_on_an_image_flattens_it_first() -> None:
    model = Model()
    kernel = model.constant(np.random.default_rng(0).standard_normal((5, 8)))
    model.add("FULLY_CONNECTED", "y", "x", kernel, -1, shape=(18, 5), options=schema.FullyConnectedOptionsT())
    network = read_tflite(model.bytes())
    assert kinds(network) == ["reshape", "dense"]
    assert_same_numbers(model.bytes(), network)


def test_leaky_relu_is_a_prelu_with_one_slope() -> None:
    model = Model()
    options = schema.LeakyReluOptionsT()
    options.alpha = 0.3
    model.add("LEAKY_RELU", "y", "x", options=options)
    network = read_tflite(model.bytes())
    assert kinds(network) == ["prelu"]
    assert_same_numbers(model.bytes(), network)


def test_padding_before_a_valid_convolution_stays_an_operator() -> None:
    model = Model()
    model.add("PAD", "a", "x", model.constant([[0, 0], [1, 1], [1, 1], [0, 0]]), shape=(1, 8, 8, 4))
    options = schema.Conv2DOptionsT()
    options.padding, options.strideH, options.strideW = schema.Padding.VALID, 2, 2
    kernel = model.constant(np.random.default_rng(0).standard_normal((2, 3, 3, 4)))
    model.add("CONV_2D", "y", "a", kernel, model.constant([0.0, 1.0]), shape=(1, 3, 3, 2), options=options)
    network = read_tflite(model.bytes())
    assert kinds(network) == ["pad", "conv2d"]
    assert_same_numbers(model.bytes(), network)


def test_half_precision_weights_are_read_through_their_conversion() -> None:
    graph = TfliteGraph()
    x, w, y = (
        graph.tensor("x", (2, 3), "float32"),
        graph.tensor("w", (4, 3), "float32"),
        graph.tensor("y", (2, 4), "float32"),
    )
    halves = np.arange(12, dtype=np.float16).reshape(4, 3) / 7
    packed = graph.constant("halves", halves.astype(np.float32))
    tensor = graph._tensors[packed]
    tensor.type = schema.TensorType.FLOAT16
    graph._buffers[tensor.buffer].data = memoryview(halves.reshape(-1)).cast("B")
    graph.operator("DEQUANTIZE", [packed], [w], options=schema.DequantizeOptionsT())
    graph.operator("FULLY_CONNECTED", [x, w, -1], [y], options=schema.FullyConnectedOptionsT())
    network = read_tflite(graph.to_bytes({"x": x}, {"y": y}, description="halves"))
    assert network.weights is not None
    assert kinds(network) == ["dense"]
    np.testing.assert_array_equal(network.weights["y/kernel"], halves.astype(np.float32))


def test_a_quantised_model_is_read_as_the_network_it_came_from() -> None:
    operators = [
        Conv2d("conv", ("x",), 6, stride=(2, 2)), Relu6("relu6", ("conv",)), Mul("mul", ("relu6", "relu6")),
        Reshape("rows", ("mul",), (1, 54)), Dense("y", ("rows",), 3),
    ]  # fmt: skip
    network = Network("n", [TensorSpec("x", SHAPE)], operators, ["y"]).with_random_weights(np.random.default_rng(0))
    batches = [random_inputs(network, seed) for seed in range(4)]
    again = read_tflite(write_tflite(network, quantization=calibrate(network, batches)))
    assert again.key == network.key
    (exact,), (approximate,) = run_torch(network, batches[0]), run_torch(again, batches[0])
    np.testing.assert_allclose(approximate, exact, atol=0.05 * float(np.abs(exact).max()))


def test_tensors_of_one_name_are_told_apart() -> None:
    graph = TfliteGraph()
    tensors = [graph.tensor(name, SHAPE, "float32") for name in ("x", "t", "t", "")]
    for before, after in itertools.pairwise(tensors):
        graph.operator("LOGISTIC", [before], [after])
    network = read_tflite(graph.to_bytes({"x": tensors[0]}, {"y": tensors[-1]}, description=""))
    assert [operator.name for operator in network.operators] == ["t", "t_1", "tensor"]


def test_an_operator_without_its_inputs_is_damage() -> None:
    graph = TfliteGraph()
    x, y = graph.tensor("x", SHAPE, "float32"), graph.tensor("y", SHAPE, "float32")
    graph.operator("CONV_2D", [x], [y], options=schema.Conv2DOptionsT())
    with pytest.raises(ModelFileError, match="not a valid"):
        read_tflite(graph.to_bytes({"x": x}, {"y": y}, description="short"))
