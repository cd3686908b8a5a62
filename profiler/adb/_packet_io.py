"""adb-shell's packet reader and writer, with what it lacks: the device's banner, and no needless checksums.

Leans on private parts of adb-shell 0.4.4, which is pinned for it; tests/profiler/adb holds it to real peers.
"""

from __future__ import annotations

import struct
from typing import Any

from adb_shell import constants
from adb_shell.adb_device import _AdbIOManager
from adb_shell.adb_message import AdbMessage, unpack
from adb_shell.exceptions import InvalidCommandError

from profiler.adb._links import Link

_VERSION_WITHOUT_CHECKSUMS = 0x01000001
_MAX_PACKET_BYTES = 1 << 20
_HEADER = struct.Struct("<6I")


class PacketIO(_AdbIOManager):  # type: ignore[misc]  # adb-shell has no types
    """Packets over one link.

    Args:
        link: What carries them.

    Attributes:
        link: The same.
        banner: What the device said of itself when it greeted; empty before.
        max_payload: Most bytes that it takes in a packet.
    """

    def __init__(self, link: Link) -> None:
        super().__init__(link)
        self.link = link
        self.banner = b""
        self.max_payload = _MAX_PACKET_BYTES
        self._peer_version = constants.VERSION

    def _send(self, msg: AdbMessage, adb_info: Any) -> None:
        greets = msg.command == constants.ID_TO_WIRE[constants.CNXN]
        if greets:
            self._peer_version = constants.VERSION
            msg.arg0 = _VERSION_WITHOUT_CHECKSUMS
        # Only a device from before Android 9 wants the sum of all bytes, which costs more than sending them.
        checked = greets or self._peer_version < _VERSION_WITHOUT_CHECKSUMS
        total = sum(msg.data) & 0xFFFFFFFF if checked else 0
        header = _HEADER.pack(msg.command, msg.arg0, msg.arg1, len(msg.data), total, msg.magic)
        if len(msg.data) <= _SMALL_BYTES and self.joins_packets:
            self._transport.bulk_write(header + bytes(msg.data), adb_info.transport_timeout_s)
            return
        self._transport.bulk_write(header, adb_info.transport_timeout_s)
        if msg.data:
            self._transport.bulk_write(msg.data, adb_info.transport_timeout_s)

    def _read_packet_from_device(self, adb_info: Any) -> tuple[bytes, int, int, bytes]:
        number, arg0, arg1, length, _total = unpack(self._read_bytes_from_device(constants.MESSAGE_SIZE, adb_info))[:5]
        command = constants.WIRE_TO_ID.get(number)
        if command is None or length > _MAX_PACKET_BYTES:
            raise InvalidCommandError(f"packet {struct.pack('<I', number)!r} of {length} bytes")
        # TCP and USB both carry checksums of their own, so ADB's is not looked at.
        data = self._read_bytes_from_device(length, adb_info) if length else b""
        if command == constants.CNXN:
            self.banner = data
            self._peer_version, self.max_payload = arg0, min(arg1, _MAX_PACKET_BYTES)
        return command, arg0, arg1, data

    joins_packets = True
    """Whether header and data may travel as one; USB keeps them apart."""


_SMALL_BYTES = 4096
"""Copying this much costs less than a second system call."""
