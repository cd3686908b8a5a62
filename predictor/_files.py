"""Predictor files: one .safetensors file of arrays with a JSON document in its header; nothing is unpickled."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from predictor.errors import NewerSchemaError, OlderSchemaError, PredictorFileError
from profiler.whole_file import write_whole_file

SCHEMA_VERSION = 2
"""Version of what is written. Later versions are refused by name, earlier ones with the advice to fit again: fitting
takes seconds, and files of version 1 say nothing of fusion or of the domain."""

_METADATA_KEY = "pocketnas_predictor"
_MAX_FILE_BYTES = 512 * 2**20
_MAX_HEADER_BYTES = 16 * 2**20
_DTYPES = (np.dtype(np.float64), np.dtype(np.int32))

Arrays = Mapping[str, npt.NDArray[Any]]


def write_predictor_file(path: Path, document: Mapping[str, Any], arrays: Arrays) -> None:
    """Write document and arrays, whole or not at all; equal content gives equal bytes.

    Args:
        path: Where to; an existing file is replaced.
        document: What JSON can hold, with the key "schema".
        arrays: float64 and int32 arrays by name.

    Raises:
        PredictorFileError: The place cannot be written to.
    """
    from safetensors.numpy import save

    text = json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)
    content = save({name: np.ascontiguousarray(array) for name, array in arrays.items()}, {_METADATA_KEY: text})
    try:
        write_whole_file(path, content)
    except OSError as err:
        raise PredictorFileError(f"cannot be written: {err.strerror or err}", path=path) from err


def read_predictor_file(path: Path) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
    """Read what write_predictor_file wrote.

    Returns:
        The document, of a schema version that this version reads, and the arrays, all finite.

    Raises:
        NewerSchemaError: A later version wrote the file.
        OlderSchemaError: An earlier version wrote it, in a form that is no longer read.
        PredictorFileError: The file is missing, damaged or something else than a predictor.
    """
    content = _content(path)
    document = _document(content, path)
    arrays = _arrays(content, path)
    return document, arrays


def _content(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size > _MAX_FILE_BYTES:
            raise PredictorFileError(f"{size} bytes are more than any predictor has", path=path)
        return path.read_bytes()
    except OSError as err:
        raise PredictorFileError(f"cannot be read: {err.strerror or err}", path=path) from err


def _document(content: bytes, path: Path) -> dict[str, Any]:
    """Return the JSON document in the header: eight bytes of length, then a JSON object."""
    length = int.from_bytes(content[:8], "little")
    if len(content) < 9 or not 2 <= length <= _MAX_HEADER_BYTES or content[8:9] != b"{":
        raise PredictorFileError("is not a predictor file (its first bytes are not those of .safetensors)", path=path)
    if length > len(content) - 8:
        raise PredictorFileError("is damaged: it ends within its header", path=path)
    try:
        header = json.loads(content[8 : 8 + length])
        document = json.loads(header["__metadata__"][_METADATA_KEY])
        schema = document["schema"]
    except (ValueError, KeyError, TypeError, RecursionError) as err:
        raise PredictorFileError("is a .safetensors file but holds no predictor", path=path) from err
    if not isinstance(schema, int) or isinstance(schema, bool) or schema < 1:
        raise PredictorFileError(f"has no valid schema version ({schema!r:.20})", path=path)
    if schema < SCHEMA_VERSION:
        raise OlderSchemaError(schema, SCHEMA_VERSION, path=path)
    if schema > SCHEMA_VERSION:
        raise NewerSchemaError(schema, SCHEMA_VERSION, f"{document.get('written_by', '')!s:.20}", path=path)
    return dict(document)


def _arrays(content: bytes, path: Path) -> dict[str, npt.NDArray[Any]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays = load(content)
    except (SafetensorError, KeyError, TypeError, ValueError) as err:
        raise PredictorFileError(f"is damaged: {err}", path=path) from err
    for name, array in arrays.items():
        if array.dtype not in _DTYPES or not np.isfinite(array).all():
            raise PredictorFileError(f"is damaged: {name!r} is not an array of finite numbers", path=path)
    return arrays
