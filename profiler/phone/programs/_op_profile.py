"""The operator profile of `benchmark_model`: statistics of rows, and how they are written as text, CSV and proto.

Source: tsl/util/stats_calculator.cc and tflite/profiling/profile_summary_formatter.cc.  Rows are told apart by their
names alone, so that operators of different partitions that have the same name, which XNNPACK numbers anew in each,
become one row that is called twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from profiler.phone.programs._protobuf import bytes_field, float_field, integer_field, text_field
from profiler.phone.programs._statistics import Microseconds, Stat

_TOP = 10
_MEM_DIVISOR = 1000.0


@dataclass
class Row:
    """One row of a profile.

    Attributes:
        name: Its name, by which it is known.
        type: Its type.
        order: Its place among the events of a run.
        elapsed: Durations of its calls, in us.
        memory_kb: What it allocates.
        calls: Calls in one run.
    """

    name: str
    type: str
    order: int
    elapsed: Stat = field(default_factory=Stat)
    memory_kb: float = 0.0
    calls: int = 0


class OpProfile:
    """Statistics of rows over runs.

    Args:
        rows: Name and type of each event of a run, in order.
    """

    def __init__(self, rows: Sequence[tuple[str, str]]) -> None:
        self._rows: dict[str, Row] = {}
        self._of_event: list[Row] = []
        for order, (name, kind) in enumerate(rows):
            row = self._rows.setdefault(name, Row(name, kind, order))
            row.calls += 1
            self._of_event.append(row)
        self._run_total = Stat()

    def add(self, durations_us: Microseconds) -> None:
        """Take runs: a row of durations each, shape (n_runs, n_events)."""
        for event, row in enumerate(self._of_event):
            row.elapsed.add(durations_us[:, event])
        if self._of_event:
            self._run_total.add(durations_us.sum(axis=1))

    def set_memory(self, memory_kb: Mapping[str, float]) -> None:
        """Say what rows allocate, by name."""
        for name, kilobytes in memory_kb.items():
            self._rows[name].memory_kb = kilobytes

    @property
    def events(self) -> int:
        """Events of a run."""
        return len(self._of_event)

    def text(self) -> str:
        """Return it as tables."""
        return self._report(_TabbedTable())

    def csv(self) -> str:
        """Return it as comma-separated tables."""
        return self._report(_CommaTable())

    def proto(self) -> bytes:
        """Return it as a serialised ModelProfilingData."""
        rows = b"".join(bytes_field(3, _row_message(row)) for row in self._rows.values())
        graph = text_field(1, "main") + integer_field(2, 0) + rows
        return bytes_field(1, graph)

    def _report(self, table: _TabbedTable) -> str:
        in_order = list(self._rows.values())
        by_time = sorted(in_order, key=lambda row: row.elapsed.average, reverse=True)[:_TOP]
        return (
            self._rows_table(table, "Run Order", in_order)
            + self._rows_table(table, "Top by Computation Time", by_time)
            + self._types_table(table)
            + f"Timings (microseconds): {self._run_total.line()}\nMemory (bytes): count=0\n"
            + f"{len(self._rows)} nodes observed\n\n"
        )

    def _rows_table(self, table: _TabbedTable, title: str, rows: Sequence[Row]) -> str:
        total_us, summed_us = self._run_total.total or 1, 0
        lines = [_title(title), table.heading()]
        for row in rows:
            summed_us += row.elapsed.total
            lines.append(table.row(row, 100.0 * row.elapsed.total / total_us, 100.0 * summed_us / total_us))
        return "\n".join(lines) + "\n\n"

    def _types_table(self, table: _TabbedTable) -> str:
        runs = self._run_total.count or 1
        types: dict[str, tuple[int, int, float, int]] = {}
        for row in self._rows.values():
            nodes, time_us, memory_kb, calls = types.get(row.type, (0, 0, 0.0, 0))
            own_us = row.elapsed.total // runs
            types[row.type] = nodes + 1, time_us + own_us, memory_kb + row.memory_kb, calls + row.calls
        whole_us, summed = sum(time_us for _, time_us, *_ in types.values()) or 1, 0.0
        lines = [f"Number of nodes executed: {len(self._rows)}", _title("Summary by node type"), table.type_heading()]
        for kind, figures in sorted(types.items(), key=lambda entry: (entry[1][1], entry[0]), reverse=True):
            share = 100.0 * figures[1] / whole_us
            summed += share
            lines.append(table.type_row(kind, figures, share, summed))
        return "\n".join(lines) + "\n\n"


class _TabbedTable:
    """Columns behind tabs, padded; those of LiteRT since 2025 are wide enough for XNNPACK's types."""

    _TYPE_WIDTH = 40

    def heading(self) -> str:
        titles = ("[first]", 9), ("[avg ms]", 9), ("[%]", 8), ("[cdf%]", 8), ("[mem KB]", 10), ("[times called]", 9)
        return self._line("[node type]", titles) + "\t[Name]"

    def row(self, row: Row, share: float, summed: float) -> str:
        cells = (
            (f"{row.elapsed.first / 1000:.3f}", 9),
            (f"{row.elapsed.average / 1000:.3f}", 9),
            (f"{share:7.3f}%", 8),
            (f"{summed:7.3f}%", 8),
            (f"{row.memory_kb:.3f}", 10),
            (str(row.calls), 9),
        )
        return self._line(row.type, cells) + f"\t{row.name}"

    def type_heading(self) -> str:
        titles = ("[count]", 9), ("[avg ms]", 10), ("[avg %]", 11), ("[cdf %]", 11), ("[mem KB]", 10)
        return self._line("[Node type]", (*titles, ("[times called]", 10)))

    def type_row(self, kind: str, figures: tuple[int, int, float, int], share: float, summed: float) -> str:
        nodes, time_us, memory_kb, calls = figures
        cells = (str(nodes), 9), (f"{time_us / 1000:.3f}", 10), (f"{share:10.3f}%", 11), (f"{summed:10.3f}%", 11)
        return self._line(kind, (*cells, (f"{memory_kb:.3f}", 10), (str(calls), 9)))

    def _line(self, kind: str, cells: Sequence[tuple[str, int]]) -> str:
        return f"\t{kind:>{self._TYPE_WIDTH}}" + "".join(f"\t{cell:>{width}}" for cell, width in cells)


