"""Owns how a result looks on the terminal, for the two commands that end with one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pocketnas.cli._screen import Screen, table

if TYPE_CHECKING:
    from pocketnas.result import Baseline, DeviceLatency, SearchResult


def show_result(screen: Screen, result: SearchResult, folder: Path, report: Path) -> None:
    """Show the finalists, what was chosen for each budget, known networks beside them, and where everything is."""
    _show_finalists(screen, result)
    if len(result.choices) > 1:
        _show_choices(screen, result)
    if result.baselines:
        _show_baselines(screen, result)
    _show_chosen(screen, result, folder, report)
    screen.document(result.to_json())


def _show_finalists(screen: Screen, result: SearchResult) -> None:
    several = len(result.choices) > 1 or bool(result.devices)
    rows = [
        [
            finalist.name,
            f"{finalist.accuracy:.1%}",
            _interval(finalist.measured_ms, finalist.measured_low_ms, finalist.measured_high_ms),
            _interval(finalist.predicted_ms, finalist.predicted_low_ms, finalist.predicted_high_ms),
            *([finalist.device or result.device] if several else []),
        ]
        for finalist in result.finalists
    ]
    latency = "ms" if several else f"ms, {result.source}"
    columns = ["network", "accuracy", latency, "ms, predicted", *(["slowest on"] if several else [])]
    where = "finalists" if several else f"finalists within {result.budget_ms:.4g} ms on {result.device}"
    title = f"{where} ({result.measurement.processor})"
    screen.show(table(title, columns, rows, right=columns[1:4]), "")


def _show_choices(screen: Screen, result: SearchResult) -> None:
    """Show the network for each budget and device, with its latency on each device that it is for."""
    rows = []
    for choice in result.choices:
        chosen = result.finalist(choice.chosen)
        for latency in result.latencies(chosen, choice.devices):
            found = _interval(latency.measured_ms, latency.measured_low_ms, latency.measured_high_ms)
            rows.append(
                [
                    latency.device,
                    f"{choice.budget_ms:.4g}",
                    chosen.name,
                    f"{chosen.accuracy:.1%}",
                    found,
                    latency.source,
                ]
            )
    columns = ["device", "budget, ms", "network", "accuracy", "ms", "source"]
    screen.show(table("chosen for each budget and device", columns, rows, right=["budget, ms", "accuracy", "ms"]), "")


def _show_baselines(screen: Screen, result: SearchResult) -> None:
    """Show known networks of as much latency, each below the finalist that it is compared with; a table a device."""
    epochs = f" for {result.training.epochs} epochs" if result.training else ""
    for device in dict.fromkeys(baseline.device for baseline in result.baselines):
        here = [baseline for baseline in result.baselines if baseline.device == device]
        rows = []
        for name in dict.fromkeys(baseline.against for baseline in here):
            finalist = result.finalist(name)
            latency = next(found for found in result.latencies(finalist, (device,)) if found.device == device)
            own = (finalist.accuracy, finalist.accuracy_low or 0.0, finalist.accuracy_high or 1.0)
            rows.append([f"{name} (ours)", *_figures(own, latency)])
            for rival in (baseline for baseline in here if baseline.against == name):
                rows.append([rival.name, *_figures((rival.accuracy, rival.accuracy_low, rival.accuracy_high), rival)])
        columns = ["network", "accuracy (95 % interval)", f"ms, {here[0].source}"]
        title = f"beside known networks that have at least as much latency on {device}, trained alike{epochs}"
        screen.show(table(title, columns, rows, right=columns[1:], whole=columns[:1]), "")


def _figures(accuracy: tuple[float, float, float], latency: DeviceLatency | Baseline) -> list[str]:
    middle, low, high = accuracy
    return [
        f"{middle:.2%} ({low:.1%} to {high:.1%})",
        f"{latency.measured_ms:.4g} ({latency.measured_low_ms:.4g} to {latency.measured_high_ms:.4g})",
    ]


def _show_chosen(screen: Screen, result: SearchResult, folder: Path, report: Path) -> None:
    chosen = result.chosen
    (source, *_) = (latency.source for latency in result.latencies(chosen, (chosen.device or result.device,)))
    budgets = "; ".join(f"{choice.describe()}: {choice.budget_reason}" for choice in result.choices)
    facts = {
        "chosen": chosen.name,
        "accuracy": f"{chosen.accuracy:.1%} of {result.data.test_images} test images of {result.data.name}",
        "latency": f"{chosen.measured_ms:.4g} ms {source} "
        f"({chosen.measured_low_ms:.4g} to {chosen.measured_high_ms:.4g}), {chosen.predicted_ms:.4g} ms predicted "
        f"({chosen.predicted_low_ms:.4g} to {chosen.predicted_high_ms:.4g})",
        "budget": budgets or f"{result.budget_ms:.4g} ms: {result.budget_reason}",
        "tflite": folder / chosen.tflite,
        "onnx": folder / chosen.onnx,
        "report": report,
        "result": folder / result.file_name,
    }
    for key, value in facts.items():
        screen.show(f"{key + ':':<10}{value}")


def _interval(middle: float, low: float, high: float) -> str:
    return f"{middle:.4g} ({low:.4g} to {high:.4g})"
