"""Google's adb as a peer in tests: a server of its own, with a home and a port of its own."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class AdbProgram:
    path: Path
    port: int
    environment: dict[str, str]

    def __call__(
        self, *arguments: str, stdin: bytes = b"", timeout_s: float = 60.0
    ) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [str(self.path), *arguments],
            env=self.environment,
            input=stdin,
            capture_output=True,
            check=False,
            timeout=timeout_s,
        )

    def connect(self, address: str) -> None:
        """Connect, and wait until the phone has come to trust this adb's key."""
        self("connect", address)
        assert self("-s", address, "wait-for-device", timeout_s=10.0).returncode == 0


@contextmanager
def own_adb(path: Path, home: Path) -> Iterator[AdbProgram]:
    """Run adb's server in a home and on a port of its own; only this one is ended afterwards."""
    port = free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "TMPDIR": str(home),
        "ANDROID_ADB_SERVER_PORT": str(port),
        "ADB_MDNS_OPENSCREEN": "0",
        "ADB_MDNS": "0",
    }
    adb = AdbProgram(path, port, environment)
    try:
        yield adb
    finally:
        adb("kill-server")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
