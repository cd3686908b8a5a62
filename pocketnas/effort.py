"""Owns how long a search learns where nobody says so: by the work there is, never by a clock.

The same space, images and budget give the same settings everywhere, so results can be had again; how long they take
depends on the computer.  The constants are for half an hour on two cores, finalists' training included.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from profiler.near_names import require_known
from profiler.network import Network
from search.algorithms import EvolutionParams
from search.images import ImageData

_SEARCH_MACS = 0.9e12
"""Multiply-accumulates forward that shared weights are trained with: some seven minutes on one core."""

_LEAST_MACS = 2e6
"""A network with fewer takes as long as one of so many, since what surrounds the sums then takes most."""

_LEAST_EPOCHS, _MOST_EPOCHS = 12, 120
_WARMUP_SHARE = 0.4
_GENERATIONS = 10
_POPULATION = 24

SCORING_IMAGES = 500
"""Validation images that candidates are scored on in a search on devices: a ranking of shared weights needs no more."""


SELECTIONS = ("pnsga3", "nsga3")
"""What CARS can select by: with what still learns protected, and without."""


def is_protected(selection: str) -> bool:
    """Return whether a selection of CARS, given by its name, protects what still learns.

    Raises:
        ConfigError: There is none of this name; the nearest one is told.
    """
    return require_known(selection, SELECTIONS, what="selection", key="--selection") == SELECTIONS[0]


@dataclass(frozen=True)
class AskedSizes:
    """Sizes of a search as far as they were asked for; see EvolutionParams.

    Attributes:
        population: Individuals of a generation.
        generations: Rounds of learning and selection.
        warmup_epochs: Epochs on random architectures first.
        generation_epochs: Epochs of each generation.
        protected: Whether growth protects what is still learning.

    Raises:
        ConfigError: One is out of its range.
    """

    population: int | None = None
    generations: int | None = None
    warmup_epochs: int | None = None
    generation_epochs: int | None = None
    protected: bool = True

    def __post_init__(self) -> None:
        self.over(EvolutionParams())

    def over(self, default: EvolutionParams) -> EvolutionParams:
        """Return sizes with those that were asked for in the place of the default ones."""
        return replace(default, **{name: value for name, value in asdict(self).items() if value is not None})


def evolution_for(networks: Sequence[Network], images: int) -> tuple[EvolutionParams, str]:
    """Return the sizes of a search, and why they are so.

    Args:
        networks: Some that stand for those that will be trained.
        images: Number of training images.
    """
    macs = float(np.mean([max(network.cost().macs, _LEAST_MACS) for network in networks]))
    epochs = min(max(int(_SEARCH_MACS / (macs * images)), _LEAST_EPOCHS), _MOST_EPOCHS)
    warmup = round(_WARMUP_SHARE * epochs)
    each = max((epochs - warmup) // _GENERATIONS, 1)
    evolution = EvolutionParams(
        population=_POPULATION, generations=_GENERATIONS, warmup_epochs=warmup, generation_epochs=each
    )
    return evolution, (
        f"{evolution.epochs} epochs of shared weights: networks have {macs / 1e6:.3g} M MACs, there are {images} "
        f"images, and {_SEARCH_MACS / 1e9:.3g} G MACs are spent; at least {_LEAST_EPOCHS}, at most {_MOST_EPOCHS}"
    )


def scoring_data(data: ImageData, most: int | None) -> ImageData:
    """Return the images with at most so many for validation; the split is shuffled, so the first stand for all."""
    if most is None or most >= len(data.val_y):
        return data
    return replace(data, val_x=data.val_x[:most], val_y=data.val_y[:most])
