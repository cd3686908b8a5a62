"""Owns the known networks beside finalists: as slow as these or slower, trained alike, measured on the same device.

For each finalist a family is scaled to the smallest width with which it is not faster, as the device says and not
as a predictor does; so the known network never has less time than ours.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from profiler import zoo
from profiler.network import Network
from search.images import ImageData

MeasureOn = Callable[[str, Mapping[str, Network]], Mapping[str, float]]
"""Takes a device and networks by name; returns the lower end of each measured interval, in ms."""

_LEAST_WIDTH, _MOST_WIDTH, _STEP = 0.1, 8.0, 1.05
"""Widths that are looked at: each 5 % wider than the one before, which is less than a step of 8 channels makes."""

_FAR_APART = 1.15
"""By what factor the latencies of two finalists differ that are both worth a comparison."""

_CLOSE = 1.25
"""By what factor a known network may take longer than a finalist that is compared for its speed."""

FAMILIES: Mapping[str, Callable[[ImageData, float], Network]] = MappingProxyType(
    {
        "shufflenet_v2": lambda data, width: zoo.shufflenet_v2(
            classes=data.classes, width=width, image_shape=data.image_shape
        ),
        "mobilenet_v3_small": lambda data, width: zoo.mobilenet_v3_small(
            classes=data.classes, width=width, image_shape=data.image_shape
        ),
    }
)


@dataclass(frozen=True)
class Rival:
    """A finalist that is to be compared.

    Attributes:
        name: Its name.
        device: Device that its latency is of.
        latency_ms: Its measured latency.
    """

    name: str
    device: str
    latency_ms: float


@dataclass(frozen=True)
class Scaled:
    """A known network scaled to the latency of a finalist.

    Attributes:
        family: Which network.
        width: Multiplier of its channels.
        network: The network, without weights.
        rival: The finalist that it is compared with.
    """

    family: str
    width: float
    network: Network
    rival: Rival

    @property
    def name(self) -> str:
        """Family and width; the same network for two finalists has one name."""
        return f"{self.family}-{self.width:g}"


def choose_rivals(finalists: Sequence[Rival], count: int) -> list[Rival]:
    """Choose finalists to compare: the first, and then those whose latency is far from all chosen, fastest first.

    Args:
        finalists: In order of preference.
        count: Most to choose.
    """
    chosen: list[Rival] = []
    for rival in (*finalists[:1], *sorted(finalists[1:], key=lambda rival: rival.latency_ms)):
        if len(chosen) < count and all(_far_apart(rival, other) for other in chosen):
            chosen.append(rival)
    return chosen


def _far_apart(one: Rival, other: Rival) -> bool:
    latencies_ms = sorted((one.latency_ms, other.latency_ms))
    return one.device != other.device or latencies_ms[1] > _FAR_APART * latencies_ms[0]


def scale_to(rivals: Sequence[Rival], data: ImageData, measure: MeasureOn) -> list[Scaled]:
    """Scale each family to each finalist's latency.

    Args:
        rivals: The finalists, the one that matters most first.
        data: Images that the networks are to take.
        measure: Asks the device. Several networks are asked for at once, some seven times in all.

    Returns:
        One network a family and finalist. A family that stays faster at every width is left out, and so is one whose
        narrowest network takes much longer than a finalist other than the first: that would be no comparison.
    """
    ladders = {family: _ladder(family, data) for family in FAMILIES} if rivals else {}
    searches = [_WidthSearch(family, rival, ladder) for rival in rivals for family, ladder in ladders.items()]
    while open_ := [search for search in searches if not search.is_over]:
        for device in dict.fromkeys(search.rival.device for search in open_):
            asked = [search for search in open_ if search.rival.device == device]
            low_ms = measure(device, {search.asked.name: search.asked.network for search in asked})
            for search in asked:
                search.tell(low_ms[search.asked.name])
    return [found for search in searches if (found := search.found) and (search.is_close or search.rival == rivals[0])]


def _ladder(family: str, data: ImageData) -> list[tuple[float, Network]]:
    """Return the different networks of a family, narrowest first, each with its smallest width."""
    steps: dict[str, tuple[float, Network]] = {}
    width = _LEAST_WIDTH
    while width <= _MOST_WIDTH:
        network = FAMILIES[family](data, width)
        steps.setdefault(network.key, (width, network))
        width = round(width * _STEP, 3)
    return list(steps.values())


class _WidthSearch:
    """Halves the widths of a family until the smallest that is slow enough is left."""

    def __init__(self, family: str, rival: Rival, ladder: Sequence[tuple[float, Network]]) -> None:
        self.family, self.rival, self._ladder = family, rival, ladder
        self._too_fast, self._slow_enough = -1, len(ladder)
        self._low_ms = math.inf

    @property
    def is_over(self) -> bool:
        return self._slow_enough - self._too_fast <= 1

    @property
    def asked(self) -> Scaled:
        return self._at((self._too_fast + self._slow_enough) // 2)

    @property
    def found(self) -> Scaled | None:
        return self._at(self._slow_enough) if self._slow_enough < len(self._ladder) else None

    @property
    def is_close(self) -> bool:
        """Whether what was found takes about as long as the finalist."""
        return self._low_ms <= _CLOSE * self.rival.latency_ms

    def tell(self, low_ms: float) -> None:
        middle = (self._too_fast + self._slow_enough) // 2
        if low_ms >= self.rival.latency_ms:
            self._slow_enough, self._low_ms = middle, low_ms
        else:
            self._too_fast = middle

    def _at(self, place: int) -> Scaled:
        width, network = self._ladder[place]
        return Scaled(self.family, width, network, self.rival)
