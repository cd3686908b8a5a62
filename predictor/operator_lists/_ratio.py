"""The ratio of two devices: a smooth factor on every kernel of one that makes the networks of the other.

Log factors are draws from a Gaussian process over kernels: an offset a kind, slopes in what a kernel is bound by, and a
smooth function of the shape; what each kernel and each network costs besides may change, too. Networks are sums of
kernels, so rows see the process through the sum, linearised around the best factors so far (Gauss-Newton).

How wide the parts of the process are is not assumed: widths are drawn from a broad prior, and each draw counts by how
likely it makes the rows (a Bayesian average, as in Rasmussen & Williams 2006, ch. 5, by importance sampling).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from scipy.sparse import csr_array
from scipy.special import logsumexp

from predictor.operator_lists._correction import CostBase
from predictor.operator_lists._evidence import Labels
from predictor.operator_lists._kernels import CONVOLUTIONS, KINDS, FloatArray, OperatorLists
from predictor.operator_lists._shapes import ShapeFeatures
from predictor.operator_lists._terms import input_elements, macs, output_elements

Weights = Mapping[str, FloatArray]
"""Of each group of directions, how far the ratio goes in each."""

_USUAL_WIDTHS: Mapping[str, float] = MappingProxyType(
    {"level": 0.1, "kinds": 0.12, "bounds": 0.08, "shapes": 0.08, "overhead": 0.3, "families": 0.01, "noise": 0.02}
)
"""Standard deviations, in log latency, from which draws of widths start. Between devices of one sort kinds differ by
tens of percent, and shapes within a kind by less; a network repeats to about 2 %."""

_DOUBT: Mapping[str, float] = MappingProxyType(
    {"level": 0.5, "kinds": 0.6, "bounds": 0.6, "shapes": 0.6, "overhead": 0.6, "families": 0.6, "noise": 0.4}
)
"""Standard deviations of the logs of the widths."""

_DRAWS = 128
_STEPS = 3
_LEAST_SHARE = 1e-3
_OUTLIER_DEVIATIONS = 3.0
"""A row that all others predict worse than this counts the less, the worse it is: labels hold throttled runs."""

_LEAST_DEVIATION = 1e-3
_LARGEST_LOG = 2.0
_LEAST_REMAINDER = 0.3
_OVERHEAD_SHARE = 0.1
"""Unit in which the time of a kernel besides its work may change, as a share of a mean kernel."""


@dataclass(frozen=True, eq=False)
class _Moved:
    """Networks whose kernels cost what they do on one device, times factors.

    Attributes:
        networks: The networks.
        kernel_ms: Cost of each kernel. Shape: (len(networks.kernels),).
        constant_ms: Cost of a network before its first kernel.
        bounds: What each kernel is bound by. Shape: (len(networks.kernels), 2).
        features: Functions of kernels' shapes.
    """

    networks: OperatorLists
    kernel_ms: FloatArray
    constant_ms: float
    bounds: FloatArray
    features: ShapeFeatures

    @classmethod
    def of(cls, features: ShapeFeatures, networks: OperatorLists, costs: CostBase) -> _Moved:
        return cls(networks, costs.kernel_ms(networks.kernels), costs.constant_ms, _bounds(networks), features)

    @property
    def executed(self) -> FloatArray:
        """How many kernels each network executes. Shape: (len(networks),)."""
        return np.asarray(self.networks.counts.sum(axis=1), dtype=np.float64).ravel()

    def total_ms(self) -> FloatArray:
        """Return latencies without factors. Shape: (len(networks),)."""
        return np.asarray(self.networks.counts @ self.kernel_ms + self.constant_ms)

    def linearised(self, weights: Weights, unit_ms: float) -> tuple[FloatArray, dict[str, FloatArray]]:
        """Return the log factor of networks at some weights, and its slopes in each group's directions.

        Args:
            weights: Where; none for all 0.
            unit_ms: Unit of what each kernel costs besides its work.

        Returns:
            Shapes: (len(networks),), and of each group (len(networks), width).
        """
        counts, kernels, executed = self.networks.counts, self.networks.kernels, self.executed
        blocks = self.features.of(kernels)
        kernel_ms, constant_ms, besides_ms = self.kernel_ms, self.constant_ms, 0.0
        if weights:
            logs = weights["kinds"][kernels.kind] + self.bounds @ weights["bounds"]
            start = 0
            for own, cosines in blocks:
                logs[own] += cosines @ weights["shapes"][start : start + cosines.shape[1]]
                start += cosines.shape[1]
            kernel_ms = kernel_ms * np.exp(np.clip(logs, -_LARGEST_LOG, _LARGEST_LOG))
            besides_ms = float(weights["overhead"][0]) * unit_ms
            constant_ms *= float(np.exp(np.clip(weights["overhead"][1], -_LARGEST_LOG, _LARGEST_LOG)))
        worked_ms = counts @ kernel_ms + constant_ms
        total_ms = np.maximum(worked_ms + besides_ms * executed, _LEAST_REMAINDER * worked_ms)
        kinds = csr_array((kernel_ms, (np.arange(len(kernels)), kernels.kind)), shape=(len(kernels), len(KINDS)))
        slopes_ms = {
            "level": total_ms[:, None],
            "kinds": (counts @ kinds).toarray(),
            "bounds": counts @ (kernel_ms[:, None] * self.bounds),
            "shapes": np.concatenate([counts[:, own] @ (part * kernel_ms[own, None]) for own, part in blocks], axis=1),
            "overhead": np.stack([executed * unit_ms, np.full(len(total_ms), constant_ms)], axis=1),
        }
        slopes = {group: np.asarray(part / total_ms[:, None]) for group, part in slopes_ms.items()}
        return np.log(total_ms / self.total_ms()), slopes


def _bounds(networks: OperatorLists) -> FloatArray:
    """Return work an element moved, and elements moved, in steps of 3 and 4 octaves. Shape: (n_kernels, 2)."""
    kernels = networks.kernels
    weights = np.where(kernels.is_kind(*CONVOLUTIONS), kernels.channels * kernels.filters * kernels.window**2, 0.0)
    moved = np.maximum(input_elements(kernels) + output_elements(kernels) + weights, 1.0)
    intensity = np.log2(np.maximum(macs(kernels), 1.0) / moved)
    return np.stack([intensity / 3.0 - 1.0, (np.log2(moved) - 17.0) / 4.0], axis=1)


@dataclass(frozen=True, eq=False)
class DeviceRatio:
    """What few rows say of the ratio of a new device to another.

    Attributes:
        rows: The rows' networks on the other device, at unit factors.
        families: Families of the rows. Shape: (n,).
        doubt: How well the other device itself is known on the rows, as a deviation of the log. Shape: (n,).
        around: Where the process is made linear.
        unit_ms: Unit of what each kernel costs besides its work.
        shares: Of the draws of widths that rows leave standing. Shape: (draws,).
        widths: Those draws. Shape of each: (draws,).
        solved: Inverse covariance times the rows' residuals. Shape: (draws, n).
        inverse: Inverse covariances of the rows. Shape: (draws, n, n).
        slopes: Of the rows, in each group's directions. Shape of each: (n, width).
        log_evidence: Log density of the rows.
        left_out: Of each row, |error| over deviation when all others predict it. Shape: (n,).
    """

    rows: _Moved
    families: Labels
    doubt: FloatArray
    around: Weights
    unit_ms: float
    shares: FloatArray
    widths: Weights
    solved: FloatArray
    inverse: FloatArray
    slopes: Weights
    log_evidence: float
    left_out: FloatArray

    @classmethod
    def fit(
        cls,
        features: ShapeFeatures,
        networks: OperatorLists,
        families: Labels,
        costs: CostBase,
        log_ratio: FloatArray,
        doubt: FloatArray,
    ) -> DeviceRatio:
        """Learn a ratio.

        Args:
            features: Functions of kernels' shapes.
            networks: Networks measured on the new device.
            families: Their families. Shape: (n,), n >= 1.
            costs: What kernels cost on the other device.
            log_ratio: Log of the new device's latency over the other's, less what is typical. Shape: (n,).
            doubt: Deviation to which the log of the other's latency is known. Shape: (n,).
        """
        rows = _Moved.of(features, networks, costs)
        unit_ms = _OVERHEAD_SHARE * float(np.median(rows.total_ms() / rows.executed))
        widths = _draws()
        alike = np.equal(families[:, None], families)
        found: Weights = {}
        caution = np.ones(len(log_ratio))
        for _ in range(_STEPS):
            around = found
            reached, slopes = rows.linearised(around, unit_ms)
            target = log_ratio - reached + _linear(slopes, around)
            parts = {group: part @ part.T for group, part in slopes.items()}
            covariance = (
                sum(widths[group][:, None, None] ** 2 * part for group, part in parts.items())
                + alike * (widths["families"][:, None, None] ** 2 + np.outer(doubt, doubt))
                + widths["noise"][:, None, None] ** 2 * np.diag(caution)
            )
            inverse = np.asarray(np.linalg.inv(covariance), dtype=np.float64)
            solved = inverse @ target
            density = 0.5 * (np.linalg.slogdet(inverse)[1] - solved @ target - len(target) * np.log(2 * np.pi))
            log_evidence = logsumexp(density) - np.log(_DRAWS)
            shares = np.exp(density - logsumexp(density))
            found = {group: part.T @ ((shares * widths[group] ** 2) @ solved) for group, part in slopes.items()}
            left_out = _left_out(shares, solved, inverse)
            caution = np.maximum(1.0, left_out / _OUTLIER_DEVIATIONS) ** 2
        kept = shares > _LEAST_SHARE * shares.max()
        return cls(
            rows=rows, families=families, doubt=doubt, around=around, unit_ms=unit_ms,
            shares=shares[kept] / shares[kept].sum(), widths={name: drawn[kept] for name, drawn in widths.items()},
            solved=solved[kept], inverse=inverse[kept], slopes=slopes, log_evidence=float(log_evidence),
            left_out=left_out,
        )  # fmt: skip

    def predict(
        self, networks: OperatorLists, families: Labels, costs: CostBase, doubt: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Return log ratios of networks beyond what is typical, and the deviations of a label from them.

        Args:
            networks: Networks to predict.
            families: Their families. Shape: (m,).
            costs: What kernels cost on the other device.
            doubt: Deviation to which the log of the other's latency is known. Shape: (m,).
        """
        moved = _Moved.of(self.rows.features, networks, costs)
        reached, slopes = moved.linearised(self.around, self.unit_ms)
        alike = np.equal(families[:, None], self.families)
        between = {group: part @ self.slopes[group].T for group, part in slopes.items()}
        alone = {group: (part**2).sum(axis=1) for group, part in slopes.items()}
        mean, square = np.zeros(len(networks)), np.zeros(len(networks))
        for draw, share in enumerate(self.shares):
            width = {name: float(drawn[draw]) for name, drawn in self.widths.items()}
            common = alike * (width["families"] ** 2 + np.outer(doubt, self.doubt))
            cross = common + sum(width[group] ** 2 * part for group, part in between.items())
            prior = sum(width[group] ** 2 * part for group, part in alone.items())
            prior = prior + width["families"] ** 2 + doubt**2 + width["noise"] ** 2
            own = cross @ self.solved[draw]
            mean += share * own
            square += share * (own**2 + prior - ((cross @ self.inverse[draw]) * cross).sum(axis=1))
        deviation = np.sqrt(np.maximum(square - mean**2, _LEAST_DEVIATION**2))
        return reached - _linear(slopes, self.around) + mean, deviation


def _draws() -> dict[str, FloatArray]:
    """Return widths of all parts; the first draw is the usual one. Shape of each: (_DRAWS,)."""
    logs = np.random.default_rng(0).standard_normal((len(_USUAL_WIDTHS), _DRAWS))
    logs[:, 0] = 0.0
    return {
        name: usual * np.exp(_DOUBT[name] * log) for (name, usual), log in zip(_USUAL_WIDTHS.items(), logs, strict=True)
    }


def _linear(slopes: Weights, weights: Weights) -> FloatArray | float:
    return sum((slopes[group] @ weight for group, weight in weights.items() if group != "level"), 0.0)


def _left_out(shares: FloatArray, solved: FloatArray, inverse: FloatArray) -> FloatArray:
    """Return, of each row, |error| over deviation when all others predict it, over all draws. Shape: (n,)."""
    variance = 1.0 / np.diagonal(inverse, axis1=1, axis2=2)
    error = solved * variance
    mean = shares @ error
    return np.asarray(np.abs(mean) / np.sqrt(shares @ (variance + error**2) - mean**2))
