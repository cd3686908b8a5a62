"""Latencies that others published, beside the networks they are of: read from files, and made into a latency table."""

from __future__ import annotations

import csv
import gzip
import io
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from profiler.errors import TableError
from profiler.network import Network

if TYPE_CHECKING:
    from profiler.table import LatencyTable
    from profiler.workload import Dtype

_MS_OF_UNIT: Mapping[str, float] = MappingProxyType({"ms": 1.0, "us": 1e-3, "s": 1e3})
_MOST_BYTES = 64 * 1024 * 1024
"""A million rows; a compressed file that grows beyond is none of labels."""

_INTERVAL_DEVIATIONS = 1.96
"""Standard errors in half a 95 % interval of a mean."""

_PROTOCOL = "published"
_REASON = "PUBLISHED: measured by others, under a protocol of their own"


@dataclass(frozen=True, slots=True)
class LabelledNetwork:
    """A network, or a block of one, and the latency that others measured.

    Attributes:
        name: What the catalogue calls it.
        network: The network.
        latency_ms: Mean or median latency, > 0.
        std_ms: Standard deviation of single runs; None where nobody says.
        runs: Number of runs; None where nobody says.
    """

    name: str
    network: Network
    latency_ms: float
    std_ms: float | None = None
    runs: int | None = None


def labelled(
    name: str, network: Network, latency_ms: object, *, std_ms: object = None, runs: object = None, place: str = ""
) -> LabelledNetwork:
    """Return a network with its latency, both checked.

    Args:
        name: What the catalogue calls it.
        network: The network.
        latency_ms: A finite number above 0.
        std_ms: A finite number, at least 0, or None.
        runs: A whole number, at least 1, or None.
        place: Where the numbers stand, for errors.

    Raises:
        TableError: A number is not what it should be.
    """
    checked_ms = _number(latency_ms, f"{place}: {name!r:.80}: latency")
    if checked_ms <= 0:
        raise TableError(f"{place}: {name!r:.80}: latency {checked_ms:g} is not above 0 ms")
    deviation_ms = None if std_ms is None else _number(std_ms, f"{place}: {name!r:.80}: standard deviation")
    if deviation_ms is not None and deviation_ms < 0:
        raise TableError(f"{place}: {name!r:.80}: standard deviation {deviation_ms:g} is below 0 ms")
    if runs is None:
        return LabelledNetwork(name, network, checked_ms, deviation_ms)
    if not isinstance(runs, int) or isinstance(runs, bool) or runs < 1:
        raise TableError(f"{place}: {name!r:.80}: {runs!r:.40} is no number of runs")
    return LabelledNetwork(name, network, checked_ms, deviation_ms, runs)


