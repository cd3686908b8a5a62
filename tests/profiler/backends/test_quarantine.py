"""Quarantine: three faults in a row set a device aside, for a time, until it does well or is looked at."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from profiler.backends import BACKENDS, Quarantine, backend_of, open_backend
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
from tests.known_law_backend import KnownLawBackend

DEVICE = HostDevice(name="phone")
OFFLINE = DeviceOfflineError("phone", "went away \x1b[2J")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("POCKETNAS_LOCK_DIR", str(tmp_path / "locks"))
    monkeypatch.setitem(BACKENDS, "host", lambda device, **_: KnownLawBackend(name=device.name))
    return tmp_path / "locks"


def fail(error: BaseException = OFFLINE, times: int = 1) -> None:
    for _ in range(times):
        with pytest.raises(type(error)), open_backend(DEVICE):
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
    with open_backend(DEVICE):
        pass
    assert faults() == 0


def test_a_device_set_aside_is_opened_for_a_look_only_until_it_is_cleared() -> None:
    fail(times=3)
    with pytest.raises(DeviceQuarantinedError), open_backend(DEVICE):
        pass
    with backend_of(DEVICE) as backend:
        assert backend.name == "phone"
    assert faults() == 3
    Quarantine("phone").clear()
    with open_backend(DEVICE):
        pass


def test_a_job_that_ends_well_ends_no_quarantine_that_another_began() -> None:
    with open_backend(DEVICE):
        for _ in range(3):
            Quarantine("phone").note_fault(OFFLINE)
    assert faults() == 3


def test_a_look_counts_for_nothing() -> None:
    fail(times=2)
    with pytest.raises(DeviceOfflineError), backend_of(DEVICE):
        raise OFFLINE
    with backend_of(DEVICE):
        pass
    assert faults() == 2


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
