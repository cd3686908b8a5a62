"""`pocketnas doctor`: each step has its finding, the exit code is a job's, and sound devices leave quarantine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pocketnas.cli import run
from profiler.backends import BACKENDS, Check, DeviceLease, Failure, Quarantine
from profiler.devices import Device
from profiler.errors import (
    ConfigError,
    DeviceOfflineError,
    DeviceRefusedError,
    DeviceStorageError,
    DeviceTimeoutError,
    PocketnasError,
    RuntimeNotSupportedError,
)
from profiler.examination import HOST_STEPS, PHONE_STEPS, examine
from profiler.measure.references import reference_workloads
from tests.adb_programs import free_port
from tests.known_law_backend import KnownLawBackend


class Patient(KnownLawBackend):
    """A device in some condition.

    Attributes:
        refusal: What opening it ends with.
    """

    refusal: PocketnasError | None = None

    def __enter__(self) -> Patient:
        if self.refusal:
            raise self.refusal
        return self


@pytest.fixture
def patient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Patient:
    """The device "host"."""
    device = Patient(name="host")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("POCKETNAS_LOCK_DIR", str(tmp_path / "locks"))
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(free_port()))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(BACKENDS, "host", lambda *_, **__: device)
    return device


def examined(capsys: pytest.CaptureFixture[str], code: int) -> dict[str, dict[str, Any]]:
    assert run(["doctor", "--device", "host", "--json"]) == code
    found = json.loads(capsys.readouterr().out)
    assert found["exit_code"] == code
    return {finding["step"]: finding for finding in found["checks"]}


def set_aside(name: str = "host") -> None:
    for _ in range(3):
        Quarantine(name).note_fault(DeviceOfflineError(name, "went away"))


def test_a_sound_device_is_let_out_of_quarantine(patient: Patient, capsys: pytest.CaptureFixture[str]) -> None:
    set_aside()
    found = examined(capsys, 0)
    assert tuple(found) == HOST_STEPS
    assert {finding["outcome"] for finding in found.values()} == {"ok"}
    assert "3 faults" in found["lease"]["detail"] and " ms" in found["reference"]["detail"]
    Quarantine("host").check()


@pytest.mark.parametrize(
    ("refusal", "step", "code"),
    [
        (RuntimeNotSupportedError("host", "benchmark_model", "built for arm"), "program", 2),
        (ConfigError("cannot be read", key="program"), "program", 2),
        (DeviceStorageError("host", 7, 3), "storage", 2),
        (DeviceRefusedError("host", "noexec"), "executes", 2),
        (DeviceTimeoutError("host", 9, "boot"), "lease", 75),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_what_fails_is_named_and_what_follows_is_not_reached(
    refusal: PocketnasError, step: str, code: int, patient: Patient, capsys: pytest.CaptureFixture[str]
) -> None:
    patient.refusal = refusal
    set_aside()
    found = examined(capsys, code)
    place = HOST_STEPS.index(step)
    expected = ["ok"] * place + ["fail"] + ["not reached"] * (len(HOST_STEPS) - place - 1)
    assert [finding["outcome"] for finding in found.values()] == expected
    assert found[step]["detail"] == str(refusal)
    setback = Quarantine("host").setback
    assert setback and setback.faults == 3


def test_doubts_are_warnings_and_what_would_end_a_campaign_fails(
    patient: Patient, capsys: pytest.CaptureFixture[str]
) -> None:
    patient.conditions = (Check("LOAD", "other work"), Check("EMULATED", "no phone", suppressible=False))
    found = examined(capsys, 0)
    assert found["settings"]["outcome"] == "warn" and "LOAD: other work" in found["settings"]["detail"]
    patient.conditions = (Check("LOW-STORAGE", "charge it", stops=True),)
    assert examined(capsys, 75)["storage"]["outcome"] == "fail"


def test_a_device_that_runs_nothing_fails_where_it_executes(
    patient: Patient, capsys: pytest.CaptureFixture[str]
) -> None:
    patient.failures = {reference_workloads()[0].key: Failure("CRASHED", "SIGILL", 4)}
    found = examined(capsys, 75)
    assert found["executes"]["detail"] == "CRASHED: SIGILL"
    assert found["reference"]["outcome"] == "not reached"


def test_a_person_is_shown_each_step(patient: Patient, capsys: pytest.CaptureFixture[str]) -> None:
    patient.refusal = DeviceRefusedError("host", "noexec\x1b[2J")
    assert run(["doctor"]) == 2
    shown = capsys.readouterr().out
    assert [line.split()[0] for line in shown.splitlines()] == ["ok"] * 4 + ["fail", "not"]
    assert r"noexec\x1b[2J" in shown and "\x1b" not in shown


def test_a_phone_in_use_and_one_that_is_not_there(patient: Patient, tmp_path: Path) -> None:
    from profiler.devices import AdbDevice

    serial = f"127.0.0.1:{free_port()}"
    phone = AdbDevice(name="phone", serial=serial, program="benchmark_model")
    assert outcomes(phone)[:2] == ["ok", "fail"]
    with DeviceLease("other", shared=f"phone {serial}"):
        assert outcomes(phone)[:2] == ["fail", "not reached"]


def outcomes(device: Device) -> list[str]:
    findings = list(examine(device))
    assert tuple(finding.step for finding in findings) == PHONE_STEPS
    return [finding.outcome for finding in findings]
