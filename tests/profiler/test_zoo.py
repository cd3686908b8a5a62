from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest

from profiler import zoo
from profiler.errors import NetworkError
from profiler.network import Dense, HardSigmoid, HardSwish, MaxPool2d, Network, Relu
from profiler.zoo import (
    ZOO,
    mobilenet_v2,
    mobilenet_v3_large,
    mobilenet_v3_small,
    shufflenet_v2,
    super_resolution,
)
from tests.runtimes import run_litert, run_onnxruntime, run_torch

SCALABLE: Mapping[str, Callable[..., Network]] = {
    "mobilenet_v2": mobilenet_v2,
    "mobilenet_v3_large": mobilenet_v3_large,
    "mobilenet_v3_small": mobilenet_v3_small,
    "shufflenet_v2": shufflenet_v2,
}


@pytest.mark.parametrize(
    ("name", "macs", "parameters"),
    [  # as published; parameters without batch norm's scales, which fold away
        ("mobilenet_v2", 300.8e6, 3_487_816),
        ("mobilenet_v3_large", 216.6e6, 5_470_832),
        ("mobilenet_v3_small", 56.5e6, 2_536_800),
        ("shufflenet_v2", 145e6, 2_270_514),
        ("squeezenet", 349e6, 1_235_496),
    ],
)
def test_a_network_has_its_published_size(name: str, macs: float, parameters: int) -> None:
    cost = ZOO[name]().cost()
    assert cost.macs == pytest.approx(macs, rel=0.005)
    assert cost.parameters == parameters


@pytest.mark.parametrize(
    ("name", "width", "macs", "parameters"),
    [  # millions, as the papers print them, and for MobileNetV2 the page of its checkpoints
        ("mobilenet_v2", 1.0, 300, 3.47),
        ("mobilenet_v2", 0.75, 209, 2.6),
        ("mobilenet_v2", 0.35, 59, 1.7),
        ("mobilenet_v2", 1.4, 582, 6.1),
        ("mobilenet_v3_large", 1.0, 219, 5.4),
        ("mobilenet_v3_large", 0.75, 155, 4.0),
        ("mobilenet_v3_small", 1.0, 56, 2.5),
        ("mobilenet_v3_small", 0.75, 44, 2.0),
        ("shufflenet_v2", 0.5, 41, 1.4),
        ("shufflenet_v2", 1.0, 146, 2.3),
        ("shufflenet_v2", 1.5, 299, 3.5),
        ("shufflenet_v2", 2.0, 591, 7.4),
    ],
)
def test_every_published_width_costs_what_its_paper_says(
    name: str, width: float, macs: float, parameters: float
) -> None:
    cost = SCALABLE[name](width=width).cost()
    assert cost.macs / 1e6 == pytest.approx(macs, rel=0.02)
    assert cost.parameters / 1e6 == pytest.approx(parameters, rel=0.02, abs=0.05)  # printed with one decimal


@pytest.mark.parametrize(("width", "channels"), [(0.5, 48), (1.0, 116), (1.5, 176), (2.0, 244), (4.0, 488)])
def test_shufflenets_have_the_channels_of_their_table(width: float, channels: int) -> None:
    network = shufflenet_v2(width=width)
    stages = [network.tensors[f"stage{stage}/unit0/shuffle"].shape[1:] for stage in range(3)]
    assert stages == [(28, 28, channels), (14, 14, 2 * channels), (7, 7, 4 * channels)]
    assert network.tensors["head"].shape[-1] == (2048 if width >= 2 else 1024)


def test_mobilenet_v3_has_its_activations_and_gates_where_the_paper_has_them() -> None:
    large = mobilenet_v3_large()
    gated = {name.split("/")[0] for name in large.tensors if name.endswith("/gate")}
    assert gated == {f"block{index}" for index in (3, 4, 5, 10, 11, 12, 13, 14)}
    kinds = [
        next(type(op) for op in large.operators if op.name == f"block{index}/depthwise/activation")
        for index in range(15)
    ]
    assert kinds == [Relu] * 6 + [HardSwish] * 9
    assert large.tensors["block3/excite/reduce"].shape == (1, 24)  # a quarter of 72, rounded up from 18
    assert sum(isinstance(operator, HardSigmoid) for operator in large.operators) == 8


