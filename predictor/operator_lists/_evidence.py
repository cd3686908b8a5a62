"""What families left out say of a device: which prices hold, how far to trust the correction, how wrong both are.

Nothing here sees the rows that are to be predicted: each family of the training rows is held out in turn, and once all
large networks, since a new family may well be of a size that was never measured. What did well counts more, by weights
that fall exponentially with the error (exponentially weighted aggregation: Dalalyan & Tsybakov 2008), since a dozen
families cannot tell one best way from the next best.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from predictor._conformal import NOMINAL_COVERAGE
from predictor.operator_lists._base import (
    PRICINGS,
    PhysicalBase,
    PriceEquations,
    network_ms_by_base,
    priced_terms,
)
from predictor.operator_lists._correction import Correction, CostedNetworks, Strength
from predictor.operator_lists._kernels import FloatArray, IntArray, OperatorLists
from predictor.operator_lists._shapes import ShapeFeatures
from predictor.operator_lists._terms import physical_terms

ROWS_A_FAMILY = 150
"""Of a family no more rows than this are judged, nor do more teach the correction for unseen families: with more, it
would be surer of what one skeleton repeats than what was judged."""

STRENGTHS = (Strength(1e-3, 1e-3), Strength(0.03, 0.03), Strength(0.1, 0.1))
REFERENCE = 2
"""Of STRENGTHS, the one whose variance measures distance, whichever correct."""

_SMALL, _LARGE = 0.6, 0.85
"""Networks up to the first quantile of latencies tell prices that are tried on those from the second."""

_PRICING_TEMPERATURE, _STRENGTH_TEMPERATURE = 0.05, 0.3
"""A way of predicting that errs by this share more than the best counts 1/e as much. Strengths differ by less than what
a dozen families can tell."""

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

    def prices(self, equations: PriceEquations) -> FloatArray:
        """Return the weighted mean of prices, the constant last. Shape: (n_terms + 1,)."""
        used = np.flatnonzero(self.pricings)
        return np.asarray(sum(self.pricings[way] * equations.prices(PRICINGS[way]) for way in used))

    def bases(self, equations: PriceEquations) -> list[PhysicalBase]:
        """Return the bases of all pricings that count, in order."""
        return [equations.base(equations.prices(PRICINGS[way])) for way in np.flatnonzero(self.pricings)]

    def disagreement(self, networks: OperatorLists, bases: Sequence[PhysicalBase]) -> FloatArray:
        """Return by how much the log latencies of networks by `bases` deviate from each other. Shape: (n,)."""
        logs = np.log(network_ms_by_base(networks.kernels, networks.counts, bases))
        return disagreement(logs, self.pricings[np.flatnonzero(self.pricings)])


def some_of_each(families: Labels, seed: int) -> IntArray:
    """Return the numbers of at most ROWS_A_FAMILY rows of each family."""
    rng = np.random.default_rng(seed)
    rows = [rng.permutation(np.flatnonzero(families == name))[:ROWS_A_FAMILY] for name in np.unique(families)]
    return np.sort(np.concatenate(rows))


def gather_evidence(
    features: ShapeFeatures,
    networks: OperatorLists,
    latency_ms: FloatArray,
    families: Labels,
    equations: PriceEquations,
) -> Evidence:
    """Leave out each family in turn, then large networks.

    Args:
        features: Functions of kernels' shapes.
        networks: Measured networks of one device, some of each family.
        latency_ms: Their latencies. Shape: (len(networks),).
        families: Their families. Shape: (len(networks),).
        equations: Of all networks of the families, and perhaps of other families, which are left out here.
    """
    names = np.unique(families).tolist()
    if len(names) < _FEWEST_FAMILIES:
        pricings = np.array([float(pricing == _DEFAULT_PRICING) for pricing in PRICINGS])
        return Evidence(pricings, np.eye(len(STRENGTHS))[REFERENCE], _DEFAULT_FACTOR, _DEFAULT_SPREAD, _DEFAULT_WITHIN)
    trial = _Trial(features, networks, latency_ms, families, equations)
    folds = [*(trial.without_family(name) for name in names), trial.without_large()]
    prices = [fold.prices() for fold in folds]
    groups = np.array([len(pricing.form) for pricing in PRICINGS])
    base_errors = [trial.base_errors(fold, each) for fold, each in zip(folds, prices, strict=True)]
    pricings = _weights(base_errors, _GROUP_PENALTY * groups, _PRICING_TEMPERATURE)
    corrected = [
        trial.corrected(fold, pricings @ each, disagreement(errors.values, pricings))
        for fold, each, errors in zip(folds, prices, base_errors, strict=True)
    ]
    strengths = _weights([errors for errors, _ in corrected], np.zeros(len(STRENGTHS)), _STRENGTH_TEMPERATURE)
    mixed = np.concatenate([strengths @ errors.values for errors, _ in corrected[:-1]])
    owner = np.concatenate([errors.families for errors, _ in corrected[:-1]])
    spread = float(np.sqrt(np.minimum(_family_means(mixed**2, owner), _LARGEST_ERROR).mean()))
    scores = [np.abs(strengths @ errors.values) / distances for errors, distances in corrected]
    fold_of = np.repeat(np.arange(len(folds)), [len(each) for each in scores])
    factor = _grouped_quantile(np.concatenate(scores), fold_of)
    within = _grouped_quantile(np.abs(_centred(mixed, owner)), owner)
    return Evidence(pricings, strengths, factor, max(spread, _LEAST_DEVIATION), within)


@dataclass(frozen=True, eq=False)
class _Fold:
    """Rows to learn from and rows to predict; prices come from `equations` without some families."""

    equations: PriceEquations
    without: tuple[str, ...]
    train: npt.NDArray[np.bool_]
    test: npt.NDArray[np.bool_]

    def prices(self) -> FloatArray:
        """Return the prices of all pricings. Shape: (len(PRICINGS), n_terms + 1)."""
        return np.stack([self.equations.prices(pricing, self.without) for pricing in PRICINGS])

    def base(self, prices: FloatArray) -> PhysicalBase:
        """Return the base of prices."""
        return self.equations.base(prices, self.without)


@dataclass(frozen=True, eq=False)
class _Errors:
    """Log errors of ways of predicting on one fold. Shape of values: (n_ways, n), of families: (n,)."""

    values: FloatArray
    families: Labels


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

    def without_family(self, name: str) -> _Fold:
        """Return the fold that predicts one family from the others."""
        own = self.families == name
        return _Fold(self._equations, (name, *self._others), ~own, own)

    def without_large(self) -> _Fold:
        """Return the fold that predicts the large networks of all families from the small."""
        small, large = np.quantile(self._latency_ms, [_SMALL, _LARGE])
        train, test = self._latency_ms <= small, self._latency_ms >= large
        networks = OperatorLists(self._networks.kernels, self._networks.counts[train])
        equations = PriceEquations.of(networks, self._latency_ms[train], self.families[train], self._terms)
        return _Fold(equations, (), train, test)

    def base_errors(self, fold: _Fold, prices: FloatArray) -> _Errors:
        """Return log errors of each pricing on a fold, given its `prices`."""
        kernels, counts = self._networks.kernels, csr_array(self._networks.counts[fold.test])
        total_ms = network_ms_by_base(kernels, counts, [fold.base(row) for row in prices], self._terms)
        return _Errors(np.log(self._latency_ms[fold.test] / total_ms), self.families[fold.test])

    def corrected(self, fold: _Fold, prices: FloatArray, disagreement: FloatArray) -> tuple[_Errors, FloatArray]:
        """Return log errors of each strength, and the deviations expected. Shape of these: (n,)."""
        base = fold.base(prices)
        kernels = self._networks.kernels
        base_ms = base.priced(kernels, priced_terms(kernels, base.seen, self._terms))
        rows = CostedNetworks(self._networks.counts, kernels, self._blocks, base_ms, base.constant_ms)
        train, test = rows.selected(fold.train), rows.selected(fold.test)
        corrections = Correction.learned(self._features, train, self._latency_ms[fold.train], STRENGTHS, steps=1)
        errors = [np.log(self._latency_ms[fold.test] / test.network_ms(each.weights)) for each in corrections]
        deviation = corrections[REFERENCE].spread(test)[1]
        distances = far_deviation(deviation, unseen_share(test, base), disagreement)
        return _Errors(np.stack(errors), self.families[fold.test]), distances


def _weights(folds: Sequence[_Errors], penalties: FloatArray, temperature: float) -> FloatArray:
    """Return weights of ways of predicting; the last fold, of large networks, counts as much as all others together.

    Args:
        folds: Errors on each fold.
        penalties: What to take off the logs of the weights. Shape: (n_ways,).
        temperature: A way that errs by this share more than the best counts 1/e as much.
    """
    missed = [np.stack([_family_means(np.abs(error), fold.families) for error in fold.values]) for fold in folds]
    by_fold = np.stack([np.minimum(each, _LARGEST_ERROR).mean(axis=1) for each in missed])
    means = 0.5 * by_fold[:-1].mean(axis=0) + 0.5 * by_fold[-1]
    logs = -(means - means.min()) / (temperature * means.min()) - penalties
    weights = np.exp(logs - logs.max())
    weights[weights < _LEAST_WEIGHT] = 0.0
    return np.asarray(weights / weights.sum())


def disagreement(logs: FloatArray, weights: FloatArray) -> FloatArray:
    """Return the weighted standard deviation over ways. Shapes: (n_ways, n) and (n_ways,), of sum 1, to (n,)."""
    return np.asarray(np.sqrt(weights @ (logs - weights @ logs) ** 2))


def far_deviation(deviation: FloatArray, unseen: FloatArray, disagreement: FloatArray) -> FloatArray:
    """Return by how much a network of an unseen family may be off, up to a factor that evidence tells.

    Args:
        deviation: Standard deviation of the log latency by the reference correction. Shape: (n,).
        unseen: Share of the latency in kinds never seen. Shape: (n,).
        disagreement: By how much the log latencies by different pricings deviate from each other. Shape: (n,).
    """
    return np.sqrt(_LEAST_DEVIATION**2 + deviation**2 + unseen**2 + disagreement**2)


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


def _grouped_quantile(scores: FloatArray, families: Labels | IntArray) -> float:
    """Return what covers NOMINAL_COVERAGE of a new family, each family alike, with half a family to be safe.

    A whole family to be safe, as exchangeable families would ask for, widens intervals by a third on the published
    phones and covers 99 % there.
    """
    names, owner = np.unique(families, return_inverse=True)
    order = np.argsort(scores)
    covered = np.cumsum(1.0 / np.bincount(owner)[owner[order]] / len(names))
    position = int(np.searchsorted(covered, NOMINAL_COVERAGE + 0.5 / len(names)))
    return float(scores[order][min(position, len(scores) - 1)])
