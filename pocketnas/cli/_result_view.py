"""Owns how a result looks on the terminal, for the two commands that end with one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pocketnas.cli._screen import Screen, table

if TYPE_CHECKING:
    from pocketnas.result import SearchResult


def show_result(screen: Screen, result: SearchResult, folder: Path, report: Path) -> None:
    """Show the finalists, the chosen one among them, and where everything is."""
    chosen = result.chosen
    rows = [
        [
            finalist.name,
            f"{finalist.accuracy:.1%}",
            f"{finalist.measured_ms:.4g} ({finalist.measured_low_ms:.4g} to {finalist.measured_high_ms:.4g})",
            f"{finalist.predicted_ms:.4g} ({finalist.predicted_low_ms:.4g} to {finalist.predicted_high_ms:.4g})",
        ]
        for finalist in result.finalists
    ]
    columns = ["network", "accuracy", f"ms, {result.source}", "ms, predicted"]
    title = f"finalists within {result.budget_ms:.4g} ms on {result.device} ({result.measurement.processor})"
    screen.show(table(title, columns, rows, right=columns[1:]), "")
    facts = {
        "chosen": chosen.name,
        "accuracy": f"{chosen.accuracy:.1%} of {result.data.test_images} test images of {result.data.name}",
        "latency": f"{chosen.measured_ms:.4g} ms {result.source} "
        f"({chosen.measured_low_ms:.4g} to {chosen.measured_high_ms:.4g}), {chosen.predicted_ms:.4g} ms predicted "
        f"({chosen.predicted_low_ms:.4g} to {chosen.predicted_high_ms:.4g})",
        "budget": f"{result.budget_ms:.4g} ms: {result.budget_reason}",
        "tflite": folder / chosen.tflite,
        "onnx": folder / chosen.onnx,
        "report": report,
        "result": folder / result.file_name,
    }
    for key, value in facts.items():
        screen.show(f"{key + ':':<10}{value}")
    screen.document(result.to_json())
