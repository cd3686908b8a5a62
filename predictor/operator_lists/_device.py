"""One device: base, correction, and what its families have in common, fitted on its own rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from predictor._conformal import calibrated_factor
from predictor.operator_lists._base import PhysicalBase
from predictor.operator_lists._correction import Correction, Strength
from predictor.operator_lists._evidence import (
    REFERENCE,
    STRENGTHS,
    Evidence,
    Labels,
    far_deviation,
    gather_evidence,
    unseen_share,
)
from predictor.operator_lists._family import FamilyEffect, family_coordinates
from predictor.operator_lists._kernels import FloatArray, KernelTable, OperatorLists
from predictor.operator_lists._shapes import ShapeFeatures
from predictor.operator_lists._terms import FORMS

WELL_KNOWN = 100
"""With this many labels a family is known itself; with fewer it is what families left out say, moved by its labels."""

_NEAR_STRENGTH = Strength(0.3, 0.3)
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

    def coordinates(self, networks: OperatorLists) -> FloatArray:
        """Return where networks of a family lie. Shape: (len(networks), d)."""
        return family_coordinates(networks, self.kernel_ms(networks.kernels))


@dataclass(frozen=True, eq=False)
class DeviceModel:
    """A device with rows enough of its own.

    Attributes:
        near: Base in full form and correction, for well-known families.
        far: Base in the form that evidence chose and correction, for the others.
        reference: Correction on that base whose variance says how far a network is.
        evidence: What families left out said.
        effects: Effects of families with labels.
        factors: Multiple of a well-known family's deviation that makes a 90 % interval.
    """

    near: KernelCosts
    far: KernelCosts
    reference: Correction
    evidence: Evidence
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
        is_known = np.isin(families, list(known))
        evidence = (
            gather_evidence(features, networks.selected(is_known), latency_ms[is_known], families[is_known], seed)
            if known
            else gather_evidence(features, networks, latency_ms, families, seed)
        )
        near_base = PhysicalBase.fit(networks, latency_ms, FORMS[-1])
        (near,) = Correction.fit(features, networks, near_base, latency_ms, (_NEAR_STRENGTH,))
        far_base = PhysicalBase.fit(networks, latency_ms, evidence.form)
        strengths = (STRENGTHS[REFERENCE], STRENGTHS[evidence.strength])
        reference, far = Correction.fit(features, networks, far_base, latency_ms, strengths, steps=2)
        model = cls(KernelCosts(near_base, near), KernelCosts(far_base, far), reference, evidence, {}, {})
        effects, factors = {}, {}
        for name in names.tolist():
            own, own_ms = networks.selected(families == name), latency_ms[families == name]
            costs = model.near if name in known else model.far
            spread = _NEAR_SPREAD if name in known else evidence.spread
            predicted_ms, deviation = costs.correction.predict(own, costs.base)
            residuals = np.log(own_ms / predicted_ms)
            effect = FamilyEffect.fit(costs.coordinates(own), residuals, spread, _NEAR_NOISE)
            effects[name] = effect
            if name in known:
                left_out = np.abs(effect.left_out()) * near.left_out_scale(deviation)
                factors[name] = calibrated_factor(left_out / _NEAR_NOISE)
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
        if family in self.effects:
            effect, unexplained = self.effects[family].predict(costs.coordinates(networks))
        log_ms = np.log(costs.network_ms(networks)) + effect
        if family in self.factors:
            spread = np.sqrt(_NEAR_NOISE**2 + _NEAR_SPREAD**2 * unexplained)
            return Estimate(log_ms, self.factors[family] * spread)
        deviation = self.reference.predict(networks, self.far.base)[1]
        far = self.evidence.factor * far_deviation(deviation, unseen_share(self.far.base, networks))
        return Estimate(log_ms, np.sqrt(far**2 * unexplained + (self._typical_factor() * _NEAR_NOISE) ** 2))

    def _typical_factor(self) -> float:
        return float(np.median(list(self.factors.values()))) if self.factors else 2.0
