"""Kernels already priced, kept because networks of one space share nearly all their kernels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from predictor._composition import Parts
from predictor._costs import KernelCosts
from predictor._features import FloatArray, activation_megabytes
from predictor._roofline import Bound, Roofline
from profiler.kernels import Kernel

_MOST_KERNELS = 200_000


class PricedKernels:
    """Costs of kernels, each asked for once, as arrays that grow.

    Args:
        costs: What prices kernels.
        roofline: What bounds them; None when the device's limits are not known.
    """

    def __init__(self, costs: KernelCosts, roofline: Roofline | None) -> None:
        self._costs, self._roofline = costs, roofline
        self._clear()

    def _clear(self) -> None:
        self._index: dict[Kernel, int] = {}
        self._floats: FloatArray = np.empty((0, 3))
        self._loadings: FloatArray | None = None
        self._flags: npt.NDArray[np.bool_] = np.empty((0, 2), dtype=np.bool_)
        self._descriptions: list[str] = []
        self._bounds: list[Bound | None] = []

    def indices(self, kernels: Iterable[Kernel]) -> npt.NDArray[np.intp]:
        """Return where kernels stand; new ones are priced, all at once. They stand there until the next call."""
        wanted = list(kernels)
        new = [kernel for kernel in dict.fromkeys(wanted) if kernel not in self._index]
        if new and len(self._index) + len(new) > _MOST_KERNELS:
            self._clear()
            new = list(dict.fromkeys(wanted))
        if new:
            self._price(new)
        return np.array([self._index[kernel] for kernel in wanted], dtype=np.intp)

    def parts(self, indices: npt.NDArray[np.intp]) -> Parts:
        """Return the parts that networks are composed of."""
        latency_ms, spread, megabytes = self._floats[indices].T
        loadings = np.empty((len(indices), 0)) if self._loadings is None else self._loadings[indices]
        return Parts(latency_ms, spread, megabytes, loadings)

    def known(self, indices: npt.NDArray[np.intp]) -> npt.NDArray[np.bool_]:
        """Return whether kernels' families were measured at all."""
        return np.asarray(self._flags[indices, 0])

    def in_domain(self, indices: npt.NDArray[np.intp]) -> npt.NDArray[np.bool_]:
        """Return whether configurations like them were measured."""
        return np.asarray(self._flags[indices, 1])

    def description(self, index: int) -> str:
        """Return a kernel's description."""
        return self._descriptions[index]

    def bound(self, index: int) -> Bound | None:
        """Return what a kernel waits for; None when the device's limits are not known."""
        return self._bounds[index]

    def _price(self, new: Sequence[Kernel]) -> None:
        estimate = self._costs.estimate(new)
        floats = np.column_stack([estimate.latency_ms, estimate.spread, activation_megabytes(new)])
        self._floats = np.concatenate([self._floats, floats])
        kept = [] if self._loadings is None else [self._loadings]
        self._loadings = np.concatenate([*kept, estimate.loadings])
        self._flags = np.concatenate([self._flags, np.column_stack([estimate.known, estimate.in_domain])])
        self._descriptions += [kernel.describe() for kernel in new]
        self._bounds += [None] * len(new) if self._roofline is None else self._roofline.bounds(new)
        self._index.update({kernel: len(self._index) + position for position, kernel in enumerate(new)})
