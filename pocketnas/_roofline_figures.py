"""Owns the figures of an explanation: kernels under the device's roofs, as plotly's plain data.

Colour is the family of a kernel and shape its source: filled circles were measured (or emulated), open diamonds are
predicted.  No series holds both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pocketnas._figures import SOFT, Figure, blank_layout, scatter
from pocketnas.explanation import Amounts, DeviceExplanation, NetworkExplanation
from predictor import Roofline

_PALETTE = (
    "#1f5fa8", "#d9731a", "#2a8a57", "#7a4fb5", "#b3261e", "#8a6d1a", "#0f8ea3", "#c2498e", "#55606e", "#7d9b1c",
)  # fmt: skip
_INK = "#1c2330"
_MARGIN = 1.6
"""Factor that axes reach beyond what is drawn."""

_CURVE_POINTS = 60
_FEW_DECADES = 3.0


def arithmetic_figure(device: DeviceExplanation, networks: Sequence[NetworkExplanation]) -> Figure:
    """Arithmetic a second against operational intensity, under the two roofs; both axes logarithmic."""
    series = _points(device, networks, lambda at: at.macs_per_byte, lambda at: at.gmac_per_s)
    peak = device.roofline.peak_gmac_per_s if device.roofline else None
    return _under_roofs(device, series, _arithmetic_roofs, peak, "operational intensity, MACs a byte", "GMAC/s")


def traffic_figure(device: DeviceExplanation, networks: Sequence[NetworkExplanation]) -> Figure:
    """Bytes a second against bytes moved, with what a call leaves of the bandwidth; both axes logarithmic."""
    series = _points(device, networks, lambda at: at.megabytes, lambda at: at.gb_per_s)
    bandwidth = device.roofline.bandwidth_gb_per_s if device.roofline else None
    return _under_roofs(device, series, _traffic_roofs, bandwidth, "moved by a kernel, MB", "GB/s")


def _under_roofs(
    device: DeviceExplanation,
    series: list[dict[str, Any]],
    roofs_of: Callable[[Roofline, tuple[float, float]], list[dict[str, Any]]],
    limit: float | None,
    x_title: str,
    y_title: str,
) -> Figure:
    xs, ys = _extent(series)
    roofs = [] if device.roofline is None else roofs_of(device.roofline, xs)
    figure = _log_figure([*roofs, *series], x_title, y_title)
    return _ranged(figure, xs, (ys[0], max(ys[1], limit or 0.0)))


def legend(figure: Figure) -> list[tuple[str, str, str]]:
    """Return the key of a figure, a line for each series: colour, glyph and name."""
    key = []
    for series in figure["data"]:
        if series["mode"] == "lines":
            dashed = series["line"]["dash"] == "dash"
            key.append((series["line"]["color"], "╌╌" if dashed else "━━", series["name"]))
        else:
            hollow = series["marker"]["symbol"] == "diamond-open"
            key.append((series["marker"]["color"], "◇" if hollow else "●", series["name"]))
    return key


def _arithmetic_roofs(roofline: Roofline, xs: tuple[float, float]) -> list[dict[str, Any]]:
    """Draw the bandwidth's slope up to the ridge and the peak from there on; dashed where it is only a bound."""
    lines = []
    peak, bandwidth, ridge = roofline.peak_gmac_per_s, roofline.bandwidth_gb_per_s, roofline.ridge_macs_per_byte
    if bandwidth is not None:
        ends = [xs[0] / _MARGIN, ridge or xs[1] * _MARGIN]
        name = _roof_name("bandwidth", bandwidth, "GB/s", settled="memory" not in roofline.undetermined)
        lines.append(_line(name, ends, [bandwidth * x for x in ends], dashed="memory" in roofline.undetermined))
    if peak is not None:
        ends = [ridge or xs[0] / _MARGIN, max(xs[1], ridge or 0.0) * _MARGIN]
        name = _roof_name("peak", peak, "GMAC/s", settled="compute" not in roofline.undetermined)
        lines.append(_line(name, ends, [peak, peak], dashed="compute" in roofline.undetermined))
    return lines


