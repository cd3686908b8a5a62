"""Rows 23 and 24: two jobs want one phone; the jobs are processes, and the phone is reached over the wire."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from profiler.measure import Block
from profiler.phone import Phone, PhoneClock, PhoneServer, load_phone
from profiler.phone.programs import virtual_program
from profiler.store import Store
from tests.adb_programs import free_port
from tests.conformance.networks import tiny

LEASE_S = 1.0
ROUNDS = 12


class Jobs:
    """Starts `pocketnas profile` for one workload on the phone, from a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.store = folder, folder / "rows.db"

    @contextmanager
    def started(self, *options: str) -> Iterator[subprocess.Popen[str]]:
        command = [sys.executable, "-m", "pocketnas", "profile", "--device", "phone", "--network", "tiny.json"]
        command += ["--store", "rows.db", "--protocol", "kernels", "--rounds", str(ROUNDS), "--max-rounds", str(ROUNDS)]
        process = subprocess.Popen(
            [*command, *options], cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    def blocks(self) -> list[tuple[Block, ...]]:
        """The blocks of each campaign."""
        with Store(self.store) as store:
            return [store.blocks(record.id) for record in store.campaigns()]

    def await_blocks(self, count: int) -> None:
        deadline_s = time.monotonic() + 60
        while sum(map(len, self.blocks())) < count:
            assert time.monotonic() < deadline_s, "no blocks are stored"
            time.sleep(0.05)


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Jobs]:
    """Jobs on a phone that takes a third of a real one's time, long enough for another job to meet it at work."""
    for name, value in {
        "HOME": str(tmp_path),
        "ANDROID_ADB_SERVER_PORT": str(free_port()),
        "POCKETNAS_LOCK_DIR": str(tmp_path / "locks"),
        "POCKETNAS_LEASE_S": str(LEASE_S),
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "benchmark_model").write_bytes(virtual_program("benchmark_model"))
    (tmp_path / "tiny.json").write_text(tiny().to_json(), encoding="utf-8")
    with PhoneServer(Phone(load_phone("pixel4"), clock=PhoneClock(0.3))) as server:
        settings = f"{{backend: adb, serial: '{server.address}', program: benchmark_model, warmup_s: 0.0}}"
        (tmp_path / "devices.yaml").write_text(f"devices:\n  phone: {settings}\n", encoding="utf-8")
        yield Jobs(tmp_path)


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, err = process.communicate(timeout=120)
    return process.returncode, err.splitlines()[-1]


def test_row_23_the_second_job_is_told_who_has_the_phone_or_waits(jobs: Jobs) -> None:
    with jobs.started("--label", "first") as first:
        jobs.await_blocks(1)
        with jobs.started("--label", "second") as second, jobs.started("--label", "third", "--wait-s", "100") as third:
            code, said = ended(second)
            assert code == 73
            assert f"in use by process {first.pid} ('__main__.py profile') since 20" in said
            assert ended(first)[0] == 0
            assert ended(third)[0] == 0
    of_first, of_third = jobs.blocks()
    assert len(of_first) == len(of_third) == ROUNDS
    assert max(block.started_unix_s for block in of_first) < min(block.started_unix_s for block in of_third)


def test_row_24_a_killed_holder_is_followed_at_once_and_its_campaign_goes_on(jobs: Jobs) -> None:
    with jobs.started() as first:
        jobs.await_blocks(3)
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
    (before,) = jobs.blocks()
    with jobs.started() as second:
        assert ended(second)[0] == 0
    (after,) = jobs.blocks()
    assert len(after) == ROUNDS and after[: len(before)] == before


def test_row_24_a_stopped_holder_is_taken_over_and_its_late_rows_refused(jobs: Jobs) -> None:
    with jobs.started() as first:
        jobs.await_blocks(3)
        os.kill(first.pid, signal.SIGSTOP)
        stopped = jobs.blocks()[0]
        with jobs.started("--wait-s", "60") as second:
            jobs.await_blocks(len(stopped) + 2)
            os.kill(first.pid, signal.SIGCONT)
            code, said = ended(first)
            assert code == 75
            assert f"taken over by process {second.pid}" in said or "a later job" in said
            assert ended(second)[0] == 0
    (blocks,) = jobs.blocks()
    assert len(blocks) == ROUNDS == len({block.round for block in blocks})
    assert blocks[: len(stopped)] == stopped
