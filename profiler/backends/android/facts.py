"""What a phone is: model, SoC, cores and their clusters, Android version, memory; None where it does not say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from profiler.backends.android.probes import known, line, listing, silent
from profiler.tool_outputs import (
    CpuFrequencies,
    CpuInfo,
    parse_cpufreq,
    parse_cpuinfo,
    parse_meminfo,
    parse_properties,
)

_CPU = "/sys/devices/system/cpu"

FACT_PROBES: Mapping[str, str] = {
    "properties": silent("getprop"),
    "cpufreq": listing(
        [
            *(f"{_CPU}/{name}" for name in ("possible", "present", "online")),
            *(f"{_CPU}/cpu[0-9]*/cpufreq/{name}" for name in ("cpuinfo_max_freq", "cpuinfo_min_freq", "related_cpus")),
            f"{_CPU}/cpu[0-9]*/cpufreq/scaling_max_freq",
        ]
    ),
    "cpuinfo": silent("cat /proc/cpuinfo"),
    "meminfo": silent("cat /proc/meminfo"),
    "boot_id": silent("cat /proc/sys/kernel/random/boot_id"),
    "page_size": silent("getconf PAGE_SIZE"),
}
"""What is asked once, when a phone is opened."""

_EMULATORS = ("ranchu", "goldfish", "cuttlefish", "cutf", "vbox86")

_CORE_NAMES: Mapping[tuple[int, int], str] = {
    (0x41, 0xD03): "Cortex-A53",
    (0x41, 0xD04): "Cortex-A35",
    (0x41, 0xD05): "Cortex-A55",
    (0x41, 0xD07): "Cortex-A57",
    (0x41, 0xD08): "Cortex-A72",
    (0x41, 0xD09): "Cortex-A73",
    (0x41, 0xD0A): "Cortex-A75",
    (0x41, 0xD0B): "Cortex-A76",
    (0x41, 0xD0D): "Cortex-A77",
    (0x41, 0xD41): "Cortex-A78",
    (0x41, 0xD44): "Cortex-X1",
    (0x41, 0xD46): "Cortex-A510",
    (0x41, 0xD47): "Cortex-A710",
    (0x41, 0xD48): "Cortex-X2",
    (0x41, 0xD4D): "Cortex-A715",
    (0x41, 0xD4E): "Cortex-X3",
    (0x41, 0xD80): "Cortex-A520",
    (0x41, 0xD81): "Cortex-A720",
    (0x41, 0xD82): "Cortex-X4",
    (0x51, 0x800): "Kryo 2xx Gold",
    (0x51, 0x801): "Kryo 2xx Silver",
    (0x51, 0x802): "Kryo 3xx Gold",
    (0x51, 0x803): "Kryo 3xx Silver",
    (0x51, 0x804): "Cortex-A76",
    (0x51, 0x805): "Cortex-A55",
    (0x51, 0x001): "Oryon",
}
"""Names by maker and part.  Source: Linux, arch/arm64/include/asm/cputype.h; Qualcomm's 0x804 and 0x805 are its builds
of Arm's cores."""

_SMALL_CORES = frozenset(
    {"Cortex-A35", "Cortex-A53", "Cortex-A55", "Cortex-A510", "Cortex-A520", "Kryo 2xx Silver", "Kryo 3xx Silver"}
)


@dataclass(frozen=True)
class CpuCluster:
    """Cores of one kind that share a clock.

    Attributes:
        cores: Their numbers, rising.
        name: What people call them, such as "Cortex-A76"; None when the kernel does not name the part.
        most_hz: Highest frequency.
        least_hz: Lowest frequency.
    """

    cores: tuple[int, ...]
    name: str | None
    most_hz: int | None
    least_hz: int | None

    def __str__(self) -> str:
        """The cluster as people write it: "3x Cortex-A76 2.42 GHz"."""
        clock = f" {self.most_hz / 1e9:.2f} GHz" if self.most_hz else ""
        return f"{len(self.cores)}x {self.name or 'core'}{clock}"


