"""The latency table and how it is made from a store."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Self, get_args

import numpy as np
import pandas as pd

from profiler.errors import TableError
from profiler.measure.campaign import load_measurements, usual_levels
from profiler.measure.measurement import Measurement
from profiler.measure.protocol import PAIR_TESTS
from profiler.measure.verdicts import Verdict
from profiler.store import Store
from profiler.table._columns import COLUMNS, checked
from profiler.table._files import read_frame, write_frame
from profiler.workload import Source

_RANK = {verdict: rank for rank, verdict in enumerate(get_args(Verdict))}


class LatencyTable:
    """A checked table of latencies.

    Args:
        frame: One row a workload, with the columns of COLUMNS; others are not allowed.

    Attributes:
        frame: The rows. Treat it as read-only; make a new table from a changed copy.

    Raises:
        TableError: A column is missing, has another unit, or a cell is not what its column holds; the
            message names row and column. Rows count from 1, without the header.
    """

    frame: pd.DataFrame

    def __init__(self, frame: pd.DataFrame) -> None:
        self.frame = checked(frame)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.frame)

    @property
    def sources(self) -> tuple[str, ...]:
        """Where the numbers come from, sorted; more than one only in a table that was joined on purpose."""
        return tuple(sorted(self.frame["source"].unique()))

    def where(self, **values: object) -> LatencyTable:
        """Return the rows whose columns have the given values.

        Args:
            **values: Column and value, such as device="host", level="kernel".

        Raises:
            TableError: There is no such column.
        """
        unknown = sorted(values.keys() - COLUMNS.keys())
        if unknown:
            raise TableError(f"no column {unknown[0]!r}; there are {', '.join(COLUMNS)}")
        keep = np.ones(len(self.frame), dtype=bool)
        for name, value in values.items():
            keep &= (self.frame[name] == value).to_numpy()
        return LatencyTable(self.frame[keep])

    def kernels(self) -> LatencyTable:
        """Return the rows of kernels."""
        return self.where(level="kernel")

    def networks(self) -> LatencyTable:
        """Return the rows of whole networks."""
        return self.where(level="network")

    def usable(self) -> LatencyTable:
        """Return the rows that may be learnt from: all but the INVALID ones."""
        return LatencyTable(self.frame[self.frame["verdict"] != "INVALID"])

    def joined(self, other: LatencyTable, *, mix_sources: bool = False) -> LatencyTable:
        """Return the rows of both tables.

        Args:
            other: More rows.
            mix_sources: Say so when measured, emulated and predicted rows are to stand together; those of emulated
                instructions never do.

        Raises:
            TableError: The tables have different sources and mixing them was not asked for.
        """
        sources = sorted({*self.sources, *other.sources})
        if len(sources) > 1 and not mix_sources:
            raise TableError(f"the tables have different sources ({', '.join(sources)}); these are not mixed unasked")
        frames = [table.frame for table in (self, other) if len(table)]
        return LatencyTable(pd.concat(frames, ignore_index=True)) if frames else self

    def write(self, path: Path) -> None:
        """Write the table to a .csv, .parquet or .json file.

        In CSV, text that a spreadsheet would run as a formula gets an apostrophe in front; `read` takes
        it off again.

        Raises:
            TableError: The file's name ends otherwise.
        """
        write_frame(self.frame, path)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a table from a .csv, .parquet or .json file.

        Raises:
            TableError: The file is not such a table; the message names what is wrong and where.
            SchemaMismatchError: It was written by a newer version.
        """
        frame = read_frame(path)
        try:
            return cls(frame)
        except TableError as error:
            raise TableError(f"{str(path)!r}: {error}") from error


def table(
    store: Store, *, device: str | None = None, source: Source | None = None, campaign: str | None = None
) -> LatencyTable:
    """Return what a store knows, with one row a workload and configuration.

    Where a workload was measured in several campaigns on the same configuration, the row with the best
    verdict stands, and among equals the latest. Pair tests of fusion give no rows: what they measure is chosen for
    another purpose.

    Args:
        store: The store.
        device: Only rows of this device.
        source: Only rows of this source.
        campaign: Only rows of the campaign with this id or label.

    Raises:
        TableError: The store has rows of several sources and none was chosen.
    """
    chosen = [
        record
        for record in store.campaigns()
        if record.protocol.name != PAIR_TESTS
        and device in (None, record.configuration.device)
        and source in (None, record.configuration.source)
        and campaign in (None, record.id, record.label)
    ]
    sources = sorted({record.configuration.source for record in chosen})
    if len(sources) > 1:
        devices = ", ".join(sorted({repr(record.configuration.device) for record in chosen}))
        found = f"rows of several sources ({', '.join(sources)}), of {devices}"
        raise TableError(f"the store has {found}; choose one by its device or source")
    best: dict[object, Measurement] = {}
    levels = {
        configuration: usual_levels(store, configuration)
        for configuration in dict.fromkeys(record.configuration for record in chosen)
    }
    for record in chosen:
        for measurement in load_measurements(store, record, levels=levels[record.configuration]):
            place = (record.configuration, measurement.workload.key)
            if place not in best or _RANK[measurement.verdict] <= _RANK[best[place].verdict]:
                best[place] = measurement
    return table_of(best.values())


def table_of(measurements: Iterable[Measurement]) -> LatencyTable:
    """Return measurements as a table, in the order given."""
    return LatencyTable(pd.DataFrame([_row(measurement) for measurement in measurements], columns=list(COLUMNS)))


def _row(measurement: Measurement) -> dict[str, object]:
    configuration, workload = measurement.campaign.configuration, measurement.workload
    facts = configuration.facts
    return {
        "device": configuration.device,
        "source": configuration.source,
        "runtime": facts.runtime,
        "runtime_version": facts.runtime_version,
        "threads": facts.threads,
        "dtype": workload.dtype,
        "level": "network" if workload.kind == "network" else "kernel",
        "key": workload.network_key,
        "kind": workload.kind,
        "config": workload.config,
        "median_ms": measurement.median_ms,
        "low_ms": measurement.low_ms,
        "high_ms": measurement.high_ms,
        "mad_ms": measurement.mad_ms,
        "p90_ms": measurement.p90_ms,
        "n_blocks": len(measurement.used),
        "n_samples": measurement.runs,
        "verdict": measurement.verdict,
        "reasons": "; ".join(str(reason) for reason in measurement.reasons),
        "protocol": measurement.protocol_label,
        "processor": facts.processor,
        "measured_at": measurement.measured_at,
    }
