"""Owns the page that explains a device and networks on it, to be read without network or server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from pocketnas import _roofline_figures
from pocketnas._page import render_page
from pocketnas.explanation import (
    EVIDENCE,
    WAITS_FOR,
    DeviceExplanation,
    Evidence,
    ExplainedKernel,
    NetworkExplanation,
    families,
)
from profiler.whole_file import write_whole_file

# A network has tens of kernels; below the largest of them the bars are too short to tell apart.
_MOST_BARS = 14


@dataclass(frozen=True)
class _Bar:
    label: str
    latency_ms: float
    share: float
    percent_of_largest: float
    note: str


def write_explanation(device: DeviceExplanation, networks: Sequence[NetworkExplanation], path: Path) -> None:
    """Write the page; text from devices, tables and models in it is escaped.

    Args:
        device: What the device does at best.
        networks: Networks predicted on it; may be empty.
        path: Where to; an existing file is replaced.
    """
    write_whole_file(path, render(device, networks).encode(errors="backslashreplace"))


def render(device: DeviceExplanation, networks: Sequence[NetworkExplanation]) -> str:
    """Return the page."""
    predicted = [kernel.amounts for network in networks for kernel in network.kernels]
    drawn = (*device.kernels, *predicted)
    figures = {}
    if any(at.mega_macs > 0 for at in drawn):
        figures["arithmetic"] = _roofline_figures.arithmetic_figure(device, networks)
    if drawn:
        figures["traffic"] = _roofline_figures.traffic_figure(device, networks)
    return render_page(
        "explanation.html.j2",
        figures,
        device=device,
        limits=limits(device),
        reading=reading(device),
        families=families(device.kernels),
        networks=[(network, _bars(network)) for network in networks],
        legends={name: _roofline_figures.legend(figure) for name, figure in figures.items()},
        waits_for=WAITS_FOR,
        evidence=EVIDENCE,
        version=version("pocketnas"),
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def limits(device: DeviceExplanation) -> list[tuple[str, str, str, str]]:
    """Return the device's limits for a person: name, value, interval, and a remark."""
    roofline = device.roofline
    if roofline is None:
        return []
    rows = []
    at = roofline.bandwidth_megabytes
    sizes = "" if at is None else f"as kernels reach it that move {at[0]:.2g} to {at[1]:.2g} MB"
    for name, bound, value, interval, unit, remark in (
        ("peak", "compute", roofline.peak_gmac_per_s, roofline.peak_interval, "GMAC/s", ""),
        ("bandwidth", "memory", roofline.bandwidth_gb_per_s, roofline.bandwidth_interval, "GB/s", sizes),
        ("overhead", "overhead", roofline.overhead_us, roofline.overhead_interval, "us a kernel", ""),
    ):
        settled = bound not in roofline.undetermined
        side = "" if settled else "at most " if bound == "overhead" else "at least "
        shown = "unknown" if value is None else f"{side}{value:.3g} {unit}"
        range_ = "" if interval is None else f"{interval[0]:.3g} to {interval[1]:.3g}"
        rows.append((name, shown, range_, remark if settled else "not determined: " + _WHY[bound]))
    return rows


_WHY = {
    "compute": "no kernels of unlike intensity compute at one rate",
    "memory": "no kernels of unlike intensity move bytes at one rate",
    "overhead": "too few kernels are as short as this",
}


def reading(device: DeviceExplanation) -> str:
    """Return how to use the limits, in one sentence; empty where they are not all known."""
    roofline = device.roofline
    if roofline is None or roofline.undetermined or not roofline.overhead_us:
        return ""
    peak, bandwidth = roofline.peak_gmac_per_s or 0.0, roofline.bandwidth_gb_per_s or 0.0
    macs, megabytes = roofline.overhead_us / 1e3 * peak, roofline.overhead_us / 1e3 * bandwidth
    return (
        f"A kernel alone waits for arithmetic above {peak / bandwidth:.2g} MACs a byte and for memory below; with less "
        f"than {macs:.2g} million MACs and {megabytes:.2g} MB its call takes longer than its work."
    )


def _bars(network: NetworkExplanation) -> list[_Bar]:
    """The largest kernels in order, equal ones together, the sum of the others, and the call: the whole latency."""
    equal: dict[str, list[ExplainedKernel]] = {}
    for kernel in network.kernels:
        equal.setdefault(kernel.amounts.kernel, []).append(kernel)
    parts = [
        (
            label if len(own) == 1 else f"{len(own)} x {label}",
            sum(kernel.amounts.latency_ms for kernel in own),
            _note(own[0].amounts.bound, own[0].evidence),
        )
        for label, own in equal.items()
    ]
    parts.sort(key=lambda part: -part[1])
    if rest := parts[_MOST_BARS:]:
        parts[_MOST_BARS:] = [(f"the other {len(rest)}", sum(latency_ms for _, latency_ms, _ in rest), "")]
    parts.append(("call of the network", network.prediction.call_ms, ""))
    largest_ms = max(latency_ms for _, latency_ms, _ in parts) or 1.0
    return [
        _Bar(
            label, latency_ms, latency_ms / network.prediction.latency_ms, max(0.0, 100 * latency_ms / largest_ms), note
        )
        for label, latency_ms, note in parts
    ]


def _note(bound: str | None, evidence: Evidence) -> str:
    return ", ".join(text for text in (WAITS_FOR[bound or "unknown"], EVIDENCE[evidence]) if text)
