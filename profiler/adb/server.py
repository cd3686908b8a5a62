"""The transport that goes through an adb server that runs already; it is never started, and never stopped, by us."""

from __future__ import annotations

import os
import select
import socket
from dataclasses import dataclass

from profiler.adb._backoff import with_reconnects
from profiler.adb._channel import Channel, DeviceAwayError, ServiceRefusedError, says_away, says_unauthorized
from profiler.adb._deadline import Deadline
from profiler.adb._seam import device_errors
from profiler.adb.transport import Transport
from profiler.errors import ConfigError, DeviceProtocolError

PORT_VARIABLE = "ANDROID_ADB_SERVER_PORT"
"""The environment variable by which adb itself finds its server."""
DEFAULT_PORT = 5037
VERSION = 41
"""What servers since 2019 (platform-tools 29 to 36) call themselves: those that this was tried with."""
_OLDEST_VERSION = 39
"""Of 2018, the oldest that distributions still carry; before it, too much of what we ask is missing."""
_LOOPBACK = "127.0.0.1"
_STATUS_BYTES = 4
_MAX_PORT = 65535
_READ_BYTES = 1 << 18
_QUERY_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class AdbServer:
    """Where an adb server listens, if one does.

    Attributes:
        host: Its address.
        port: Its port.
    """

    host: str = _LOOPBACK
    port: int = DEFAULT_PORT

    @classmethod
    def from_environment(cls) -> AdbServer:
        """Return the server that `adb` would use.

        Raises:
            ConfigError: The environment names no port.
        """
        port = os.environ.get(PORT_VARIABLE, str(DEFAULT_PORT))
        if not port.isdigit() or not 0 < int(port) <= _MAX_PORT:
            raise ConfigError(f"{port[:100]!r} is no port", key=PORT_VARIABLE)
        return cls(port=int(port))

    def devices(self, *, timeout_s: float = _QUERY_TIMEOUT_S) -> dict[str, str] | None:
        """Return the state ("device", "offline", "unauthorized", …) of each device by serial; None without a server.

        Raises:
            DeviceError: What listens there is no adb server, or does not answer.
        """
        name, deadline = f"adb server {self.host}:{self.port}", Deadline.after(timeout_s)
        with device_errors(name, "list of devices", timeout_s):
            try:
                version = int(self._ask("host:version", deadline), 16)
            except ConnectionRefusedError:
                return None
            if version < _OLDEST_VERSION:
                problem = (
                    f"speaks version {version} of its protocol and pocketnas version {VERSION}; end that server with "
                    "its own `adb kill-server` and start a newer adb: pocketnas never stops a server"
                )
                raise DeviceProtocolError(name, problem)
            text = self._ask("host:devices", deadline)
        # A serial can hold spaces; the tab is where it ends.
        rows = [line.partition("\t") for line in text.splitlines() if "\t" in line]
        return {serial: state for serial, _, state in rows}

    def _ask(self, query: str, deadline: Deadline) -> str:
        with self.open(deadline, query) as channel:
            return channel.read_block()

    def open(self, deadline: Deadline, *services: str) -> _ServerChannel:
        """Connect and ask for services, each in the place of the one before.

        Raises:
            ServiceRefusedError: The server refused one.
            OSError: It cannot be reached, or time was up.
            ValueError: What answered is no adb server.
        """
        connection = socket.create_connection((self.host, self.port), timeout=deadline.remaining_s())
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        channel = _ServerChannel(connection, deadline)
        done = False
        try:
            for service in services:
                channel.ask(service)
            done = True
        finally:
            if not done:
                channel.close()
        return channel


class ServerTransport(Transport):
    """A device that an adb server has.

    Args:
        serial: As `adb devices` lists it.
        server: The server; None for the one that `adb` would use.
    """

    def __init__(self, serial: str, server: AdbServer | None = None) -> None:
        super().__init__(serial)
        self._server = server or AdbServer.from_environment()
        self._listed: frozenset[str] | None = None

    def close(self) -> None:
        """Forget what was learnt; there is no connection to close."""
        self._listed = None

    def _features(self, deadline: Deadline) -> frozenset[str]:
        if self._listed is None:
            text = with_reconnects(lambda: self._ask(f"host-serial:{self.serial}:features", deadline), deadline)
            self._listed = frozenset(feature for feature in text.strip().split(",") if feature)
        return self._listed

    def _ask(self, query: str, deadline: Deadline) -> str:
        with self._server.open(deadline, query) as channel:
            return channel.read_block()

    def _open_channel(self, service: str, deadline: Deadline, *, again: bool = True) -> Channel:
        switch = f"host:transport:{self.serial}"
        return with_reconnects(lambda: self._server.open(deadline, switch, service), deadline if again else None)


class _ServerChannel(Channel):
    """A connection to the server, of which the device's service is the other end."""

    def __init__(self, connection: socket.socket, deadline: Deadline) -> None:
        super().__init__(deadline)
        self._socket = connection

    def ask(self, service: str) -> None:
        """Ask the server for a service and read whether it agrees."""
        name = service.encode("utf-8", "surrogateescape")
        if len(name) > 0xFFFF:
            raise ServiceRefusedError("longer than an adb server reads")
        self.write(b"%04x" % len(name) + name)
        status = self.read_exactly(_STATUS_BYTES)
        if status == b"FAIL":
            reason = self.read_block()
            passing = says_away(reason) or says_unauthorized(reason)
            raise DeviceAwayError(reason) if passing else ServiceRefusedError(reason)
        if status != b"OKAY":
            raise ValueError(f"no adb server: answered {status!r}")

    def read_block(self) -> str:
        """Return a text that its length precedes."""
        length = int(self.read_exactly(_STATUS_BYTES), 16)
        return self.read_exactly(length).decode(errors="replace")

    def _receive(self) -> bytes:
        self._socket.settimeout(self.deadline.remaining_s())
        try:
            return self._socket.recv(_READ_BYTES)
        except ConnectionResetError:
            return b""  # how the server ends a stream that it was still being written to

    def write(self, data: bytes) -> None:
        self._socket.settimeout(self.deadline.remaining_s())
        try:
            self._socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            # What it said before it closed is worth more than that it closed; without it, reading finds the end.
            return

    def has_input(self) -> bool:
        return bool(self._arrived) or bool(select.select([self._socket], [], [], 0)[0])

    def close(self) -> None:
        self._socket.close()
