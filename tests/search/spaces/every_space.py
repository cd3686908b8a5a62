"""A small instance of each search space, for tests that hold all spaces to the same properties."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from search.space import SearchSpace
from search.spaces import (
    CarsParams,
    CarsSpace,
    MobileNetV3Params,
    MobileNetV3Space,
    NasBench201Params,
    NasBench201Space,
    ShuffleNetV2Params,
    ShuffleNetV2Space,
)
from search.spaces.cars import Operation as CarsOperation
from search.spaces.shufflenetv2 import OPERATIONS as UNITS

IMAGE, CLASSES = (8, 8, 1), 4
"""What the striped images of tests/search/_stripes.py have."""


@dataclass(frozen=True)
class Instance:
    """A space in two sizes.

    Attributes:
        space: Small networks, but all of the space's kinds of choices.
        tiny: One with so few genotypes that all can be looked at.
        encodings: What `tiny.encode` might return and more: every combination of choices, those that are not part of
            the space among them.
    """

    space: SearchSpace[Any]
    tiny: SearchSpace[Any]
    encodings: Callable[[], Iterator[object]]


def _cars_encodings() -> Iterator[object]:
    cells = [[[[0, first], [1, second]]] for first, second in itertools.product(_CARS_OPERATIONS, repeat=2)]
    for normal, reduction in itertools.product(cells, repeat=2):
        yield {"normal": normal, "reduction": reduction}


def _nasbench201_encodings() -> Iterator[object]:
    for a, b, c, d, e, f in itertools.product(("none", "nor_conv_1x1"), repeat=6):
        yield {"arch_str": f"|{a}~0|+|{b}~0|{c}~1|+|{d}~0|{e}~1|{f}~2|"}


def _shufflenetv2_encodings() -> Iterator[object]:
    blocks = [list(block) for block in itertools.product(UNITS[::3], (0.5, 1.0, 1.1, 2.0))]
    for first, second in itertools.product(blocks, repeat=2):
        yield {"blocks": [first, second]}


def _mobilenetv3_encodings() -> Iterator[object]:
    layers = [list(layer) for layer in itertools.product((3, 5), (1, 2), (False, True))]
    for resolution, depth in itertools.product((6, 8), (1, 2, 3)):
        for stage in itertools.product(layers, repeat=depth):
            yield {"resolution": resolution, "stages": [list(stage)]}


_CARS_OPERATIONS: tuple[CarsOperation, ...] = ("none", "skip_connect", "sep_conv_3x3")

EVERY_SPACE = {
    "cars": Instance(
        CarsSpace(CarsParams(IMAGE, CLASSES, cells=3, channels=4, nodes=2)),
        CarsSpace(CarsParams(IMAGE, CLASSES, cells=3, channels=2, nodes=1, operations=_CARS_OPERATIONS)),
        _cars_encodings,
    ),
    "nasbench201": Instance(
        NasBench201Space(NasBench201Params(IMAGE, CLASSES, channels=4, cells=2, stages=2)),
        NasBench201Space(
            NasBench201Params(IMAGE, CLASSES, channels=2, cells=1, stages=2, operations=("none", "nor_conv_1x1"))
        ),
        _nasbench201_encodings,
    ),
    "shufflenetv2": Instance(
        ShuffleNetV2Space(
            ShuffleNetV2Params(
                IMAGE, CLASSES, blocks=(2, 2), channels=(16, 32), stem=8, head=16, ratios=(0.5, 1.0, 2.0)
            )
        ),
        # Of these ratios 1.0 and 1.1 both make 4 channels in the first stage, and 0.5 does too.
        ShuffleNetV2Space(
            ShuffleNetV2Params(
                IMAGE,
                CLASSES,
                blocks=(1, 1),
                channels=(8, 16),
                stem=8,
                head=8,
                ratios=(2.0, 0.5, 1.0, 1.1),
                operations=UNITS[::3],
            )
        ),
        _shufflenetv2_encodings,
    ),
    "mobilenetv3": Instance(
        MobileNetV3Space(
            MobileNetV3Params(
                IMAGE,
                CLASSES,
                stages=2,
                width=0.1,
                depths=(1, 2),
                expansions=(2, 3),
                resolutions=(6, 8),
                squeeze_excite="choice",
            )
        ),
        MobileNetV3Space(
            MobileNetV3Params(
                IMAGE,
                CLASSES,
                stages=1,
                width=0.1,
                depths=(1, 2),
                kernels=(5, 3),
                expansions=(2, 1),
                resolutions=(8, 6),
            )
        ),
        _mobilenetv3_encodings,
    ),
}
