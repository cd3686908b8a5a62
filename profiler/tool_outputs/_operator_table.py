"""Reads tables of TensorFlow's StatsCalculator: columns by their headings, rows from the right.

The heading says which columns there are: 9 with `[start]` until TF 2.8, 8 since; separated by tabs, by runs of
spaces where somebody pasted them, or by commas.  A node's type can hold spaces, commas and digits, so the
numbers are looked for from the right end; a row that does not hold every number of its heading gives none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from profiler.tool_outputs._figures import count, figure, number
from profiler.tool_outputs._lines import short

_BRACKETED = re.compile(r"\[([^\[\]]{1,40})\]")
_TOKEN = re.compile(r"\S+")
_NAMES: Final = {
    "node type": "type",
    "start": "start",
    "first": "first",
    "count": "count",
    "avg ms": "avg_ms",
    "avg_ms": "avg_ms",
    "%": "%",
    "avg %": "%",
    "cdf%": "cdf%",
    "cdf %": "cdf%",
    "mem kb": "mem_kb",
    "times called": "times_called",
    "name": "name",
}
_NEEDED: Final = {"type", "avg_ms", "%", "times_called"}
_ALL = 99.9995


@dataclass(frozen=True)
class Operator:
    """One row of an operator table.

    Attributes:
        type: Type of the node, such as "CONV_2D" or "Convolution (NHWC, F32) IGEMM".
        name: Name as printed, such as "[relu6]:3"; None where there is none.
        avg_ms: Mean latency of one call.  A node's share of a run is this times `times_called`.
        times_called: Calls in one run.
    """

    type: str
    name: str | None
    avg_ms: float
    times_called: int


@dataclass(frozen=True)
class NodeType:
    """One row of a "Summary by node type".

    Attributes:
        type: Type of the nodes.
        count: Nodes of this type.
        total_ms: Latency of all of them in one run: here, unlike in `Operator`, the tool has summed already.
        times_called: Calls of all of them in one run.
    """

    type: str
    count: int
    total_ms: float
    times_called: int


@dataclass(frozen=True)
class Header:
    """The heading of a table.

    Attributes:
        columns: Our names of the numeric columns, left to right.
        named: Whether a column with names follows them.
        commas: Whether the table is CSV.
    """

    columns: tuple[str, ...]
    named: bool
    commas: bool

    @property
    def by_type(self) -> bool:
        """Whether this is a summary by node type."""
        return "count" in self.columns


@dataclass(frozen=True)
class Row:
    """The cells of a row.

    Attributes:
        type: First column.
        values: Numbers by our names of their columns.
        name: Last column; None when empty.
    """

    type: str
    values: dict[str, float]
    name: str | None

    @property
    def last(self) -> bool:
        """Whether the cumulative share says that no row follows."""
        return self.values.get("cdf%", 0.0) >= _ALL

    def operator(self) -> Operator:
        """Return the row of an operator table."""
        return Operator(self.type, self.name, self.values["avg_ms"], int(self.values["times_called"]))

    def node_type(self) -> NodeType:
        """Return the row of a summary by node type."""
        called = int(self.values["times_called"])
        return NodeType(self.type, int(self.values["count"]), self.values["avg_ms"], called)


def is_heading(text: str) -> bool:
    """Whether a line is the heading of some table, known to us or not."""
    return (len(_BRACKETED.findall(text)) >= 3 and not _BRACKETED.sub("", text).strip()) or _csv(text) is not None


def read_header(text: str) -> Header | None:
    """Return what a heading says; None when it is not one that we know in every column."""
    cells = _csv(text)
    names = cells or _BRACKETED.findall(text)
    known = [_NAMES.get(name.strip().lower()) for name in names]
    columns = [name for name in known if name is not None]
    right_ends = known[:1] == ["type"] and "name" not in known[:-1]
    if None in known or not right_ends or not set(columns) >= _NEEDED or len(set(columns)) < len(columns):
        return None
    named = columns[-1] == "name"
    return Header(tuple(columns[1:-1] if named else columns[1:]), named, commas=cells is not None)


def read_row(text: str, header: Header) -> Row | None:
    """Return a row's cells; None when the line does not hold all that the heading promises."""
    return _comma_row(text, header) if header.commas else _spaced_row(text, header)


def _csv(text: str) -> list[str] | None:
    cells = [cell.strip() for cell in text.split(",")]
    return cells if len(cells) >= 4 and cells[0].lower() == "node type" else None


def _spaced_row(text: str, header: Header) -> Row | None:
    tokens = list(_TOKEN.finditer(text))
    width = len(header.columns)
    for start in range(len(tokens) - width, 0, -1):
        window = tokens[start : start + width]
        values = _values([token.group() for token in window], header)
        if values is not None:
            name = short(text[window[-1].end() :])
            return Row(short(text[: window[0].start()]), values, name or None)
    return None


def _comma_row(text: str, header: Header) -> Row | None:
    width = len(header.columns)
    cells = [cell.strip(" ") for cell in text.rsplit(",", width + header.named)]
    if len(cells) != width + 1 + header.named or not cells[0]:
        return None
    values = _values(cells[1 : width + 1], header)
    # The tool writes commas inside names as tabs.
    name = short(cells[-1].replace("\t", ",")) if header.named else ""
    return None if values is None else Row(short(cells[0]), values, name or None)


def _values(cells: list[str], header: Header) -> dict[str, float] | None:
    values: dict[str, float] = {}
    for column, cell in zip(header.columns, cells, strict=True):
        value = _cell(column, cell)
        if value is None:
            return None
        values[column] = value
    return values


def _cell(column: str, cell: str) -> float | None:
    if column.endswith("%"):
        if not cell.endswith("%"):
            return None
        # "-nan%" where all times are 0; the shares are not used.
        return number(cell[:-1]) if "nan" not in cell else 0.0
    if column in ("times_called", "count"):
        return count(cell)
    return number(cell) if column == "mem_kb" else figure(cell)
