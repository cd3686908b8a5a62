"""Which workloads to measure on a new device: those whose labels leave the least doubt about its networks."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from predictor._common_costs import CommonCosts
from predictor._features import FloatArray
from predictor._through_sum import LabelledRows
from predictor._transferred import RowModel, transfer_process

_NETWORK_SHARE = 0.5
"""Least share of networks among the labels. Networks alone give the least error on networks like them, but leave
kernels that these hardly use 15 % off; with half of the labels kernels, networks are as good and kernels twice."""

_KERNEL_WEIGHT = 0.02
"""What doubt about all kernels together counts, beside that about all networks."""


def choose_rows(
    common: CommonCosts,
    candidates: LabelledRows,
    count: int,
    *,
    measured: Sequence[int] = (),
    excluded: Sequence[int] = (),
) -> list[int]:
    """Choose, one by one, the row whose label takes most of the doubt about all candidates.

    Args:
        common: What the sources agree on.
        candidates: Rows of the sources' tables; they are the target, too. Latencies are not looked at.
        count: How many to choose; fewer come back when there are fewer candidates.
        measured: Rows whose labels are there already.
        excluded: Rows that cannot be measured.

    Returns:
        Places among the candidates, the most telling first.

    Source: Cohn 1996, "Neural network exploration using optimal experiment design": the expected decrease of the
        mean posterior variance. Differs in its target, the logarithms of whole networks' latencies first of all.
    """
    process = transfer_process(common, candidates.kernels)
    model = RowModel.of(common, process, candidates)
    linear = model.at(np.zeros(model.width))
    covariance = linear.design @ linear.design.T
    weights = _weights(candidates.alone)
    for place in measured:
        covariance = _conditioned(covariance, linear.variance, place)
    free = np.ones(len(candidates), dtype=np.bool_)
    free[list({*measured, *excluded})] = False
    networks = int(np.sum(~candidates.alone[list(measured)]))
    chosen: list[int] = []
    while len(chosen) < count and free.any():
        allowed = free & ~candidates.alone
        wanted = math.ceil(_NETWORK_SHARE * (len(measured) + len(chosen) + 1))
        if networks >= wanted or not allowed.any():
            allowed = free
        gains = weights @ covariance**2 / (np.diag(covariance) + linear.variance)
        best = int(np.where(allowed, gains, -np.inf).argmax())
        chosen.append(best)
        free[best] = False
        networks += int(not candidates.alone[best])
        covariance = _conditioned(covariance, linear.variance, best)
    return chosen


def _weights(alone: npt.NDArray[np.bool_]) -> FloatArray:
    """Return what doubt about each row counts: networks together 1, kernels together less, unless all are kernels."""
    kernels, networks = int(alone.sum()), int((~alone).sum())
    own = _KERNEL_WEIGHT if networks else 1.0
    return np.where(alone, own / max(kernels, 1), 1.0 / max(networks, 1))


def _conditioned(covariance: FloatArray, variance: FloatArray, place: int) -> FloatArray:
    column = covariance[place]
    return np.asarray(covariance - np.outer(column, column) / (column[place] + variance[place]))