def test_mobilenet_v2_narrows_and_shrinks() -> None:
    small = mobilenet_v2(resolution=96, width=0.35, classes=10)
    assert small.tensors["logits"].shape == (1, 10)
    assert small.tensors["head"].shape == (1, 3, 3, 1280)  # the head is never narrowed
    assert small.cost().macs == pytest.approx(11e6, rel=0.1)  # 11 M MACs are published for 0.35 at 96


@pytest.mark.parametrize("make", SCALABLE.values(), ids=SCALABLE)
@pytest.mark.parametrize(
    ("image_shape", "last_map"),
    [
        ((224, 224, 3), (7, 7)),
        ((96, 96, 3), (3, 3)),
        ((64, 64, 3), (4, 4)),
        ((32, 32, 3), (4, 4)),
        ((28, 28, 1), (4, 4)),
        ((8, 8, 1), (4, 4)),
        ((1, 5, 2), (1, 5)),
        ((40, 100, 4), (3, 7)),
    ],
)
def test_small_images_are_halved_less_often(
    make: Callable[..., Network], image_shape: tuple[int, int, int], last_map: tuple[int, int]
) -> None:
    network = make(image_shape=image_shape, width=0.25, classes=7)
    assert network.inputs[0].shape == (1, *image_shape)
    assert network.tensors["head"].shape[1:3] == last_map
    assert network.tensors["logits"].shape == (1, 7)


def test_a_pool_without_its_stride_is_left_out() -> None:
    assert not any(isinstance(operator, MaxPool2d) for operator in shufflenet_v2(32).operators)
    assert any(isinstance(operator, MaxPool2d) for operator in shufflenet_v2(64).operators)


@pytest.mark.parametrize("make", SCALABLE.values(), ids=SCALABLE)
def test_networks_grow_with_their_width(make: Callable[..., Network]) -> None:
    macs = [make(image_shape=(28, 28, 1), width=width).cost().macs for width in (0.05, 0.2, 0.5, 0.8, 1.2, 1.8, 2.5)]
    assert macs == sorted(set(macs))


@pytest.mark.parametrize("make", SCALABLE.values(), ids=SCALABLE)
def test_what_is_dense_has_no_map(make: Callable[..., Network]) -> None:
    """A batch norm stands behind each biased convolution while a network is trained, so none may read a mean."""
    network = make(image_shape=(32, 32, 3), width=0.5)
    for operator in network.operators:
        if operator.weight_shapes(network.input_specs(operator)):
            assert isinstance(operator, Dense) == (len(network.tensors[operator.inputs[0]].shape) == 2)


@pytest.mark.parametrize("name", ["mobilenet_v3_large", "mobilenet_v3_small", "shufflenet_v2"])
@pytest.mark.parametrize("image_shape", [(28, 28, 1), (9, 20, 2)])
def test_small_networks_run_alike_everywhere(name: str, image_shape: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(0)
    network = SCALABLE[name](image_shape=image_shape, width=0.3, classes=5).with_random_weights(rng)
    image = rng.random((1, *image_shape), dtype=np.float32)
    expected = run_torch(network, [image])[0]
    scale = float(np.abs(expected).max())
    np.testing.assert_allclose(run_litert(network, [image])[0], expected, rtol=1e-4, atol=1e-4 * scale)
    np.testing.assert_allclose(run_onnxruntime(network, [image])[0], expected, rtol=1e-4, atol=1e-4 * scale)


def test_names_tell_width_and_image_apart() -> None:
    assert mobilenet_v3_large().name == "mobilenet_v3_large_224"
    assert shufflenet_v2(image_shape=(28, 28, 1), width=0.5).name == "shufflenet_v2_0.5_28x28x1"


def test_super_resolution_enlarges_by_its_scale() -> None:
    network = super_resolution(height=10, width=20, scale=4, channels=8)
    assert network.tensors["output"].shape == (1, 40, 80, 3)


@pytest.mark.parametrize("make", SCALABLE.values(), ids=SCALABLE)
@pytest.mark.parametrize(
    "arguments",
    [{"resolution": 0}, {"width": 0.0}, {"classes": -1}, {"image_shape": (8, 0, 3)}, {"width": float("nan")}],
)
def test_sizes_must_be_positive(make: Callable[..., Network], arguments: dict[str, object]) -> None:
    with pytest.raises(NetworkError, match="must be > 0"):
        make(**arguments)


def test_the_zoo_is_complete() -> None:
    assert {*ZOO, "ZOO"} == set(zoo.__all__)
