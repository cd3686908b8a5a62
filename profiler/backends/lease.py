"""One job at a time on a device: a lease that ends with its job, and with a job that no longer moves.

A job holds a file lock for as long as it has the device, so the system frees the device of a job that died.
It also gives a sign of life every few seconds; a job that stopped giving them loses the device to the next
one.  Should it wake up again, its token is older than that of the new holder: the store takes nothing from it.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import platform
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from filelock import FileLock, Timeout

from profiler.backends._device_files import FOLDER_VARIABLE, device_file
from profiler.errors import ConfigError, DeviceBusyError, DeviceError, LeaseLostError
from profiler.whole_file import write_whole_file

LEASE_VARIABLE = "POCKETNAS_LEASE_S"
"""Environment variable that changes how long a silent job keeps its device, in s."""

LEASE_S = 30.0

_BEATS = 6
"""Signs of life in the time of a lease: one that comes late is no end of it."""

_LOOK_SHARE = 2 / _BEATS
"""Share of the lease that an old sign of life is watched for.  After a computer slept, or had its clock set,
the signs of living jobs look old, too; those give a new one meanwhile."""

_POLL_S = 0.1
_MUTEX_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Fence:
    """What a job shows the store with each row, so that one that lost its device can write no more.

    Attributes:
        device: What is leased.
        token: Grows with each job that gets the device.
    """

    device: str
    token: int


class DeviceLease:
    """Holds a device for this process inside a `with` block.

    Args:
        device: Name of the device, as in devices.yaml.
        shared: Name of what the device shares with others, on whichever computer, so that one job holds all
            of them; the device alone when it is None.
        wait_s: How long to wait for another job to end.
        lease_s: How long this job may be silent before another may take the device; None for the
            environment's POCKETNAS_LEASE_S, or 30 s.

    Raises:
        ConfigError: The time of a lease is none.
        DeviceBusyError: On entry: another job still holds the device.
        DeviceError: On entry: the lease cannot be written.
    """

    def __init__(
        self, device: str, *, shared: str | None = None, wait_s: float = 0.0, lease_s: float | None = None
    ) -> None:
        self._device, self._wait_s = device, wait_s
        self._lease_s = _default_lease_s() if lease_s is None else lease_s
        # A name is this computer's own, also where several computers have one home folder, or one store.
        self._key = f"{device} on {platform.node()}" if shared is None else shared
        self._record_path = device_file(self._key, ".json")
        self._lock = FileLock(device_file(self._key, ".lock"), thread_local=False)
        self._fence: Fence | None = None
        self._ended = threading.Event()

    def __enter__(self) -> Self:
        try:
            self._record_path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._take()
        except OSError as err:
            self._lock.release()
            raise self._unwritable(err) from err
        self._ended.clear()
        threading.Thread(target=self._give_signs, name=f"lease of {self._device}", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        # The device is free once the lock is; what cannot be written down about it keeps nobody from it.
        with contextlib.suppress(OSError), self._mutex():
            if self._fence and self.held:
                self._write(_Record(self._key, self._fence.token, self._lease_s, None))
        self._fence = None
        self._lock.release()

    @property
    def fence(self) -> Fence | None:
        """What to show the store; None outside of the block."""
        return self._fence

    @property
    def held(self) -> bool:
        """Whether this process holds the device through this lease, at this moment."""
        record = self._read() if self._fence else None
        return bool(record and self._fence and record.token == self._fence.token)

    @property
    def holder(self) -> str | None:
        """The job that holds the device, as it wrote itself down; None when the device is free or ours.

        Raises:
            DeviceError: The lease cannot be looked at.
        """
        if self._fence is not None or not self._record_path.exists():
            return None
        try:
            with self._mutex():
                free = self._locked()
                record = self._read()
                if free:
                    self._lock.release()
        except OSError as err:
            raise self._unwritable(err) from err
        return _described(record) if not free or (record and record.is_elsewhere) else None

    def ensure_held(self) -> None:
        """Go on only if the device is still ours.

        Raises:
            LeaseLostError: Another job took it over while this one gave no sign of life.
            DeviceError: The lease was not entered, or is over.
        """
        if self._fence is None:
            raise DeviceError(self._device, "not open; use the backend in a `with` block")
        if not self.held:
            raise LeaseLostError(self._device, holder=_described(self._read()))

    def _unwritable(self, error: OSError) -> DeviceError:
        # filelock's Timeout is an OSError as well, and has no strerror.
        problem = f"cannot be leased in {self._record_path.parent}: {error.strerror or error}; set {FOLDER_VARIABLE}"
        return DeviceError(self._device, problem)

    def _take(self) -> None:
        deadline_s = time.monotonic() + self._wait_s
        watch = _Watch()
        while not self._taken(watch):
            # One who watches a holder that may be gone waits to the end of that, however short its patience.
            if time.monotonic() >= deadline_s and not watch.suspects:
                raise DeviceBusyError(self._device, _described(self._read()))
            time.sleep(min(_POLL_S, self._lease_s / 10))

    def _taken(self, watch: _Watch) -> bool:
        """Take the device if nobody has it, or who had it is gone."""
        with self._mutex():
            record = self._read()
            if not self._locked():
                if not watch.is_gone(self._sign_ns(), record):
                    return False
                # The old holder keeps its lock, on a file that no longer has the name.
                Path(self._lock.lock_file).unlink()
                self._lock.acquire(timeout=0)
            elif record and record.is_elsewhere and not watch.is_gone(self._sign_ns(), record):
                # Locks may not reach from one computer to another; signs of life do.
                self._lock.release()
                return False
            # Tokens grow also where the record was lost, or several folders have one, as long as time goes on.
            token = max(time.time_ns() // 1_000_000, record.token + 1 if record else 0)
            self._write(_Record(self._key, token, self._lease_s, _this_job()))
            self._fence = Fence(self._key, token)
        return True

    def _locked(self) -> bool:
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            return False
        return True

    @contextlib.contextmanager
    def _mutex(self) -> Iterator[None]:
        """Keep others from changing lock and record together; held for a moment only."""
        with FileLock(device_file(self._key, ".mutex"), timeout=_MUTEX_TIMEOUT_S, thread_local=False):
            yield

    def _give_signs(self) -> None:
        # The time of the record's last change is the sign.  Who no longer has the device gives none.
        while not self._ended.wait(self._lease_s / _BEATS) and self.held:
            with contextlib.suppress(OSError):
                os.utime(self._record_path)

    def _sign_ns(self) -> int:
        return self._record_path.stat().st_mtime_ns if self._record_path.exists() else 0

    def _write(self, record: _Record) -> None:
        write_whole_file(self._record_path, json.dumps(asdict(record)).encode())

    def _read(self) -> _Record | None:
        """Return what is written about the device; None where nothing is, or nothing that makes sense."""
        try:
            return _record(json.loads(self._record_path.read_bytes()))
        except (OSError, ValueError, TypeError, KeyError):
            return None


@dataclass(frozen=True)
class _Record:
    """What the file about a lease holds: its last token, and who has the device, if anybody."""

    device: str
    token: int
    lease_s: float
    holder: dict[str, Any] | None

    @property
    def is_elsewhere(self) -> bool:
        return self.holder is not None and self.holder["host"] != platform.node()


class _Watch:
    """Tells a job that is gone from one that lives: its last sign is old, and no new one comes."""

    def __init__(self) -> None:
        self._sign_ns: int | None = None
        self._since_s = 0.0

    @property
    def suspects(self) -> bool:
        """Whether the sign seen last was old."""
        return self._sign_ns is not None

    def is_gone(self, sign_ns: int, record: _Record | None) -> bool:
        lease_s = record.lease_s if record else LEASE_S
        if abs(time.time() - sign_ns / 1e9) <= lease_s:
            self._sign_ns = None
        elif sign_ns != self._sign_ns:
            self._sign_ns, self._since_s = sign_ns, time.monotonic()
        return self._sign_ns is not None and time.monotonic() - self._since_s >= lease_s * _LOOK_SHARE


def _record(found: Any) -> _Record:
    holder, lease_s = found["holder"], float(found["lease_s"])
    if holder is not None:
        names = {name: str(holder[name])[:80] for name in ("command", "since", "host")}
        holder = {"process": int(holder["process"]), **names}
    if not (math.isfinite(lease_s) and lease_s > 0):
        raise ValueError(f"a lease of {lease_s} s")
    return _Record(str(found["device"]), int(found["token"]), lease_s, holder)


def _described(record: _Record | None) -> str:
    if record is None or record.holder is None:
        return "another job"
    job = record.holder
    where = f" on {job['host']}" if record.is_elsewhere else ""
    return f"process {job['process']}{where} ({job['command']!r}) since {job['since']}"


def _this_job() -> dict[str, Any]:
    return {
        "process": os.getpid(),
        "host": platform.node(),
        "command": " ".join([Path(sys.argv[0] or "python").name, *sys.argv[1:2]])[:80],
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _default_lease_s() -> float:
    text = os.environ.get(LEASE_VARIABLE, "")
    try:
        lease_s = float(text) if text else LEASE_S
    except ValueError:
        lease_s = math.nan
    if not (math.isfinite(lease_s) and lease_s > 0):
        raise ConfigError(f"{text!r} is not a time; give a number of seconds above 0", key=LEASE_VARIABLE)
    return lease_s