class _CommaTable(_TabbedTable):
    """CSV in which commas of names become tabs, and those of types stay."""

    def heading(self) -> str:
        return "node type, first, avg_ms, %, cdf%, mem KB, times called, name"

    def row(self, row: Row, share: float, summed: float) -> str:
        first_ms, average_ms = row.elapsed.first / 1000, row.elapsed.average / 1000
        name = row.name.replace(",", "\t")
        return (
            f"{row.type}, {first_ms:g}, {average_ms:g}, {share:g}%, {summed:g}%, {row.memory_kb:g}, {row.calls}, {name}"
        )

    def type_heading(self) -> str:
        return "node type, count, avg_ms, avg %, cdf %, mem KB, times called"

    def type_row(self, kind: str, figures: tuple[int, int, float, int], share: float, summed: float) -> str:
        nodes, time_us, memory_kb, calls = figures
        return f"{kind}, {nodes}, {time_us / 1000:g}, {share:g}%, {summed:g}%, {memory_kb:g}, {calls}"


def _title(text: str) -> str:
    return f"{'=' * 30} {text} {'=' * 30}"


def _row_message(row: Row) -> bytes:
    """Return a serialised OpProfileData."""
    calls = row.elapsed.count
    kilobytes = int(row.memory_kb)
    memory = Stat(calls, kilobytes, kilobytes, kilobytes, kilobytes, kilobytes * calls, kilobytes**2 * calls)
    return (
        text_field(1, row.type)
        + bytes_field(2, _stat_message(row.elapsed))
        + bytes_field(3, _stat_message(memory))
        + integer_field(4, row.calls)
        + text_field(5, row.name)
        + integer_field(6, row.order)
    )


def _stat_message(stat: Stat) -> bytes:
    """Return a serialised OpProfilingStat."""
    return (
        integer_field(1, stat.first)
        + integer_field(2, stat.newest)
        + integer_field(3, int(stat.average))
        + float_field(4, stat.deviation)
        + float_field(5, stat.variance)
        + integer_field(6, stat.least)
        + integer_field(7, stat.largest)
        + integer_field(8, stat.total)
        + integer_field(9, stat.count)
    )
