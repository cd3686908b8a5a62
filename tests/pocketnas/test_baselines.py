"""Known networks are scaled to the smallest width that is not faster than ours, and rivals lie apart."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from pocketnas.baselines import FAMILIES, Rival, choose_rivals, scale_to
from profiler.network import Network
from search.images import ImageData, load_images


@pytest.fixture(scope="module")
def data() -> ImageData:
    return load_images("digits", limit=60)


class Law:
    """A device on which latency is a constant and work, and which counts what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def __call__(self, device: str, networks: Mapping[str, Network]) -> dict[str, float]:
        assert device == "phone"
        self.asked.append(len(networks))
        return {name: latency_ms(network) for name, network in networks.items()}


def latency_ms(network: Network) -> float:
    return 0.1 + network.cost().macs / 1e7


def test_each_family_gets_the_smallest_width_that_is_not_faster(data: ImageData) -> None:
    law, rivals = Law(), [Rival("ours", "phone", 0.4), Rival("small", "phone", 0.2)]
    found = scale_to(rivals, data, law)
    assert [(scaled.family, scaled.rival.name) for scaled in found] == [
        (family, rival.name) for rival in rivals for family in FAMILIES
    ]
    for scaled in found:
        assert latency_ms(scaled.network) >= scaled.rival.latency_ms
        narrower = (FAMILIES[scaled.family](data, scaled.width * share) for share in (0.95, 0.9, 0.8))
        before = [network for network in narrower if network.key != scaled.network.key]
        assert before and latency_ms(before[0]) < scaled.rival.latency_ms
        assert scaled.name == f"{scaled.family}-{scaled.width:g}"
    assert len(law.asked) <= 8, "several networks are asked for at once"


def test_finalist_below_the_narrowest_width_gets_that(data: ImageData) -> None:
    tiny = Rival("tiny", "phone", 0.01)
    found = scale_to([tiny], data, Law())
    assert [scaled.width for scaled in found] == [0.1, 0.1]
    others = scale_to([Rival("ours", "phone", 0.4), tiny], data, Law())
    assert {scaled.rival.name for scaled in others} == {"ours"}, "nothing known is as fast, and it is not the first"


def test_family_that_stays_faster_is_left_out(data: ImageData) -> None:
    assert scale_to([Rival("huge", "phone", 1e6)], data, Law()) == []


def test_rivals_are_the_first_and_the_fastest_that_lies_apart() -> None:
    first, near, fast, faster = (Rival(str(ms), "phone", ms) for ms in (1.0, 0.95, 0.5, 0.4))
    assert choose_rivals([first, near, fast, faster], 2) == [first, faster]
    assert choose_rivals([first, near, fast, faster], 3) == [first, faster, fast]
    assert choose_rivals([first, near], 2) == [first]
    assert choose_rivals([first, near, fast], 0) == []
    elsewhere = Rival("other", "tablet", 1.0)
    assert choose_rivals([first, elsewhere], 2) == [first, elsewhere]
