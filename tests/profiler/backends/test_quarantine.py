"""Quarantine: three faults in a row set a device aside, for a time, until it does well or is looked at."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from profiler.backends import DeviceLease, Quarantine, open_backend
from profiler.backends.quarantine import QUARANTINE_S
from profiler.devices import HostDevice
from profiler.errors import (
    DeviceBusyError,
    DeviceOfflineError,
    DeviceQuarantinedError,
    DeviceTimeoutError,
    DeviceUnauthorizedError,
    MeasurementError,
)

OFFLINE = DeviceOfflineError("phone", "went away \x1b[2J")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("POCKETNAS_LOCK_DIR", str(tmp_path / "locks"))
    return tmp_path / "locks"


def fail(error: BaseException = OFFLINE, times: int = 1) -> None:
    for _ in range(times):
        with pytest.raises(type(error)), DeviceLease("phone"):
            raise error


def faults() -> int:
    setback = Quarantine("phone").setback
    return setback.faults if setback else 0


def test_the_third_fault_in_a_row_sets_the_device_aside() -> None:
    fail(times=2)
    Quarantine("phone").check()
    fail(DeviceTimeoutError("phone", 60, "boot"))
    with pytest.raises(
        DeviceQuarantinedError, match=r"since 20.* until 20.*boot did not end within 60 s.*doctor"
    ) as it:
        Quarantine("phone").check()
    assert it.value.exit_code == 75
    Quarantine("another phone").check()


def test_a_job_that_ends_well_clears_earlier_faults() -> None:
    fail(times=2)
    with DeviceLease("phone"):
        pass
    assert faults() == 0


def test_a_good_moment_does_not_end_a_quarantine() -> None:
    fail(times=3)
    with DeviceLease("phone"):
        pass
    with pytest.raises(DeviceQuarantinedError):
        Quarantine("phone").check()
    Quarantine("phone").clear()
    Quarantine("phone").check()


@pytest.mark.parametrize(
    "error",
    [KeyboardInterrupt(), MeasurementError("m"), DeviceUnauthorizedError("phone", "u"), DeviceBusyError("phone", "b")],
    ids=lambda error: type(error).__name__,
)
def test_what_is_no_fault_of_the_device_neither_counts_nor_clears(error: BaseException) -> None:
    fail(times=2)
    fail(error, times=2)
    assert faults() == 2


def test_a_quarantine_ends_after_its_time_and_the_next_fault_begins_another(folder: Path) -> None:
    fail(times=3)
    (path,) = folder.glob("*.faults.json")
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"at_unix_s": time.time() - QUARANTINE_S - 1}))
    Quarantine("phone").check()
    fail()
    with pytest.raises(DeviceQuarantinedError, match="4 faults"):
        Quarantine("phone").check()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"faults": "many"}', '{"faults": 9}'])
def test_a_record_that_makes_no_sense_is_none(folder: Path, content: str) -> None:
    fail()
    (path,) = folder.glob("*.faults.json")
    path.write_text(content)
    Quarantine("phone").check()
    fail()
    assert faults() == 1


def test_a_device_set_aside_is_not_opened_but_for_a_look() -> None:
    fail(times=3)
    device = HostDevice(name="phone")
    with pytest.raises(DeviceQuarantinedError):
        open_backend(device)
    with open_backend(device, even_set_aside=True) as backend:
        assert backend.fence is not None
