"""Which measured networks are alike, so that models can be judged on networks unlike those that they learned from.

Networks of one search space share their skeleton; a random split tells only how well a model interpolates between
them. Two networks are the more alike, the more kinds of kernels (with window and stride) they share and the nearer
their sizes are. Groups form around networks that lie far from one another.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from predictor._features import FloatArray
from profiler.kernels import Kernel

if TYPE_CHECKING:
    from scipy.sparse import csr_array

LEAST_NETWORKS = 12
"""Fewer networks are not grouped: what is left would be too few to learn from."""

_MOST_GROUPS = 8
_LEAST_SHARE = 0.02
"""A group with less than this share of the networks joins its nearest: it would say little, and cost a fit."""

_MOST_SHARE = 0.75
"""One group with more than this is the whole table: leaving it out leaves nothing to learn from."""

_SIZE_WEIGHT = 0.5
"""An octave of a network's size, or of how often it has a kind, against one kind that it has or lacks."""


def network_groups(kernels: Sequence[Kernel], counts: csr_array) -> npt.NDArray[np.intp] | None:
    """Return the group of each network, or None when they cannot be told apart.

    Args:
        kernels: Different kernels.
        counts: How often each network has each. Shape: (n, len(kernels)).
    """
    count = counts.shape[0]
    if count < LEAST_NETWORKS:
        return None
    points = _compositions(kernels, counts)
    centres = _far_apart(points, min(_MOST_GROUPS, count // 4))
    groups = _nearest(points, points[centres])
    sizes = np.bincount(groups, minlength=len(centres))
    kept = [centre for centre, size in zip(centres, sizes, strict=True) if size >= max(_LEAST_SHARE * count, 2)]
    if len(kept) < 2:
        return None
    groups = _nearest(points, points[kept])
    sizes = np.bincount(groups)
    return groups if sizes.max() <= _MOST_SHARE * count else None


def _compositions(kernels: Sequence[Kernel], counts: csr_array) -> FloatArray:
    """Return what networks are made of, as points. Shape: (n, kinds + 1)."""
    labels = [_label(kernel) for kernel in kernels]
    names = {label: index for index, label in enumerate(dict.fromkeys(labels))}
    kinds = np.zeros((len(kernels), len(names)))
    kinds[np.arange(len(kernels)), [names[label] for label in labels]] = 1.0
    often = np.log2(1.0 + counts @ kinds)
    macs = np.array([kernel.network.cost().macs for kernel in kernels], dtype=np.float64)
    size = np.log2(1.0 + counts @ macs)
    return np.column_stack([(often > 0) + _SIZE_WEIGHT * often / 4.0, _SIZE_WEIGHT * size])


def _label(kernel: Kernel) -> tuple[object, ...]:
    anchor = kernel.anchor
    return kernel.family, getattr(anchor, "kernel", None), getattr(anchor, "stride", None)


def _far_apart(points: FloatArray, most: int) -> list[int]:
    """Return points of which each is the farthest from those before it; the first is the one nearest the middle."""
    chosen = [int(np.argmin(((points - np.median(points, axis=0)) ** 2).sum(axis=1)))]
    distance = ((points - points[chosen[0]]) ** 2).sum(axis=1)
    while len(chosen) < most and distance.max() > 0:
        chosen.append(int(np.argmax(distance)))
        distance = np.minimum(distance, ((points - points[chosen[-1]]) ** 2).sum(axis=1))
    return chosen


def _nearest(points: FloatArray, centres: FloatArray) -> npt.NDArray[np.intp]:
    squares = (points**2).sum(axis=1)[:, None] + (centres**2).sum(axis=1)[None, :] - 2 * points @ centres.T
    return np.asarray(squares.argmin(axis=1))
