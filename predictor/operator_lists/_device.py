"""One device: base, correction, and what its families have in common, fitted on its own rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from predictor._conformal import calibrated_factor
from predictor.operator_lists._base import PhysicalBase, PriceEquations, Pricing
from predictor.operator_lists._correction import Correction, CostedNetworks, Strength
from predictor.operator_lists._evidence import (
    REFERENCE,
    STRENGTHS,
    Evidence,
    Labels,
    far_deviation,
    gather_evidence,
    some_of_each,
    unseen_share,
)
from predictor.operator_lists._family import FamilyEffect, family_coordinates
from predictor.operator_lists._kernels import FloatArray, KernelTable, OperatorLists
from predictor.operator_lists._shapes import ShapeFeatures
from predictor.operator_lists._terms import FORMS, READINGS, physical_terms

WELL_KNOWN = 100
"""With this many labels a family is known itself; with fewer it is what families left out say, moved by its labels."""

_NEAR_PRICINGS = tuple(Pricing(form, READINGS[0], 1e-4) for form in FORMS[-2:])
"""Both count alike; the last has terms that some kinds of networks are better off without."""

_NEAR_STRENGTH = Strength(0.25, 0.25)
_NEAR_COSINES, _NEAR_OCTAVES = 1000, 1.5
_NEAR_STEPS = 5
_NEAR_MISS = 0.035
"""Log error of a network that is taken for noise: its label's, and what kernels do not explain."""

_NEAR_SPREAD, _NEAR_NOISE = 0.02, 0.02
"""Of well-known families: what the correction leaves, and what one network repeats to, in log latency."""


@dataclass(frozen=True, eq=False)
class Estimate:
    """Predictions of networks.

    Attributes:
        log_ms: Log of the latencies in ms. Shape of this and below: (n,).
        half_width: Half width of the 90 % intervals, in log latency.
    """

    log_ms: FloatArray
    half_width: FloatArray

    def scattered(self, rows: np.ndarray, other: Estimate) -> None:
        """Take over another estimate's values at some rows."""
        self.log_ms[rows], self.half_width[rows] = other.log_ms, other.half_width


@dataclass(frozen=True, eq=False)
class KernelCosts:
    """What kernels cost: a base and the correction that was learned on it.

    Attributes:
        base: Prices of work.
        correction: Factors on them.
    """

    base: PhysicalBase
    correction: Correction

    @property
    def constant_ms(self) -> float:
        """Cost of a network before its first kernel."""
        return self.base.constant_ms

    def kernel_ms(self, kernels: KernelTable) -> FloatArray:
        """Return what each kernel costs. Shape: (len(kernels),)."""
        return self.base.kernel_ms(kernels) * self.correction.factors(kernels)

    def network_ms(self, networks: OperatorLists) -> FloatArray:
        """Return what each network costs. Shape: (len(networks),)."""
        return self.correction.network_ms(networks, self.base)

    def located(self, networks: OperatorLists) -> tuple[FloatArray, FloatArray]:
        """Return log latencies, and where networks of a family lie. Shapes: (len(networks),), (len(networks), d)."""
        kernel_ms = self.kernel_ms(networks.kernels)
        log_ms = np.log(networks.counts @ kernel_ms + self.constant_ms)
        return log_ms, family_coordinates(networks.counts, networks.kernels, kernel_ms)


