"""The seam at which whatever goes wrong on a damaged or hostile model file becomes a ModelFileError."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from google.protobuf.message import Error as ProtobufError  # type: ignore[import-untyped]
from onnx.shape_inference import InferenceError

from profiler.errors import ModelFileError, NetworkError

_DAMAGE = (
    ProtobufError, InferenceError, struct.error, ValueError, TypeError, AttributeError, LookupError, RuntimeError,
    ArithmeticError, MemoryError,
)  # fmt: skip
"""What flatbuffers, protobuf, onnx and numpy raise on offsets, types, sizes and texts that contradict one another."""


@contextmanager
def damage_is_reported(file_format: str) -> Iterator[None]:
    """Turn errors of libraries, and a Network's own about its structure, into ModelFileError.

    Args:
        file_format: How messages call the format, such as ".onnx".

    Raises:
        ModelFileError: Whatever a damaged file led to.
    """
    try:
        with np.errstate(all="ignore"):  # damaged weights overflow; a Network refuses what is not finite
            yield
    except NetworkError as err:
        raise ModelFileError(f"not a valid {file_format} model: {err}") from err
    except _DAMAGE as err:
        first_line = next(iter(str(err).splitlines()), type(err).__name__)
        raise ModelFileError(f"not a valid {file_format} model: damaged ({first_line[:200]})") from err
