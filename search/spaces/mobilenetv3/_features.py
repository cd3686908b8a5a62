"""Genotypes of the MobileNetV3 space as numbers for models that learn from them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from search.spaces.mobilenetv3._genotype import LAYER_FIELDS, MobileNetV3Genotype
from search.spaces.mobilenetv3._params import MobileNetV3Params


def features(params: MobileNetV3Params, genotypes: Sequence[MobileNetV3Genotype]) -> npt.NDArray[np.float64]:
    """Return a one-hot row for each choice; those of layers that are not there are 0.

    Args:
        params: Settings of the space.
        genotypes: Of the space. Length n.

    Returns:
        The resolution first; then of each stage its depth and, of each layer, kernel, expansion and squeeze-and-excite.
        Shape: (n, columns).
    """
    columns = {choice: column for column, choice in enumerate(_choices(params))}
    rows = np.zeros((len(genotypes), len(columns)), dtype=np.float64)
    for row, genotype in zip(rows, genotypes, strict=True):
        row[columns["resolution", 0, 0, genotype.resolution]] = 1
        for stage, layers in enumerate(genotype.stages):
            row[columns["depth", stage, 0, len(layers)]] = 1
            for (index, layer), field in itertools.product(enumerate(layers), LAYER_FIELDS):
                row[columns[field, stage, index, getattr(layer, field)]] = 1
    return rows


def _choices(params: MobileNetV3Params) -> list[tuple[str, int, int, int]]:
    """Return what may be chosen, the stage and the layer for which it may be, and each value that it may have."""
    choices = [("resolution", 0, 0, height) for height in params.heights]
    for stage in range(params.stages):
        choices += [("depth", stage, 0, depth) for depth in params.depths]
        choices += [
            (field, stage, index, value)
            for index, field in itertools.product(range(max(params.depths)), LAYER_FIELDS)
            for value in params.options(field, stage)
        ]
    return choices
