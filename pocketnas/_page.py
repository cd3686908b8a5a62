"""Owns how a self-contained page is made of a template: escaping, the style, and the drawing library inside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def render_page(template: str, figures: Mapping[str, Any], **values: object) -> str:
    """Return a page that needs neither network nor server.

    Args:
        template: File name of a template of this package; its text is escaped where it is filled in.
        figures: Plotly figures by the id of the element that they are drawn into.
        **values: What else the template asks for.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from plotly.offline import get_plotlyjs

    environment = Environment(
        loader=PackageLoader("pocketnas", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["interval"] = _interval
    environment.filters["figure"] = _figure
    environment.filters["count"] = _count
    page = environment.get_template(template)
    return page.render(figures=_script_safe(figures), plotly_script=get_plotlyjs(), **values)


def _script_safe(value: object) -> str:
    """JSON that cannot end the script element that it stands in."""
    text = json.dumps(value, allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _interval(middle: float, low: float, high: float) -> str:
    return f"{_figure(middle)} ms ({_figure(low)} to {_figure(high)})"


def _figure(value: float) -> str:
    """Three digits, without a power of ten for what a person can read as it is."""
    return f"{value:.0f}" if 1e3 <= value < 1e6 else f"{value:.3g}"


def _count(number: int) -> str:
    for limit, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if number >= limit:
            return f"{number / limit:.3g}{unit}"
    return str(number)
