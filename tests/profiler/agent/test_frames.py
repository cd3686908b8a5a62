"""Frames come back whole from any cut, and a damaged stream gives what stood before the damage and nothing else."""

from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from profiler.agent import MAX_PAYLOAD_BYTES, Frame, FrameReader, encode_frame
from profiler.errors import StreamDamagedError

PAYLOADS = st.lists(st.binary(max_size=40), max_size=8)


def frames_of(payloads: list[bytes], first: int = 0) -> list[Frame]:
    return [Frame(first + index, 16 + index % 4, payload) for index, payload in enumerate(payloads)]


def read_until_damage(data: bytes, first: int = 0) -> tuple[list[Frame], StreamDamagedError | None]:
    reader, found = FrameReader(first), []
    try:
        for frame in reader.frames(data):
            found.append(frame)
        reader.finish()
    except StreamDamagedError as err:
        return found, err
    return found, None


def test_a_frame_is_as_it_is_written_down() -> None:
    signed = struct.pack("<IHH", 7, 17, 0) + b"abc"
    assert encode_frame(Frame(7, 17, b"abc")) == struct.pack("<II", 3, zlib.crc32(signed)) + signed


@settings(deadline=None, max_examples=60)
@given(PAYLOADS, st.integers(1, 50), st.integers(0, 2**32 - 10))
def test_frames_come_back_from_parts_of_any_length(payloads: list[bytes], part: int, first: int) -> None:
    frames = frames_of(payloads, first)
    data = b"".join(map(encode_frame, frames))
    reader = FrameReader(first)
    found = [frame for start in range(0, len(data), part) for frame in reader.frames(data[start : start + part])]
    reader.finish()
    assert found == frames
    assert reader.next_sequence == first + len(frames)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.binary(max_size=40), min_size=1, max_size=6), st.data())
def test_damaged_bytes_give_what_stood_before_them(payloads: list[bytes], data: st.DataObject) -> None:
    frames = frames_of(payloads)
    good = b"".join(map(encode_frame, frames))
    place = data.draw(st.integers(0, len(good) - 1))
    bad = bytearray(good)
    bad[place] ^= data.draw(st.integers(1, 255))
    whole = sum(1 for index in range(len(frames)) if sum(16 + len(one) for one in payloads[: index + 1]) <= place)
    found, error = read_until_damage(bytes(bad))
    assert found == frames[:whole]
    assert error is not None and error.sequence == whole


@settings(deadline=None, max_examples=60)
@given(st.lists(st.binary(max_size=40), min_size=1, max_size=6), st.data())
def test_a_cut_stream_is_said_to_be_cut(payloads: list[bytes], data: st.DataObject) -> None:
    frames = frames_of(payloads)
    good = b"".join(map(encode_frame, frames))
    length = data.draw(st.integers(0, len(good) - 1))
    found, error = read_until_damage(good[:length])
    whole_bytes = sum(16 + len(frame.payload) for frame in found)
    assert found == frames[: len(found)]
    assert (error is None) == (whole_bytes == length)


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=200))
def test_noise_is_no_frame(noise: bytes) -> None:
    found, _ = read_until_damage(noise)
    assert found == []


def test_frames_that_are_missing_or_come_twice_are_damage() -> None:
    one, two, three = map(encode_frame, frames_of([b"a", b"b", b"c"]))
    for data, whole in ((one + three, 1), (one + one, 1), (two, 0), (one + two + two + three, 2)):
        found, error = read_until_damage(data)
        assert len(found) == whole
        assert error is not None and error.sequence == whole


def test_after_damage_nothing_is_read_any_more() -> None:
    one, two = map(encode_frame, frames_of([b"a", b"b"]))
    reader = FrameReader()
    with pytest.raises(StreamDamagedError):
        list(reader.frames(b"\xff" * 16))
    with pytest.raises(StreamDamagedError):
        list(reader.frames(one + two))


def test_a_length_that_cannot_be_is_refused_before_its_bytes_come() -> None:
    reader = FrameReader()
    with pytest.raises(StreamDamagedError, match="cannot"):
        list(reader.frames(struct.pack("<IIIHH", MAX_PAYLOAD_BYTES + 1, 0, 0, 17, 0)))


def test_a_payload_that_is_too_large_is_not_written() -> None:
    class Large(bytes):
        def __len__(self) -> int:
            return MAX_PAYLOAD_BYTES + 1

    with pytest.raises(ValueError, match="at most"):
        encode_frame(Frame(0, 2, Large()))
