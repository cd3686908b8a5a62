"""Owns report.html: one self-contained page about one result, to be read without network or server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pocketnas import _figures
from pocketnas._page import render_page
from pocketnas.explanation import WAITS_FOR
from pocketnas.result import KernelCost, OperatorCost, SearchResult
from profiler.whole_file import write_whole_file

FILE_NAME = "report.html"

# A network has tens of operators; below the largest of them the bars are too short to tell apart.
_MOST_BARS = 14


@dataclass(frozen=True)
class _Bar:
    label: str
    latency_ms: float
    percent_of_largest: float
    note: str


def write_report(result: SearchResult, folder: Path) -> Path:
    """Write the report of a result into a folder and return its path.

    Everything on the page comes from the result; text in it is escaped, so names that hold markup or
    script are shown as they are written.

    Args:
        result: What was found.
        folder: Folder of the result; links to the exported files are relative to it.
    """
    path = folder / FILE_NAME
    write_whole_file(path, render(result).encode(errors="backslashreplace"))
    return path


def render(result: SearchResult) -> str:
    """Return the page of a result."""
    return render_page(
        "report.html.j2",
        _drawn(result),
        result=result,
        chosen=result.chosen,
        compared=list(dict.fromkeys(baseline.against for baseline in result.baselines)),
        kernel_bars=_bars([(kernel.kernel, kernel.predicted_ms, _bound(kernel)) for kernel in result.kernels]),
        operator_bars=_bars([(_operator(cost), cost.mean_ms or 0.0, "") for cost in result.operators]),
        covered=sum(point.covered for point in result.predictor.calibration),
    )


def _drawn(result: SearchResult) -> dict[str, Any]:
    figures = {"front": _figures.front_figure(result)}
    if result.predictor.calibration:
        figures["calibration"] = _figures.calibration_figure(result)
    if result.generations:
        figures["progress"] = _figures.progress_figure(result)
    return figures


def _bars(costs: Sequence[tuple[str, float, str]]) -> list[_Bar]:
    """The largest costs in order, and the sum of the others; each is (label, ms, note)."""
    ordered = sorted(costs, key=lambda cost: -cost[1])
    shown, rest = ordered[:_MOST_BARS], ordered[_MOST_BARS:]
    if rest:
        shown.append((f"the other {len(rest)}", sum(latency_ms for _, latency_ms, _ in rest), ""))
    largest_ms = max((latency_ms for _, latency_ms, _ in shown), default=0.0) or 1.0
    return [_Bar(label, latency_ms, max(0.0, 100 * latency_ms / largest_ms), note) for label, latency_ms, note in shown]


def _bound(cost: KernelCost) -> str:
    return "" if cost.bound is None else f"waits for {WAITS_FOR[cost.bound]}"


def _operator(cost: OperatorCost) -> str:
    """Name of an operator; runtimes that name nothing of their own repeat the kind in it."""
    return cost.name if cost.kind in cost.name else f"{cost.kind}: {cost.name}"
