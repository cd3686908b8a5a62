"""Frames between a worker and its parent: a JSON header and binary parts, each with its length.

Nothing that arrives is ever executed (no pickle), and a length beyond the limits is an error before
any memory is taken for it.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from typing import Any

from .errors import FrameError

Header = dict[str, Any]
Buffer = bytes | bytearray | memoryview

MAGIC = b"PNW1"
MISSING = "MISSING"
"""Reason of an answer that asks for the model's bytes: they were not sent yet, or were dropped since."""

_PREFIX = struct.Struct(">4sIQ")
PREFIX_BYTES = _PREFIX.size
MAX_HEADER_BYTES = 16 * 2**20
"""Most bytes of JSON in a frame; the largest is a list of tensors, some kB."""
MAX_PAYLOAD_BYTES = 4 * 2**30
"""Most bytes of the binary parts together; a FlatBuffer model ends at 2 GiB."""


def encode(header: Header, parts: Sequence[Buffer] = ()) -> bytes:
    """Return one frame as bytes."""
    sizes = [memoryview(part).nbytes for part in parts]
    text = json.dumps({**header, "parts": sizes}, allow_nan=False).encode()
    return b"".join([_PREFIX.pack(MAGIC, len(text), sum(sizes)), text, *parts])


def body_sizes(prefix: Buffer) -> tuple[int, int]:
    """Return the lengths of header and payload that follow a prefix, in bytes.

    Raises:
        FrameError: The prefix is not ours, or announces more than the limits.
    """
    magic, header_bytes, payload_bytes = _PREFIX.unpack(prefix)
    if magic != MAGIC or header_bytes > MAX_HEADER_BYTES or payload_bytes > MAX_PAYLOAD_BYTES:
        raise FrameError(f"not a frame: {bytes(prefix)!r}")
    return header_bytes, payload_bytes


def decode(text: Buffer, payload: Buffer) -> tuple[Header, list[bytes]]:
    """Return the header and the parts of a frame whose prefix was read already.

    Raises:
        FrameError: The header is not a JSON object or its parts do not fill the payload.
    """
    try:
        header = json.loads(bytes(text))
    except ValueError as err:
        raise FrameError("the header is no JSON") from err
    sizes = header.pop("parts", None) if isinstance(header, dict) else None
    if not isinstance(sizes, list) or not all(isinstance(size, int) and size >= 0 for size in sizes):
        raise FrameError("the header is no JSON object with the sizes of its parts")
    if sum(sizes) != len(payload):
        raise FrameError(f"parts of {sum(sizes)} bytes in a payload of {len(payload)}")
    view, parts, start = memoryview(payload), [], 0
    for size in sizes:
        parts.append(bytes(view[start : start + size]))
        start += size
    return header, parts
