"""Owns the figures of the report as plotly's plain data: what is drawn, in which colour, with which label.

Colour carries one meaning throughout: blue is measured (or emulated), orange is predicted, red is the budget.
Figures are dictionaries as plotly.js takes them, so drawing needs no figure library at run time.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from pocketnas.result import Baseline, Candidate, SearchResult

Figure = dict[str, Any]

MEASURED, PREDICTED, BUDGET = "#1f5fa8", "#d9731a", "#b3261e"
_INK, SOFT, _GRID = "#1c2330", "#667085", "#e6e9ef"
_BUDGET_LINE = {"color": BUDGET, "width": 1.5, "dash": "dash"}
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


def front_figure(result: SearchResult) -> Figure:
    """Accuracy against latency: what the search predicted, and what the device then measured."""
    found = result.finalists
    missed = [candidate for candidate in result.dropped if candidate.measured_ms is not None]
    on_front = [candidate for candidate in result.front if candidate.on_front]
    others = [candidate for candidate in result.front if not candidate.on_front]
    data = [
        *([_candidates("predicted, front (shared weights)", "circle", on_front)] if on_front else []),
        *([_candidates("predicted, others (shared weights)", "circle-open", others)] if others else []),
        scatter(
            f"{result.source}, trained alone",
            [c.measured_ms for c in found],
            [100 * c.accuracy for c in found],
            labels=[c.name for c in found],
            marker={"color": MEASURED, "size": 11},
            error_x=_interval(
                [c.measured_ms for c in found],
                [c.measured_low_ms for c in found],
                [c.measured_high_ms for c in found],
                MEASURED,
            ),
        ),
    ]
    for source in dict.fromkeys(baseline.source for baseline in result.baselines):
        data.append(_known_networks([own for own in result.baselines if own.source == source], source))
    if missed:
        data.append(
            scatter(
                f"{result.source}, dropped (shared weights)",
                [c.measured_ms for c in missed],
                [100 * c.search_accuracy for c in missed],
                labels=[c.name for c in missed],
                marker={"color": MEASURED, "size": 9, "symbol": "x-thin-open", "line": {"width": 2}},
            )
        )
    data.append(_legend_line(f"budget {result.budget_ms:.3g} ms", _BUDGET_LINE))
    layout = blank_layout("latency, ms", "accuracy, %", height=420)
    layout["xaxis"]["rangemode"] = "tozero"
    layout["shapes"] = [_upright(result.budget_ms)]
    return {"data": data, "layout": layout}


def _known_networks(baselines: Sequence[Baseline], source: str) -> dict[str, Any]:
    """Known networks that were trained alike, as devices of one source measured them."""
    known = {(baseline.name, baseline.device): baseline for baseline in baselines}.values()
    measured_ms = [baseline.measured_ms for baseline in known]
    lows_ms, highs_ms = [b.measured_low_ms for b in known], [b.measured_high_ms for b in known]
    return scatter(
        f"{source}, known networks trained alike",
        measured_ms,
        [100 * baseline.accuracy for baseline in known],
        labels=[baseline.name for baseline in known],
        marker={"color": SOFT, "size": 10, "symbol": "diamond"},
        error_x=_interval(measured_ms, lows_ms, highs_ms, SOFT),
    )


def calibration_figure(result: SearchResult) -> Figure:
    """Predicted against measured latency of networks that the predictor had not seen."""
    points = result.predictor.calibration
    measured, predicted = [p.measured_ms for p in points], [p.predicted_ms for p in points]
    ends = [0.0, 1.08 * max([*measured, *(p.predicted_high_ms for p in points)], default=1.0)]
    data = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": "equal",
            "x": ends,
            "y": ends,
            "line": {"color": SOFT, "width": 1, "dash": "dot"},
            "hoverinfo": "skip",
        },
        scatter(
            "networks",
            measured,
            predicted,
            labels=[p.name for p in points],
            marker={"color": PREDICTED, "size": 8},
            error_x=_interval(
                measured, [p.measured_low_ms for p in points], [p.measured_high_ms for p in points], MEASURED
            ),
            error_y=_interval(
                predicted, [p.predicted_low_ms for p in points], [p.predicted_high_ms for p in points], PREDICTED
            ),
        ),
    ]
    layout = blank_layout(f"{result.source} latency, ms", "predicted latency, ms", height=400)
    layout["showlegend"] = False
    layout["xaxis"]["range"] = layout["yaxis"]["range"] = ends
    return {"data": data, "layout": layout}


def progress_figure(result: SearchResult) -> Figure:
    """Hypervolume and best accuracy of the search, a generation at a time."""
    generations = [g.generation for g in result.generations]
    data = [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "name": "hypervolume",
            "x": generations,
            "y": [g.hypervolume for g in result.generations],
            "line": {"color": PREDICTED, "width": 2},
        },
        {
            "type": "scatter",
            "mode": "lines+markers",
            "name": "best accuracy, % (shared weights)",
            "x": generations,
            "y": [100 * g.best_accuracy for g in result.generations],
            "yaxis": "y2",
            "line": {"color": SOFT, "width": 2, "dash": "dash"},
        },
    ]
    layout = blank_layout("generation", "hypervolume", height=320)
    layout["yaxis2"] = {"overlaying": "y", "side": "right", "showgrid": False, "ticksuffix": " %"}
    layout["margin"]["r"] = 56
    layout["xaxis"]["dtick"] = max(1, len(generations) // 10)
    return {"data": data, "layout": layout}


def _candidates(name: str, symbol: str, candidates: Sequence[Candidate]) -> dict[str, Any]:
    predicted_ms = [c.predicted_ms for c in candidates]
    lows_ms, highs_ms = [c.predicted_low_ms for c in candidates], [c.predicted_high_ms for c in candidates]
    return scatter(
        name,
        predicted_ms,
        [100 * c.search_accuracy for c in candidates],
        labels=[c.name for c in candidates],
        marker={"color": PREDICTED, "size": 9, "symbol": symbol, "line": {"width": 2}},
        error_x=_interval(predicted_ms, lows_ms, highs_ms, PREDICTED),
    )


def scatter(
    name: str, x: Sequence[float | None], y: Sequence[float], *, labels: Sequence[str], **style: Any
) -> dict[str, Any]:
    """Return a series of points; labels are shown as they are written, markup in them is not obeyed."""
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": list(x),
        "y": list(y),
        "text": [escape(label) for label in labels],
        "hovertemplate": "%{text}<br>%{x:.4g}, %{y:.4g}<extra></extra>",
        **style,
    }


def _interval(middle: Sequence[float], low: Sequence[float], high: Sequence[float], color: str) -> dict[str, Any]:
    return {
        "type": "data",
        "symmetric": False,
        "array": [max(0.0, top - value) for value, top in zip(middle, high, strict=True)],
        "arrayminus": [max(0.0, value - bottom) for value, bottom in zip(middle, low, strict=True)],
        "color": color,
        "thickness": 1.2,
        "width": 3,
    }


def blank_layout(x_title: str, y_title: str, *, height: int) -> dict[str, Any]:
    """Return the layout that all figures start from; height in pixels."""
    axis = {"gridcolor": _GRID, "zerolinecolor": _GRID, "linecolor": _GRID, "automargin": True}
    return {
        "height": height,
        "autosize": True,
        "margin": {"l": 56, "r": 16, "t": 36, "b": 48},
        "font": {"family": _FONT, "size": 13, "color": _INK},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "xaxis": {**axis, "title": {"text": x_title}},
        "yaxis": {**axis, "title": {"text": y_title}},
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "font": {"size": 12}},
        "hovermode": "closest",
    }


def _upright(x: float) -> dict[str, Any]:
    return {"type": "line", "x0": x, "x1": x, "y0": 0, "y1": 1, "yref": "paper", "line": _BUDGET_LINE}


def _legend_line(name: str, line: dict[str, Any]) -> dict[str, Any]:
    return {"type": "scatter", "mode": "lines", "name": name, "x": [None], "y": [None], "line": line}
