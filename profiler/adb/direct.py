"""The transport that talks to a device itself, over TCP or USB, by means of adb-shell."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from adb_shell import constants
from adb_shell.adb_message import AdbMessage
from adb_shell.exceptions import DeviceAuthError
from adb_shell.hidden_helpers import _AdbTransactionInfo

from profiler.adb._backoff import with_reconnects
from profiler.adb._channel import Channel, ServiceRefusedError
from profiler.adb._deadline import Deadline
from profiler.adb._links import Link, TcpLink
from profiler.adb._packet_io import PacketIO
from profiler.adb._seam import device_errors
from profiler.adb._usb_link import UsbLink
from profiler.adb.keys import AdbKey, load_or_create_key
from profiler.adb.transport import Transport
from profiler.errors import ConfigError

_BANNER = b"features=shell_v2,cmd,stat_v2,ls_v2"
_NO_LIMIT_S = 1e9
"""adb-shell's own timeouts are switched off: the link's deadline holds for all."""
_MAX_ID = 1 << 32
_MAX_PORT = 65535
DEFAULT_PORT = 5555


class DirectTransport(Transport):
    """A device reached without adb's server.  Connects when first used, and again when the connection was lost.

    Args:
        serial: Name of the device in errors.
        link: What carries the packets.
        key_path: The private key's file; None for the usual one.
        key: The key itself, instead of its file.
        authorize_timeout_s: How long to wait for somebody to accept our key on the phone.
    """

    def __init__(
        self,
        serial: str,
        link: Link,
        *,
        key_path: Path | None = None,
        key: AdbKey | None = None,
        authorize_timeout_s: float = 5.0,
    ) -> None:
        super().__init__(serial)
        self._link, self._key_path, self._authorize_timeout_s = link, key_path, authorize_timeout_s
        self._key = key
        self._io = PacketIO(link)
        self._io.joins_packets = isinstance(link, TcpLink)
        # One stream at a time: adb-shell loses replies of streams that run side by side.
        self._lock = threading.Lock()
        self._connected, self._last_id = False, 0

    @classmethod
    def tcp(
        cls,
        address: str,
        *,
        key_path: Path | None = None,
        key: AdbKey | None = None,
        authorize_timeout_s: float = 5.0,
    ) -> DirectTransport:
        """Return the transport to `host:port`, or to `host` at port 5555.

        Raises:
            ConfigError: The address has no such form.
        """
        link = TcpLink(*split_address(address))
        return cls(address, link, key_path=key_path, key=key, authorize_timeout_s=authorize_timeout_s)

    @classmethod
    def usb(cls, serial: str, *, key_path: Path | None = None, authorize_timeout_s: float = 5.0) -> DirectTransport:
        """Return the transport to a phone on USB.

        Raises:
            DeviceError: There is no libusb, or no such phone.
        """
        with device_errors(serial, "search on USB", authorize_timeout_s):
            link = UsbLink(serial)
            link.find()
        return cls(serial, link, key_path=key_path, authorize_timeout_s=authorize_timeout_s)

    def close(self) -> None:
        """Close the connection; the next use opens it again."""
        self._drop()

    def _features(self, deadline: Deadline) -> frozenset[str]:
        if not self._connected:
            with self._held(deadline):
                with_reconnects(self._connect, deadline)
        listed = self._io.banner.rstrip(b"\0").decode(errors="replace").partition("features=")[2].partition(";")[0]
        return frozenset(feature for feature in listed.split(",") if feature)

    def _open_channel(self, service: str, deadline: Deadline, *, again: bool = True) -> Channel:
        with ExitStack() as holding:
            holding.enter_context(self._held(deadline))
            info = with_reconnects(lambda: self._open_stream(service), deadline if again else None)
            return _DirectChannel(self._io, self._link, info, deadline, self._drop, holding.pop_all().close)

    @contextmanager
    def _held(self, deadline: Deadline) -> Iterator[None]:
        """Have the connection for oneself."""
        if not self._lock.acquire(timeout=deadline.remaining_s()):
            raise TimeoutError
        try:
            self._link.deadline = deadline
            yield
        finally:
            self._lock.release()

    def _open_stream(self, service: str) -> Any:
        self._connect()
        self._last_id = self._last_id % (_MAX_ID - 1) + 1
        info = _AdbTransactionInfo(self._last_id, None, _NO_LIMIT_S, _NO_LIMIT_S)
        name = service.encode("utf-8", "surrogateescape") + b"\0"
        with _dropped_on_error(self._drop):
            self._io.send(AdbMessage(constants.OPEN, info.local_id, 0, name), info)
            # A refusal names no stream of the device, so zeros are let through.
            answer, info.remote_id, _, _ = self._io.read([constants.OKAY, constants.CLSE], info, allow_zeros=True)
        if answer == constants.CLSE:
            raise ServiceRefusedError
        return info

    def _connect(self) -> None:
        if self._connected:
            return
        asked = False
        whole = self._link.deadline

        def on_asking(_: object) -> None:
            nonlocal asked
            asked = True
            patience = Deadline.after(self._authorize_timeout_s)
            self._link.deadline = min(whole, patience, key=lambda deadline: deadline.ends_s)

        # Reading a key costs more than a handshake.
        self._key = key = self._key or load_or_create_key(self._key_path)
        info = _AdbTransactionInfo(None, None, _NO_LIMIT_S, _NO_LIMIT_S)
        try:
            with _dropped_on_error(self._drop):
                self._io.connect(_BANNER, [key], _NO_LIMIT_S, on_asking, info)
        except TimeoutError as err:
            if asked:
                raise DeviceAuthError("nobody accepted the key") from err
            raise
        finally:
            self._link.deadline = whole
        self._connected = True

    def _drop(self) -> None:
        """Give the connection up: nothing on it can be trusted any more."""
        self._connected = False
        self._io.close()


@contextmanager
def _dropped_on_error(drop: Callable[[], None]) -> Iterator[None]:
    """Drop the connection when the block does not come to its end: it may stand in the middle of a packet."""
    done = False
    try:
        yield
        done = True
    finally:
        if not done:
            drop()


class _DirectChannel(Channel):
    """A stream of the connection, which it has for itself until it is closed."""

    def __init__(
        self,
        io: PacketIO,
        link: Link,
        info: Any,
        deadline: Deadline,
        drop: Callable[[], None],
        release: Callable[[], None],
    ) -> None:
        super().__init__(deadline)
        self._io, self._link, self._info, self._drop, self._release = io, link, info, drop, release
        self._packets: deque[bytes] = deque()
        self._ended = self._closed = False

    def _receive(self) -> bytes:
        while not self._packets and not self._ended:
            self._step()
        return self._packets.popleft() if self._packets else b""

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        for start in range(0, len(view), self._io.max_payload):
            if self._ended:
                # What it said before it closed is worth more than that it closed.
                return
            self._send(constants.WRTE, view[start : start + self._io.max_payload])
            while not self._ended and self._step() != constants.OKAY:
                pass

    def extend(self, deadline: Deadline) -> None:
        super().extend(deadline)
        self._link.deadline = deadline

    def has_input(self) -> bool:
        return bool(self._arrived or self._packets) or self._ended

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        try:
            if not self._ended:
                self._send(constants.CLSE)
        except OSError:
            pass  # the connection is gone, and with it the stream
        finally:
            self._release()

    def _step(self) -> bytes:
        """Take one packet of this stream in."""
        with _dropped_on_error(self._drop):
            expected = [constants.OKAY, constants.WRTE, constants.CLSE]
            command, _, _, data = self._io.read(expected, self._info, allow_zeros=True)
        if command == constants.WRTE:
            self._packets.append(data)
            self._send(constants.OKAY)
        elif command == constants.CLSE:
            self._ended = True
            self._send(constants.CLSE)
        return bytes(command)

    def _send(self, command: bytes, data: bytes | memoryview = b"") -> None:
        with _dropped_on_error(self._drop):
            self._io.send(AdbMessage(command, self._info.local_id, self._info.remote_id, data), self._info)


def split_address(address: str) -> tuple[str, int]:
    """Return host and port of `host:port`, `host` or `[v6 address]:port`.

    Raises:
        ConfigError: It has no such form.
    """
    host, colon, port = address.rpartition(":")
    if not colon or address.endswith("]"):
        host, port = address, str(DEFAULT_PORT)
    host = host.removeprefix("[").removesuffix("]")
    if not host or not host.isprintable() or " " in host or not port.isdigit() or not 0 < int(port) <= _MAX_PORT:
        raise ConfigError(f"{address[:200]!r} is no address; write host:port")
    return host, int(port)
