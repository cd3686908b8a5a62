"""Reads files of /sys/devices/system/cpu as `head -v` or `tail -n +1` prints them: "==> path <==" and the content."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from profiler.errors import ToolOutputError
from profiler.tool_outputs._figures import count
from profiler.tool_outputs._lines import read_text, short

KIND: Final = "cpufreq"

_HEAD = re.compile(r"==> (/\S{1,300}) <==")
_CPU_FILE = re.compile(r"/sys/devices/system/cpu/cpu([0-9]{1,4})/cpufreq/(\w{1,60})")
_CPU_ROOT: Final = "/sys/devices/system/cpu/"
_RANGE = re.compile(r"([0-9]{1,4})(?:-([0-9]{1,4}))?")
# Far more cores than any phone has; keeps "0-9999" from becoming a list of ten thousand.
_MOST_CORES: Final = 1024
_HZ_OF_KHZ: Final = 1000


@dataclass(frozen=True)
class CpuFrequency:
    """Frequencies of one core.  None is unknown: offline cores and locked files have none.

    Attributes:
        cpu: Number of the core.
        least_hz: Least that the hardware can.
        most_hz: Most that the hardware can.
        allowed_hz: Most that is allowed at the moment.
        now_hz: Current frequency.
        governor: Current governor.
        related: Cores that share its clock.
    """

    cpu: int
    least_hz: int | None
    most_hz: int | None
    allowed_hz: int | None
    now_hz: int | None
    governor: str | None
    related: tuple[int, ...]


@dataclass(frozen=True)
class CpuFrequencies:
    """Cores and their frequencies.

    Attributes:
        files: Paths of the files that were printed.
        possible: Cores that the kernel can have; None is unknown.
        present: Cores that are fitted.
        online: Cores that run.
        cpus: Frequencies of the cores that have any, in order.
    """

    files: tuple[str, ...]
    possible: tuple[int, ...] | None
    present: tuple[int, ...] | None
    online: tuple[int, ...] | None
    cpus: tuple[CpuFrequency, ...]


def parse_cpufreq(data: bytes) -> CpuFrequencies:
    """Return what files of /sys/devices/system/cpu say.

    Raises:
        ToolOutputError: It is no listing of such files.
    """
    files: dict[str, str] = {}
    path: str | None = None
    for line in read_text(data, KIND).whole():
        head = _HEAD.fullmatch(line.text.strip())
        if head:
            path = head[1]
            files.setdefault(path, "")
        elif path is not None and not files[path]:
            files[path] = line.text.strip()
    if not any(name.startswith(_CPU_ROOT) for name in files):
        raise ToolOutputError(KIND, f"no '==> {_CPU_ROOT}… <==' heads")
    return CpuFrequencies(
        files=tuple(files),
        possible=_cores(files.get(_CPU_ROOT + "possible")),
        present=_cores(files.get(_CPU_ROOT + "present")),
        online=_cores(files.get(_CPU_ROOT + "online")),
        cpus=_cpus(files),
    )


def _cpus(files: dict[str, str]) -> tuple[CpuFrequency, ...]:
    said: dict[int, dict[str, str]] = {}
    for path, content in files.items():
        found = _CPU_FILE.fullmatch(path)
        if found:
            said.setdefault(int(found[1]), {})[found[2]] = content
    return tuple(
        CpuFrequency(
            cpu=cpu,
            least_hz=_hz(files_of.get("cpuinfo_min_freq")),
            most_hz=_hz(files_of.get("cpuinfo_max_freq")),
            allowed_hz=_hz(files_of.get("scaling_max_freq")),
            now_hz=_hz(files_of.get("scaling_cur_freq")),
            governor=short(files_of.get("scaling_governor", "")) or None,
            related=_cores(files_of.get("related_cpus")) or (),
        )
        for cpu, files_of in sorted(said.items())
    )


def _hz(content: str | None) -> int | None:
    """Return a frequency in Hz from one in kHz."""
    khz = count(content or "")
    return khz * _HZ_OF_KHZ if khz else None


def _cores(content: str | None) -> tuple[int, ...] | None:
    """Return the cores of a list such as "0-3,6"; None when it is none."""
    cores: list[int] = []
    for part in (content or "").replace(",", " ").split():
        found = _RANGE.fullmatch(part)
        last = int(found[2] or found[1]) if found else _MOST_CORES
        if found is None or last >= _MOST_CORES:
            return None
        cores.extend(range(int(found[1]), last + 1))
    return tuple(cores) or None
