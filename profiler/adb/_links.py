"""What carries ADB packets to a device, under the deadline of what uses it: TCP here, USB in its own module."""

from __future__ import annotations

import socket

from adb_shell.transport.base_transport import BaseTransport

from profiler.adb._deadline import Deadline

_CONNECT_TIMEOUT_S = 5.0
_BUFFER_BYTES = 1 << 20


class Link(BaseTransport):  # type: ignore[misc]  # adb-shell has no types
    """A transport in adb-shell's sense.  The timeouts that adb-shell hands down are of no account.

    Attributes:
        deadline: By when what goes on now must have ended; set anew by each operation.
    """

    deadline: Deadline = Deadline(0.0, 0.0)


class TcpLink(Link):
    """A TCP connection that sends whole buffers at once and says when the other side has gone.

    Args:
        host: Name or address.
        port: Port, 5555 by custom.
    """

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)
        self._socket: socket.socket | None = None

    def connect(self, transport_timeout_s: float | None) -> None:
        """Open the connection."""
        timeout_s = min(_CONNECT_TIMEOUT_S, self.deadline.remaining_s())
        self._socket = socket.create_connection(self._address, timeout=timeout_s)
        # Without it each small packet waits for the acknowledgement of the one before.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close(self) -> None:
        """Close the connection if there is one."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def bulk_read(self, numbytes: int, transport_timeout_s: float | None) -> bytes:
        """Return up to `numbytes` bytes, at least one."""
        data = self._ready().recv(min(numbytes, _BUFFER_BYTES))
        if not data:
            raise ConnectionResetError("the device closed the connection")
        return data

    def bulk_write(self, data: bytes, transport_timeout_s: float | None) -> int:
        """Send all of the bytes."""
        self._ready().sendall(data)
        return len(data)

    def _ready(self) -> socket.socket:
        if self._socket is None:
            raise ConnectionResetError("not connected")
        self._socket.settimeout(self.deadline.remaining_s())
        return self._socket
