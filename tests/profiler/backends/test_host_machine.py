"""What the machine says of itself, read from made-up /proc and /sys trees."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from profiler.backends import host_machine
from profiler.backends.host_machine import HostMachine

Put = Callable[[str, str], None]


@pytest.fixture
def put(tmp_path: Path) -> Put:
    def write(path: str, text: str) -> None:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8")

    return write


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HostMachine:
    monkeypatch.setattr(host_machine, "_LOAD_SAMPLE_S", 0.0)
    return HostMachine(tmp_path)


@pytest.mark.parametrize(
    ("path", "text", "name"),
    [
        ("proc/cpuinfo", "processor\t: 0\nmodel name\t: Fast CPU @ 3 GHz\n\nmodel name\t: Other\n", "Fast CPU @ 3 GHz"),
        ("proc/cpuinfo", "processor\t: 0\nBogoMIPS\t: 38\n\nHardware\t: SM8650\n", "SM8650"),
        ("proc/cpuinfo", "processor\t: 0\n\nModel\t\t: Raspberry Pi 5\n", "Raspberry Pi 5"),
        ("sys/firmware/devicetree/base/model", "Board X\0", "Board X"),
    ],
)
def test_the_processor_is_named(machine: HostMachine, put: Put, path: str, text: str, name: str) -> None:
    put(path, text)
    assert machine.processor() == name


def test_a_silent_system_still_has_a_name_and_memory(machine: HostMachine) -> None:
    assert machine.processor()
    assert machine.memory_bytes() == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert [check.id for check in machine.checks([0])] == []


def test_memory_is_read_in_bytes(machine: HostMachine, put: Put) -> None:
    put("proc/meminfo", "MemTotal:        8 kB\nMemAvailable:    4 kB\n")
    assert machine.memory_bytes() == 8192
    (check,) = machine.checks([0])
    assert check.id == "LOW-MEMORY"


def test_a_governor_that_changes_the_clock_is_named(machine: HostMachine, put: Put) -> None:
    put("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "performance\n")
    put("sys/devices/system/cpu/cpu1/cpufreq/scaling_governor", "schedutil\n")
    assert machine.checks([0]) == ()
    (check,) = machine.checks([0, 1])
    assert check.id == "GOVERNOR" and "schedutil" in check.detail


def stat(busy: int, idle: int, steal: int = 0) -> str:
    line = f"{busy} 0 0 {idle} 0 0 0 {steal} 0 0"
    return f"cpu  {line}\ncpu0 {line}\ncpu1 0 0 0 {busy + idle + steal} 0 0 0 0 0 0\nintr 1 2 3\n"


@pytest.mark.parametrize(
    ("after", "share"),
    [(stat(101, 199), None), (stat(150, 150), "50%"), (stat(100, 150, steal=50), "50%"), (stat(100, 100), None)],
    ids=["quiet", "busy", "stolen", "no tick"],
)
def test_other_load_on_the_used_processors(
    machine: HostMachine, put: Put, monkeypatch: pytest.MonkeyPatch, after: str, share: str | None
) -> None:
    put("proc/stat", stat(100, 100))
    monkeypatch.setattr(time, "sleep", lambda _: put("proc/stat", after))
    found = machine.checks([0])
    assert [check.id for check in found] == (["LOAD"] if share else [])
    assert all(share in check.detail for check in found if share)


def test_load_of_other_processors_does_not_matter(
    machine: HostMachine, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("proc/stat", stat(100, 100))
    monkeypatch.setattr(time, "sleep", lambda _: put("proc/stat", stat(200, 100)))
    assert machine.checks([1]) == ()


class _Usage(NamedTuple):
    total: int
    used: int
    free: int


def test_little_storage_is_said_so(machine: HostMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: _Usage(100, 99, 1))
    (check,) = machine.checks([0])
    assert check.id == "LOW-STORAGE"


def test_this_machine() -> None:
    machine = HostMachine()
    assert machine.processor() and machine.memory_bytes() > 2**28 and machine.allowed_cpus()
