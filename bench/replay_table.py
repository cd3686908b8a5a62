"""A table of cells with accuracy and latency: what a search is replayed on, and how what it evaluated is scored.

Hypervolume is the area below the front of (latency, accuracy), in the box from latency 0 to that of the slowest cell of
the table and from accuracy 0 up; as fast cells have no competitor to their left, the area counts from the latency of a
cell on. A share is that area over the area of the exact front, the one of all cells.

Regret is the accuracy of the best cell that keeps to a budget minus that of the best evaluated one that does, in
points, as a mean over three budgets: the 10, 25 and 50 % quantiles of the table's latencies. Where no evaluated cell
keeps to a budget, the worst accuracy of the table stands for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from nas_bench_201_accuracy import Completion, complete

from search.errors import SearchError
from search.spaces.nasbench201 import NasBench201Genotype

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

BUDGET_QUANTILES = (0.10, 0.25, 0.50)
_LARGEST_SHARE = 1.5
"""Accuracies up to here are shares, above it percent."""


@dataclass(frozen=True, eq=False)
class ReplayTable:
    """What is known of some cells of NAS-Bench-201.

    Attributes:
        cells: As the benchmark writes them; each once. Length n.
        latency_ms: Measured, finite and >= 0. Shape: (n,).
        accuracy: 0 to 1. Shape: (n,).
        origin: Where it is from and what was assumed, in words.
    """

    cells: tuple[str, ...]
    latency_ms: Floats
    accuracy: Floats
    origin: str

    @property
    def slowest_ms(self) -> float:
        """Latency of the slowest cell, in ms, where the hypervolume's box ends."""
        return float(self.latency_ms.max())

    @cached_property
    def budgets_ms(self) -> Floats:
        """The budgets of the regret, in ms."""
        return np.quantile(self.latency_ms, BUDGET_QUANTILES)

    def share(self, evaluated: Sequence[int] | Indices) -> float:
        """Return the share of the exact front's hypervolume that rows of the table reach."""
        rows = np.asarray(evaluated, dtype=np.intp)
        return area(self.latency_ms[rows], self.accuracy[rows], self.slowest_ms) / self._exact_area

    def regret(self, evaluated: Sequence[int] | Indices) -> float:
        """Return the mean regret of rows of the table over the budgets, in accuracy points."""
        rows = np.asarray(evaluated, dtype=np.intp)
        reached = best_within(self.latency_ms[rows], self.accuracy[rows], self.budgets_ms)
        reached = np.where(np.isfinite(reached), reached, self.accuracy.min())
        return float(100.0 * np.mean(self._best - reached))

    @cached_property
    def _exact_area(self) -> float:
        return area(self.latency_ms, self.accuracy, self.slowest_ms)

    @cached_property
    def _best(self) -> Floats:
        return best_within(self.latency_ms, self.accuracy, self.budgets_ms)


def area(latency_ms: Floats, accuracy: Floats, reference_ms: float) -> float:
    """Return the area that points dominate within latency 0..reference and accuracy 0 and up, in ms.

    Args:
        latency_ms: Shape: (n,), n >= 1, none above the reference.
        accuracy: Shape: (n,).
        reference_ms: Where the box ends.
    """
    order = np.argsort(latency_ms, kind="stable")
    reached = np.maximum.accumulate(accuracy[order])
    return float(reached @ np.diff(np.append(latency_ms[order], reference_ms)))


def best_within(latency_ms: Floats, accuracy: Floats, budgets_ms: Floats) -> Floats:
    """Return the best accuracy within each budget; -inf where nothing keeps to it."""
    within = latency_ms[None, :] <= budgets_ms[:, None]
    return np.asarray(np.where(within, accuracy[None, :], -np.inf).max(axis=1, initial=-np.inf))


def read_table(path: Path, column: str) -> ReplayTable:
    """Read a table of `arch_str,accuracy` and latencies in ms; rows without one of the numbers are left out.

    Args:
        path: CSV, also .gz. Accuracies may be shares or percent.
        column: Which latencies.

    Raises:
        SearchError: The file cannot be read, lacks a column, or has a cell twice, a negative latency, or nothing.
        GenotypeError: A text is no cell.
    """
    frame = _read(path)
    missing = [name for name in ("arch_str", "accuracy", column) if name not in frame]
    if missing:
        raise SearchError(f"{path} lacks {', '.join(missing)}; it has {', '.join(frame.columns)}")
    frame = frame.assign(
        accuracy=pd.to_numeric(frame["accuracy"], errors="coerce"),
        latency=pd.to_numeric(frame[column], errors="coerce"),
    )
    whole = len(frame)
    frame = frame[np.isfinite(frame["accuracy"]) & np.isfinite(frame["latency"])]
    if frame.empty:
        raise SearchError(f"{path} has no row with both an accuracy and a latency in {column}")
    in_percent = bool(frame["accuracy"].max() > _LARGEST_SHARE)
    accuracy = frame["accuracy"].to_numpy(dtype=np.float64) / (100.0 if in_percent else 1.0)
    unit = "percent" if in_percent else "shares"
    left_out = f"; {whole - len(frame)} rows without numbers left out" if whole > len(frame) else ""
    origin = f"{path.name}: {len(frame)} cells, accuracies in {unit}{left_out}"
    return _checked(str(path), frame["arch_str"].tolist(), frame["latency"].to_numpy(np.float64), accuracy, origin)


def built_table(folder: Path, column: str) -> ReplayTable:
    """Build the table from published latencies of phones and the open accuracies, completed.

    Args:
        folder: The phone data, with help/nasbench201.csv.gz and nn-meter/nasbench201.csv.gz.
        column: Which latencies of the former.

    Raises:
        SearchError: The data are absent, or have no such column.
    """
    latencies = _read(folder / "help" / "nasbench201.csv.gz")
    accuracies = _read(folder / "nn-meter" / "nasbench201.csv.gz")
    if column not in latencies:
        raise SearchError(f"there is no column {column}; there are {', '.join(latencies.columns[2:])}")
    cells = latencies["arch_str"].tolist()
    published = dict(zip(accuracies["arch_str"], accuracies["cifar10_accuracy"] / 100.0, strict=True))
    completion = complete(cells, published)
    return _checked(
        "the table",
        cells,
        latencies[column].to_numpy(np.float64),
        completion.accuracy,
        f"published latencies and accuracies; {_told(completion)}",
    )


def _told(completion: Completion) -> str:
    return (
        f"{int(completion.opened.sum())} of {len(completion.opened)} accuracies are published, the others completed by "
        f"one fixed model: {completion.error_points:.2f} points RMSE and Kendall {completion.kendall:.2f} on "
        f"{completion.held_out} published cells held out; below those nothing can be checked"
    )


def _checked(name: str, cells: list[str], latency_ms: Floats, accuracy: Floats, origin: str) -> ReplayTable:
    if len(set(cells)) < len(cells):
        raise SearchError(f"{name} has a cell twice")
    if (latency_ms < 0).any() or not latency_ms.max() > 0:
        raise SearchError(f"{name} has latencies that are none; give ms, >= 0")
    for cell in cells:
        NasBench201Genotype.from_arch_str(cell)
    return ReplayTable(tuple(cells), latency_ms, accuracy, origin)


def _read(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path)
    except OSError as error:
        raise SearchError(f"{path} is absent or cannot be read: {error.strerror or error}") from error
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise SearchError(f"{path} is no CSV: {error}") from error