@dataclass(frozen=True, eq=False)
class DeviceModel:
    """A device with rows enough of its own.

    Attributes:
        near: Base in full form and correction, for well-known families.
        far: Base in the form that evidence chose and correction, for the others.
        reference: Correction on that base whose variance says how far a network is.
        evidence: What families left out said.
        bases: Bases of the pricings that count for unseen families, whose disagreement is part of that distance.
        effects: Effects of families with labels.
        factors: Multiple of a well-known family's deviation that makes a 90 % interval.
    """

    near: KernelCosts
    far: KernelCosts
    reference: Correction
    evidence: Evidence
    bases: Sequence[PhysicalBase]
    effects: Mapping[str, FamilyEffect]
    factors: Mapping[str, float]

    @classmethod
    def fit(
        cls, features: ShapeFeatures, networks: OperatorLists, latency_ms: FloatArray, families: Labels, seed: int
    ) -> DeviceModel:
        """Fit a device.

        Args:
            features: Functions of kernels' shapes.
            networks: Measured networks.
            latency_ms: Their latencies, all > 0. Shape: (len(networks),).
            families: Their families. Shape: (len(networks),).
            seed: Of what is drawn.
        """
        names, counts = np.unique(families, return_counts=True)
        known = set(names[counts >= WELL_KNOWN].tolist())
        rows = some_of_each(families, seed)
        judged = rows[np.isin(families[rows], list(known))] if known else rows
        kernels = networks.kernels
        terms = physical_terms(kernels)
        equations = PriceEquations.of(networks, latency_ms, families, terms)
        evidence = gather_evidence(features, networks.selected(judged), latency_ms[judged], families[judged], equations)

        far_base = equations.base(evidence.prices(equations))
        far_rows = CostedNetworks.of(features, networks.selected(rows), far_base)
        corrections = Correction.learned(features, far_rows, latency_ms[rows], STRENGTHS, steps=1)
        mixed = sum(weight * each.weights for weight, each in zip(evidence.strengths, corrections, strict=True))
        far = replace(corrections[REFERENCE], weights=np.asarray(mixed))
        fine = ShapeFeatures.drawn(seed, cosines=_NEAR_COSINES, octaves=_NEAR_OCTAVES)
        near_base = equations.base(np.mean([equations.prices(pricing) for pricing in _NEAR_PRICINGS], axis=0))
        near_ms_of_kernels = near_base.priced(kernels, terms)
        near_rows = CostedNetworks(
            networks.counts, kernels, fine.of(kernels), near_ms_of_kernels, near_base.constant_ms
        )
        del terms  # Large, and done with.
        (near,) = Correction.learned(
            fine, near_rows, latency_ms, (_NEAR_STRENGTH,), steps=_NEAR_STEPS, noise=_NEAR_MISS
        )
        bases = evidence.bases(equations)
        model = cls(
            KernelCosts(near_base, near), KernelCosts(far_base, far), corrections[REFERENCE], evidence, bases, {}, {}
        )
        near_ms, deviation = near.spread(near_rows)
        left_out_scale = near.left_out_scale(deviation)
        near_kernel_ms = near_rows.kernel_ms(near.weights)
        effects, factors = {}, {}
        for name in names.tolist():
            own = families == name
            if name in known:
                coordinates = family_coordinates(networks.counts[own], kernels, near_kernel_ms)
                residuals = np.log(latency_ms[own] / near_ms[own])
                effect = FamilyEffect.fit(coordinates, residuals, _NEAR_SPREAD, _NEAR_NOISE)
                factors[name] = calibrated_factor(np.abs(effect.left_out()) * left_out_scale[own] / _NEAR_NOISE)
            else:
                log_ms, coordinates = model.far.located(networks.selected(own))
                effect = FamilyEffect.fit(coordinates, np.log(latency_ms[own]) - log_ms, evidence.spread, _NEAR_NOISE)
            effects[name] = effect
        return replace(model, effects=effects, factors=factors)

    def estimate(self, networks: OperatorLists, families: Labels) -> Estimate:
        """Predict networks.

        Args:
            networks: Networks to predict.
            families: Their families. Shape: (len(networks),).
        """
        estimate = Estimate(np.zeros(len(networks)), np.zeros(len(networks)))
        for name in np.unique(families).tolist():
            rows = np.flatnonzero(families == name)
            estimate.scattered(rows, self._family_estimate(networks.selected(rows), name))
        return estimate

    def _family_estimate(self, networks: OperatorLists, family: str) -> Estimate:
        costs = self.near if family in self.factors else self.far
        effect, unexplained = np.zeros(len(networks)), np.ones(len(networks))
        log_ms, coordinates = costs.located(networks)
        if family in self.effects:
            effect, unexplained = self.effects[family].predict(coordinates)
        log_ms = log_ms + effect
        if family in self.factors:
            spread = np.sqrt(_NEAR_NOISE**2 + _NEAR_SPREAD**2 * unexplained)
            return Estimate(log_ms, self.factors[family] * spread)
        rows = CostedNetworks.of(self.reference.features, networks, self.far.base)
        deviation = self.reference.spread(rows)[1]
        far = self.evidence.factor * far_deviation(
            deviation, unseen_share(rows, self.far.base), self.evidence.disagreement(networks, self.bases)
        )
        alone = far**2 + (self._typical_factor() * _NEAR_NOISE) ** 2
        return Estimate(log_ms, np.sqrt(alone * unexplained + self.evidence.within**2 * (1.0 - unexplained)))

    def _typical_factor(self) -> float:
        return float(np.median(list(self.factors.values()))) if self.factors else 2.0
