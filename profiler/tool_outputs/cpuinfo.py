"""Reads `/proc/cpuinfo` of ARM and x86 kernels.

The file lists what the kernel had awake: of ten cores there may be one block, or none.  How many cores a phone has is
told by /sys/devices/system/cpu, not here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from profiler.errors import ToolOutputError
from profiler.tool_outputs._figures import count, positive
from profiler.tool_outputs._lines import read_text, short

KIND: Final = "cpuinfo"

_ENTRY = re.compile(r"\s*([A-Za-z][\w ()-]{0,40}?)\s*:(?:\s(.*))?")
# Any of these marks the file; serial numbers are not kept.
_MARKS: Final = {"processor", "Processor", "CPU implementer", "CPU part", "BogoMIPS", "vendor_id", "model name"}


@dataclass(frozen=True)
class Processor:
    """One block, or what stands outside the blocks.  None is not said.

    Attributes:
        number: Number of the core; None outside the blocks.
        implementer: ARM's code of who made it, as printed ("0x41").
        part: The implementer's code of what it is, as printed ("0xd03").
        variant: Major revision, as printed.
        revision: Minor revision, as printed.
        architecture: Version of the architecture, as printed ("8", "AArch64").
        model_name: The kernel's or the vendor's name of it.
        features: Instruction sets.
        bogomips: The kernel's delay-loop figure; no measure of anything else.
    """

    number: int | None
    implementer: str | None
    part: str | None
    variant: str | None
    revision: str | None
    architecture: str | None
    model_name: str | None
    features: tuple[str, ...]
    bogomips: float | None


@dataclass(frozen=True)
class CpuInfo:
    """What the kernel says of its processors.

    Attributes:
        processors: Blocks that begin with "processor": cores that were awake, on some kernels none or one of many.
        shared: What stands outside them and holds for all, as old kernels write it; None when nothing does.
        parts: Distinct parts, in order.
        hardware: "Hardware" line: board or SoC, as the vendor liked to name it; None since Linux dropped it on arm64.
        model_name: First model name.
    """

    processors: tuple[Processor, ...]
    shared: Processor | None
    parts: tuple[str, ...]
    hardware: str | None
    model_name: str | None


def parse_cpuinfo(data: bytes) -> CpuInfo:
    """Return what `/proc/cpuinfo` says.

    Raises:
        ToolOutputError: It is something else.
    """
    blocks, outside = _blocks(data)
    if not blocks and not outside.keys() & _MARKS:
        raise ToolOutputError(KIND, "no line of it is one of /proc/cpuinfo")
    processors = tuple(_processor(block) for block in blocks)
    shared = _processor(outside) if outside.keys() & {"CPU implementer", "CPU part", "Processor", "Features"} else None
    everyone = [*processors, *([shared] if shared else [])]
    return CpuInfo(
        processors=processors,
        shared=shared,
        parts=tuple(dict.fromkeys(one.part for one in everyone if one.part)),
        hardware=outside.get("Hardware") or next((block["Hardware"] for block in blocks if "Hardware" in block), None),
        model_name=next((one.model_name for one in everyone if one.model_name), None),
    )


def _blocks(data: bytes) -> tuple[list[dict[str, str]], dict[str, str]]:
    """Return the entries of each block that begins with "processor", and those outside of all."""
    blocks: list[dict[str, str]] = []
    outside: dict[str, str] = {}
    here = outside
    for line in read_text(data, KIND).whole():
        found = _ENTRY.fullmatch(line.text)
        if found is None:
            here = here if line.text.strip() else outside
            continue
        key, value = found[1], short(found[2] or "")
        if key == "processor" and count(value) is not None:
            here = {}
            blocks.append(here)
        here.setdefault(key, value)
    return blocks, outside


def _processor(said: dict[str, str]) -> Processor:
    return Processor(
        number=count(said.get("processor", "")),
        implementer=said.get("CPU implementer") or said.get("vendor_id") or None,
        part=said.get("CPU part") or None,
        variant=said.get("CPU variant") or None,
        revision=said.get("CPU revision") or said.get("stepping") or None,
        architecture=said.get("CPU architecture") or None,
        model_name=said.get("model name") or said.get("Processor") or None,
        features=tuple((said.get("Features") or said.get("flags") or "").split()),
        bogomips=positive(said.get("BogoMIPS") or said.get("bogomips") or ""),
    )