def _number(value: object, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TableError(f"{what} {value!r:.40} is not a finite number")
    return float(value)


@dataclass(frozen=True, slots=True)
class Label:
    """One row of a file of labels.

    Attributes:
        row: Its number, counted from 1 without the header.
        name: What it is of.
        latency_ms: Its latency, finite and > 0.
        cells: All its cells by column.
    """

    row: int
    name: str
    latency_ms: float
    cells: Mapping[str, str]


def read_labels(path: Path, *, name: str, latency: str, unit: str | None = None) -> Iterator[Label]:
    """Read labels from a .csv or .csv.gz file, row by row; a byte order mark in front is passed over.

    Args:
        path: The file.
        name: Column of the names.
        latency: Column of the latencies. It says their unit at its end (`_ms`, `_us`, `_s`), or `unit` does.
        unit: Unit of a column that does not say it: "ms", "us" or "s".

    Raises:
        TableError: The file cannot be read, a column is missing or there twice, the unit is not known or said twice
            and differently, or a cell is not a finite number above 0; row and column are named.
    """
    text = _text(path)
    rows = csv.reader(io.StringIO(text, newline=""))
    header = next(rows, [])
    for wanted in (name, latency):
        if header.count(wanted) != 1:
            found = "is missing" if wanted not in header else "stands there twice"
            raise TableError(f"{str(path)!r}: column {wanted!r} {found}; there are {', '.join(header) or 'none'}"[:400])
    factor = _MS_OF_UNIT[_unit(path, header, latency, unit)]
    for number, cells in enumerate(rows, start=1):
        if len(cells) != len(header):
            raise TableError(f"{str(path)!r}: row {number} has {len(cells)} cells, not {len(header)}")
        by_column = dict(zip(header, cells, strict=True))
        place = f"{str(path)!r}: row {number}, column {latency!r}: {by_column[latency]!r:.40}"
        yield Label(number, by_column[name], factor * _positive(by_column[latency], place), MappingProxyType(by_column))


def _unit(path: Path, header: list[str], column: str, unit: str | None) -> str:
    stem, _, ending = column.rpartition("_")
    said = ending if stem and ending in _MS_OF_UNIT else None
    if unit is not None and (unit not in _MS_OF_UNIT or said not in (None, unit)):
        raise TableError(f"{str(path)!r}: column {column!r} cannot be in {unit!r}; units are {', '.join(_MS_OF_UNIT)}")
    others = [f"{stem}_{other}" for other in _MS_OF_UNIT if said and other != said and f"{stem}_{other}" in header]
    if others:
        raise TableError(f"{str(path)!r}: columns {column!r} and {others[0]!r} mix units; leave one of them out")
    if not (said or unit):
        raise TableError(f"{str(path)!r}: column {column!r} has no unit; name it {column}_ms, or say its unit")
    return said or str(unit)


def _positive(cell: str, place: str) -> float:
    try:
        value = float(cell)
    except ValueError as err:
        raise TableError(f"{place} is not a number (units belong in the column's name)") from err
    if not (math.isfinite(value) and value > 0):
        raise TableError(f"{place} is not a finite latency above 0")
    return value


def _text(path: Path) -> str:
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except (OSError, EOFError) as err:
        raise TableError(f"{str(path)!r}: cannot be read: {err.__class__.__name__}: {err}"[:400]) from err
    if len(data) > _MOST_BYTES:
        raise TableError(f"{str(path)!r}: larger than {_MOST_BYTES // 1024**2} MiB, so it is no file of labels")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as err:
        raise TableError(f"{str(path)!r}: not UTF-8 text (byte {err.start})") from err


def labelled_table(
    rows: Iterable[LabelledNetwork],
    *,
    device: str,
    runtime: str,
    threads: int = 1,
    dtype: Dtype = "float32",
    runtime_version: str = "unknown",
    processor: str = "unknown",
    measured_at: str = "unknown",
) -> LatencyTable:
    """Return published latencies as a latency table that predictors learn from like from one's own.

    Each row is one of a whole network, be it a block: what was run is the network as it stands. Its verdict is
    SEMI_VALID: nobody saw the runs. The interval is the 95 % interval of the mean where deviation and number of
    runs are known, else the latency itself.

    Args:
        rows: Networks with latencies, different ones or the same again.
        device: Name of the device.
        runtime: Name of the runtime, one that has fusion rules.
        threads: Threads it used; 0 where nobody says.
        dtype: Numeric type.
        runtime_version: Its version.
        processor: Processor of the device.
        measured_at: When, ISO UTC.

    Raises:
        TableError: A cell is not what its column holds.
    """
    import pandas as pd

    from profiler.table import COLUMNS, LatencyTable

    shared = {
        "device": device, "source": "measured", "runtime": runtime, "runtime_version": runtime_version,
        "threads": threads, "dtype": dtype, "level": "network", "kind": "network", "mad_ms": None, "p90_ms": None,
        "n_blocks": 1, "verdict": "SEMI_VALID", "reasons": _REASON, "protocol": _PROTOCOL, "processor": processor,
        "measured_at": measured_at,
    }  # fmt: skip
    records = []
    for row in rows:
        half_ms = _INTERVAL_DEVIATIONS * row.std_ms / math.sqrt(row.runs) if row.std_ms and row.runs else 0.0
        own = {
            "key": row.network.key, "config": row.network.to_json(), "median_ms": row.latency_ms,
            "low_ms": max(row.latency_ms - half_ms, row.latency_ms / 100), "high_ms": row.latency_ms + half_ms,
            "n_samples": row.runs or 1,
        }  # fmt: skip
        records.append({**shared, **own})
    return LatencyTable(pd.DataFrame(records, columns=list(COLUMNS)))
