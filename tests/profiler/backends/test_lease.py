"""The lease: one job at a time, the holder named, and none kept by a job that is dead or does not move."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from profiler.backends import DeviceLease, Quarantine
from profiler.errors import ConfigError, DeviceBusyError, DeviceError, DeviceOfflineError, LeaseLostError

LEASE_S = 0.9
HOLD = f"""
import sys
from profiler.backends import DeviceLease
with DeviceLease("phone", lease_s={LEASE_S}) as lease:
    print(lease.fence.token, flush=True)
    for _ in sys.stdin:
        print("held" if lease.held else "lost", flush=True)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("POCKETNAS_LOCK_DIR", str(tmp_path / "locks"))
    return tmp_path / "locks"


class Holder:
    """Another process that holds "phone"."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin and process.stdout
        self._in, self._out = process.stdin, process.stdout
        self.process = process
        self.token = int(self._out.readline())

    def says(self) -> str:
        self._in.write("?\n")
        self._in.flush()
        return self._out.readline().strip()


@contextmanager
def another_job() -> Iterator[Holder]:
    command = [sys.executable, "-c", HOLD]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Holder(process)
        finally:
            process.kill()


def token(lease: DeviceLease) -> int:
    assert lease.fence
    return lease.fence.token


def test_a_second_job_is_told_who_holds_it_and_gets_it_when_that_one_dies() -> None:
    with another_job() as other:
        expected = rf"process {other.process.pid} \('-c'\) since 20\d\d-.*; wait"
        with pytest.raises(DeviceBusyError, match=expected) as caught, DeviceLease("phone"):
            pass
        assert caught.value.exit_code == 73
        with DeviceLease("another phone") as free:
            assert free.held
        os.kill(other.process.pid, signal.SIGKILL)
        began_s = time.monotonic()
        with DeviceLease("phone", wait_s=5) as mine:
            assert mine.held and token(mine) > other.token
        assert time.monotonic() - began_s < 0.5  # the system freed it: no need to wait for its time


def test_a_job_that_gives_signs_of_life_keeps_the_device() -> None:
    with another_job() as other:
        with pytest.raises(DeviceBusyError), DeviceLease("phone", wait_s=2 * LEASE_S):
            pass
        assert other.says() == "held"


def test_a_job_that_does_not_move_loses_the_device_after_its_time() -> None:
    with another_job() as other:
        os.kill(other.process.pid, signal.SIGSTOP)
        began_s = time.monotonic()
        with DeviceLease("phone", wait_s=20) as mine:
            assert 0.6 * LEASE_S < time.monotonic() - began_s < 4 * LEASE_S
            assert token(mine) > other.token
            os.kill(other.process.pid, signal.SIGCONT)
            assert other.says() == "lost"
            time.sleep(LEASE_S / 2)  # its late sign of life, if any, takes nothing from us
            assert mine.held
            with pytest.raises(DeviceBusyError, match=f"process {os.getpid()}"), DeviceLease("phone"):
                pass
            other.process.communicate(timeout=20)  # and neither does its end
            assert mine.held


def test_one_without_patience_takes_over_from_a_job_that_was_silent_for_long() -> None:
    with another_job() as other:
        os.kill(other.process.pid, signal.SIGSTOP)
        time.sleep(1.2 * LEASE_S)
        with DeviceLease("phone") as mine:
            assert mine.held


def test_an_old_sign_of_life_is_no_proof_of_death(folder: Path) -> None:
    """As after the computer slept: the time is old, and the job gives its next sign."""
    with another_job() as other:
        (record,) = folder.glob("*.json")
        os.utime(record, (0, 0))
        with pytest.raises(DeviceBusyError), DeviceLease("phone"):
            pass
        assert other.says() == "held"


def test_a_job_on_another_computer_keeps_the_device_for_its_time(folder: Path) -> None:
    """Its lock may not reach us; what it wrote does."""
    with DeviceLease("phone", shared="serial 7"):
        pass
    (path,) = folder.glob("*.json")
    holder = {"process": 7, "host": "elsewhere", "command": "pocketnas profile", "since": "2026-01-01"}
    path.write_text(json.dumps({"device": "serial 7", "token": 8, "lease_s": LEASE_S, "holder": holder}))
    with pytest.raises(DeviceBusyError, match="process 7 on elsewhere"), DeviceLease("phone", shared="serial 7"):
        pass
    with DeviceLease("phone", shared="serial 7", wait_s=20) as mine:
        assert token(mine) > 8


def test_who_lost_the_lease_is_told_by_whom(folder: Path) -> None:
    with DeviceLease("phone", lease_s=60) as lease:
        lease.ensure_held()
        (path,) = folder.glob("*.json")
        record = json.loads(path.read_text())
        path.write_text(json.dumps(record | {"token": record["token"] + 1}))
        assert not lease.held
        with pytest.raises(LeaseLostError, match=f"taken over by process {os.getpid()}") as caught:
            lease.ensure_held()
        assert caught.value.exit_code == 75
    assert json.loads(path.read_text())["holder"] is not None  # of the other, who has it still


def test_tokens_grow_over_jobs_also_where_the_record_was_lost(folder: Path) -> None:
    tokens = []
    for index in range(4):
        with DeviceLease("phone") as lease:
            tokens.append(token(lease))
        time.sleep(0.002)
        if index == 1:
            for path in folder.iterdir():
                path.unlink()
    assert tokens == sorted(set(tokens))


def test_tokens_grow_where_the_clock_was_set_back(folder: Path) -> None:
    ahead = 2 * int(time.time() * 1000)
    with DeviceLease("phone"):
        pass
    (path,) = folder.glob("*.json")
    path.write_text(json.dumps({"device": "phone", "token": ahead, "lease_s": 1.0, "holder": None}))
    with DeviceLease("phone") as lease:
        assert token(lease) == ahead + 1


def test_waits_for_the_other_job() -> None:
    with DeviceLease("phone"):
        began_s = time.monotonic()
        with pytest.raises(DeviceBusyError), DeviceLease("phone", wait_s=0.3):
            pass
        assert time.monotonic() - began_s >= 0.3
    with DeviceLease("phone"):
        pass


def test_jobs_never_have_the_device_together() -> None:
    inside: list[int] = []
    most = []

    def job() -> None:
        with DeviceLease("phone", wait_s=30):
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.01)
            inside.pop()

    threads = [threading.Thread(target=job) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert most == [1] * 6


def test_what_is_shared_is_held_for_all_that_share_it() -> None:
    with (
        DeviceLease("phone on cpu", shared="serial 7"),
        pytest.raises(DeviceBusyError),
        DeviceLease("phone on gpu", shared="serial 7"),
    ):
        pass


def test_says_who_holds_a_device_without_taking_it(folder: Path) -> None:
    looking = DeviceLease("phone")
    assert looking.holder is None and not folder.exists()
    with DeviceLease("phone") as lease:
        assert looking.holder is not None and f"process {os.getpid()}" in looking.holder
        assert lease.holder is None and lease.held
    assert looking.holder is None
    with another_job() as other:
        assert looking.holder is not None and f"process {other.process.pid}" in looking.holder
        other.process.kill()
        other.process.wait()
        assert looking.holder is None


def test_frees_the_device_when_the_block_fails() -> None:
    with pytest.raises(KeyError), DeviceLease("phone"):
        raise KeyError
    with DeviceLease("phone") as lease:
        assert lease.held
    assert not lease.held and lease.fence is None
    with pytest.raises(DeviceError, match="not open"):
        lease.ensure_held()


@pytest.mark.parametrize("name", ["../../escape", "a/b", "x; touch canary", "n\N{ROCKET}", "z" * 5000])
def test_any_name_stays_inside_the_folder(folder: Path, name: str) -> None:
    with DeviceLease(name):
        Quarantine(name).note_fault(DeviceOfflineError(name, "went away"))
    assert {path.parent for path in folder.rglob("*")} == {folder}


def test_an_unreadable_holder_is_still_a_holder(folder: Path) -> None:
    with DeviceLease("phone") as lease:
        for path in folder.glob("*.json"):
            path.write_text("{", encoding="utf-8")
        with pytest.raises(DeviceBusyError, match="another job"), DeviceLease("phone"):
            pass
        assert not lease.held


def test_a_folder_that_cannot_be_made_is_named(folder: Path) -> None:
    folder.write_text("a file", encoding="utf-8")
    with pytest.raises(DeviceError, match=r"cannot be leased in .*POCKETNAS_LOCK_DIR"), DeviceLease("phone"):
        pass


@pytest.mark.parametrize("text", ["soon", "0", "-3", "nan", "inf"])
def test_a_lease_of_no_time_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POCKETNAS_LEASE_S", text)
    with pytest.raises(ConfigError, match="POCKETNAS_LEASE_S"):
        DeviceLease("phone")
