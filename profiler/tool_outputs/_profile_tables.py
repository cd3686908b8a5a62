"""Follows a log through its profile: which table is the run order of the regular runs, and which only repeat it.

A profile has a part for the initialisation and one for the regular runs; each has the graph's tables, perhaps those of
subgraphs, and perhaps those from inside the delegate; and each of these is the run order, the top of it, and a
summary by node type.  Where a tool prints no titles, the first operator table of a part is the run order.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from profiler.tool_outputs._benchmark_run import RunReading
from profiler.tool_outputs._operator_table import Header, Operator, is_heading, read_header, read_row

_INITIALISATION: Final = "Profiling Info for Benchmark Initialization"
_REGULAR: Final = "Operator-wise Profiling Info for Regular Benchmark Runs"
_PARTS: Final = {"Delegate internal:": "delegate", "Subgraph (index: ": "subgraph", "Primary graph ": "graph"}
_TITLE = re.compile(r"={5,} ?([A-Z][\w ]{2,60}?) ?={5,}")
_END = re.compile(
    r"Number of nodes executed: |Timings \(microseconds\): |Memory \(bytes\): |[0-9]{1,9} nodes observed$"
)
_RUN_ORDER: Final = "Run Order"
_BY_TYPE: Final = "Summary by node type"


class ProfileTables:
    """The place in a profile.

    Attributes:
        unknown: A heading that we do not know, where one stands that must be known.
    """

    def __init__(self) -> None:
        self.unknown: str | None = None
        self._regular = True
        self._part = "graph"
        self._title: str | None = None
        self._tables_in_part = 0
        self._heading_due = False
        self._header: Header | None = None
        self._rows: list[Operator] | None = None
        self._open = False
        self._types_wanted = False

    def read(self, text: str, run: RunReading) -> bool:
        """Take one more line; whether it was one of a profile."""
        if self._place(text, run):
            return True
        if is_heading(text):
            self._heading(text, run)
            return True
        if self._heading_due and text:
            # Rows without their heading are numbers without their meaning.
            self._heading_due = False
            if text.count("%") >= 2 or text.count("[") >= 3:
                self.unknown = self.unknown or text
        return self._row(text, run)

    def read_cut(self, text: str) -> None:
        """Take a last line that is cut inside its name: its numbers are whole, for something follows them."""
        row = read_row(text, self._header) if self._header and self._rows is not None else None
        if row is not None and row.name is not None and self._rows is not None:
            self._rows.append(replace(row.operator(), name=None))

    def end(self, run: RunReading) -> None:
        """Take the end of the log or of the run."""
        run.open_tables += self._open or self._heading_due
        self._close()

    def _place(self, text: str, run: RunReading) -> bool:
        title = _TITLE.fullmatch(text)
        part = next((name for mark, name in _PARTS.items() if text.startswith(mark)), None)
        if title:
            self._close()
            self._title = title[1]
            self._heading_due = title[1] == _RUN_ORDER
        elif _INITIALISATION in text or _REGULAR in text:
            self._begin(regular=_REGULAR in text, part="graph")
        elif part:
            self._begin(regular=self._regular, part=part)
        elif not text or _END.match(text):
            self._close()
            return bool(text)
        else:
            return False
        return True

    def _begin(self, *, regular: bool, part: str) -> None:
        self._close()
        self._regular, self._part = regular, part
        self._title, self._tables_in_part = None, 0

    def _close(self) -> None:
        self._header = self._rows = None
        self._open = self._types_wanted = False

    def _heading(self, text: str, run: RunReading) -> None:
        self._close()
        self._heading_due = False
        header = read_header(text)
        if header is None:
            self.unknown = self.unknown or text
            return
        self._tables_in_part += not header.by_type
        if not self._regular:
            # What initialisation took stands in the summary; the table is followed so that its end is noticed.
            self._header, self._rows, self._open = header, [], True
        elif header.by_type:
            self._header, self._open = header, self._part == "graph" and not run.node_types
            self._types_wanted = self._open
            run.has_profile = run.has_profile or self._part == "graph"
        elif self._title == _RUN_ORDER or (self._title is None and self._tables_in_part == 1):
            self._run_order(header, run)

    def _run_order(self, header: Header, run: RunReading) -> None:
        rows = {"graph": run.operators, "delegate": run.delegate_operators}.get(self._part)
        if rows:
            # A second run order of the same part: another subgraph, or the log printed twice.
            return
        self._header, self._rows, self._open = header, rows if rows is not None else [], True
        run.has_profile = run.has_profile or self._part == "graph"

    def _row(self, text: str, run: RunReading) -> bool:
        if self._header is None:
            return False
        row = read_row(text, self._header)
        if row is None:
            run.damaged = run.damaged or "%" in text
            return False
        if not self._header.by_type:
            if self._rows is not None:
                self._rows.append(row.operator())
        elif self._types_wanted:
            run.node_types.append(row.node_type())
        if row.last:
            # Rows after it can only be ones that took no time.
            self._open = False
        return True
