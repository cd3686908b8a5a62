"""Frames: what is written is read, and what is no frame is refused before memory is taken."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from profiler.runtimes.host_worker import frames
from profiler.runtimes.host_worker.errors import FrameError

HEADERS = st.dictionaries(
    st.text(max_size=8).filter(lambda key: key != "parts"), st.integers() | st.text() | st.none(), max_size=4
)


def read(data: bytes) -> tuple[frames.Header, list[bytes]]:
    header_bytes, payload_bytes = frames.body_sizes(data[: frames.PREFIX_BYTES])
    body = data[frames.PREFIX_BYTES :]
    assert len(body) == header_bytes + payload_bytes
    return frames.decode(body[:header_bytes], body[header_bytes:])


@settings(max_examples=100, deadline=None, derandomize=True)
@given(header=HEADERS, parts=st.lists(st.binary(max_size=50), max_size=4))
def test_what_is_written_is_read(header: frames.Header, parts: list[bytes]) -> None:
    assert read(frames.encode(header, parts)) == (header, parts)


@pytest.mark.parametrize(
    "prefix",
    [
        struct.pack(">4sIQ", b"GET ", 2, 0),
        struct.pack(">4sIQ", frames.MAGIC, frames.MAX_HEADER_BYTES + 1, 0),
        struct.pack(">4sIQ", frames.MAGIC, 2, frames.MAX_PAYLOAD_BYTES + 1),
    ],
)
def test_foreign_or_huge_frames_are_refused(prefix: bytes) -> None:
    with pytest.raises(FrameError, match="not a frame"):
        frames.body_sizes(prefix)


@pytest.mark.parametrize(
    ("text", "payload"),
    [
        (b"{", b""),
        (b"[]", b""),
        (b"{}", b""),
        (b'{"parts": null}', b""),
        (b'{"parts": 1}', b"a"),
        (b'{"parts": [3]}', b"ab"),
        (b'{"parts": [3, -1]}', b"ab"),
        (b'{"parts": ["2"]}', b"ab"),
        (b"\xff", b""),
    ],
)
def test_broken_headers_are_refused(text: bytes, payload: bytes) -> None:
    with pytest.raises(FrameError):
        frames.decode(text, payload)


def test_not_a_number_is_not_sent() -> None:
    with pytest.raises(ValueError, match="JSON"):
        frames.encode({"value": float("nan")})
