"""Smooth factors on kernels' costs, learned from rows that are sums: whole networks, or kernels alone.

Each kernel costs base * exp(f), with f a Gaussian process over kernels: one level, an offset for each family, a
smooth function of the coordinates within a family, and, when given, further directions. A row shows the process only
through the sum over its kernels, so the logarithm of the sum is made linear around the present factors, and solved
again (Gauss-Newton). The process is held as f = features . weights with weights of unit normal prior, exact at
the kernels of the rows when these are few enough: so sums over thousands of networks are products of matrices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt

from predictor._composition import Composition
from predictor._features import FloatArray, activation_megabytes, coordinates
from predictor._gaussian import matern
from profiler.kernels import Kernel

if TYPE_CHECKING:
    from scipy.sparse import csr_array

MOST_ANCHORS = 300
"""Kernels that carry the smooth function; the cost grows with the square, the gain ends when they lie densely."""

_RESOLVED = 1e-3
"""Share of the smooth function's variance below which a further anchor adds nothing."""

_HUBER = 3.0
"""Residuals beyond this many deviations pull with constant force: labels hold throttled runs."""

_MOST_FACTOR = np.log(1e3)
"""Bound of a log factor: one step of a linearised sum must not end in overflow."""

_LEAST_REMAINDER = 1e-6
_DEVIATIONS_IN_MEDIAN = 1.4826


@dataclass(frozen=True, eq=False)
class LabelledRows:
    """Measured rows as bags of kernels.

    Attributes:
        kernels: Different kernels.
        counts: How often each row has each kernel. Shape: (rows, len(kernels)).
        alone: Whether a row is one kernel run by itself; else it is a network. Shape: (rows,).
        latency_ms: Measured latencies, > 0. Shape: (rows,).
    """

    kernels: tuple[Kernel, ...]
    counts: csr_array
    alone: npt.NDArray[np.bool_]
    latency_ms: FloatArray

    @classmethod
    def of(
        cls,
        kernels: Sequence[Kernel],
        kernel_ms: FloatArray,
        networks: Sequence[Sequence[Kernel]],
        network_ms: FloatArray,
    ) -> Self:
        """Make rows of kernels alone, then networks given as their kernels, repeated ones repeatedly."""
        bags = [(kernel,) for kernel in kernels] + [tuple(network) for network in networks]
        different, counts = count_kernels(bags)
        alone = np.arange(len(bags)) < len(kernels)
        return cls(different, counts, alone, np.concatenate([kernel_ms, network_ms]))

    def subset(self, chosen: npt.NDArray[np.bool_] | npt.NDArray[np.intp]) -> LabelledRows:
        """Return some of the rows, with all kernels."""
        return replace(self, counts=self.counts[chosen], alone=self.alone[chosen], latency_ms=self.latency_ms[chosen])

    def __len__(self) -> int:
        return len(self.latency_ms)


def count_kernels(bags: Sequence[Sequence[Kernel]]) -> tuple[tuple[Kernel, ...], csr_array]:
    """Return the different kernels of bags in order of appearance, and how often each bag has each."""
    from scipy.sparse import csr_array

    index: dict[Kernel, int] = {}
    columns = [index.setdefault(kernel, len(index)) for bag in bags for kernel in bag]
    rows = np.repeat(np.arange(len(bags)), [len(bag) for bag in bags])
    counts = csr_array((np.ones(len(columns)), (rows, columns)), shape=(len(bags), len(index)))
    counts.sum_duplicates()
    return tuple(index), counts


