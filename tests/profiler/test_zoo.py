from __future__ import annotations

import pytest

from profiler import zoo
from profiler.errors import NetworkError
from profiler.zoo import ZOO, mobilenet_v2, super_resolution


@pytest.mark.parametrize(
    ("name", "macs", "parameters"),
    [  # as published; parameters without batch norm's scales, which fold away
        ("mobilenet_v2", 300.8e6, 3_487_816),
        ("mobilenet_v3_small", 56.5e6, 2_536_800),
        ("shufflenet_v2", 145e6, 2_270_514),
        ("squeezenet", 349e6, 1_235_496),
    ],
)
def test_a_network_has_its_published_size(name: str, macs: float, parameters: int) -> None:
    cost = ZOO[name]().cost()
    assert cost.macs == pytest.approx(macs, rel=0.005)
    assert cost.parameters == parameters


def test_mobilenet_v2_narrows_and_shrinks() -> None:
    small = mobilenet_v2(resolution=96, width=0.35, classes=10)
    assert small.tensors["logits"].shape == (1, 10)
    assert small.tensors["head"].shape == (1, 3, 3, 1280)  # the head is never narrowed
    assert small.cost().macs == pytest.approx(11e6, rel=0.1)  # 11 M MACs are published for 0.35 at 96


def test_super_resolution_enlarges_by_its_scale() -> None:
    network = super_resolution(height=10, width=20, scale=4, channels=8)
    assert network.tensors["output"].shape == (1, 40, 80, 3)


@pytest.mark.parametrize("arguments", [{"resolution": 0}, {"width": 0.0}, {"classes": -1}])
def test_sizes_must_be_positive(arguments: dict[str, float]) -> None:
    with pytest.raises(NetworkError, match="must be > 0"):
        mobilenet_v2(**arguments)  # type: ignore[arg-type]


def test_the_zoo_is_complete() -> None:
    assert {*ZOO, "ZOO"} == set(zoo.__all__)
