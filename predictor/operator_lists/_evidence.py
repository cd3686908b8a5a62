"""What families left out say of a device: which prices hold, how far to trust the correction, how wrong both are.

Nothing here sees the rows that are to be predicted: each family of the training rows is held out in turn. What did well
counts more, by weights that fall exponentially with the error (exponentially weighted aggregation: Dalalyan & Tsybakov
2008), since a dozen families cannot tell one best way from the next best.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from predictor._conformal import NOMINAL_COVERAGE
from predictor.operator_lists._base import PRICINGS, PhysicalBase, PriceEquations, priced_terms
from predictor.operator_lists._correction import Correction, CostedNetworks, Strength
from predictor.operator_lists._kernels import FloatArray, OperatorLists
from predictor.operator_lists._shapes import ShapeFeatures
from predictor.operator_lists._terms import physical_terms

ROWS_A_FAMILY = 150
"""Judging needs no more rows of a family than this; the fit afterwards has all."""

STRENGTHS = (Strength(1e-3, 1e-3), Strength(0.03, 0.03), Strength(0.1, 0.1))
REFERENCE = 2
"""Of STRENGTHS, the one whose variance measures distance, whichever correct."""

_TEMPERATURE = 0.1
"""A way of predicting that errs by this share more than the best counts 1/e as much."""

_GROUP_PENALTY = 0.35
"""What each optional group of terms takes off the log of a pricing's weight: more terms extrapolate less well."""

_LARGEST_ERROR = 0.25
"""A family that is missed by more than this counts as missed, not as more than missed."""

_LEAST_WEIGHT = 1e-3
"""Ways that count less than this beside the best are not worth their computation."""

_LEAST_DEVIATION = 0.02
_FEWEST_FAMILIES = 3
_DEFAULT_PRICING, _DEFAULT_FACTOR, _DEFAULT_SPREAD, _DEFAULT_WITHIN = PRICINGS[0], 3.0, 0.1, 0.1

Labels = npt.NDArray[np.str_]


@dataclass(frozen=True, eq=False)
class Evidence:
    """What was found.

    Attributes:
        pricings: Weight of each of PRICINGS. Shape: (len(PRICINGS),).
        strengths: Weight of each of STRENGTHS for unseen families. Shape: (len(STRENGTHS),).
        factor: Multiple of an unseen family's deviation that makes a 90 % interval.
        spread: Root mean square log error on families left out, each alike.
        within: Half width of a 90 % interval, in log latency, around what a left-out family has in common.
    """

    pricings: FloatArray
    strengths: FloatArray
    factor: float
    spread: float
    within: float

    def prices(self, equations: PriceEquations, without: tuple[str, ...] = ()) -> FloatArray:
        """Return the weighted mean of prices, the constant last. Shape: (n_terms + 1,)."""
        used = np.flatnonzero(self.pricings)
        return np.asarray(sum(self.pricings[way] * equations.prices(PRICINGS[way], without) for way in used))


def gather_evidence(
    features: ShapeFeatures,
    networks: OperatorLists,
    latency_ms: FloatArray,
    families: Labels,
    equations: PriceEquations,
    seed: int,
) -> Evidence:
    """Leave out each family in turn.

    Args:
        features: Functions of kernels' shapes.
        networks: Measured networks of one device.
        latency_ms: Their latencies. Shape: (len(networks),).
        families: Their families. Shape: (len(networks),).
        equations: Of these and perhaps other networks, which are left out here.
        seed: Chooses the rows of large families.
    """
    names = np.unique(families).tolist()
    if len(names) < _FEWEST_FAMILIES:
        pricings = np.array([float(pricing == _DEFAULT_PRICING) for pricing in PRICINGS])
        return Evidence(pricings, np.eye(len(STRENGTHS))[REFERENCE], _DEFAULT_FACTOR, _DEFAULT_SPREAD, _DEFAULT_WITHIN)
    rng = np.random.default_rng(seed)
    chosen = np.concatenate([rng.permutation(np.flatnonzero(families == name))[:ROWS_A_FAMILY] for name in names])
    trial = _Trial(features, networks.selected(chosen), latency_ms[chosen], families[chosen], equations)
    prices = {name: trial.prices(name) for name in names}
    errors = np.concatenate([trial.base_errors(name, prices[name]) for name in names], axis=1)
    order = np.concatenate([np.flatnonzero(trial.families == name) for name in names])
    owner = trial.families[order]
    groups = np.array([len(pricing.form) for pricing in PRICINGS])
    pricings = _weights(errors, owner, _GROUP_PENALTY * groups)
    corrected = [trial.corrected(name, pricings @ prices[name]) for name in names]
    errors = np.concatenate([errors for errors, _ in corrected], axis=1)
    strengths = _weights(errors, owner, np.zeros(len(STRENGTHS)))
    mixed = strengths @ errors
    spread = float(np.sqrt(np.minimum(_family_means(mixed**2, owner), _LARGEST_ERROR).mean()))
    scores = np.abs(mixed) / np.concatenate([distances for _, distances in corrected])
    within = _grouped_quantile(np.abs(_centred(mixed, owner)), owner)
    return Evidence(pricings, strengths, _grouped_quantile(scores, owner), max(spread, _LEAST_DEVIATION), within)


