"""The device lock: one job at a time, the holder named, and no lock left behind by the dead."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from profiler.backends import DeviceLock
from profiler.errors import DeviceBusyError, DeviceError

HOLD = """
import sys, time
from profiler.backends.lock import DeviceLock
with DeviceLock(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("POCKETNAS_LOCK_DIR", str(tmp_path / "locks"))
    return tmp_path / "locks"


def test_a_second_job_is_told_who_holds_it() -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, "phone"], stdout=subprocess.PIPE) as other:
        assert other.stdout and other.stdout.readline() == b"held\n"
        with (
            pytest.raises(DeviceBusyError, match=rf"process {other.pid} .* since 20\d\d-.*; wait") as caught,
            DeviceLock("phone"),
        ):
            pass
        assert caught.value.exit_code == 73
        with DeviceLock("another phone") as free:
            assert free.held
        os.kill(other.pid, signal.SIGKILL)
        other.wait()
        with DeviceLock("phone", wait_s=5) as mine:
            assert mine.held


def test_waits_for_the_other_job() -> None:
    with DeviceLock("phone"):
        began_s = time.monotonic()
        with pytest.raises(DeviceBusyError), DeviceLock("phone", wait_s=0.3):
            pass
        assert time.monotonic() - began_s >= 0.3
    with DeviceLock("phone"):
        pass


def test_frees_the_device_when_the_block_fails() -> None:
    with pytest.raises(KeyError), DeviceLock("phone"):
        raise KeyError
    with DeviceLock("phone") as lock:
        assert lock.held
    assert not lock.held


@pytest.mark.parametrize("name", ["../../escape", "a/b", "x; touch canary", "n\N{ROCKET}", "z" * 5000])
def test_any_name_stays_inside_the_folder(folder: Path, name: str) -> None:
    with DeviceLock(name):
        assert {path.parent for path in folder.rglob("*")} == {folder}


def test_an_unreadable_holder_is_still_a_holder(folder: Path) -> None:
    with DeviceLock("phone"):
        for path in folder.glob("*.json"):
            path.write_text("{", encoding="utf-8")
        with pytest.raises(DeviceBusyError, match="another job"), DeviceLock("phone"):
            pass


def test_a_folder_that_cannot_be_made_is_named(folder: Path) -> None:
    folder.write_text("a file", encoding="utf-8")
    with pytest.raises(DeviceError, match=r"cannot be locked in .*POCKETNAS_LOCK_DIR"), DeviceLock("phone"):
        pass
