"""The packets that an ADB connection is made of, as a device reads and writes them.

Source: AOSP packages/modules/adb, protocol.txt and adb.h.
"""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass

import numpy as np

VERSION_WITH_CHECKSUMS = 0x01000000
VERSION = 0x01000001
"""Since this version nobody looks at the checksum any more."""
MAX_PAYLOAD_BYTES = 1 << 20

CNXN, AUTH, OPEN, OKAY, WRTE, CLSE = b"CNXN", b"AUTH", b"OPEN", b"OKAY", b"WRTE", b"CLSE"

_HEADER = struct.Struct("<4s5I")
_U32 = 0xFFFFFFFF


class PacketError(Exception):
    """What came in is no ADB packet; the connection is of no further use."""


@dataclass(frozen=True, slots=True)
class Packet:
    """One message: a command, two arguments whose meaning is the command's, and bytes."""

    command: bytes
    arg0: int
    arg1: int
    payload: bytes | memoryview = b""

    def header(self, *, with_checksum: bool) -> bytes:
        total = _checksum(self.payload) if with_checksum else 0
        return _HEADER.pack(self.command, self.arg0, self.arg1, len(self.payload), total, _magic(self.command))


async def read_packet(reader: asyncio.StreamReader, *, verify: bool) -> Packet:
    """Read the next packet.

    Args:
        reader: Where it comes from.
        verify: Whether its checksum counts.

    Raises:
        PacketError: It is malformed, too large or damaged.
        asyncio.IncompleteReadError: The peer has gone.
    """
    command, arg0, arg1, length, total, magic = _HEADER.unpack(await reader.readexactly(_HEADER.size))
    if magic != _magic(command) or length > MAX_PAYLOAD_BYTES:
        raise PacketError(f"no ADB packet: {command!r} with {length} bytes")
    payload = await reader.readexactly(length) if length else b""
    # Every client puts a checksum into its first packet, before it knows our version.
    if verify and command != CNXN and total != _checksum(payload):
        raise PacketError(f"checksum of {command!r} is wrong")
    return Packet(command, arg0, arg1, payload)


def _magic(command: bytes) -> int:
    return int.from_bytes(command, "little") ^ _U32


def _checksum(payload: bytes | memoryview) -> int:
    return int(np.frombuffer(payload, np.uint8).sum(dtype=np.uint64)) & _U32
