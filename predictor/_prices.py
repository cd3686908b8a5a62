"""Prices of work found on whole networks: the physical base where no kernel was measured alone.

Each kind of kernel has a price for each term of work, never negative, found by non-negative least squares on the sums
over networks and drawn towards the prices of all kinds together, so that a kind that few networks have is priced like
the others unless these few say something else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from predictor._features import TERMS, FloatArray, terms
from predictor._through_sum import LabelledRows
from profiler.kernels import Kernel

_PULL = 0.03
"""Deviation from the common prices costs this share of what the same relative error in the rows costs."""

_LEAST_OF_COMMON = 0.1
"""No kind does a term's work for less than this share of what all kinds pay. Rows cannot tell a kernel that all of
them hold alike from their constant; at no price, it would be free however large it is."""

_LEAST_SHARE = 1e-4
"""No kernel costs less than this share of a typical row: work never costs nothing."""

_FIRST_CHANNELS = 4
"""A convolution of so few channels reads an image: runtimes have ways of their own for it."""


@dataclass(frozen=True, eq=False)
class WorkPrices:
    """Prices of work by class of kernels.

    Attributes:
        classes: Names of the classes that rows held, sorted.
        prices: In ms a unit of each term. Shape: (len(classes), len(TERMS)).
        common: The same for all classes together. Shape: (len(TERMS),).
        least_ms: No kernel costs less, > 0.
        constant_ms: What a row costs beyond its kernels, >= 0.
    """

    classes: tuple[str, ...]
    prices: FloatArray
    common: FloatArray
    least_ms: float
    constant_ms: float

    @classmethod
    def fit(cls, rows: LabelledRows, work: FloatArray | None = None, names: npt.NDArray[np.str_] | None = None) -> Self:
        """Find the prices by non-negative least squares on relative errors.

        Args:
            rows: Measured rows; a kernel alone is a network of one kernel.
            work: Terms of rows.kernels, when they are known. Shape: (len(rows.kernels), len(TERMS)).
            names: Their classes, when they are known. Shape: (len(rows.kernels),).
        """
        work = terms(rows.kernels) if work is None else work
        names = class_names(rows.kernels) if names is None else names
        used = np.unique(rows.counts.indices)
        classes = tuple(sorted(set(names[used].tolist())))
        relative = 1.0 / rows.latency_ms
        sums = np.column_stack([rows.counts @ work, np.ones(len(rows))]) * relative[:, None]
        nothing = np.zeros(sums.shape[1])
        common = _non_negative(sums, 1e-3, nothing, nothing)
        blocks = [(rows.counts @ (work * (names == name)[:, None])) * relative[:, None] for name in classes]
        whole = np.column_stack([*blocks, relative])
        start = np.concatenate([np.tile(common[:-1], len(classes)), common[-1:]])
        found = _non_negative(whole, _PULL, start, np.append(_LEAST_OF_COMMON * start[:-1], 0.0))
        prices = found[:-1].reshape(len(classes), len(TERMS))
        return cls(classes, prices, common[:-1], _LEAST_SHARE * float(np.median(rows.latency_ms)), float(found[-1]))

    def inside_ms(self, kernels: Sequence[Kernel]) -> FloatArray:
        """Return what kernels cost within a network, in ms, > 0. Shape: (len(kernels),)."""
        return self.inside_ms_of(terms(kernels), self.class_indices(class_names(kernels)))

    def inside_ms_of(self, work: FloatArray, indices: npt.NDArray[np.intp]) -> FloatArray:
        """Return the same from terms and class indices, -1 for a class that was in no row."""
        prices = np.vstack([self.prices, self.common])[indices]
        return np.asarray(np.maximum((work * prices).sum(axis=1), self.least_ms))

    def class_indices(self, names: npt.NDArray[np.str_]) -> npt.NDArray[np.intp]:
        """Return the index of each class, -1 for one that was in no row. Shapes: (n,) to (n,)."""
        index = {name: position for position, name in enumerate(self.classes)}
        return np.array([index.get(name, -1) for name in names.tolist()], dtype=np.intp)


def class_names(kernels: Sequence[Kernel]) -> npt.NDArray[np.str_]:
    """Return the class of each kernel. Shape: (len(kernels),)."""
    return np.array([price_class(kernel) for kernel in kernels], dtype=np.str_)


def price_class(kernel: Kernel) -> str:
    """Return the class in which a kernel is priced: its family, convolutions by their window."""
    anchor = kernel.anchor
    if anchor.kind != "conv2d":
        return kernel.family
    if kernel.network.tensors[anchor.inputs[0]].shape[-1] <= _FIRST_CHANNELS:
        return "conv2d of an image"
    area = int(np.prod(getattr(anchor, "kernel", (1, 1))))
    return "conv2d 1x1" if area == 1 else "conv2d 3x3" if area == 9 else "conv2d"


def _non_negative(rows: FloatArray, pull: float, target: FloatArray, least: FloatArray) -> FloatArray:
    """Return x >= least with rows @ x near 1 and x near a target. Shapes: (n, d), (d,), (d,) to (d,).

    It is solved in the Cholesky factor of the normal equations, whose size is that of the terms, not of the rows.
    """
    from scipy.optimize import nnls

    gram = rows.T @ rows
    scale = np.sqrt(np.diag(gram))
    used = scale > 0
    found = target.copy()
    if not used.any():
        return found
    gram, scale = gram[np.ix_(used, used)] / np.outer(scale[used], scale[used]), scale[used]
    share = rows[:, used].mean(axis=0)
    weight = len(rows) * (pull * share / scale) ** 2 + 1e-9
    root = np.linalg.cholesky(gram + np.diag(weight))
    right = np.linalg.solve(root, rows[:, used].sum(axis=0) / scale + weight * target[used] * scale)
    beyond, _ = nnls(root.T, right - root.T @ (least[used] * scale), maxiter=30 * len(right))
    found[used] = least[used] + beyond / scale
    return found
