"""Models for ncnn: what stands in them, that ncnn reads all of it, and int8 to the last step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import ncnn
import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from profiler.errors import NetworkError
from profiler.formats import NcnnModel, Quantization, calibrate, write_ncnn
from profiler.formats.ncnn_writer import LAYER_TYPES, Literal, Random
from profiler.kernels import random_kernels
from profiler.network import (
    Add,
    Conv2d,
    Dense,
    DepthwiseConv2d,
    GlobalAvgPool2d,
    HardSwish,
    MaxPool2d,
    Mean,
    Network,
    Opaque,
    Operator,
    Pad,
    Relu,
    Relu6,
    Reshape,
    ResizeBilinear,
    ResizeNearest,
    Sigmoid,
    TensorSpec,
    Transpose,
)
from profiler.zoo import mobilenet_v2, mobilenet_v3_small, shufflenet_v2, squeezenet, super_resolution
from tests.runtimes import random_inputs, run_ncnn, run_ncnn_model, run_torch
from tests.strategies import WRITABLE_KINDS, networks

IMAGE = TensorSpec("image", (1, 8, 8, 4))
BOUNDED = settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


def layers(model: NcnnModel) -> list[list[str]]:
    """Return the words of each layer's line."""
    return [line.split(" ") for line in model.param.splitlines()[2:]]


def kinds(model: NcnnModel) -> Counter[str]:
    return Counter(words[0] for words in layers(model))


def with_weights(network: Network) -> Network:
    return network.with_random_weights(np.random.default_rng(0))


def of(operators: Sequence[Operator], outputs: Sequence[str], image: TensorSpec = IMAGE) -> Network:
    return with_weights(Network("test", [image], operators, outputs))


def written(network: Network) -> NcnnModel | None:
    """Return the model; None where ncnn has none."""
    try:
        return write_ncnn(network)
    except NetworkError:
        return None


@BOUNDED
@given(network=networks())
def test_a_model_is_what_its_first_lines_say(network: Network) -> None:
    model = written(network)
    assume(model is not None)
    assert model is not None
    magic, counts, *lines = model.param.splitlines()
    readers: Counter[str] = Counter()
    writers: Counter[str] = Counter()
    for kind, _name, inputs, outputs, *words in (line.split(" ") for line in lines):
        assert kind in LAYER_TYPES
        readers.update(words[: int(inputs)])
        writers.update(words[int(inputs) : int(inputs) + int(outputs)])
        assert readers.keys() <= writers.keys()
    assert (magic, counts) == ("7767517", f"{len(lines)} {len(writers)}")
    assert max(writers.values()) == 1 == max(readers.values(), default=1)
    assert not readers.keys() & {tensor.blob for tensor in model.outputs}


@BOUNDED
@given(network=networks())
def test_equal_networks_give_equal_models(network: Network) -> None:
    again = Network(network.name, network.inputs, network.operators, network.outputs, network.weights)
    assert written(network) == written(again)


@BOUNDED
@given(network=networks(most_images=1))
def test_a_model_without_weights_has_as_many_numbers(network: Network) -> None:
    model, bare = (written(net) for net in (network, Network("n", network.inputs, network.operators, network.outputs)))
    assume(model is not None)
    assert model is not None and bare is not None
    assert bare.param == model.param
    assert len(bare.bin) == len(model.bin) and bare.bin == bare.bin
    outputs = run_ncnn_model(bare, random_inputs(network, 0))
    assert all(np.isfinite(output).all() for output in outputs)


