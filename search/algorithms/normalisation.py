"""Owns the normalisation of NSGA-III: objectives of unlike units brought to one scale.

The hyperplane is found anew from each generation's candidates and nothing is carried over: accuracies
under shared weights move from one generation to the next, so an old extreme point describes nothing.
"""

from __future__ import annotations

import numpy as np

from search.algorithms.sorting import Floats, Indices

_OFF_AXIS = 1e6
"""Inverse of the weight 1e-6 that Deb & Jain give to all axes but one in the achievement function."""

_SMALLEST_RANGE = 1e-6
"""An intercept closer to the ideal point than this share of the range is taken for a degenerate plane."""

_TIE = 1e-9
"""Differences to the ideal below this share of the range are rounding, and count as none."""


def normalise(objectives: Floats, first_front: Indices) -> Floats:
    """Translate the ideal point to the origin and the nadir estimate to (1, ..., 1).

    Args:
        objectives: To be minimised, finite. Shape: (n, m).
        first_front: Rows that no candidate dominates; the extreme points are sought among them.

    Returns:
        Normalised objectives, >= 0; an objective in which all candidates are equal becomes 0.
        Shape: (n, m).

    Source: Deb & Jain 2014, alg. 2. We differ in scaling by the range of all candidates first, so that
    the extreme points do not depend on the units of the objectives.
    """
    ideal = objectives.min(axis=0)
    span = objectives.max(axis=0) - ideal
    scaled = (objectives - ideal) / np.where(span > 0, span, 1.0)
    front = scaled[first_front]
    nadir = _intercepts(_extreme_points(front))
    if nadir is None:
        nadir = front.max(axis=0)
    nadir = np.minimum(nadir, 1.0)
    normalised: Floats = scaled / np.where(nadir > _SMALLEST_RANGE, nadir, 1.0)
    return normalised


def _extreme_points(front: Floats) -> Floats:
    """For each axis, the point that is nearest to it: the one with the least achievement value."""
    axes = front.shape[1]
    weights = np.where(np.eye(axes, dtype=bool), 1.0, _OFF_AXIS)
    without_ties = np.where(front < _TIE, 0.0, front)
    achievement = (without_ties[None, :, :] * weights[:, None, :]).max(axis=2)
    extremes: Floats = front[achievement.argmin(axis=1)]
    return extremes


def _intercepts(extremes: Floats) -> Floats | None:
    """Where the plane through the extreme points meets the axes; None when there is no such plane."""
    ones = np.ones(len(extremes))
    try:
        plane = np.linalg.solve(extremes, ones)
    except np.linalg.LinAlgError:
        return None
    if not np.allclose(extremes @ plane, ones):
        return None
    # A plane along an axis meets it nowhere: all candidates lie on this side of it.
    with np.errstate(divide="ignore"):
        intercepts = np.asarray(1.0 / plane, dtype=np.float64)
    return intercepts if (intercepts > _SMALLEST_RANGE).all() else None