def _traffic_roofs(roofline: Roofline, xs: tuple[float, float]) -> list[dict[str, Any]]:
    """Draw the bandwidth, and what is left of it after the overhead of a kernel."""
    bandwidth, overhead_us = roofline.bandwidth_gb_per_s, roofline.overhead_us
    if bandwidth is None:
        return []
    low, high = xs[0] / _MARGIN, xs[1] * _MARGIN
    name = _roof_name("bandwidth", bandwidth, "GB/s", settled="memory" not in roofline.undetermined)
    lines = [_line(name, [low, high], [bandwidth, bandwidth], dashed="memory" in roofline.undetermined)]
    if overhead_us:
        curve = [low * (high / low) ** (step / (_CURVE_POINTS - 1)) for step in range(_CURVE_POINTS)]
        # Megabytes a ms are GB/s.
        rates = [size / (overhead_us / 1e3 + size / bandwidth) for size in curve]
        settled = "overhead" not in roofline.undetermined
        name = f"after an overhead of {'' if settled else 'at most '}{overhead_us:.3g} us"
        lines.append(_line(name, curve, rates, dashed=not settled, color=SOFT))
    return lines


def _roof_name(what: str, value: float, unit: str, *, settled: bool) -> str:
    return f"{what} {'' if settled else 'of at least '}{value:.3g} {unit}"


def _points(
    device: DeviceExplanation,
    networks: Sequence[NetworkExplanation],
    x: Callable[[Amounts], float],
    y: Callable[[Amounts], float],
) -> list[dict[str, Any]]:
    """Return a series for each family and source; kernels that have no place on logarithmic axes are left out."""
    predicted = {kernel.amounts: None for network in networks for kernel in network.kernels}
    names = sorted({at.family for at in (*device.kernels, *predicted)})
    color = {name: _PALETTE[index % len(_PALETTE)] for index, name in enumerate(names)}
    series = []
    for source, kernels in ((device.source, device.kernels), ("predicted", tuple(predicted))):
        for family in names:
            own = [at for at in kernels if at.family == family and x(at) > 0 and y(at) > 0]
            if own:
                symbol = "diamond-open" if source == "predicted" else "circle"
                marker: dict[str, Any] = {
                    "color": color[family],
                    "symbol": symbol,
                    "size": 10 if source == "predicted" else 6,
                }
                marker |= {"line": {"width": 2}} if source == "predicted" else {"opacity": 0.75}
                labels = [f"{at.kernel} | {source}, {1e3 * at.latency_ms:.3g} us" for at in own]
                points = scatter(f"{family}, {source}", [x(at) for at in own], [y(at) for at in own], labels=labels)
                series.append({**points, "marker": marker})
    return series


def _extent(series: Sequence[dict[str, Any]]) -> tuple[tuple[float, float], tuple[float, float]]:
    xs = [x for points in series for x in points["x"]] or [1.0]
    ys = [y for points in series for y in points["y"]] or [1.0]
    return (min(xs), max(xs)), (min(ys), max(ys))


def _log_figure(data: list[dict[str, Any]], x_title: str, y_title: str) -> Figure:
    layout = blank_layout(x_title, y_title, height=400)
    layout["showlegend"] = False  # a narrow page has no room for it inside the figure; see `legend`
    layout["margin"]["t"] = 12
    for axis in ("xaxis", "yaxis"):
        layout[axis] |= {"type": "log", "exponentformat": "none", "zeroline": False}
    return {"data": data, "layout": layout}


def _ranged(figure: Figure, xs: tuple[float, float], ys: tuple[float, float]) -> Figure:
    from math import log10

    for axis, (low, high) in (("xaxis", xs), ("yaxis", ys)):
        ends = [log10(low / _MARGIN), log10(high * _MARGIN)]
        # Over few decades powers of ten alone leave an axis with hardly a number.
        figure["layout"][axis] |= {"range": ends, "dtick": "D2" if ends[1] - ends[0] < _FEW_DECADES else 1}
    return figure


def _line(name: str, x: list[float], y: list[float], *, dashed: bool, color: str = _INK) -> dict[str, Any]:
    line = {"color": color, "width": 2, "dash": "dash" if dashed else "solid"}
    return {"type": "scatter", "mode": "lines", "name": name, "x": x, "y": y, "line": line, "hoverinfo": "name"}
