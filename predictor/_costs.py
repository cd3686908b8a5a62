"""The seam between what gives kernels a cost and what makes networks of them.

A source of costs may be the kernel model, prices fitted on whole networks, or other devices' predictors; a network
predictor holds any of them and asks for nothing but what stands here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from predictor._features import FloatArray
from profiler.kernels import Kernel


@dataclass(frozen=True, eq=False)
class Estimate:
    """Costs of kernels with what is known about their errors. All arrays have one entry a kernel.

    Errors of kernels come in two parts. Those in `loadings` are known to go together: two kernels' errors have
    the covariance of their loadings' product, so that a network of both is as sure as whole networks made their
    sum, however little is known of each. `spread` holds the rest.

    Attributes:
        latency_ms: Latency run alone, > 0.
        spread: Half-width of the 90 % interval of its logarithm, of errors not in `loadings`.
        known: Whether its family was measured at all.
        in_domain: Whether configurations like it were measured.
        loadings: Shared errors of the logarithm, in standard deviations of independent causes. Shape: (n, r);
            r may be 0, and is the same for all estimates of one source of costs.
    """

    latency_ms: FloatArray
    spread: FloatArray
    known: npt.NDArray[np.bool_]
    in_domain: npt.NDArray[np.bool_]
    loadings: FloatArray

    @property
    def whole_spread(self) -> FloatArray:
        """Half-width of the 90 % interval of the logarithm of each kernel alone, all errors together."""
        shared = (self.loadings**2).sum(axis=1)
        return np.asarray(np.sqrt(self.spread**2 + INTERVAL_DEVIATIONS**2 * shared))


INTERVAL_DEVIATIONS = 1.645
"""Standard deviations in half a 90 % interval of a normal variable."""


class KernelCosts(Protocol):
    """What gives each kernel a cost, never 0."""

    @property
    def call_ms(self) -> float:
        """What a call of the runtime costs that a kernel run alone pays and a network pays once, >= 0."""

    def estimate(self, kernels: Sequence[Kernel]) -> Estimate:
        """Return the kernels' costs; those of unknown kind bounded from their bytes and work."""
