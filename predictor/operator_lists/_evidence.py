"""What families left out say of a device: which form its base has, how far to trust the correction, how wrong both are.

Nothing here sees the rows that are to be predicted: each family of the training rows is held out in turn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from predictor._conformal import NOMINAL_COVERAGE
from predictor.operator_lists._base import PhysicalBase, network_ms
from predictor.operator_lists._correction import Correction, Strength
from predictor.operator_lists._kernels import FloatArray, OperatorLists
from predictor.operator_lists._shapes import ShapeFeatures
from predictor.operator_lists._terms import FORMS

ROWS_A_FAMILY = 150
"""Choosing needs no more rows of a family than this; the fit afterwards has all."""

STRENGTHS = (Strength(0.01, 0.01), Strength(0.03, 0.03), Strength(0.1, 0.1), Strength(0.2, 0.2))
REFERENCE = 2
"""Of STRENGTHS, the one whose variance measures distance, whichever one corrects."""

_LARGEST_ERROR = 0.25
"""A family that is missed by more than this counts as missed, not as more than missed."""

_LEAST_DEVIATION = 0.02
_FEWEST_FAMILIES = 3
_DEFAULT_FORM, _DEFAULT_STRENGTH, _DEFAULT_FACTOR, _DEFAULT_SPREAD = FORMS[2], 2, 3.0, 0.1

Labels = npt.NDArray[np.str_]


@dataclass(frozen=True)
class Evidence:
    """What was found.

    Attributes:
        form: Groups of terms of the base.
        strength: Number of the correction's strength for unseen families.
        factor: Multiple of an unseen family's deviation that makes a 90 % interval.
        spread: Root mean square log error on families left out, each alike.
    """

    form: frozenset[str]
    strength: int
    factor: float
    spread: float


def gather_evidence(
    features: ShapeFeatures, networks: OperatorLists, latency_ms: FloatArray, families: Labels, seed: int
) -> Evidence:
    """Leave out each family in turn.

    Args:
        features: Functions of kernels' shapes.
        networks: Measured networks of one device.
        latency_ms: Their latencies. Shape: (len(networks),).
        families: Their families. Shape: (len(networks),).
        seed: Chooses the rows of large families.
    """
    names = np.unique(families)
    if len(names) < _FEWEST_FAMILIES:
        return Evidence(_DEFAULT_FORM, _DEFAULT_STRENGTH, _DEFAULT_FACTOR, _DEFAULT_SPREAD)
    rng = np.random.default_rng(seed)
    chosen = np.concatenate([rng.permutation(np.flatnonzero(families == name))[:ROWS_A_FAMILY] for name in names])
    networks, latency_ms, families = networks.selected(chosen), latency_ms[chosen], families[chosen]
    folds = [(networks.selected(families != name), networks.selected(families == name), families != name)
             for name in names]  # fmt: skip
    form = min(FORMS, key=lambda form: _base_error(folds, latency_ms, form))
    errors = np.zeros((len(STRENGTHS), len(latency_ms)))
    distances = np.zeros(len(latency_ms))
    for train, test, kept in folds:
        base = PhysicalBase.fit(train, latency_ms[kept], form)
        corrections = Correction.fit(features, train, base, latency_ms[kept], STRENGTHS, steps=1)
        for number, correction in enumerate(corrections):
            errors[number, ~kept] = np.log(latency_ms[~kept] / correction.network_ms(test, base))
        deviation = corrections[REFERENCE].predict(test, base)[1]
        distances[~kept] = far_deviation(deviation, unseen_share(base, test))
    by_family = np.stack([_family_means(np.abs(error), families) for error in errors])
    strength = int(np.argmin(np.minimum(by_family, _LARGEST_ERROR).mean(axis=1)))
    spread = float(np.sqrt(np.minimum(_family_means(errors[strength] ** 2, families), _LARGEST_ERROR).mean()))
    scores = np.abs(errors[strength]) / distances
    return Evidence(form, strength, _grouped_quantile(scores, families), max(spread, _LEAST_DEVIATION))


def far_deviation(deviation: FloatArray, unseen: FloatArray) -> FloatArray:
    """Return by how much a network of an unseen family may be off, up to a factor that evidence tells.

    Args:
        deviation: Standard deviation of the log latency by the reference correction. Shape: (n,).
        unseen: Share of the latency in kinds never seen. Shape: (n,).
    """
    return np.sqrt(_LEAST_DEVIATION**2 + deviation**2 + unseen**2)


def unseen_share(base: PhysicalBase, networks: OperatorLists) -> FloatArray:
    """Return the share of each network's latency in kinds never seen. Shape: (len(networks),)."""
    kernel_ms = base.kernel_ms(networks.kernels)
    unseen = ~base.seen[networks.kernels.kind]
    return np.asarray((networks.counts @ (kernel_ms * unseen)) / (networks.counts @ kernel_ms))


def _base_error(
    folds: list[tuple[OperatorLists, OperatorLists, npt.NDArray[np.bool_]]],
    latency_ms: FloatArray,
    form: frozenset[str],
) -> float:
    errors = []
    for train, test, kept in folds:
        base = PhysicalBase.fit(train, latency_ms[kept], form)
        error = np.abs(np.log(latency_ms[~kept] / network_ms(base, test))).mean()
        errors.append(min(float(error), _LARGEST_ERROR))
    return float(np.mean(errors))


def _family_means(values: FloatArray, families: Labels) -> FloatArray:
    return np.array([values[families == name].mean() for name in np.unique(families)])


def _grouped_quantile(scores: FloatArray, families: Labels) -> float:
    """Return what covers NOMINAL_COVERAGE of a new family, each family alike, with half a family to be safe.

    A whole family to be safe, as exchangeable families would ask for, widens intervals by a third on the published
    phones and covers 99 % there.
    """
    names, owner = np.unique(families, return_inverse=True)
    order = np.argsort(scores)
    covered = np.cumsum(1.0 / np.bincount(owner)[owner[order]] / len(names))
    position = int(np.searchsorted(covered, NOMINAL_COVERAGE + 0.5 / len(names)))
    return float(scores[order][min(position, len(scores) - 1)])
