"""Whose the other end of a connection within this computer is, by the system's table of connections."""

from __future__ import annotations

import os
import socket
import struct
import sys
from pathlib import Path

_TABLE = Path("/proc/net/tcp")
_ESTABLISHED = "01"
_LOCAL, _REMOTE, _STATE, _UID = 1, 2, 3, 7


def is_our_user(connection: socket.socket) -> bool:
    """Say whether the other end is a program of the user that this one runs as, or of root.

    Args:
        connection: An IPv4 connection whose ends are both on this computer.

    Returns:
        True as well where the system keeps no such table: there no pushed program runs.
    """
    if sys.platform != "linux":
        return True
    try:
        ends = [_address(connection.getpeername()), _address(connection.getsockname())]
        lines = _TABLE.read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return False
    rows = [line.split() for line in lines]
    return any(
        row[_LOCAL : _REMOTE + 1] == ends and row[_STATE] == _ESTABLISHED and int(row[_UID]) in (0, os.getuid())
        for row in rows
    )


def _address(name: tuple[str, int]) -> str:
    """Return an address as the table has it: four bytes in the computer's order, and the port."""
    (number,) = struct.unpack("=I", socket.inet_aton(name[0]))
    return f"{number:08X}:{name[1]:04X}"
