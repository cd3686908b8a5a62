"""One job at a time on a device: a lock between processes that tells who holds it."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from filelock import FileLock, Timeout

from profiler.errors import DeviceBusyError, DeviceError

FOLDER_VARIABLE = "POCKETNAS_LOCK_DIR"
"""Environment variable that moves the locks, for machines whose users share devices."""


class DeviceLock:
    """Holds a device for this process inside a `with` block; the system frees it if the process dies.

    Args:
        device: Name or serial of the device.
        shared: Name of what the device shares with others, so that one job holds all of them; the device
            alone when it is None.
        wait_s: How long to wait for another job to end.

    Raises:
        DeviceBusyError: On entry: another job still holds the device.
        DeviceError: On entry: the lock cannot be written.
    """

    def __init__(self, device: str, *, shared: str | None = None, wait_s: float = 0.0) -> None:
        self._device, self._wait_s = device, wait_s
        # A name may hold any characters, so the file is called by its hash.
        stem = hashlib.sha256((device if shared is None else shared).encode()).hexdigest()[:32]
        self._lock = FileLock(_folder() / f"{stem}.lock", thread_local=False)
        self._holder_path = _folder() / f"{stem}.json"

    def __enter__(self) -> Self:
        try:
            self._holder_path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock.acquire(timeout=self._wait_s)
            self._holder_path.write_text(json.dumps(_this_job()), encoding="utf-8")
        except Timeout as err:
            raise DeviceBusyError(self._device, self._holder()) from err
        except OSError as err:
            self._lock.release()
            problem = f"cannot be locked in {self._holder_path.parent}: {err.strerror}; set {FOLDER_VARIABLE}"
            raise DeviceError(self._device, problem) from err
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._holder_path.unlink(missing_ok=True)
        self._lock.release()

    @property
    def held(self) -> bool:
        """Whether this process holds the device through this lock."""
        return self._lock.is_locked

    def _holder(self) -> str:
        """Describe the job that holds the lock, as it wrote itself down."""
        try:
            job = json.loads(self._holder_path.read_text(encoding="utf-8"))
            return f"process {int(job['pid'])} ({str(job['command'])!r}) since {str(job['since'])[:32]!s}"
        except (OSError, ValueError, TypeError, KeyError):
            return "another job"


def _folder() -> Path:
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(os.environ.get(FOLDER_VARIABLE) or Path(state) / "pocketnas" / "locks")


def _this_job() -> dict[str, object]:
    return {
        "pid": os.getpid(),
        "command": " ".join([Path(sys.argv[0] or "python").name, *sys.argv[1:2]])[:80],
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
    }
