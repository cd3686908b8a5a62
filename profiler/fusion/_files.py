"""Findings beside an exported table: `<stem>.fusion.json`, checked when it is read; nothing in it is run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from profiler.errors import SchemaMismatchError, TableError
from profiler.fusion.evidence import FusionFindings
from profiler.whole_file import write_whole_file

SCHEMA_VERSION: Literal[1] = 1
_MOST_BYTES = 16 * 2**20


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_version: Annotated[Literal[1], Field(alias="schema")] = SCHEMA_VERSION
    findings: tuple[FusionFindings, ...]


def fusion_file_of(table_file: Path) -> Path:
    """Return where the findings beside an exported table are.

    Example:
        >>> fusion_file_of(Path("host.parquet")).name
        'host.fusion.json'
    """
    return table_file.with_name(f"{table_file.stem}.fusion.json")


def write_fusion_file(path: Path, findings: Sequence[FusionFindings]) -> None:
    """Write findings to a file, whole or not at all."""
    content = _File(findings=tuple(findings)).model_dump_json(by_alias=True, indent=1)
    write_whole_file(path, (content + "\n").encode())


def read_fusion_file(path: Path) -> tuple[FusionFindings, ...]:
    """Read the findings of a file.

    Raises:
        TableError: There is no such file, or it is not what `write_fusion_file` writes; the message names the key.
        SchemaMismatchError: Another version wrote it.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise TableError(f"{str(path)!r}: larger than {_MOST_BYTES} bytes, which no file of findings is")
        content = path.read_bytes()
    except OSError as error:
        raise TableError(f"{str(path)!r}: {error.strerror}") from error
    try:
        return _File.model_validate_json(content).findings
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if key == "schema":
            problem = f"{str(path)!r}: findings of fusion in another schema; read them with the version that wrote them"
            raise SchemaMismatchError(first["input"], SCHEMA_VERSION, problem) from error
        raise TableError(f"{str(path)!r}: no findings of fusion: {key + ': ' if key else ''}{first['msg']}") from error
