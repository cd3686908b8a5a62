"""What this machine is and how quiet it is, as its system tells it.

Linux is read through /proc and /sys; elsewhere less is known, and what is unknown raises no check.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import tempfile
import time
from collections.abc import Collection
from pathlib import Path

from profiler.backends.base import Check

_BUSY_LIMIT = 0.10
"""Share of the used processors' time that other programs may take; 10 % is where pyperf calls runs unstable."""
_LOAD_SAMPLE_S = 0.2
_MIN_STORAGE_BYTES = 50 * 2**20
"""As tradefed asks of a phone."""
_MIN_MEMORY_BYTES = 512 * 2**20
_KILO = 1024


class HostMachine:
    """This machine.

    Args:
        root: Where /proc and /sys are; tests bring their own.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root

    def processor(self) -> str:
        """Return the processor's name, as exact as the system knows it."""
        fields = self._fields("proc/cpuinfo")
        for key in ("model name", "Model", "Hardware", "cpu model"):
            if fields.get(key):
                return fields[key]
        return self._text("sys/firmware/devicetree/base/model") or _sysctl("machdep.cpu.brand_string") or _generic()

    def memory_bytes(self) -> int:
        """Return the physical memory."""
        return self._memory_field("MemTotal") or int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))

    def allowed_cpus(self) -> tuple[int, ...]:
        """Return the processors that this process may use."""
        if hasattr(os, "sched_getaffinity"):
            return tuple(sorted(os.sched_getaffinity(0)))
        return tuple(range(os.cpu_count() or 1))

    def checks(self, cpus: Collection[int]) -> tuple[Check, ...]:
        """Return what makes latencies on these processors doubtful at this moment."""
        found = (self._load(cpus), self._governor(cpus), self._memory(), _storage())
        return tuple(check for check in found if check is not None)

    def _load(self, cpus: Collection[int]) -> Check | None:
        before = self._ticks(cpus)
        if before is None:
            return None
        time.sleep(_LOAD_SAMPLE_S)
        after = self._ticks(cpus)
        if after is None or after[1] <= before[1]:
            return None
        busy = (after[0] - before[0]) / (after[1] - before[1])
        if busy <= _BUSY_LIMIT:
            return None
        return Check("LOAD", f"other programs take {busy:.0%} of the processors used; stop them, or choose other cpus")

    def _ticks(self, cpus: Collection[int]) -> tuple[int, int] | None:
        """Return busy (stolen by the hypervisor too) and all clock ticks of processors since the start."""
        busy = total = 0
        wanted = {f"cpu{cpu}" for cpu in cpus}
        for line in self._text("proc/stat").splitlines():
            name, *counts = line.split()
            if name in wanted:
                user, nice, system, idle, iowait, irq, softirq, steal = map(int, counts[:8])
                working = user + nice + system + irq + softirq + steal
                busy, total = busy + working, total + working + idle + iowait
        return (busy, total) if total else None

    def _governor(self, cpus: Collection[int]) -> Check | None:
        found = {self._text(f"sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor") for cpu in cpus}
        others = sorted(found - {"", "performance"})
        if not others:
            return None
        advice = "set it to performance (cpupower frequency-set -g performance)"
        return Check("GOVERNOR", f"the clock follows the governor {', '.join(others)}; {advice}")

    def _memory(self) -> Check | None:
        available = self._memory_field("MemAvailable")
        if not available or available >= _MIN_MEMORY_BYTES:
            return None
        return Check("LOW-MEMORY", f"{available // 2**20} MiB of memory are free; models may be killed")

    def _memory_field(self, key: str) -> int:
        value = self._fields("proc/meminfo").get(key, "").split()
        return int(value[0]) * _KILO if value and value[0].isdigit() else 0

    def _fields(self, path: str) -> dict[str, str]:
        """Return the first value of each `key : value` line."""
        fields: dict[str, str] = {}
        for line in self._text(path).splitlines():
            key, colon, value = line.partition(":")
            if colon:
                fields.setdefault(key.strip(), value.strip())
        return fields

    def _text(self, path: str) -> str:
        try:
            return (self._root / path).read_text(encoding="utf-8", errors="replace").strip("\0\n ")
        except OSError:
            return ""


def _storage() -> Check | None:
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    if free >= _MIN_STORAGE_BYTES:
        return None
    return Check("LOW-STORAGE", f"{free // 2**20} MiB are free in {folder}; profiles may be cut short")


def _sysctl(name: str) -> str:
    """Ask macOS; empty where there is no sysctl or no such name."""
    try:
        done = subprocess.run(["sysctl", "-n", name], capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()


def _generic() -> str:
    return platform.processor() or platform.machine() or "unknown"
