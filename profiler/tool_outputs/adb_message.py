"""Tells what adb, or the phone's shell behind it, complains of.

adb reports a failed push as "1 file pushed" too, and its exit code is lost on old phones, so the words are looked at:
all versions' words, wherever they stand.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from profiler.tool_outputs._lines import read_text, short

KIND: Final = "adb_message"

Trouble = Literal[
    "unauthorized",
    "offline",
    "not_found",
    "more_than_one_device",
    "no_host_permission",
    "protocol",
    "closed",
    "server_version",
    "storage_full",
    "read_only",
    "local_file_missing",
    "remote_file",
    "missing_library",
    "not_executable",
    "wrong_architecture",
    "file_busy",
]

# The first that matches a line is its trouble; specific words stand before general ones.
_TROUBLES: Final[tuple[tuple[Trouble, str], ...]] = (
    ("unauthorized", r"device unauthorized|device still authorizing"),
    ("more_than_one_device", r"more than one (?:device|emulator)"),
    ("no_host_permission", r"insufficient permissions for device|no permissions"),
    ("offline", r"device offline|device is offline"),
    ("not_found", r"device '[^']{0,100}' not found|device not found|no devices/emulators found|no devices found"),
    ("server_version", r"adb server version \([0-9]+\) doesn't match this client"),
    ("protocol", r"protocol fault|failed to check server version"),
    ("closed", r"error: closed|connection reset|device disconnected"),
    ("storage_full", r"[Nn]o space left"),
    ("read_only", r"[Rr]ead-only file system"),
    ("local_file_missing", r"cannot stat '"),
    ("remote_file", r"failed to copy '|couldn't create file|fchown failed"),
    ("missing_library", r"CANNOT LINK EXECUTABLE"),
    ("wrong_architecture", r"not executable: |Exec format error"),
    ("not_executable", r"can't execute: "),
    ("file_busy", r"Text file busy"),
)
_PATTERNS = tuple((trouble, re.compile(pattern)) for trouble, pattern in _TROUBLES)
_PUSHED = re.compile(r"(?:[0-9]{1,9} )?files? pushed")


@dataclass(frozen=True)
class AdbTrouble:
    """One kind of trouble.

    Attributes:
        kind: What it is.
        line: The first line that names it.
    """

    kind: Trouble
    line: str


@dataclass(frozen=True)
class AdbMessage:
    """What an output of adb says about success.

    Attributes:
        troubles: Troubles in the order of their first lines; empty when none is named.
        pushed: Whether it says that files were pushed, which is true only where there is no trouble.
    """

    troubles: tuple[AdbTrouble, ...]
    pushed: bool


def parse_adb_message(data: bytes) -> AdbMessage:
    r"""Return the troubles that an output of adb, or of the shell behind it, names.

    Raises:
        ToolOutputError: It is empty.

    Example:
        >>> parse_adb_message(b"adb: device offline\n").troubles[0].kind
        'offline'
    """
    text = read_text(data, KIND)
    found: dict[Trouble, AdbTrouble] = {}
    for line in text.lines:
        kind = next((kind for kind, pattern in _PATTERNS if pattern.search(line.text)), None)
        if kind is not None:
            found.setdefault(kind, AdbTrouble(kind, short(line.text)))
    return AdbMessage(tuple(found.values()), any(_PUSHED.search(line.text) for line in text.lines))
