"""Google's programs as peers in tests: adb's server and adbd, each with a home and a port of its own."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

BUILT_ADBD = Path(__file__).resolve().parents[1] / "build" / "adbd" / "adbd"
"""Where scripts/build-adbd leaves it."""


def adb_client(name: str) -> Path | None:
    """Google's adb as a distributor has it; None when it is not installed."""
    if name == "debian":
        found = shutil.which("adb")
        return Path(found) if found else None
    spec = importlib.util.find_spec("adbutils")
    path = Path(spec.origin).parent / "binaries" / "adb" if spec and spec.origin else None
    return path if path and path.is_file() else None


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


class AdbDaemon:
    """Google's adbd in a folder and on a loopback port of its own, as nobody where the tests run as root.

    A program outside Android has no data partition: `folder` is where it may write.

    Attributes:
        address: Where it listens.
        folder: Its home.
    """

    def __init__(self, path: Path, folder: Path, *, secure: bool = False) -> None:
        self.folder, self.port = folder, free_port()
        self.address = f"127.0.0.1:{self.port}"
        self._keys = folder / "trusted"
        self._parents: list[subprocess.Popen[str]] = []
        # Nobody need not be able to reach the place where it was built.
        self._program = shutil.copy(path, folder / "adbd")
        (folder / "properties").write_text(
            f"service.adb.listen_addrs=tcp:localhost:{self.port}\nro.adb.secure={int(secure)}\n"
            "ro.product.name=linux\nro.product.model=Real adbd\nro.product.device=linux\n"
        )

    def trust(self, public_key: bytes) -> None:
        """Let the owner of a key in."""
        self._keys.write_bytes(public_key)

    def start(self) -> None:
        environment = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(self.folder),
            "ADBD_PROPERTIES": str(self.folder / "properties"),
            "ADBD_KEYS": str(self._keys),
        }
        command = [sys.executable, str(Path(__file__).with_name("reaping_parent.py")), self._program]
        with (self.folder / "log").open("ab") as log:
            parent = subprocess.Popen(
                command, env=environment, cwd=self.folder, stdout=subprocess.PIPE, stderr=log, text=True
            )
        self._parents.append(parent)
        assert parent.stdout is not None
        self._pid = int(parent.stdout.readline())
        self._await(listening=True)

    def kill(self) -> None:
        """End it at once, as a crash does; what it has started runs on."""
        os.kill(self._pid, signal.SIGKILL)
        self._await(listening=False)

    def stop(self) -> None:
        self.kill()
        for parent in self._parents:
            parent.kill()
            parent.communicate()

    def _await(self, *, listening: bool) -> None:
        for _ in range(200):
            if _listens(self.port) == listening:
                return
            time.sleep(0.02)
        raise AssertionError((self.folder / "log").read_text())


@contextmanager
def own_adbd(path: Path, *, secure: bool = False) -> Iterator[AdbDaemon]:
    """Run an adbd; only this one is ended afterwards."""
    # Not below pytest's folder, which is closed to nobody.
    with tempfile.TemporaryDirectory(prefix="adbd-") as name:
        folder = Path(name)
        folder.chmod(0o777)
        daemon = AdbDaemon(path, folder, secure=secure)
        daemon.start()
        try:
            yield daemon
        finally:
            daemon.stop()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