def test_every_layer_type_that_is_named_is_written() -> None:
    found: set[str] = set()

    @settings(max_examples=15, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(data=st.data())
    def collect(data: st.DataObject) -> None:
        for kind in WRITABLE_KINDS:
            model = written(data.draw(networks(kinds=(kind, "global_avg_pool2d"), most_images=1, weights=False)))
            found.update(kinds(model) if model else ())

    collect()
    assert found == set(LAYER_TYPES)


def test_files_on_disk_are_read_as_they_are_in_memory(tmp_path: Path) -> None:
    network = with_weights(mobilenet_v3_small(48, 10))
    model = write_ncnn(network)
    (tmp_path / "net.param").write_text(model.param)
    (tmp_path / "net.bin").write_bytes(model.bin)
    net = ncnn.Net()
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    assert net.load_param(str(tmp_path / "net.param")) == 0
    assert net.load_model(str(tmp_path / "net.bin")) == 0
    (image,) = random_inputs(network, 0)
    extractor = net.create_extractor()
    extractor.input("image", ncnn.Mat(image[0]).clone())
    _, logits = extractor.extract("logits")
    assert np.array_equal(np.array(logits)[np.newaxis], run_ncnn(network, [image])[0])


def test_a_weights_file_that_is_cut_is_refused_by_ncnn(tmp_path: Path) -> None:
    model = write_ncnn(with_weights(squeezenet(64, 10)))
    (tmp_path / "net.param").write_text(model.param)
    for name, content, code in (("whole", model.bin, 0), ("cut", model.bin[:-4], -1)):
        (tmp_path / name).write_bytes(content)
        net = ncnn.Net()
        assert net.load_param(str(tmp_path / "net.param")) == 0
        assert (net.load_model(str(tmp_path / name)) == 0) == (code == 0)


@pytest.mark.parametrize(
    ("network", "permutes"),
    [
        (mobilenet_v2(64, 0.35, 10), 1),  # the image; the logits have no channels
        (mobilenet_v3_small(64, 10), 1),
        (shufflenet_v2(64, 10), 1),
        (super_resolution(8, 8, 2, 4), 2),  # the image, and the image out
    ],
    ids=lambda value: value.name if isinstance(value, Network) else None,
)
def test_permutes_stand_only_at_the_ends(network: Network, permutes: int) -> None:
    assert kinds(write_ncnn(network))["Permute"] == permutes
    assert kinds(write_ncnn(network, channels_first=True))["Permute"] == 0


def test_channels_first_computes_the_same() -> None:
    network = with_weights(super_resolution(8, 10, 2, 4))
    model = write_ncnn(network, channels_first=True)
    (image,) = random_inputs(network, 0)
    (output,) = run_ncnn_model(model, [image.transpose(0, 3, 1, 2)])
    assert (model.inputs[0].shape, model.inputs[0].sizes) == ((1, 3, 8, 10), (3, 8, 10))
    np.testing.assert_allclose(output.transpose(0, 2, 3, 1), run_torch(network, [image])[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("activation", [Relu, Relu6, HardSwish, Sigmoid])
def test_activations_are_parts_of_what_they_follow(activation: type[Operator]) -> None:
    network = of([Conv2d("c", ("image",), 4), activation("a", ("c",))], ["a"])
    assert kinds(write_ncnn(network, channels_first=True)) == {"Input": 1, "Convolution": 1}


def test_an_activation_stays_where_both_tensors_are_wanted() -> None:
    network = of([Conv2d("c", ("image",), 4), Relu("r", ("c",))], ["r", "c"])
    assert kinds(write_ncnn(network, channels_first=True)) == {"Input": 1, "Convolution": 1, "ReLU": 1, "Split": 1}
    inputs = random_inputs(network, 0)
    for output, expected in zip(run_ncnn(network, inputs), run_torch(network, inputs), strict=True):
        np.testing.assert_allclose(output, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("paddings", "absorbed"), [(((0, 0), (1, 2), (0, 3), (0, 0)), True), (((0, 0), (1, 1), (1, 1), (1, 0)), False)]
)
def test_zeros_around_maps_are_a_part_of_the_convolution(paddings: tuple[tuple[int, int], ...], absorbed: bool) -> None:
    network = of([Pad("p", ("image",), paddings), Conv2d("c", ("p",), 4, stride=(2, 2))], ["c"])
    assert ("Padding" not in kinds(write_ncnn(network))) == absorbed
    inputs = random_inputs(network, 0)
    np.testing.assert_allclose(run_ncnn(network, inputs)[0], run_torch(network, inputs)[0], rtol=1e-4, atol=1e-5)


def test_means_of_maps_are_poolings() -> None:
    network = of([Mean("m", ("image",), (1, 2), True), Mean("n", ("image",), (-1,))], ["m", "n"])
    assert kinds(write_ncnn(network))["Pooling"] == 1 == kinds(write_ncnn(network))["Reduction"]


ODD_NAMES = ("two words", "a\tb\nc", "", "%", "%20", "ü", "x" * 400, "x" * 399 + "y", "image%hwc", "a=b,c#;$(id)")


def test_odd_names_are_only_text() -> None:
    operators = [Relu(name, ("image",)) for name in ODD_NAMES]
    network = of(operators, ODD_NAMES)
    model = write_ncnn(network)
    assert model.param.isascii() and all(len(word) < 256 for words in layers(model) for word in words)
    assert [tensor.name for tensor in model.outputs] == list(ODD_NAMES)
    assert len({tensor.blob for tensor in model.outputs}) == len(ODD_NAMES)
    inputs = random_inputs(network, 0)
    assert all(np.array_equal(output, np.maximum(inputs[0], 0)) for output in run_ncnn(network, inputs))


def test_an_input_may_be_an_output_and_read_often() -> None:
    operators = [Relu("r", ("image",)), Add("s", ("image", "image")), Conv2d("c", ("image",), 2)]
    network = of(operators, ["image", "r", "s", "c", "r"])
    inputs = random_inputs(network, 0)
    for output, expected in zip(run_ncnn(network, inputs), run_torch(network, inputs), strict=True):
        np.testing.assert_allclose(output, expected, rtol=1e-4, atol=1e-5)


# Without weights


def test_a_kernel_without_weights_is_some_hundred_bytes() -> None:
    network = Network("k", [TensorSpec("x", (1, 14, 14, 256))], [Conv2d("c", ("x",), 256), Relu6("r", ("c",))], ["r"])
    model = write_ncnn(network, channels_first=True)
    bound = float(np.sqrt(6 / (256 * 9)))
    assert model.segments == (Literal(bytes(4)), Random(256 * 256 * 9, bound), Random(256, 0.1))
    assert len(model.param) < 300


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_a_thousand_kernels_are_at_most_3_mb(dtype: str) -> None:
    size_bytes = 0
    for kernel in random_kernels(1000, np.random.default_rng(0)):
        quantization = Quantization.nominal(kernel.network) if dtype == "int8" else None
        model = write_ncnn(kernel.network, quantization=quantization, channels_first=True)
        headers_bytes = 20 + 12 * len(model.segments)
        literals_bytes = sum(len(segment.data) for segment in model.segments if isinstance(segment, Literal))
        size_bytes += headers_bytes + len(model.param) + literals_bytes
    assert size_bytes < 600_000


# int8


def rounded(values: NDArray[np.float32], peaks: NDArray[np.float32] | float) -> NDArray[np.float32]:
    """Return values in 127 steps up to peaks, rounded away from zero as ncnn does."""
    scaled = values * np.float32(127) / peaks
    steps: NDArray[np.float32] = np.sign(scaled) * np.floor(np.abs(scaled) + np.float32(0.5))
    return (steps * peaks / np.float32(127)).astype(np.float32)


LAYERS = {
    "plain": Conv2d("o", ("image",), 12),
    "wide": Conv2d("o", ("image",), 16, (1, 1), use_bias=False),
    "strided": Conv2d("o", ("image",), 5, (5, 3), (2, 1)),
    "dilated": Conv2d("o", ("image",), 8, (3, 3), dilation=(2, 2)),
    "depthwise": DepthwiseConv2d("o", ("image",)),
    "depthwise strided": DepthwiseConv2d("o", ("image",), (5, 5), (2, 2)),
}


@pytest.mark.parametrize("channels", [1, 3, 4, 8, 16])
@pytest.mark.parametrize("activation", [None, Relu6, HardSwish])
@pytest.mark.parametrize("name", LAYERS)
def test_int8_is_rounding_and_nothing_else(name: str, activation: type[Operator] | None, channels: int) -> None:
    image = TensorSpec("image", (1, 7, 9, channels))
    after = [activation("a", ("o",))] if activation else []
    network = of([LAYERS[name], *after], ["a" if activation else "o"], image)
    inputs = random_inputs(network, 0)
    weights = dict(network.weights or {})
    axes = (0, 1, 2) if LAYERS[name].kind == "depthwise_conv2d" else (1, 2, 3)
    weights["o/kernel"] = rounded(weights["o/kernel"], np.abs(weights["o/kernel"]).max(axis=axes, keepdims=True))
    expected = run_torch(network.with_weights(weights), [rounded(inputs[0], float(np.abs(inputs[0]).max()))])
    model = write_ncnn(network, quantization=calibrate(network, [inputs]))
    # on x86 ncnn takes a reciprocal in depthwise convolutions that is right to 12 bits
    (output,) = run_ncnn_model(model, inputs)
    np.testing.assert_allclose(output, expected[0], rtol=5e-4, atol=5e-4 * np.abs(expected[0]).max())


def test_int8_dense_is_rounding_and_nothing_else() -> None:
    network = of([Dense("o", ("image",), 10)], ["o"], TensorSpec("image", (1, 24)))
    inputs = random_inputs(network, 0)
    kernel = (network.weights or {})["o/kernel"]
    weights = {**(network.weights or {}), "o/kernel": rounded(kernel, np.abs(kernel).max(axis=1, keepdims=True))}
    expected = run_torch(network.with_weights(weights), [rounded(inputs[0], float(np.abs(inputs[0]).max()))])
    (output,) = run_ncnn_model(write_ncnn(network, quantization=calibrate(network, [inputs])), inputs)
    np.testing.assert_allclose(output, expected[0], rtol=1e-4, atol=1e-4)


def test_only_what_convolutions_alone_read_stays_int8() -> None:
    operators = [
        Conv2d("a", ("image",), 8), Relu("b", ("a",)), DepthwiseConv2d("c", ("b",)), MaxPool2d("d", ("c",)),
        Conv2d("e", ("d",), 8), Pad("f", ("e",), ((0, 0), (1, 1), (1, 1), (0, 0))),
        Conv2d("g", ("f",), 8, padding="valid"), Conv2d("h", ("g",), 8, groups=2),
    ]  # fmt: skip
    network = of(operators, ["h"])
    model = write_ncnn(network, quantization=Quantization.nominal(network))
    terms = {words[1]: [word for word in words if word.startswith("8=")] for words in layers(model)}
    assert {name: terms[name] for name in ("b", "c", "e", "g", "h%chw")} == {
        "b": ["8=102"], "c": ["8=1"], "e": ["8=102"], "g": ["8=2"], "h%chw": [],
    }  # fmt: skip


@pytest.mark.parametrize(
    "network", [mobilenet_v2(64, 0.35, 10), mobilenet_v3_small(64, 10), shufflenet_v2(64, 10), squeezenet(64, 10)],
    ids=lambda network: network.name,
)  # fmt: skip
def test_int8_networks_follow_the_real_ones(network: Network) -> None:
    network = with_weights(network)
    inputs = random_inputs(network, 1)
    model = write_ncnn(network, quantization=calibrate(network, [inputs]))
    (output,), (expected,) = run_ncnn_model(model, inputs), run_torch(network, inputs)
    assert np.corrcoef(output.ravel(), expected.ravel())[0, 1] > 0.99
    assert len(model.bin) < 0.35 * len(write_ncnn(network).bin)


def test_int8_without_weights_computes_finite_numbers() -> None:
    network = mobilenet_v2(64, 0.35, 10)
    model = write_ncnn(network, quantization=Quantization.nominal(network))
    assert any("8=102" in words for words in layers(model))
    assert np.isfinite(run_ncnn_model(model, random_inputs(network, 0))[0]).all()


# What ncnn cannot do


@pytest.mark.parametrize(
    ("operator", "shape", "problem"),
    [
        (Conv2d("op", ("image",), 4), (2, 8, 8, 4), r"'op'.*one image at a time"),
        (GlobalAvgPool2d("op", ("image",)), (2, 8, 8, 4), r"'op'.*one image at a time"),
        (ResizeNearest("op", ("image",), (3, 3)), (3, 8, 8, 4), r"'op'.*one image at a time"),
        (ResizeBilinear("op", ("image",), (5, 4), "asymmetric"), (1, 8, 4, 4), r"'op'.*asymmetric"),
        (Reshape("op", ("image",), (2, 2, 2, 2, 2)), (1, 32), r"'op'.*at most four axes"),
        (Transpose("op", ("image",), (0, 2, 1, 3, 4)), (2, 2, 2, 2, 2), r"'image'.*at most four axes"),
        (Opaque("op", ("image",), "WHERE_AM_I", (TensorSpec("op", (1, 2)),)), (1, 2), "WHERE_AM_I"),
    ],
    ids=lambda value: value.kind if isinstance(value, Operator) else None,
)
def test_what_cannot_be_written_is_refused(operator: Operator, shape: tuple[int, ...], problem: str) -> None:
    with pytest.raises(NetworkError, match=problem):
        write_ncnn(Network("test", [TensorSpec("image", shape)], [operator], ["op"]))


def test_a_quantization_must_hold_what_is_read_in_int8() -> None:
    network = of([Conv2d("c", ("image",), 4)], ["c"])
    with pytest.raises(NetworkError, match="'image' has no range"):
        write_ncnn(network, quantization=Quantization({"c": (0, 1)}))
