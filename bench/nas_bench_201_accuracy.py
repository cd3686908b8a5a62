"""An accuracy for every cell of NAS-Bench-201, from the few that are published beside nn-Meter's latencies.

The open accuracies are 1,589 of about the 2,000 best cells, so a cell without one is most likely worse than the worst
of these. One fixed model completes them: a censored regression (Tobin 1958) of the logarithm of the error on the cell's
structure gives every other cell a rank, and the rank gets a level from anchors that were set by hand: most cells within
ten points of the best, a few far below. Cells whose output does not depend on their input get the accuracy of guessing.
Below the open accuracies nothing can be checked: the levels are plausible, not measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import ndtr
from scipy.stats import kendalltau

from search.spaces.nasbench201 import OPERATIONS, NasBench201Genotype, Operation

Floats = npt.NDArray[np.float64]

_GUESSED = 0.10
_HIDDEN_SHARE = 0.03
"""Share of the cells without open accuracy that are nevertheless among the best: 20 % of them were kept back."""

_REPEATS_TO = 0.03
"""Standard deviation of a completed cell's log error about the model: what the open ones keep to about it."""

_RANKS = (0.0, 0.01, 0.03, 0.08, 0.15, 0.3, 0.5, 0.7, 0.87, 0.93, 0.97, 0.99, 1.0)
_LEVELS = (0.20, 0.45, 0.60, 0.76, 0.82, 0.865, 0.895, 0.913, 0.9274, 0.932, 0.937, 0.940, 0.943)
"""Accuracy at shares of the living cells, from the worst up; from 0.87 on those of the open accuracies."""

_RIDGE = 30.0
_WAYS = ((3,), (0, 4), (1, 5), (0, 2, 5))
"""Edges of each way from a cell's input to its output."""

_WORK = {"nor_conv_1x1": 1.0, "nor_conv_3x3": 9.0}
"""Multiply-accumulates of an edge, in units of a 1x1 convolution."""

_ITERATIONS = 200
_HELD_OUT = 300


@dataclass(frozen=True)
class Completion:
    """Accuracies of all cells, and how well the model did on held-out open ones.

    Attributes:
        accuracy: 0 to 1. Shape: (number of cells,).
        opened: Which of them are published rather than completed. Shape alike.
        error_points: Root mean square error on open cells that were held out, in accuracy points.
        kendall: Rank correlation on them.
        held_out: Their number.
    """

    accuracy: Floats
    opened: npt.NDArray[np.bool_]
    error_points: float
    kendall: float
    held_out: int


def complete(cells: Sequence[str], published: dict[str, float], seed: int = 0) -> Completion:
    """Give every cell an accuracy; the same input gives the same table.

    Args:
        cells: As the benchmark writes them.
        published: Accuracy of some of them, 0 to 1, the best ones.
        seed: Chooses what is held out, and of the scatter of the completed cells.
    """
    genotypes = [NasBench201Genotype.from_arch_str(cell) for cell in cells]
    alive = np.array([genotype.alive for genotype in genotypes])
    known = np.array([published.get(cell, np.nan) for cell in cells])
    opened = np.isfinite(known) & alive
    rng = np.random.default_rng(seed)
    held_out = rng.permutation(np.flatnonzero(opened))[:_HELD_OUT]
    log_error = np.log(1.0 - np.where(opened, known, 0.5))
    limit = float(log_error[opened].max())
    inputs = _inputs(genotypes)

    without = opened.copy()
    without[held_out] = False
    guess = _tobit(inputs, log_error, without, alive & ~opened, limit)[held_out]
    guess = 1.0 - np.exp(np.minimum(guess, limit))
    error = float(np.sqrt(np.mean((guess - known[held_out]) ** 2)))
    kendall = float(kendalltau(guess, known[held_out]).statistic)

    score = _tobit(inputs, log_error, opened, alive & ~opened, limit)
    completed = np.full(len(cells), _GUESSED)
    rank = (np.argsort(np.argsort(-score[alive])) + 0.5) / alive.sum()
    level = np.interp(rank, _RANKS, np.log(1.0 - np.array(_LEVELS)))
    completed[alive] = 1.0 - np.exp(level + _REPEATS_TO * rng.standard_normal(int(alive.sum())))
    completed[opened] = known[opened]
    return Completion(completed, opened, 100.0 * error, kendall, len(held_out))


