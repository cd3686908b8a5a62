"""Reads Android's properties: `getprop`'s "[key]: [value]" and build.prop's "key=value"."""

from __future__ import annotations

import re
from typing import Final

from profiler.errors import ToolOutputError
from profiler.tool_outputs._lines import read_text

KIND: Final = "properties"

_BRACKETS = re.compile(r"\[([^\[\]]{1,200})\]: \[(.*)")
_ASSIGNED = re.compile(r"([A-Za-z][\w.\-]{0,200}) ?=(.*)")


def parse_properties(data: bytes) -> dict[str, str]:
    r"""Return properties by their keys; a value of several lines keeps its line breaks.

    Of a key that stands twice, the first value of a read-only one ("ro.") counts and the last of another, as on
    the phone.

    Raises:
        ToolOutputError: It is neither form.

    Example:
        >>> parse_properties(b"[ro.product.model]: [Pixel 8]\n")
        {'ro.product.model': 'Pixel 8'}
    """
    found: dict[str, str] = {}
    key, parts = "", [""]
    for line in read_text(data, KIND).whole():
        opened = _BRACKETS.fullmatch(line.text.rstrip())
        assigned = None if opened or key else _ASSIGNED.fullmatch(line.text.strip())
        if opened:
            key, parts = opened[1], [opened[2]]
        elif assigned:
            _set(found, assigned[1], assigned[2])
        elif key:
            parts.append(line.text.rstrip())
        if key and parts[-1].endswith("]"):
            _set(found, key, "\n".join(parts)[:-1])
            key = ""
    # Lines such as "count=50" stand in many outputs; properties have names with dots.
    if not any("." in key for key in found):
        raise ToolOutputError(KIND, "no line of it is a property")
    return found


def _set(found: dict[str, str], key: str, value: str) -> None:
    if not (key.startswith("ro.") and key in found):
        found[key] = value.strip()
