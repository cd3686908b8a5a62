"""A space is as large as the budget allows, as the device says."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from pocketnas.sizing import SIZES, fitting_size, has_size
from profiler.network import Network
from search.images import ImageData, load_images
from search.spaces.settings import SPACES, load_space


@pytest.fixture(scope="module")
def data() -> ImageData:
    return load_images("digits", limit=60)


def by_work(networks: Mapping[str, Network]) -> dict[str, float]:
    return {name: network.cost().macs / 1e6 for name, network in networks.items()}


@pytest.mark.parametrize("kind", SPACES)
def test_larger_budgets_give_larger_spaces(kind: str, data: ImageData) -> None:
    settings = load_space(kind)
    places = []
    for budget_ms in (1e-9, 0.1, 3.0, 1e9):
        found = fitting_size(settings, data, budget_ms, by_work, np.random.default_rng(0))
        sizes = [settings.model_copy(update=dict(size)) for size in SIZES[kind]]
        places.append(sizes.index(found))
    assert places == sorted(places) and places[0] == 0 and places[-1] == len(SIZES[kind]) - 1
    assert 0 < places[2] < places[-1]


def test_what_sizes_do_not_name_stays(data: ImageData) -> None:
    settings = load_space("cars", {"operations": "none,skip_connect,sep_conv_3x3"})
    found = fitting_size(settings, data, 1.0, by_work, np.random.default_rng(0))
    assert found.kind == "cars" and found.operations == settings.operations


def test_a_size_that_was_asked_for_is_one() -> None:
    assert has_size("cars", ["channels"]) and has_size("shufflenetv2", ["width"])
    assert not has_size("cars", ["operations"]) and not has_size("shufflenetv2", [])


@pytest.mark.parametrize("kind", SPACES)
def test_every_size_is_one_of_its_space(kind: str) -> None:
    for size in SIZES[kind]:
        load_space(kind, size)