def _inputs(genotypes: Sequence[NasBench201Genotype]) -> Floats:
    """Return what a cell is made of and its shape, with products of the latter, standardised, with a constant.

    These are the table's own, and not the features by which the space's searches learn. More products would fit the
    open accuracies better and make nonsense of cells that are far from them: some without work would reach 92 %.
    """
    live = np.array([[OPERATIONS.index(operation) for operation in genotype.live] for genotype in genotypes])
    on_edges = (live[:, :, None] == np.arange(1, len(OPERATIONS))).astype(np.float64)
    counts = on_edges.sum(axis=1)
    work = np.log1p(counts @ [_WORK.get(operation, 0.0) for operation in OPERATIONS[1:]])
    shape = _shape(live)
    rows, columns = np.triu_indices(shape.shape[1])
    both = np.hstack(
        [on_edges.reshape(len(live), -1), counts, work[:, None], shape, shape[:, rows] * shape[:, columns]]
    )
    both = both[:, both.std(axis=0) > 0]
    return np.hstack([np.ones((len(both), 1)), (both - both.mean(axis=0)) / both.std(axis=0)])


def _shape(live: npt.NDArray[np.int_]) -> Floats:
    """Return numbers on the open ways through cells: convolutions, pools and skips on them. Shape: (n, 10)."""

    def count(*operations: Operation) -> npt.NDArray[np.int_]:
        codes = [OPERATIONS.index(operation) for operation in operations]
        return np.stack([np.isin(live[:, way], codes).sum(axis=1) for way in _WAYS], axis=1)

    opened = count("none") == 0
    convolutions = count("nor_conv_1x1", "nor_conv_3x3") * opened
    wide = count("nor_conv_3x3") * opened
    unpooled = opened & (count("avg_pool_3x3") == 0)
    pure = unpooled & (convolutions == 0)
    none_open = ~opened.any(axis=1)
    columns = [
        convolutions.max(axis=1),
        wide.max(axis=1),
        pure.any(axis=1),
        opened.sum(axis=1),
        unpooled.any(axis=1),
        (convolutions * unpooled).max(axis=1),
        np.where(none_open, 0, np.where(opened, count("avg_pool_3x3"), len(OPERATIONS)).min(axis=1)),
        np.where(none_open, 0, np.where(opened, convolutions, len(OPERATIONS)).min(axis=1)),
        convolutions.sum(axis=1),
        wide.sum(axis=1),
    ]
    return np.stack(columns, axis=1).astype(np.float64)


def _tobit(
    inputs: Floats, log_error: Floats, seen: npt.NDArray[np.bool_], censored: npt.NDArray[np.bool_], limit: float
) -> Floats:
    """Return the expected log error of every row: ridge regression with censored rows, by maximum likelihood.

    Args:
        inputs: First column constant. Shape: (n, d).
        log_error: Of which only the seen count. Shape: (n,).
        seen: Rows with a known error.
        censored: Rows of which is known that they are most likely above the limit.
        limit: That limit.
    """
    known, own, beyond = inputs[seen], log_error[seen], inputs[censored]

    def loss(values: Floats) -> tuple[float, Floats]:
        weights, deviation = values[:-1], np.exp(values[-1])
        off, above = (own - known @ weights) / deviation, (beyond @ weights - limit) / deviation
        likely = (1.0 - _HIDDEN_SHARE) * ndtr(above) + _HIDDEN_SHARE
        pull = (1.0 - _HIDDEN_SHARE) * np.exp(-0.5 * above**2) / np.sqrt(2 * np.pi) / likely
        slope = -(known.T @ off + beyond.T @ pull) / deviation
        slope[1:] += _RIDGE * weights[1:]
        penalty = 0.5 * _RIDGE * float(weights[1:] @ weights[1:])
        value = 0.5 * float(off @ off) + len(own) * values[-1] - float(np.log(likely).sum()) + penalty
        return value, np.append(slope, len(own) - off @ off + pull @ above)

    start = np.zeros(inputs.shape[1] + 1)
    start[0], start[-1] = limit + own.std(), np.log(own.std())
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": _ITERATIONS}).x
    return np.asarray(inputs @ found[:-1])
