"""Latency tables as CSV, Parquet and JSON files."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import pandas as pd

from profiler.errors import SchemaMismatchError, TableError
from profiler.table._columns import COLUMNS

SCHEMA_VERSION = 1

# A spreadsheet runs a cell that begins with one of these. Source: OWASP, "CSV injection".
_FORMULA = re.compile(r"^'*[=+\-@\t\r]")


def read_frame(path: Path) -> pd.DataFrame:
    """Return the rows of a file, not yet checked.

    Raises:
        TableError: The file is not there, its name ends otherwise, or it cannot be parsed.
        SchemaMismatchError: It was written with another schema.
    """
    form = _format(path)
    if not path.is_file():
        raise TableError(f"{str(path)!r}: no such file")
    try:
        return form.read(path)
    except (ValueError, OSError, RecursionError) as error:
        first_line = (str(error).splitlines() or ["empty"])[0]
        raise TableError(f"{str(path)!r}: not a readable table: {first_line}") from error


def write_frame(frame: pd.DataFrame, path: Path) -> None:
    """Write the rows to a file.

    Raises:
        TableError: The file's name ends in none of .csv, .json, .parquet.
    """
    _format(path).write(frame, path)


def _read_csv(path: Path) -> pd.DataFrame:
    # utf-8-sig takes the byte order mark off that spreadsheets put in front.
    frame = pd.read_csv(path, encoding="utf-8-sig", dtype=str, keep_default_na=False)
    for name in frame.columns:
        frame[name] = [cell[1:] if _FORMULA.match(cell) and cell.startswith("'") else cell for cell in frame[name]]
    return frame


def _write_csv(frame: pd.DataFrame, path: Path) -> None:
    safe = frame.copy()
    for name in (name for name, kind in COLUMNS.items() if kind == "text"):
        safe[name] = [f"'{cell}" if _FORMULA.match(cell) else cell for cell in frame[name]]
    safe.to_csv(path, index=False, lineterminator="\n")


def _read_json(path: Path) -> pd.DataFrame:
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict) or not isinstance(content.get("rows"), list):
        raise ValueError("an object with 'schema' and 'rows' is wanted")
    if content.get("schema") != SCHEMA_VERSION:
        raise SchemaMismatchError(
            content.get("schema"),
            SCHEMA_VERSION,
            f"{str(path)!r}: the table has another schema; read it with the version that wrote it",
        )
    return pd.DataFrame(content["rows"])


def _write_json(frame: pd.DataFrame, path: Path) -> None:
    rows = [
        {key: None if isinstance(value, float) and math.isnan(value) else value for key, value in row.items()}
        for row in frame.to_dict(orient="records")
    ]
    path.write_text(json.dumps({"schema": SCHEMA_VERSION, "rows": rows}, indent=1) + "\n", encoding="utf-8")


@dataclass(frozen=True)
class _Format:
    """How one kind of file is read and written."""

    read: Callable[[Path], pd.DataFrame]
    write: Callable[[pd.DataFrame, Path], None]


_FORMATS: Mapping[str, _Format] = MappingProxyType(
    {
        ".csv": _Format(_read_csv, _write_csv),
        ".json": _Format(_read_json, _write_json),
        ".parquet": _Format(pd.read_parquet, lambda frame, path: frame.to_parquet(path, index=False)),
    }
)


def _format(path: Path) -> _Format:
    suffix = path.suffix.lower()
    if suffix not in _FORMATS:
        raise TableError(f"{str(path)!r}: a table's file ends in {', '.join(_FORMATS)}")
    return _FORMATS[suffix]
