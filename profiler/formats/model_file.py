"""Networks from model files of any format that pocketnas reads; the content decides, not the file's name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from profiler.errors import DynamicShapeError, ModelFileError, NetworkError
from profiler.formats._tflite_file import FILE_IDENTIFIER
from profiler.formats.onnx_reader import read_onnx
from profiler.formats.tflite_reader import read_tflite
from profiler.network import Network

MAX_MODEL_BYTES = 2 * 2**30
"""Largest file that is read; FlatBuffers and Protocol Buffers end at 2 GiB as well."""

_NEVER_OPENED = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
"""How zip archives and pickles begin, which torch.save writes: reading one could run code."""


def read_model(path: Path | str, *, input_shapes: Mapping[str, tuple[int, ...]] | None = None) -> Network:
    """Return the network in a .tflite file, an .onnx file, or a file that holds `Network.to_json()`.

    Args:
        path: The file.  What it is follows from its content alone, so any name will do.
        input_shapes: Shapes of inputs by name with the file's own axes, where the file leaves sizes open.

    Raises:
        ModelFileError: There is no such file, it is too large, damaged or of another kind.
        DynamicShapeError: An input has open sizes and no shape is given.
    """
    path = Path(path)
    try:
        return _read(path, _content(path), input_shapes)
    except DynamicShapeError as err:
        raise DynamicShapeError(err.input_name, err.shape, path=path) from err
    except ModelFileError as err:
        raise ModelFileError(err.problem, path=path) from err


def _content(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise ModelFileError("is a folder, not a model file" if path.is_dir() else "there is no such model file")
        size_bytes = path.stat().st_size
        if size_bytes > MAX_MODEL_BYTES:
            raise ModelFileError(f"has {size_bytes} bytes; models of more than {MAX_MODEL_BYTES} are not read")
        return path.read_bytes()
    except (OSError, ValueError) as err:  # ValueError: a name with a null character
        raise ModelFileError(f"cannot be read: {err}") from err


def _read(path: Path, data: bytes, input_shapes: Mapping[str, tuple[int, ...]] | None) -> Network:
    if not data:
        raise ModelFileError("not a valid model: the file is empty")
    if data[4:8] == FILE_IDENTIFIER or path.suffix.lower() == ".tflite":
        return read_tflite(data, input_shapes=input_shapes)
    if data.startswith(_NEVER_OPENED):
        raise ModelFileError("not a valid model: archives and pickles are never opened; export the model to .onnx")
    if data.lstrip()[:1] == b"{":
        return _read_json(data, input_shapes)
    return read_onnx(data, folder=path.parent, input_shapes=input_shapes)


def _read_json(data: bytes, input_shapes: Mapping[str, tuple[int, ...]] | None) -> Network:
    if input_shapes:
        raise ModelFileError("a network in JSON has fixed shapes; --input does not apply to it")
    try:
        return Network.from_json(data)
    except NetworkError as err:
        raise ModelFileError(f"not a valid network in JSON: {err}") from err
