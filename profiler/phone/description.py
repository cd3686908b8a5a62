"""What an emulated phone is: the schema of data/phones/*.yaml and its reading."""

from __future__ import annotations

import sysconfig
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from profiler.errors import ConfigError
from profiler.phone.soc import Soc
from profiler.strict_yaml import read_strict_yaml

Text = Annotated[str, StringConstraints(min_length=1, max_length=200, strict=True)]
QemuCpu = Literal["cortex-a35", "cortex-a53", "cortex-a57", "cortex-a72", "cortex-a76", "neoverse-n1", "a64fx", "max"]
"""Processors that qemu 7.2 and later emulate; `max` has every extension that it knows."""
Count = Annotated[int, Field(strict=True, ge=1)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Cluster(_Part):
    """Cores of one kind.

    Attributes:
        name: What people call them, such as "Cortex-A76".
        cores: Numbers of the cores.
        implementer: Arm's code of the maker, as /proc/cpuinfo has it.
        part: The maker's code of the core.
        variant: Its version.
        revision: Its revision.
        frequencies_khz: What it can run at, rising.
    """

    name: Text
    cores: Annotated[tuple[Annotated[int, Field(ge=0, lt=64)], ...], Field(min_length=1)]
    implementer: Annotated[int, Field(ge=0, le=0xFF)]
    part: Annotated[int, Field(ge=0, le=0xFFF)]
    variant: Annotated[int, Field(ge=0, le=0xF)]
    revision: Annotated[int, Field(ge=0, le=0xF)]
    frequencies_khz: Annotated[tuple[Count, ...], Field(min_length=1)]


class Battery(_Part):
    """The battery.

    Attributes:
        capacity_mah: What it holds when full.
        technology: What `dumpsys battery` calls it.
    """

    capacity_mah: Count
    technology: Text = "Li-ion"


class PhoneDescription(_Part):
    """A phone as it is built; what changes while it runs is PhoneState.

    Attributes:
        serial: Its serial number.
        properties: What `getprop` says.
        hardware: The last line of /proc/cpuinfo.
        cpu_features: Its line of features there.
        clusters: Its cores, the slowest first.
        memory_kb: Memory that the system has.
        available_kb: Memory that is free for a program.
        data_bytes: Size of the partition for data.
        data_used_bytes: How much of it is taken.
        battery: The battery.
        thermal_zones: Names of the temperature sensors.
        kernel: What `uname -r` says.
        soc: What its processors do in which time; its clusters are `clusters`.
        qemu_cpu: What qemu is to be when it runs pushed arm64 programs: the nearest that it has to the fastest core.
    """

    serial: Text
    properties: dict[Text, str]
    hardware: Text
    cpu_features: Text
    clusters: Annotated[tuple[Cluster, ...], Field(min_length=1)]
    memory_kb: Count
    available_kb: Count
    data_bytes: Count
    data_used_bytes: Annotated[int, Field(ge=0)]
    battery: Battery
    thermal_zones: Annotated[tuple[Text, ...], Field(min_length=1)]
    kernel: Text
    soc: Soc
    qemu_cpu: QemuCpu = "cortex-a53"

    @model_validator(mode="after")
    def _one_set_of_cores(self) -> PhoneDescription:
        named = [(cluster.name, cluster.cores, 1e3 * cluster.frequencies_khz[-1]) for cluster in self.clusters]
        if named != [(law.name, law.cores, law.frequency_hz) for law in self.soc.clusters]:
            raise ValueError("soc.clusters must have the names, cores and highest frequencies of clusters, in order")
        return self

    @property
    def cores(self) -> dict[int, Cluster]:
        """The cluster of each core, by the core's number, rising."""
        return {core: cluster for core, cluster in sorted(self._pairs(), key=lambda pair: pair[0])}

    def _pairs(self) -> list[tuple[int, Cluster]]:
        return [(core, cluster) for cluster in self.clusters for core in cluster.cores]


def phones_folder() -> Path:
    """Return where the descriptions of shipped phones are: in the source tree, else where they are installed."""
    tree = Path(__file__).resolve().parents[2] / "data" / "phones"
    return tree if tree.is_dir() else Path(sysconfig.get_path("data")) / "share" / "pocketnas" / "phones"


def load_phone(name: str) -> PhoneDescription:
    """Return the description of a phone.

    Args:
        name: A shipped phone's, such as "pixel4", or the path of a .yaml file.

    Raises:
        ConfigError: There is none, or it is not what a description should be.
    """
    path = Path(name)
    if path.suffix != ".yaml":
        known = {file.stem: file for file in sorted(phones_folder().glob("*.yaml"))}
        if name not in known:
            raise ConfigError(f"no phone is called {name!r}; known: {', '.join(known)}, or the path of a .yaml file")
        path = known[name]
    content, lines = read_strict_yaml(path)
    try:
        return PhoneDescription.model_validate(content)
    except ValidationError as err:
        first = err.errors(include_url=False)[0]
        place = tuple(str(part) for part in first["loc"])
        raise ConfigError(first["msg"], path=path, line=lines.line(place), key=".".join(place)) from err
