"""Devices that failed again and again are set aside for a time, so that no job spends its night on them."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from profiler.backends._device_files import device_file
from profiler.errors import (
    CommandFailedError,
    DeviceError,
    DeviceOfflineError,
    DeviceProtocolError,
    DeviceQuarantinedError,
    DeviceTimeoutError,
    TransferError,
)
from profiler.whole_file import write_whole_file

FAULTS_IN_A_ROW = 3
QUARANTINE_S = 900.0

DEVICE_FAULTS = (CommandFailedError, DeviceOfflineError, DeviceProtocolError, DeviceTimeoutError, TransferError)
"""Errors that speak against a device.  Others are its user's to mend (a key not trusted, a battery low, a program
that it cannot run), or nobody's (a job that came too late)."""

_LONGEST_PROBLEM = 300


@dataclass(frozen=True)
class Setback:
    """A device's latest faults, with nothing good in between.

    Attributes:
        faults: How many.
        problem: What the last one was.
        at_unix_s: When that was.
    """

    faults: int
    problem: str
    at_unix_s: float

    @property
    def until_unix_s(self) -> float | None:
        """When the device may be used again; None when it may be used at once."""
        until_unix_s = self.at_unix_s + QUARANTINE_S
        # A time in the far future is that of a clock which has been set back since.
        aside = self.faults >= FAULTS_IN_A_ROW and abs(time.time() - self.at_unix_s) < QUARANTINE_S
        return until_unix_s if aside else None


class Quarantine:
    """What is written down about a device's faults, beside its lease.

    Args:
        device: Name of the device.
    """

    def __init__(self, device: str) -> None:
        self._device = device
        self._path = device_file(device, ".faults.json")

    @property
    def setback(self) -> Setback | None:
        """The faults on record; None when the device last did well."""
        try:
            found = json.loads(self._path.read_bytes())
            return Setback(int(found["faults"]), str(found["problem"])[:_LONGEST_PROBLEM], float(found["at_unix_s"]))
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def check(self) -> None:
        """Return only if the device may be used.

        Raises:
            DeviceQuarantinedError: It is set aside.
        """
        setback = self.setback
        if setback and setback.until_unix_s:
            raise DeviceQuarantinedError(
                self._device, setback.faults, setback.problem, _time(setback.at_unix_s), _time(setback.until_unix_s)
            )

    def note_fault(self, error: DeviceError) -> None:
        """Count an error if it speaks against the device.

        Raises:
            OSError: It cannot be written down.
        """
        if isinstance(error, DEVICE_FAULTS):
            before = self.setback
            setback = Setback(before.faults + 1 if before else 1, error.problem[:_LONGEST_PROBLEM], time.time())
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_whole_file(self._path, json.dumps(asdict(setback)).encode())

    def note_success(self) -> None:
        """Forget earlier faults of a device that did a job, unless they have set it aside meanwhile."""
        setback = self.setback
        if setback and not setback.until_unix_s:
            self.clear()

    def clear(self) -> None:
        """Forget the device's faults."""
        self._path.unlink(missing_ok=True)


def _time(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="seconds")
