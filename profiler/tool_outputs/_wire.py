"""Reads the wire format of protocol buffers: just what the two small files of benchmark_model need.

Generated classes would tie us to one version of the protobuf library at run time, beside the one that other packages
ask for, for two messages of a dozen fields.
"""

from __future__ import annotations

import struct
from typing import Final, TypeVar

from profiler.errors import ToolOutputError

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_VARINT_BITS: Final = 70

_T = TypeVar("_T", int, float, bytes)


class Message:
    """The fields of one message, by number.

    Args:
        data: The message.
        kind: Kind of output, for errors.

    Raises:
        ToolOutputError: The data is no message or is cut.
    """

    def __init__(self, data: bytes, kind: str) -> None:
        self._kind = kind
        self._fields: dict[int, list[int | float | bytes]] = {}
        at = 0
        while at < len(data):
            key, at = self._varint(data, at)
            value, at = self._value(data, at, key & 7)
            self._fields.setdefault(key >> 3, []).append(value)

    def integer(self, field: int) -> int | None:
        """Return a whole number (int32 or int64); None when it is not set."""
        value = self._last(field, int)
        return None if value is None else value - (1 << 64) if value >= 1 << 63 else value

    def real(self, field: int) -> float | None:
        """Return a float; None when it is not set."""
        return self._last(field, float)

    def text(self, field: int) -> str | None:
        """Return a string; None when it is not set."""
        value = self._last(field, bytes)
        return None if value is None else value.decode("utf-8", "replace")

    def message(self, field: int) -> Message | None:
        """Return a message inside; None when it is not set."""
        value = self._last(field, bytes)
        return None if value is None else Message(value, self._kind)

    def messages(self, field: int) -> list[Message]:
        """Return all messages of a repeated field."""
        return [Message(value, self._kind) for value in self._all(field, bytes)]

    def only(self, fields: set[int]) -> bool:
        """Whether no other fields than these are set."""
        return self._fields.keys() <= fields

    def _last(self, field: int, type_: type[_T]) -> _T | None:
        values = self._all(field, type_)
        return values[-1] if values else None

    def _all(self, field: int, type_: type[_T]) -> list[_T]:
        values = self._fields.get(field, [])
        fitting = [value for value in values if isinstance(value, type_)]
        if len(fitting) != len(values):
            raise ToolOutputError(self._kind, f"field {field} is not of the type that it has in this message")
        return fitting

    def _value(self, data: bytes, at: int, wire_type: int) -> tuple[int | float | bytes, int]:
        if wire_type == _VARINT:
            return self._varint(data, at)
        if wire_type == _BYTES:
            size, at = self._varint(data, at)
        elif wire_type in (_FIXED32, _FIXED64):
            size = 4 if wire_type == _FIXED32 else 8
        else:
            raise ToolOutputError(self._kind, f"no protocol buffer: wire type {wire_type}")
        piece = data[at : at + size]
        if len(piece) != size:
            raise ToolOutputError(self._kind, "cut inside a field, or no protocol buffer")
        if wire_type == _BYTES:
            return piece, at + size
        return struct.unpack("<f" if size == 4 else "<d", piece)[0], at + size

    def _varint(self, data: bytes, at: int) -> tuple[int, int]:
        value = 0
        for shift in range(0, _VARINT_BITS, 7):
            if at >= len(data):
                raise ToolOutputError(self._kind, "cut inside a number, or no protocol buffer")
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value, at
        raise ToolOutputError(self._kind, "a number of more than 64 bits: no protocol buffer")