class _Trial:
    """Some rows of each family, on which ways of predicting are tried with a family left out."""

    def __init__(
        self,
        features: ShapeFeatures,
        networks: OperatorLists,
        latency_ms: FloatArray,
        families: Labels,
        equations: PriceEquations,
    ) -> None:
        self.families = families
        self._features, self._networks, self._latency_ms, self._equations = features, networks, latency_ms, equations
        self._terms = physical_terms(networks.kernels)
        self._blocks = features.of(networks.kernels)
        self._others = tuple(np.setdiff1d(equations.families, families).tolist())

    def prices(self, name: str) -> FloatArray:
        """Return the prices of all pricings without one family. Shape: (len(PRICINGS), n_terms + 1)."""
        return np.stack([self._equations.prices(pricing, (name, *self._others)) for pricing in PRICINGS])

    def base_errors(self, name: str, prices: FloatArray) -> FloatArray:
        """Return log errors of each pricing on the family that was left out. Shape: (len(prices), n)."""
        own = self.families == name
        kernels, counts = self._networks.kernels, self._networks.counts[own]
        bases = [self._equations.base(row, (name, *self._others)) for row in prices]
        work = counts @ priced_terms(kernels, bases[0].seen, self._terms)
        bounds = np.stack([base.bound_ms(kernels) for base in bases], axis=1)
        total_ms = np.maximum(work @ prices[:, :-1].T + counts @ bounds + prices[:, -1], bases[0].least_ms)
        return np.asarray(np.log(self._latency_ms[own, None] / total_ms).T)

    def corrected(self, name: str, prices: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return log errors of each strength, and the deviations expected. Shapes: (len(STRENGTHS), n) and (n,)."""
        base = self._equations.base(prices, (name, *self._others))
        kernels = self._networks.kernels
        base_ms = base.priced(kernels, priced_terms(kernels, base.seen, self._terms))
        rows = CostedNetworks(self._networks.counts, kernels, self._blocks, base_ms, base.constant_ms)
        own = self.families == name
        train, test = rows.selected(~own), rows.selected(own)
        corrections = Correction.learned(self._features, train, self._latency_ms[~own], STRENGTHS, steps=1)
        errors = [np.log(self._latency_ms[own] / test.network_ms(each.weights)) for each in corrections]
        deviation = corrections[REFERENCE].spread(test)[1]
        return np.stack(errors), far_deviation(deviation, unseen_share(test, base))


def _weights(errors: FloatArray, families: Labels, penalties: FloatArray) -> FloatArray:
    """Return weights of ways of predicting from their errors. Shapes: (n_ways, n), (n,) and (n_ways,) to (n_ways,)."""
    by_family = np.stack([_family_means(np.abs(error), families) for error in errors])
    means = np.minimum(by_family, _LARGEST_ERROR).mean(axis=1)
    logs = -(means - means.min()) / (_TEMPERATURE * means.min()) - penalties
    weights = np.exp(logs - logs.max())
    weights[weights < _LEAST_WEIGHT] = 0.0
    return np.asarray(weights / weights.sum())


def far_deviation(deviation: FloatArray, unseen: FloatArray) -> FloatArray:
    """Return by how much a network of an unseen family may be off, up to a factor that evidence tells.

    Args:
        deviation: Standard deviation of the log latency by the reference correction. Shape: (n,).
        unseen: Share of the latency in kinds never seen. Shape: (n,).
    """
    return np.sqrt(_LEAST_DEVIATION**2 + deviation**2 + unseen**2)


def unseen_share(networks: CostedNetworks, base: PhysicalBase) -> FloatArray:
    """Return the share of each network's latency in kinds never seen. Shape: (n_networks,)."""
    unseen = ~base.seen[networks.kernels.kind]
    return np.asarray((networks.counts @ (networks.base_ms * unseen)) / (networks.counts @ networks.base_ms))


def _family_means(values: FloatArray, families: Labels) -> FloatArray:
    return np.array([values[families == name].mean() for name in np.unique(families)])


def _centred(values: FloatArray, families: Labels) -> FloatArray:
    """Return values less the median of their family. Shape: (n,)."""
    names, owner = np.unique(families, return_inverse=True)
    return np.asarray(values - np.array([np.median(values[families == name]) for name in names])[owner])


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
