"""Frames: how jobs and records are cut into pieces that tell when they are damaged.

A frame is a header of 16 bytes, little endian, and a payload:

    u32 payload bytes | u32 CRC-32 of all that follows it | u32 sequence | u16 type | u16 zero | payload

Sequences rise by one from 0, in a job file and in a file of records.  What the payloads hold is said in job.py and
records.py; the agent's half is in C++.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from profiler.errors import StreamDamagedError

MAX_PAYLOAD_BYTES = 256 * 2**20
_LENGTH_AND_CRC = struct.Struct("<II")
_SIGNED_HEADER = struct.Struct("<IHH")
HEADER_BYTES = _LENGTH_AND_CRC.size + _SIGNED_HEADER.size


@dataclass(frozen=True)
class Frame:
    """A piece of a job or of what an agent tells.

    Attributes:
        sequence: Its number, from 0.
        kind: What its payload is: its type in the header.
        payload: At most MAX_PAYLOAD_BYTES.
    """

    sequence: int
    kind: int
    payload: bytes


def encode_frame(frame: Frame) -> bytes:
    """Return a frame as bytes.

    Raises:
        ValueError: The payload is larger than a frame may be.
    """
    if len(frame.payload) > MAX_PAYLOAD_BYTES:
        raise ValueError(f"a frame holds at most {MAX_PAYLOAD_BYTES} bytes, not {len(frame.payload)}")
    signed = _SIGNED_HEADER.pack(frame.sequence, frame.kind, 0) + frame.payload
    return _LENGTH_AND_CRC.pack(len(frame.payload), zlib.crc32(signed)) + signed


class FrameReader:
    """Reads frames from bytes that come in parts of any length.

    Args:
        first_sequence: Number of the first frame that is to come.

    Attributes:
        next_sequence: Number of the frame that is to come next: all before it are complete.
    """

    def __init__(self, first_sequence: int = 0) -> None:
        self.next_sequence = first_sequence
        self._arrived = bytearray()
        self._damage: StreamDamagedError | None = None

    def frames(self, data: bytes) -> Iterator[Frame]:
        """Yield the frames that are complete with these further bytes.

        Raises:
            StreamDamagedError: Bytes are no frame, or not the one that is to come; all frames before were yielded.
        """
        self._arrived += data
        while (frame := self._next()) is not None:
            self.next_sequence += 1
            yield frame

    def finish(self) -> None:
        """Say that no further bytes come.

        Raises:
            StreamDamagedError: A frame is incomplete.
        """
        if self._damage is not None:
            raise self._damage
        if self._arrived:
            raise self._damaged(f"it ends {len(self._arrived)} bytes into a frame")

    def _next(self) -> Frame | None:
        if self._damage is not None:
            raise self._damage
        if len(self._arrived) < HEADER_BYTES:
            return None
        length, crc = _LENGTH_AND_CRC.unpack_from(self._arrived)
        sequence, kind, zero = _SIGNED_HEADER.unpack_from(self._arrived, _LENGTH_AND_CRC.size)
        # Said before the payload is there: a damaged length may ask for more than ever comes.
        if length > MAX_PAYLOAD_BYTES or zero != 0 or sequence != self.next_sequence:
            raise self._damaged(f"frame {sequence} of {length} bytes stands where it cannot")
        if len(self._arrived) < HEADER_BYTES + length:
            return None
        if zlib.crc32(self._arrived[_LENGTH_AND_CRC.size : HEADER_BYTES + length]) != crc:
            raise self._damaged("its checksum is not that of its bytes")
        payload = bytes(self._arrived[HEADER_BYTES : HEADER_BYTES + length])
        del self._arrived[: HEADER_BYTES + length]
        return Frame(sequence, kind, payload)

    def _damaged(self, problem: str) -> StreamDamagedError:
        self._damage = StreamDamagedError(problem, sequence=self.next_sequence)
        return self._damage
