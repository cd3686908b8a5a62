"""Rows 23 and 24: two jobs want one phone, and one of them is killed or stopped; real processes, one served phone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from profiler.measure.records import Block
from profiler.phone import Phone, PhoneServer, load_phone
from profiler.phone.files import SHELL_USER
from profiler.phone.programs import virtual_program
from profiler.store import Store
from tests.conformance.networks import tiny

LEASE_S = 1.5
STAY_ON = ("global", "stay_on_while_plugged_in")


class Jobs:
    """Starts `pocketnas profile` on the phone, each job with a store of its own."""

    def __init__(self, folder: Path, config: Path) -> None:
        self._folder, self._config = folder, config
        self._started: list[subprocess.Popen[str]] = []
        (folder / "net.json").write_text(tiny().to_json(), encoding="utf-8")

    def start(self, store: str, *, rounds: int = 3, wait_s: float = 0.0) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "pocketnas", "profile", "--device", "phone", "--config", str(self._config)]
        command += [
            "--network",
            str(self._folder / "net.json"),
            "--protocol",
            "kernels",
            "--store",
            str(self.path(store)),
        ]
        command += ["--rounds", str(rounds), "--max-rounds", str(rounds), "--wait-s", str(wait_s), "--json"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self._started.append(process)
        return process

    def path(self, store: str) -> Path:
        return self._folder / f"{store}.db"

    def blocks(self, store: str) -> list[Block]:
        if not self.path(store).exists():
            return []
        with Store(self.path(store)) as opened:
            return [block for campaign in opened.campaigns() for block in opened.blocks(campaign.id)]

    def end_all(self) -> None:
        for process in self._started:
            process.kill()
            process.communicate()


@pytest.fixture
def phone() -> Phone:
    return Phone(load_phone("pixel4"))


@pytest.fixture
def jobs(phone: Phone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Jobs]:
    monkeypatch.setenv("POCKETNAS_LOCK_DIR", str(tmp_path / "locks"))
    monkeypatch.setenv("POCKETNAS_LEASE_S", str(LEASE_S))
    monkeypatch.setenv("POCKETNAS_ADB_KEY", str(tmp_path / "adbkey"))
    program = tmp_path / "benchmark_model"
    program.write_bytes(virtual_program("benchmark_model"))
    with PhoneServer(phone) as served:
        settings = {"backend": "adb", "serial": served.address, "program": str(program), "warmup_s": 0.0}
        config = tmp_path / "devices.yaml"
        config.write_text(json.dumps({"devices": {"phone": settings}}), encoding="utf-8")
        made = Jobs(tmp_path, config)
        yield made
        made.end_all()


def until(holds: Callable[[], bool], timeout_s: float = 60.0) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline_s, "it did not come to pass"
        time.sleep(0.05)


def test_row_23_the_second_job_is_told_who_holds_the_phone_or_waits_for_it(jobs: Jobs, phone: Phone) -> None:
    before = dict(phone.state.settings)
    first = jobs.start("first", rounds=2000)
    until(lambda: len(jobs.blocks("first")) >= 3)
    hasty, patient = jobs.start("hasty"), jobs.start("patient", wait_s=60)
    _, told = hasty.communicate(timeout=60)
    assert hasty.returncode == 73
    assert f"process {first.pid}" in told.splitlines()[-1]
    assert jobs.blocks("hasty") == [] == jobs.blocks("patient")
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=60)
    assert first.returncode == 130
    assert patient.communicate(timeout=60) and patient.returncode == 0
    ended_s = max(block.started_unix_s for block in jobs.blocks("first"))
    assert all(block.started_unix_s > ended_s for block in jobs.blocks("patient")), "they never interleave"
    assert phone.state.settings == before
    assert phone.files.names("/data/local/tmp", SHELL_USER) == []


def test_row_24_a_job_that_is_killed_leaves_the_phone_to_the_next(jobs: Jobs, phone: Phone) -> None:
    before = dict(phone.state.settings)
    first = jobs.start("store", rounds=2000)
    until(lambda: len(jobs.blocks("store")) >= 3)
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    assert phone.state.settings[STAY_ON] != before[STAY_ON], "a killed job restores nothing"
    second = jobs.start("other")
    _, told = second.communicate(timeout=60)
    assert second.returncode == 0, told
    assert phone.state.settings == before
    assert phone.files.names("/data/local/tmp", SHELL_USER) == []
    assert [process for process in phone.processes if process.task is not None] == []


def test_row_24_a_job_that_stands_still_loses_the_phone_and_its_late_write_is_refused(jobs: Jobs, phone: Phone) -> None:
    before = dict(phone.state.settings)
    first = jobs.start("store", rounds=2000)
    until(lambda: len(jobs.blocks("store")) >= 3)
    os.kill(first.pid, signal.SIGSTOP)
    had = len(jobs.blocks("store"))
    second = jobs.start("other", rounds=25, wait_s=30)
    until(lambda: len(jobs.blocks("other")) >= 3)
    os.kill(first.pid, signal.SIGCONT)
    _, told = first.communicate(timeout=60)
    assert first.returncode == 75
    assert f"taken over by process {second.pid}" in told.splitlines()[-1]
    assert len(jobs.blocks("store")) <= had + 1, "at most the block that was on its way into the store"
    _, told = second.communicate(timeout=120)
    assert second.returncode == 0, told
    assert all(block.status == "ok" for block in jobs.blocks("other")), "the old holder did not disturb the new one"
    assert phone.state.settings == before
    assert phone.files.names("/data/local/tmp", SHELL_USER) == []
