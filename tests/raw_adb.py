"""A client that shows what a device says on the wire, packet by packet; it shares no code with ours or the phone's."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from typing import Self

_QUIET_S = 0.4
"""After so long a silence a device on loopback waits for us."""
_NAMES = (b"CNXN", b"AUTH", b"OPEN", b"OKAY", b"WRTE", b"CLSE")


@dataclass(frozen=True)
class Packet:
    command: bytes
    arg0: int
    arg1: int
    checksum: int
    payload: bytes


@dataclass(frozen=True)
class Talk:
    """What came of a service: whether it opened, what it said, and whether it closed of its own accord."""

    opened: bool
    said: bytes = b""
    closed: bool = True


class RawClient:
    """A connection to a device that asks for no key.  Leaving its `with` block ends it."""

    def __init__(self, address: str, version: int = 0x01000001) -> None:
        host, port = address.split(":")
        self._socket = socket.create_connection((host, int(port)), timeout=10)
        self.send(b"CNXN", version, 1 << 20, b"host::features=shell_v2,stat_v2,ls_v2\0")
        self.greeting = self.read()

    def send(self, command: bytes, arg0: int, arg1: int, payload: bytes = b"") -> None:
        magic = int.from_bytes(command, "little") ^ 0xFFFFFFFF
        head = struct.pack("<4s5I", command, arg0, arg1, len(payload), sum(payload) & 0xFFFFFFFF, magic)
        self._socket.sendall(head + payload)

    def read(self) -> Packet:
        command, arg0, arg1, length, checksum, _ = struct.unpack("<4s5I", self._exactly(24))
        assert command in _NAMES
        return Packet(command, arg0, arg1, checksum, self._exactly(length))

    def replies(self) -> list[Packet]:
        """What comes until there is silence."""
        found = []
        self._socket.settimeout(_QUIET_S)
        try:
            while True:
                found.append(self.read())
        except TimeoutError:
            return found
        finally:
            self._socket.settimeout(10)

    def talk(self, service: str, *sent: bytes) -> Talk:
        """Open a service, send it data, and read it to its end or until it is silent."""
        self.send(b"OPEN", 7, 0, service.encode() + b"\0")
        answer = self.read()
        if answer.command == b"CLSE":
            assert (answer.arg0, answer.arg1) == (0, 7)
            return Talk(opened=False)
        assert (answer.command, answer.arg1) == (b"OKAY", 7)
        its = answer.arg0
        for data in sent:
            self.send(b"WRTE", 7, its, data)
        said = b""
        self._socket.settimeout(_QUIET_S)
        try:
            while (packet := self.read()).command != b"CLSE":
                assert (packet.arg0, packet.arg1) == (its, 7)
                if packet.command == b"WRTE":
                    said += packet.payload
                    self.send(b"OKAY", 7, its)
            assert (packet.arg0, packet.arg1) == (its, 7)
            return Talk(True, said)
        except TimeoutError:
            return Talk(True, said, closed=False)
        finally:
            self._socket.settimeout(10)
            self.send(b"CLSE", 7, its)

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            part = self._socket.recv(count - len(data))
            if not part:
                raise ConnectionResetError
            data += part
        return data

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