@dataclass(frozen=True)
class FactorPrior:
    """How far kernels' costs may lie from the base, before rows speak: standard deviations of the log factor.

    Attributes:
        level: Of one factor on all kernels, >= 0.
        family: Of a factor on each family beyond that.
        shape: Of the smooth function within a family beyond that.
        octaves: Distance between configurations over which the smooth function keeps its value, > 0.
        noise: Of a row's own error, > 0.
        directions: Of the weight of each further direction.
    """

    level: float
    family: float
    shape: float
    octaves: float = 2.0
    noise: float = 0.02
    directions: tuple[float, ...] = ()

    def scaled(self, strength: float) -> FactorPrior:
        """Return the prior with families and shapes free to move so many times as far; level and noise stay."""
        return replace(self, family=self.family * strength, shape=self.shape * strength)


@dataclass(frozen=True, eq=False)
class UnitFeatures:
    """Kernels as a process sees them, however far it moves.

    Attributes:
        columns: Level, families, smooth function and directions, each of unit variance. Shape: (n, width).
        unresolved: Share of the smooth function's variance that the columns leave out. Shape: (n,).
        foreign: Whether a kernel's family has no offset. Shape: (n,).
    """

    columns: FloatArray
    unresolved: FloatArray
    foreign: npt.NDArray[np.bool_]

    def taken(self, chosen: npt.NDArray[np.intp]) -> UnitFeatures:
        """Return some of the kernels."""
        return UnitFeatures(self.columns[chosen], self.unresolved[chosen], self.foreign[chosen])


