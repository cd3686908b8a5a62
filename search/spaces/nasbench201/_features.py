"""Genotypes of the NAS-Bench-201 space as numbers for models that learn from them.

All follow from the live operations alone, so that genotypes of one function have the same features.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from search.spaces.nasbench201._genotype import EDGES, OPERATIONS, NasBench201Genotype

_PATHS = ((3,), (0, 4), (1, 5), (0, 2, 5))
"""Edges of each way from the cell's input to its output."""

_CODES = {operation: code for code, operation in enumerate(OPERATIONS)}
_NONE = _CODES["none"]
_CONVOLUTIONS = (_CODES["nor_conv_1x1"], _CODES["nor_conv_3x3"])


def features(genotypes: Sequence[NasBench201Genotype]) -> npt.NDArray[np.float64]:
    """Return numbers about genotypes.

    Returns:
        For each: a one-hot row of 5 for the live operation of each of the 6 edges; for each of the 4 ways from input to
        output whether it is open, and how often each of the 4 operations lies on it; how many edges have each of these;
        the open ways; and the most convolutions on one of them. Shape: (n, 56).
    """
    rows = [[_CODES[operation] for operation in genotype.live] for genotype in genotypes]
    codes = np.array(rows, dtype=np.int8).reshape(len(genotypes), len(EDGES), 1)
    one_hot = (codes == np.arange(len(OPERATIONS))).astype(np.float64)
    operations = np.delete(one_hot, _NONE, axis=2)
    paths, depths = [], []
    for path in _PATHS:
        opened = (codes[:, path, 0] != _NONE).all(axis=1).astype(np.float64)[:, None]
        paths.append(np.hstack([opened, opened * operations[:, path].sum(axis=1)]))
        depths.append(opened[:, 0] * one_hot[:, path][:, :, _CONVOLUTIONS].sum(axis=(1, 2)))
    ways = sum(path[:, :1] for path in paths)
    depth = np.max(depths, axis=0)[:, None]
    flat = one_hot.reshape(len(genotypes), len(EDGES) * len(OPERATIONS))
    return np.hstack([flat, *paths, operations.sum(axis=1), np.asarray(ways), depth])
