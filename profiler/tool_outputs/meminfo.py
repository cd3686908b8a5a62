"""Reads `/proc/meminfo`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from profiler.errors import ToolOutputError
from profiler.tool_outputs._figures import count
from profiler.tool_outputs._lines import read_text

KIND: Final = "meminfo"

# The unit ends the number, so a row without its newline is whole when the unit is.
_ROW = re.compile(r"\s*([A-Za-z][\w()]{1,60}):\s+([0-9]{1,15}) kB\s*")
_KIB: Final = 1024


@dataclass(frozen=True)
class MemoryInfo:
    """Memory of a device.  None is unknown.

    Attributes:
        total_bytes: All of it.
        available_bytes: What a new process can get without swapping; old kernels do not say.
        free_bytes: What nobody uses at all, far less than what is available.
        swap_total_bytes: Swap, which on phones is compressed memory.
        swap_free_bytes: Swap that is free.
        rows_bytes: Every row by the kernel's name of it.
    """

    total_bytes: int | None
    available_bytes: int | None
    free_bytes: int | None
    swap_total_bytes: int | None
    swap_free_bytes: int | None
    rows_bytes: dict[str, int]


def parse_meminfo(data: bytes) -> MemoryInfo:
    """Return the rows of `/proc/meminfo`.

    Raises:
        ToolOutputError: It is something else.
    """
    rows: dict[str, int] = {}
    for line in read_text(data, KIND).lines:
        found = _ROW.fullmatch(line.text)
        kib = count(found[2]) if found else None
        if found and kib is not None:
            rows.setdefault(found[1], kib * _KIB)
    if not rows.keys() & {"MemTotal", "MemFree"}:
        raise ToolOutputError(KIND, "it has neither MemTotal nor MemFree")
    return MemoryInfo(
        total_bytes=rows.get("MemTotal"),
        available_bytes=rows.get("MemAvailable"),
        free_bytes=rows.get("MemFree"),
        swap_total_bytes=rows.get("SwapTotal"),
        swap_free_bytes=rows.get("SwapFree"),
        rows_bytes=rows,
    )
