"""The columns of a latency table, and the checks that every row passes, whatever file it came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from profiler.errors import TableError
from profiler.measure.verdicts import Verdict
from profiler.workload import EMULATED_ISA, ISA_REMARK, Dtype, Source

ColumnKind = Literal["text", "count", "latency", "spread"]

COLUMNS: Mapping[str, ColumnKind] = MappingProxyType(
    {
        "device": "text",
        "source": "text",
        "runtime": "text",
        "runtime_version": "text",
        "threads": "count",
        "dtype": "text",
        "level": "text",
        "key": "text",
        "kind": "text",
        "config": "text",
        "median_ms": "latency",
        "low_ms": "latency",
        "high_ms": "latency",
        "mad_ms": "spread",
        "p90_ms": "spread",
        "n_blocks": "count",
        "n_samples": "count",
        "verdict": "text",
        "reasons": "text",
        "protocol": "text",
        "processor": "text",
        "measured_at": "text",
    }
)
"""Columns in order.  A latency is plausible in every row that is not INVALID; a spread may be unknown (NaN)."""

_LEAST_MS, _MOST_MS = 1e-7, 1e9
"""Latencies that something can have: from a tenth of a nanosecond, a fraction of a clock tick, to eleven days."""

_CHOICES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "source": get_args(Source),
        "dtype": get_args(Dtype),
        "level": ("kernel", "network"),
        "verdict": get_args(Verdict),
    }
)


def checked(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with the columns of COLUMNS, in order and with their types.

    Raises:
        TableError: A column is missing, unknown or in another unit, or a cell is not what its column
            holds.
    """
    _check_columns([str(name) for name in frame.columns])
    columns = {name: _column(name, kind, frame[name]) for name, kind in COLUMNS.items()}
    whole = pd.DataFrame(columns, columns=list(COLUMNS))
    _check_latencies(whole)
    _check_sources(whole)
    return whole


def _check_sources(frame: pd.DataFrame) -> None:
    """Refuse rows of emulated instructions beside others, which are mixed when asked to be."""
    sources = sorted(frame["source"].unique())
    if EMULATED_ISA in sources and len(sources) > 1:
        raise TableError(f"rows of {', '.join(sources)}: {ISA_REMARK}, so {EMULATED_ISA} stands in tables of its own")


def _check_columns(names: Sequence[str]) -> None:
    for name in names:
        if name not in COLUMNS:
            raise TableError(_about_unknown(name))
    missing = [name for name in COLUMNS if name not in names]
    if missing:
        raise TableError(f"column {missing[0]!r} is missing; a latency table has {', '.join(COLUMNS)}")
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise TableError(f"column {repeated[0]!r} stands there twice")


def _about_unknown(name: str) -> str:
    stem = name.rsplit("_", 1)[0]
    for wanted in (f"{name}_ms", f"{stem}_ms"):
        if wanted in COLUMNS:
            return f"column {name!r}: latencies must be in milliseconds, in a column named {wanted!r}"
    return f"unknown column {name!r}; a latency table has {', '.join(COLUMNS)}"


def _column(name: str, kind: ColumnKind, cells: pd.Series[Any]) -> pd.Series[Any]:
    if kind == "text":
        return _text_column(name, cells)
    numbers = pd.to_numeric(cells, errors="coerce").reset_index(drop=True)
    given = ~cells.reset_index(drop=True).isin(["", None]) & cells.notna().to_numpy()
    _refuse(name, cells, (numbers.isna() & given).to_numpy(), "not a number (units belong in the column's name)")
    if kind == "count":
        whole = numbers.notna() & (numbers >= 0) & (numbers % 1 == 0)
        _refuse(name, cells, ~whole.to_numpy(), "not a whole number")
        return numbers.astype("int64")
    return numbers.astype("float64")


def _text_column(name: str, cells: pd.Series[Any]) -> pd.Series[Any]:
    texts = cells.fillna("").astype(str).reset_index(drop=True)
    if name in _CHOICES:
        allowed = _CHOICES[name]
        _refuse(name, cells, ~texts.isin(allowed).to_numpy(), f"not one of {', '.join(allowed)}")
    elif name != "reasons":
        _refuse(name, cells, (texts == "").to_numpy(), "empty")
    return texts.astype(object)


def _refuse(name: str, cells: pd.Series[Any], wrong: np.ndarray[Any, np.dtype[np.bool_]], problem: str) -> None:
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise TableError(f"row {row + 1}, column {name!r}: {str(cells.iloc[row])!r:.80} is {problem}")


def _check_latencies(frame: pd.DataFrame) -> None:
    needed = (frame["verdict"] != "INVALID").to_numpy()
    for name, kind in COLUMNS.items():
        if kind in ("latency", "spread"):
            values = frame[name].to_numpy(dtype=np.float64)
            ends = (_LEAST_MS if kind == "latency" else 0.0, _MOST_MS)
            allowed = np.isnan(values) & (~needed if kind == "latency" else True)
            plausible = (values >= ends[0]) & (values <= ends[1])
            _refuse(name, frame[name], ~(plausible | allowed), f"no latency: not from {ends[0]:g} to {ends[1]:g} ms")
    order = (frame["low_ms"] <= frame["median_ms"]) & (frame["median_ms"] <= frame["high_ms"])
    _refuse("median_ms", frame["median_ms"], (~order).to_numpy() & needed, "outside its interval low_ms to high_ms")