@dataclass(frozen=True, eq=False)
class FactorProcess:
    """The process as features with unit normal weights: level, families, smooth function, directions.

    Attributes:
        prior: How far it moves.
        families: Families with an offset of their own, sorted.
        anchors: Coordinates of the kernels that carry the smooth function. Shape: (a, len(COORDINATES)).
        anchor_families: Index of each anchor's family. Shape: (a,).
    """

    prior: FactorPrior
    families: tuple[str, ...]
    anchors: FloatArray
    anchor_families: npt.NDArray[np.int32]

    @classmethod
    def over(
        cls,
        kernels: Sequence[Kernel],
        prior: FactorPrior,
        most_anchors: int = MOST_ANCHORS,
        *,
        points: FloatArray | None = None,
    ) -> Self:
        """Lay a process over kernels; the anchors are chosen where they tell most (pivoted Cholesky).

        Args:
            kernels: Kernels of rows. Length n.
            prior: How far it moves.
            most_anchors: Most kernels that carry the smooth function.
            points: Coordinates of the kernels, when these are known. Shape: (n, len(COORDINATES)).
        """
        families = tuple(sorted({kernel.family for kernel in kernels}))
        own = _family_indices(kernels, families)
        points = coordinates(kernels) if points is None else points
        chosen = _pivots(points / prior.octaves, own, most_anchors)
        return cls(prior, families, points[chosen], own[chosen].astype(np.int32))

    @property
    def width(self) -> int:
        """Number of features."""
        return 1 + len(self.families) + len(self.anchors) + len(self.prior.directions)

    def with_prior(self, prior: FactorPrior) -> FactorProcess:
        """Return the process over the same anchors with another prior."""
        return replace(self, prior=prior)

    def features(
        self, kernels: Sequence[Kernel], directions: FloatArray | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """Return features of kernels, and the variance of the log factor that these leave out.

        Args:
            kernels: Any kernels. Length n.
            directions: Values of the further directions. Shape: (n, len(prior.directions)).

        Returns:
            Arrays of shapes (n, width) and (n,). The second grows to the whole prior variance of the smooth
            function far from all anchors, and to that of a family's offset as well for a family never seen.
        """
        return self.scaled(self.unit(kernels, directions))

    def unit(
        self, kernels: Sequence[Kernel], directions: FloatArray | None = None, *, points: FloatArray | None = None
    ) -> UnitFeatures:
        """Return what of the features does not depend on how far the process moves, which takes the time.

        Args:
            kernels: Any kernels. Length n.
            directions: Values of the further directions. Shape: (n, len(prior.directions)).
            points: Coordinates of the kernels, when these are known. Shape: (n, len(COORDINATES)).
        """
        own = _family_indices(kernels, self.families)
        known = own >= 0
        columns = np.zeros((len(own), self.width))
        columns[:, 0] = 1.0
        columns[known, 1 + own[known]] = 1.0
        start = 1 + len(self.families)
        smooth = columns[:, start : start + len(self.anchors)]
        self._fill_smooth(smooth, coordinates(kernels) if points is None else points, own)
        if self.prior.directions:
            if directions is None or directions.shape != (len(own), len(self.prior.directions)):
                raise ValueError(f"{len(self.prior.directions)} directions are needed for each kernel")
            columns[:, start + len(self.anchors) :] = directions
        unresolved = np.maximum(1.0 - np.einsum("ij,ij->i", smooth, smooth), 0.0)
        return UnitFeatures(columns, unresolved, ~known)

    def scaled(self, unit: UnitFeatures) -> tuple[FloatArray, FloatArray]:
        """Return features and left-out variance as `features` does."""
        return unit.columns * self.scales, self.left_out(unit)

    def left_out(self, unit: UnitFeatures) -> FloatArray:
        """Return the variance of the log factor that the features leave out. Shape: (n,)."""
        prior = self.prior
        return np.asarray(prior.shape**2 * unit.unresolved + np.where(unit.foreign, prior.family**2, 0.0))

    @property
    def scales(self) -> FloatArray:
        """Standard deviation of each feature. Shape: (width,)."""
        prior = self.prior
        each = ((prior.level, 1), (prior.family, len(self.families)), (prior.shape, len(self.anchors)))
        return np.concatenate([*(np.full(count, value) for value, count in each), np.array(prior.directions)])

    def covariance(
        self,
        left: Sequence[Kernel],
        right: Sequence[Kernel],
        left_directions: FloatArray | None = None,
        right_directions: FloatArray | None = None,
    ) -> FloatArray:
        """Return the prior covariance of log factors that features carry. Shape: (len(left), len(right))."""
        return np.asarray(self.features(left, left_directions)[0] @ self.features(right, right_directions)[0].T)

    def _fill_smooth(self, smooth: FloatArray, points: FloatArray, own: npt.NDArray[np.intp]) -> None:
        """Write features of the unit smooth function, family by family, into zeros. Shape: (n, len(anchors))."""
        from scipy.linalg import solve_triangular

        for family in range(len(self.families)):
            rows, columns = np.flatnonzero(own == family), np.flatnonzero(self.anchor_families == family)
            if len(rows) and len(columns):
                anchors = self.anchors[columns] / self.prior.octaves
                root = np.linalg.cholesky(matern(anchors, anchors) + _LEAST_REMAINDER * np.eye(len(columns)))
                cross = matern(anchors, points[rows] / self.prior.octaves)
                smooth[np.ix_(rows, columns)] = solve_triangular(root, cross, lower=True).T


@dataclass(frozen=True, eq=False)
class SummedFactors:
    """Factors learned through the sum.

    Attributes:
        process: The process.
        weights: Posterior mean of the features' weights. Shape: (process.width,).
        root: Lower Cholesky factor of the weights' posterior precision. Shape: (width, width).
    """

    process: FactorProcess
    weights: FloatArray
    root: FloatArray

    def predict(self, kernels: Sequence[Kernel], directions: FloatArray | None = None) -> tuple[FloatArray, FloatArray]:
        """Return mean and standard deviation of the kernels' log factors, two arrays of shape (n,)."""
        mean, loadings, left_out = self.joint(kernels, directions)
        return mean, np.sqrt((loadings**2).sum(axis=1) + left_out)

    def joint(
        self, kernels: Sequence[Kernel], directions: FloatArray | None = None
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return mean, loadings and left-out variance of the kernels' log factors.

        Returns:
            The mean, shape (n,); loadings, shape (n, width), whose products are the posterior covariances
            between kernels; and the variance that each kernel has of its own, shape (n,).
        """
        return self.joint_of(*self.process.features(kernels, directions))

    def joint_of(self, features: FloatArray, left_out: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return the same from features and left-out variance, as the process gives them."""
        from scipy.linalg import solve_triangular

        mean = np.clip(features @ self.weights, -_MOST_FACTOR, _MOST_FACTOR)
        return mean, solve_triangular(self.root, features.T, lower=True).T, left_out


@dataclass(frozen=True, eq=False)
class LeftOut:
    """How rows were predicted by factors learned without them.

    Attributes:
        errors: Log of measured over predicted latency. Shape: (rows,).
        deviations: Standard deviation that was predicted for it, noise of the row included. Shape: (rows,).
    """

    errors: FloatArray
    deviations: FloatArray


@dataclass(frozen=True, eq=False)
class FactorFit:
    """Learned factors with what they were learned from, for residuals of rows left out.

    Attributes:
        factors: What was learned.
        design: Change of each row's log latency with each weight. Shape: (rows, width).
        target: Log latencies, less the constant part of the linearisation. Shape: (rows,).
        precision: Weight of each row: 1 / noise squared, less for outliers. Shape: (rows,).
        own: Variance of each row's log latency that the features leave out. Shape: (rows,).
    """

    factors: SummedFactors
    design: FloatArray
    target: FloatArray
    precision: FloatArray
    own: FloatArray

    @classmethod
    def of(
        cls,
        process: FactorProcess,
        rows: LabelledRows,
        base_ms: FloatArray,
        composition: Composition,
        directions: FloatArray | None = None,
        *,
        unit: UnitFeatures | None = None,
        megabytes: FloatArray | None = None,
        steps: int = 4,
    ) -> Self:
        """Condition a process on rows.

        Args:
            process: The process, over any kernels.
            rows: Measured rows, at least one.
            base_ms: Base cost of each of rows.kernels run alone, > 0. Shape: (len(rows.kernels),).
            composition: What makes networks of kernels; rows of kernels alone are kernels as they are.
            directions: Values of the process's further directions. Shape: (len(rows.kernels), directions).
            unit: What process.unit says of rows.kernels, when it is known.
            megabytes: Activations that rows.kernels read and write, when these are known.
            steps: Gauss-Newton steps.
        """
        unit = process.unit(rows.kernels, directions) if unit is None else unit
        megabytes = activation_megabytes(rows.kernels) if megabytes is None else megabytes
        scales = process.scales
        weights, noise = np.zeros(process.width), process.prior.noise
        precision = np.full(len(rows), noise**-2.0)
        for step in range(steps):
            log_factors = np.clip(unit.columns @ (scales * weights), -_MOST_FACTOR, _MOST_FACTOR)
            cost_ms = base_ms * np.exp(log_factors)
            total_ms, slopes = _totals(rows, cost_ms, megabytes, composition)
            residual = np.log(rows.latency_ms / total_ms)
            if step:
                precision = _robust_precision(residual, noise)
            design = np.asarray((slopes @ unit.columns) * scales)
            target = residual + design @ weights
            root = _precision_root((design * precision[:, None]).T @ design)
            weights = _solve(root, design.T @ (precision * target))
        own = np.asarray(slopes.power(2) @ process.left_out(unit))
        return cls(SummedFactors(process, weights, root), design, target, precision, own)

    def left_out(self, groups: npt.NDArray[np.intp] | None = None) -> LeftOut:
        """Return, in closed form, errors of rows predicted without their group; without groups, each by itself.

        Args:
            groups: Group of each row. Shape: (rows,).

        The base and the noise stay as they are; what chose these must be left out by the caller.
        """
        from scipy.linalg import solve_triangular

        noise = self.factors.process.prior.noise
        residual = self.target - self.design @ self.factors.weights
        loadings = solve_triangular(self.factors.root, self.design.T, lower=True).T
        if groups is None:
            variance = (loadings**2).sum(axis=1)
            remaining = 1.0 - np.minimum(self.precision * variance, 1.0 - _LEAST_REMAINDER)
            deviations = np.sqrt(variance / remaining + noise**2 + self.own)
            return LeftOut(residual / remaining, deviations)
        errors, variances = np.empty(len(residual)), np.empty(len(residual))
        gram = (self.design * self.precision[:, None]).T @ self.design
        for group in np.unique(groups):
            members = groups == group
            inside, weight = self.design[members], self.precision[members]
            root = _precision_root(gram - (inside * weight[:, None]).T @ inside)
            # Weights without the group: take its pull out of the normal equations.
            full = gram @ self.factors.weights + self.factors.weights
            weights = _solve(root, full - inside.T @ (weight * self.target[members]))
            errors[members] = self.target[members] - inside @ weights
            variances[members] = (solve_triangular(root, inside.T, lower=True) ** 2).sum(axis=0)
        return LeftOut(errors, np.sqrt(variances + noise**2 + self.own))


def _totals(
    rows: LabelledRows, cost_ms: FloatArray, megabytes: FloatArray, composition: Composition
) -> tuple[FloatArray, csr_array]:
    """Return the rows' latencies in ms, and how their logarithms change with each kernel's log cost."""
    inside_ms = composition.contributions(cost_ms, megabytes)
    moved_ms = composition.slopes(cost_ms, megabytes)
    network_ms = rows.counts @ inside_ms + composition.constant_ms
    total_ms = np.where(rows.alone, rows.counts @ cost_ms, network_ms)
    spread = rows.counts.copy()
    lengths = np.diff(spread.indptr)
    by_entry = np.repeat(rows.alone, lengths)
    spread.data = spread.data * np.where(by_entry, cost_ms[spread.indices], moved_ms[spread.indices])
    spread.data /= np.repeat(total_ms, lengths)
    return total_ms, spread


def _robust_precision(residual: FloatArray, noise: float) -> FloatArray:
    typical = max(noise, _DEVIATIONS_IN_MEDIAN * float(np.median(np.abs(residual))))
    pull = np.minimum(1.0, _HUBER * typical / np.maximum(np.abs(residual), _LEAST_REMAINDER))
    return np.asarray(pull / noise**2)


def _precision_root(gram: FloatArray) -> FloatArray:
    return np.asarray(np.linalg.cholesky(gram + np.eye(len(gram))))


def _solve(root: FloatArray, target: FloatArray) -> FloatArray:
    from scipy.linalg import cho_solve

    return np.asarray(cho_solve((root, True), target))


def _family_indices(kernels: Sequence[Kernel], families: Sequence[str]) -> npt.NDArray[np.intp]:
    """Return the index of each kernel's family, -1 for one that is not among them."""
    index = {family: position for position, family in enumerate(families)}
    return np.array([index.get(kernel.family, -1) for kernel in kernels], dtype=np.intp)


def _pivots(points: FloatArray, own: npt.NDArray[np.intp], most: int) -> npt.NDArray[np.intp]:
    """Return the rows of a pivoted Cholesky factorisation of the smooth function's covariance, the telling first."""
    remaining = np.ones(len(points))
    columns = np.zeros((len(points), min(most, len(points))))
    chosen: list[int] = []
    while len(chosen) < columns.shape[1] and remaining.max() > _RESOLVED:
        pivot = int(np.argmax(remaining))
        column = np.where(own == own[pivot], matern(points, points[pivot : pivot + 1])[:, 0], 0.0)
        done = columns[:, : len(chosen)]
        column = (column - done @ done[pivot]) / np.sqrt(remaining[pivot])
        columns[:, len(chosen)] = column
        remaining = np.maximum(remaining - column**2, 0.0)
        remaining[pivot] = 0.0
        chosen.append(pivot)
    return np.array(chosen, dtype=np.intp)