@dataclass(frozen=True)
class PhoneFacts:
    """What a phone says it is.  None is unknown.

    Attributes:
        model: Name that it is sold by, such as "Pixel 4".
        manufacturer: Who sells it.
        codename: Name that its maker calls it by, such as "flame".
        soc: The system on a chip, such as "SM8150".
        soc_manufacturer: Who makes that.
        android: Version of Android, such as "12".
        sdk: Its number, such as 31.
        fingerprint: Identifies the build of the system.
        build_type: "user", "userdebug" or "eng".
        abis: Binary interfaces that programs may have, the best first; empty when it does not say.
        cores: Cores that run; empty when it does not say.
        clusters: The cores by kind, the fastest first; offline ones are in none.
        memory_bytes: Memory that the system has.
        boot_id: Changes at each boot.
        emulated: Whether it says itself that it is no real phone.
        page_size: Bytes of a page of memory.
    """

    model: str | None
    manufacturer: str | None
    codename: str | None
    soc: str | None
    soc_manufacturer: str | None
    android: str | None
    sdk: int | None
    fingerprint: str | None
    build_type: str | None
    abis: tuple[str, ...]
    cores: tuple[int, ...]
    clusters: tuple[CpuCluster, ...]
    memory_bytes: int | None
    boot_id: str | None
    emulated: bool
    page_size: int | None = None

    @property
    def processor(self) -> str:
        """SoC and clusters in one line."""
        chip = self.soc or self.model or "unknown SoC"
        clusters = " + ".join(map(str, self.clusters))
        return f"{chip} ({clusters})" if clusters else chip

    @property
    def system(self) -> str:
        """Operating system and version in one line."""
        if self.android is None:
            return "Android"
        return f"Android {self.android}" + (f" (SDK {self.sdk})" if self.sdk else "")


def read_facts(answers: Mapping[str, bytes]) -> PhoneFacts:
    """Return what a phone's answers to FACT_PROBES say."""
    properties = known(parse_properties, answers.get("properties")) or {}
    frequencies = known(parse_cpufreq, answers.get("cpufreq"))
    cpuinfo = known(parse_cpuinfo, answers.get("cpuinfo"))
    memory = known(parse_meminfo, answers.get("meminfo"))

    def first(*names: str) -> str | None:
        return next((properties[name] for name in names if properties.get(name)), None)

    sdk = properties.get("ro.build.version.sdk", "")
    page_size = line(answers.get("page_size"))
    abis = first("ro.product.cpu.abilist", "ro.product.cpu.abi") or ""
    return PhoneFacts(
        model=first("ro.product.model"),
        manufacturer=first("ro.product.manufacturer"),
        codename=first("ro.product.device"),
        soc=first("ro.soc.model", "ro.hardware.chipname", "ro.board.platform", "ro.hardware"),
        soc_manufacturer=first("ro.soc.manufacturer"),
        android=first("ro.build.version.release"),
        sdk=int(sdk) if sdk.isascii() and sdk.isdigit() else None,
        fingerprint=first("ro.build.fingerprint"),
        build_type=first("ro.build.type"),
        abis=tuple(abi.strip() for abi in abis.split(",") if abi.strip()),
        cores=_cores(frequencies),
        clusters=_clusters(frequencies, cpuinfo),
        memory_bytes=memory.total_bytes if memory else None,
        boot_id=line(answers.get("boot_id")) or None,
        emulated=_is_emulated(properties),
        page_size=int(page_size) if page_size.isascii() and page_size.isdigit() else None,
    )


def _cores(frequencies: CpuFrequencies | None) -> tuple[int, ...]:
    if frequencies is None:
        return ()
    listed = frequencies.online or frequencies.present or frequencies.possible
    return tuple(sorted(listed or (one.cpu for one in frequencies.cpus)))


def _clusters(frequencies: CpuFrequencies | None, cpuinfo: CpuInfo | None) -> tuple[CpuCluster, ...]:
    """Group the cores that run; by shared clocks where the kernel tells them, else by highest frequency and part."""
    if frequencies is None:
        return ()
    running = set(_cores(frequencies))
    names = _core_names(cpuinfo)
    shared: dict[object, list[int]] = {}
    told = {one.cpu: one for one in frequencies.cpus if one.cpu in running}
    for cpu, one in sorted(told.items()):
        shared.setdefault(one.related or (one.most_hz or one.allowed_hz, names.get(cpu)), []).append(cpu)
    clusters = [
        CpuCluster(
            tuple(cores),
            next((names[core] for core in cores if core in names), None),
            told[cores[0]].most_hz or told[cores[0]].allowed_hz,
            told[cores[0]].least_hz,
        )
        for cores in shared.values()
    ]
    # Small cores are slower at the same clock; where names are not known, big ones have the higher numbers.
    return tuple(sorted(clusters, key=lambda one: (one.name in _SMALL_CORES, -(one.most_hz or 0), -one.cores[0])))


def _core_names(cpuinfo: CpuInfo | None) -> dict[int, str]:
    found: dict[int, str] = {}
    for processor in cpuinfo.processors if cpuinfo else ():
        code = tuple(_hexadecimal(text) for text in (processor.implementer, processor.part))
        name = next((name for key, name in _CORE_NAMES.items() if key == code), None)
        if processor.number is not None and name:
            found[processor.number] = name
    return found


def _hexadecimal(text: str | None) -> int | None:
    try:
        return int(text or "", 16)
    except ValueError:
        return None


def _is_emulated(properties: Mapping[str, str]) -> bool:
    said = (properties.get(name) for name in ("ro.pocketnas.emulated", "ro.kernel.qemu", "ro.boot.qemu"))
    hardware = properties.get("ro.hardware", "")
    return "1" in said or any(name in hardware for name in _EMULATORS)
