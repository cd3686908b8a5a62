"""Chooses the way to a device: through adb's server if that has it, else directly."""

from __future__ import annotations

import re
from pathlib import Path

from profiler.adb.direct import DirectTransport
from profiler.adb.server import AdbServer, ServerTransport
from profiler.adb.transport import Transport

_ADDRESS = re.compile(r"[\w.-]+:[0-9]{1,5}|\[[0-9a-fA-F:.%\w]+\](?::[0-9]{1,5})?")


def open_transport(
    serial: str,
    *,
    server: AdbServer | None = None,
    key_path: Path | None = None,
    authorize_timeout_s: float = 5.0,
) -> Transport:
    """Return the transport to a device, to be used in a `with` block.

    Args:
        serial: As `adb devices` lists it: a serial number, or host:port.
        server: The adb server to ask; None for the one that `adb` would use.
        key_path: The private key's file for the direct way; None for the usual one.
        authorize_timeout_s: How long the direct way waits for somebody to accept our key on the phone.

    Raises:
        DeviceError: It is on no server, and not to be found on USB either.
        ConfigError: The key or the server's port cannot be used.
    """
    server = server or AdbServer.from_environment()
    # Two masters of one phone take its bytes from one another, so a server that has it is gone through.
    if serial in (server.devices() or {}):
        return ServerTransport(serial, server)
    make = DirectTransport.tcp if _ADDRESS.fullmatch(serial) else DirectTransport.usb
    return make(serial, key_path=key_path, authorize_timeout_s=authorize_timeout_s)
