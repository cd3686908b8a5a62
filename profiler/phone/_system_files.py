"""The files that a phone comes with: /proc, /sys, /system/bin, and the folders that people push to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from profiler.phone.commands import COMMANDS
from profiler.phone.description import Cluster, PhoneDescription
from profiler.phone.files import File, Folder, Mount, Node

if TYPE_CHECKING:
    from profiler.phone.phone import Phone

_SHELL_OWNER = (2000, 2000)
_CPU = "/sys/devices/system/cpu"
_THERMAL = "/sys/class/thermal"
_MIB = 1 << 20


def mounts(description: PhoneDescription) -> list[Mount]:
    """Return the file systems of a phone, as `df` lists them."""
    memory_bytes = description.memory_kb * 1024 // 2
    data = Mount("/data", "/dev/block/dm-6", description.data_bytes, description.data_used_bytes)
    return [
        Mount("/", "/dev/block/dm-0", 867 * _MIB, 864 * _MIB, read_only=True),
        Mount("/dev", "tmpfs", memory_bytes, 1 * _MIB),
        Mount("/proc", "proc", 0, noexec=True, read_only=True),
        Mount("/sys", "sysfs", 0, noexec=True, read_only=True),
        Mount("/vendor", "/dev/block/dm-1", 620 * _MIB, 618 * _MIB, read_only=True),
        data,
        Mount("/storage/emulated", "/dev/fuse", description.data_bytes, description.data_used_bytes, noexec=True),
    ]


def fill(phone: Phone) -> None:
    """Put everything that a phone comes with into its file system."""
    place = phone.files.place
    for name in COMMANDS:
        place(f"/system/bin/{name}", b"\x7fELF", mode=0o755, owner=(0, 2000))
    for name in ("sh", "toybox"):
        place(f"/system/bin/{name}", b"\x7fELF", mode=0o755, owner=(0, 2000))
    build_properties = "".join(f"{key}={value}\n" for key, value in phone.description.properties.items())
    place("/system/build.prop", build_properties.encode(), mode=0o600)
    place("/data", mode=0o771, owner=(1000, 1000))
    place("/data/local", mode=0o751)
    place("/data/local/tmp", mode=0o771, owner=_SHELL_OWNER)
    place("/data/data", mode=0o771, owner=(1000, 1000))
    place("/storage/emulated/0", mode=0o770, owner=(0, 9997))
    place("/sdcard", link="/storage/emulated/0")
    place("/dev/null", b"", mode=0o666)
    _fill_proc(phone)
    _fill_cpus(phone)
    _fill_thermal(phone)


def _fill_proc(phone: Phone) -> None:
    place, description = phone.files.place, phone.description
    place("/proc", live=lambda: _process_folders(phone), mode=0o555)
    place("/proc/cpuinfo", _text(lambda: _cpuinfo(description)), mode=0o444)
    place("/proc/meminfo", _text(lambda: _meminfo(description)), mode=0o444)
    place("/proc/version", f"Linux version {description.kernel} (build@host)\n".encode(), mode=0o440)
    place("/proc/uptime", _text(lambda: f"{phone.uptime_s:.2f} {phone.uptime_s * 7.5:.2f}\n"), mode=0o444)
    place("/proc/loadavg", b"0.08 0.12 0.10 1/2113 4321\n", mode=0o440)
    place("/proc/sys/kernel/random/boot_id", _text(lambda: phone.state.boot_id + "\n"), mode=0o444)


def _fill_cpus(phone: Phone) -> None:
    place, cores = phone.files.place, phone.description.cores
    span = f"0-{max(cores)}\n".encode()
    for name in ("possible", "present", "online"):
        place(f"{_CPU}/{name}", span, mode=0o444)
    for core, cluster in cores.items():
        folder = f"{_CPU}/cpu{core}/cpufreq"
        related = " ".join(str(one) for one in cluster.cores)
        steps = " ".join(str(step) for step in cluster.frequencies_khz)
        for name, text in (
            ("scaling_min_freq", str(cluster.frequencies_khz[0])),
            ("cpuinfo_max_freq", str(cluster.frequencies_khz[-1])),
            ("cpuinfo_min_freq", str(cluster.frequencies_khz[0])),
            ("scaling_available_frequencies", steps + " "),
            ("scaling_governor", "schedutil"),
            ("related_cpus", related + " "),
            ("affected_cpus", related + " "),
        ):
            place(f"{folder}/{name}", f"{text}\n".encode(), mode=0o444)
        present = _text(partial(_present_frequency, phone, cluster))
        place(f"{folder}/scaling_max_freq", _text(partial(_highest_frequency, phone, cluster)), mode=0o444)
        place(f"{folder}/scaling_cur_freq", present, mode=0o444)
        place(f"{folder}/cpuinfo_cur_freq", present, mode=0o400)


def _fill_thermal(phone: Phone) -> None:
    for number, zone in enumerate(phone.description.thermal_zones):
        folder = f"{_THERMAL}/thermal_zone{number}"
        phone.files.place(f"{folder}/type", f"{zone}\n".encode(), mode=0o444)
        temperature = _text(partial(_present_temperature, phone, zone))
        phone.files.place(f"{folder}/temp", temperature, mode=0o444)


def _text(make: Callable[[], str]) -> Callable[[], bytes]:
    return lambda: make().encode()


def _present_frequency(phone: Phone, cluster: Cluster) -> str:
    """Return the step that a cluster runs at now, in kHz."""
    wanted = cluster.frequencies_khz[-1] * phone.state.frequency_share[cluster.name]
    step = min(cluster.frequencies_khz, key=lambda step: abs(step - wanted))
    return f"{step}\n"


def _highest_frequency(phone: Phone, cluster: Cluster) -> str:
    """Return the highest step that heat leaves to a cluster, in kHz."""
    limit = cluster.frequencies_khz[-1] * phone.dynamics.cap_share
    return f"{max((step for step in cluster.frequencies_khz if step <= limit), default=cluster.frequencies_khz[0])}\n"


def _present_temperature(phone: Phone, zone: str) -> str:
    """Return what a sensor reads now, in thousandths of a degree."""
    value_c = phone.state.battery_c if zone == "battery" else phone.state.temperature_c
    return f"{round(1000 * value_c)}\n"


def _cpuinfo(description: PhoneDescription) -> str:
    lines = ["Processor\t: AArch64 Processor rev 14 (aarch64)"]
    for core, cluster in description.cores.items():
        lines += [
            f"processor\t: {core}",
            "BogoMIPS\t: 38.40",
            f"Features\t: {description.cpu_features}",
            f"CPU implementer\t: 0x{cluster.implementer:02x}",
            "CPU architecture: 8",
            f"CPU variant\t: 0x{cluster.variant:x}",
            f"CPU part\t: 0x{cluster.part:03x}",
            f"CPU revision\t: {cluster.revision}",
            "",
        ]
    return "\n".join([*lines, f"Hardware\t: {description.hardware}", ""])


def _meminfo(description: PhoneDescription) -> str:
    total, available = description.memory_kb, description.available_kb
    figures = {
        "MemTotal": total,
        "MemFree": available // 12,
        "MemAvailable": available,
        "Buffers": 4608,
        "Cached": available * 4 // 5,
        "SwapCached": 1024,
        "SwapTotal": total // 2,
        "SwapFree": total // 3,
    }
    return "".join(f"{name + ':':<16}{value:>8} kB\n" for name, value in figures.items())


def _process_folders(phone: Phone) -> Mapping[str, Node]:
    """Return a folder for each process, with its command line and status."""
    mount, now_s = phone.files.mount_of("/proc"), int(phone.now_s())
    folders: dict[str, Node] = {}
    for process in phone.processes:
        line = "\0".join(process.arguments).encode(errors="surrogateescape") + b"\0"
        status = f"Name:\t{process.arguments[0][-15:]}\nPid:\t{process.pid}\nPPid:\t{process.parent}\n".encode()
        owner = (process.uid, process.uid)
        entries: dict[str, Node] = {
            "cmdline": File(0o444, *owner, now_s, mount, content=bytearray(line)),
            "status": File(0o444, *owner, now_s, mount, content=bytearray(status)),
        }
        # Processes of others are hidden (hidepid=2), as Android mounts /proc.
        mode = 0o555 if process.uid == _SHELL_OWNER[0] else 0o500
        folders[str(process.pid)] = Folder(mode, *owner, now_s, mount, entries=entries)
    return folders
