"""Writes protocol buffers, for the two result files of `benchmark_model`."""

from __future__ import annotations

import struct

_VARINT, _BYTES, _FIXED32 = 0, 2, 5
_U64 = (1 << 64) - 1


def integer_field(number: int, value: int) -> bytes:
    """Return a field of type int32 or int64."""
    return _varint(number << 3 | _VARINT) + _varint(value & _U64)


def float_field(number: int, value: float) -> bytes:
    """Return a field of type float."""
    return _varint(number << 3 | _FIXED32) + struct.pack("<f", value)


def bytes_field(number: int, value: bytes) -> bytes:
    """Return a field that is a message, a string or bytes."""
    return _varint(number << 3 | _BYTES) + _varint(len(value)) + value


def text_field(number: int, value: str) -> bytes:
    """Return a field of type string."""
    return bytes_field(number, value.encode())


def _varint(value: int) -> bytes:
    data = bytearray()
    while value > 0x7F:
        data.append(value & 0x7F | 0x80)
        value >>= 7
    data.append(value)
    return bytes(data)
