"""Owns how the end of a profile is shown: what was measured on each device, or why it was not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from pocketnas.cli._screen import Screen, fail, table

if TYPE_CHECKING:
    from profiler.measure import Measurement, Outcome

_HELPS_LEAST_FIRST = (2, 4, 75, 73)
"""Exit codes by how little it helps to try again, which is what a script needs to know of several."""


def show_outcomes(screen: Screen, outcomes: Sequence[Outcome], store: Path) -> int:
    """Show how the campaigns on some devices ended.

    A single device's failure is the command's.  Of several, each failure is a line on stderr.

    Returns:
        The exit code: 0, or that of the worst failure.

    Raises:
        PocketnasError: There is one device only, and it failed.
    """
    if len(outcomes) == 1:
        (only,) = outcomes
        if only.error:
            raise only.error
        _show(screen, only, store)
        screen.document({**_document(only), "store": str(store)})
        return 0
    for outcome in outcomes:
        if outcome.error:
            fail(str(outcome.error))
        else:
            _show(screen, outcome, store)
    codes = {outcome.error.exit_code for outcome in outcomes if outcome.error}
    documents = [
        {
            **_document(outcome),
            "error": str(outcome.error) if outcome.error else None,
            "exit_code": outcome.error.exit_code if outcome.error else 0,
        }
        for outcome in outcomes
    ]
    screen.document({"store": str(store), "devices": documents})
    return next((code for code in _HELPS_LEAST_FIRST if code in codes), 0)


def _document(outcome: Outcome) -> dict[str, object]:
    from pocketnas.profiling import verdict_counts

    return {
        "device": outcome.device,
        "source": outcome.source,
        "verdicts": verdict_counts(outcome.measurements),
        "median_relative_half_width": _half_width(outcome.measurements),
    }


def _half_width(measured: Sequence[Measurement]) -> float | None:
    widths = [found.interval.relative_half_width for found in measured if found.interval]
    return median(widths) if widths else None


def _show(screen: Screen, outcome: Outcome, store: Path) -> None:
    """Show one device; a person reads a few latencies, and the table command shows the hundreds."""
    from pocketnas.profiling import verdict_counts
    from profiler.workload import EMULATED_ISA, ISA_REMARK

    measured, half_width = outcome.measurements, _half_width(outcome.measurements)
    screen.show(f"{len(measured)} workloads {outcome.source} on {outcome.device}, in {store}")
    if outcome.source == EMULATED_ISA:
        screen.show(
            f"{EMULATED_ISA}: {ISA_REMARK}; these rows show that its programs run, and nothing learns from them"
        )
    screen.show(", ".join(f"{count} {verdict}" for verdict, count in verdict_counts(measured).items()))
    if half_width is not None:
        screen.show(f"95 % interval of the median workload: +-{half_width:.1%}")
    rows = [
        [
            found.workload.network_key[:8],
            f"{found.median_ms:.4g}",
            f"{found.low_ms:.4g} to {found.high_ms:.4g}",
            found.verdict,
            "; ".join(reason.id for reason in found.reasons),
        ]
        for found in measured
        if found.workload.kind == "network"
    ]
    if rows:
        columns = ["network", "ms", "95 % interval", "verdict", "remarks"]
        title = f"whole networks, {outcome.source} on {outcome.device}"
        screen.show(table(title, columns, rows, right=["ms", "95 % interval"]))
