"""Owns how large a space is where nobody says so: as large as fits the budget on the device.

A budget that shuts out all of a space finds nothing, and one that shuts out none of it leaves latency unused.  So
the device is asked: a few random networks of some sizes are measured, and the largest size is taken of which one keeps
to the budget.  A search finds the few that do, and at one latency the faster networks of a larger size are more
accurate than the typical ones of a smaller size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np

from pocketnas.front import space_for
from profiler.network import Network
from search.images import ImageData
from search.spaces.settings import SpaceSettings

LatenciesOf = Callable[[Mapping[str, Network]], Mapping[str, float]]
"""Takes networks by name; returns the median latency of each on the slowest device, in ms."""

_DRAWN = 5
"""Random networks of each size that is looked at."""


def _sizes(keys: Sequence[str], *rows: Sequence[float]) -> tuple[Mapping[str, float], ...]:
    return tuple(dict(zip(keys, row, strict=True)) for row in rows)


SIZES: Mapping[str, tuple[Mapping[str, float], ...]] = MappingProxyType(
    {
        "cars": _sizes(
            ("cells", "nodes", "channels"),
            *((3, 1, 2), (3, 1, 4), (3, 1, 8), (3, 2, 8), (3, 2, 12), (3, 2, 16), (3, 2, 20), (3, 3, 20), (3, 3, 24)),
            *((4, 3, 24), (5, 4, 24), (5, 4, 32), (5, 4, 48), (8, 4, 48), (8, 4, 64), (11, 4, 64), (14, 4, 80)),
        ),
        "nasbench201": _sizes(
            ("cells", "channels"),
            *((1, 2), (1, 4), (1, 8), (1, 12), (1, 16), (1, 24), (2, 24), (3, 24), (5, 24), (5, 32), (5, 48), (5, 64)),
        ),
        "shufflenetv2": _sizes(
            ("width",), *((0.15,), (0.25,), (0.35,), (0.5,), (0.7,), (1.0,), (1.4,), (2.0,), (2.8,), (4.0,), (5.6,))
        ),
        "mobilenetv3": _sizes(
            ("stages", "width"),
            *((2, 0.15), (3, 0.15), (4, 0.15), (4, 0.25), (5, 0.25), (5, 0.35), (5, 0.5), (5, 0.7), (5, 1.0)),
            *((5, 1.4), (5, 2.0), (5, 2.8)),
        ),
    }
)
"""Sizes of each kind of space, smallest first: settings that go before those that were asked for."""


def fitting_size(
    settings: SpaceSettings, data: ImageData, budget_ms: float, measure: LatenciesOf, rng: np.random.Generator
) -> SpaceSettings:
    """Return a space with the largest of its kind's sizes of which one in a few random networks keeps to a budget.

    Args:
        settings: The space; what its sizes do not name stays as it is.
        data: Images that its networks take.
        budget_ms: The budget, in ms.
        measure: Asks the device.
        rng: Draws the networks.

    Returns:
        The space in that size; in the smallest if even that is too slow.
    """
    sizes = [settings.model_copy(update=dict(size)) for size in SIZES[settings.kind]]
    fits, too_slow = 0, len(sizes)
    while too_slow - fits > 1:
        middle = (fits + too_slow) // 2
        space = space_for(sizes[middle], data)
        networks = {f"{middle}-{place}": space.lower(space.sample(rng)) for place in range(_DRAWN)}
        if min(measure(networks).values()) <= budget_ms:
            fits = middle
        else:
            too_slow = middle
    return sizes[fits]


def has_size(kind: str, asked_for: Sequence[str]) -> bool:
    """Say whether settings that were asked for say how large a space of a kind is."""
    return not {key for size in SIZES[kind] for key in size}.isdisjoint(asked_for)
