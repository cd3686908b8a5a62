"""Reads `dumpsys battery`.

Only the first block counts: vendors append logs with other levels and temperatures.  Temperatures are tenths of a
degree and voltages mV, or nothing at all: emulators print 0, some TV boxes print other units, and both are unknown.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from profiler.errors import ToolOutputError
from profiler.tool_outputs._figures import integer
from profiler.tool_outputs._lines import Text, read_text, short

KIND: Final = "battery"

_HEADING: Final = "Current Battery Service state:"
_KEYS: Final = (
    "AC powered",
    "USB powered",
    "Wireless powered",
    "Dock powered",
    "Max charging current",
    "Max charging voltage",
    "Charge counter",
    "status",
    "health",
    "present",
    "level",
    "scale",
    "voltage",
    "temperature",
    "technology",
)
_ENTRY = re.compile(rf"({'|'.join(_KEYS)}): ?(.*)")
# Where a web page swallowed the line breaks, the next key follows the value at once.
_GLUED = re.compile(rf"(?<=[a-z0-9:])(?=(?:{'|'.join(_KEYS)}): )")
# BatteryManager's BATTERY_STATUS_* and BATTERY_HEALTH_* (android.os.BatteryManager).
_STATUS: Final = {1: "unknown", 2: "charging", 3: "discharging", 4: "not charging", 5: "full"}
_HEALTH: Final = {1: "unknown", 2: "good", 3: "overheat", 4: "dead", 5: "over voltage", 6: "failure", 7: "cold"}
_PLUGS: Final = {"AC powered": "ac", "USB powered": "usb", "Wireless powered": "wireless", "Dock powered": "dock"}
# One cell is empty at 2.5 V; tablets have two in series.
_LEAST_MV, _MOST_MV = 2_000, 20_000
_LEAST_C, _MOST_C = -40.0, 120.0


@dataclass(frozen=True)
class BatteryState:
    """State of the battery.  None is unknown.

    Attributes:
        level_percent: Charge; the service's level over its scale.
        temperature_c: Temperature.
        voltage_mv: Voltage.
        status: "charging", "discharging", "not charging", "full" or "unknown".
        health: "good", "overheat", "dead", "over voltage", "failure", "cold" or "unknown".
        plugged: What it is plugged into: "ac", "usb", "wireless", "dock"; empty when on battery.
        present: Whether there is a battery.
        technology: Such as "Li-ion".
        level: The service's level.
        scale: Its full level.
        overridden: Whether somebody set these values by hand (`dumpsys battery set`): they are not the battery's.
    """

    level_percent: float | None
    temperature_c: float | None
    voltage_mv: int | None
    status: str | None
    health: str | None
    plugged: tuple[str, ...] | None
    present: bool | None
    technology: str | None
    level: int | None
    scale: int | None
    overridden: bool


def parse_battery(data: bytes) -> BatteryState:
    """Return the battery's state from `dumpsys battery`.

    Raises:
        ToolOutputError: It is something else, such as `dumpsys batterystats`.
    """
    text = read_text(data, KIND)
    said = _entries(text)
    headed = any(_HEADING in line.text for line in text.lines)
    if not said or not (headed or {"level", "scale"} <= said.keys()):
        raise ToolOutputError(KIND, f"it has no {_HEADING!r}: not a dump of the battery service")
    level, scale = _whole(said, "level"), _whole(said, "scale")
    voltage_mv = _voltage_mv(said)
    status, health = _whole(said, "status"), _whole(said, "health")
    plugs = [name for key, name in _PLUGS.items() if said.get(key) == "true"]
    return BatteryState(
        level_percent=100.0 * level / scale if level is not None and scale and 0 <= level <= scale else None,
        temperature_c=_temperature_c(said, voltage_mv),
        voltage_mv=voltage_mv,
        status=None if status is None else _STATUS.get(status, "unknown"),
        health=None if health is None else _HEALTH.get(health, "unknown"),
        plugged=tuple(plugs) if said.keys() & _PLUGS.keys() else None,
        present={"true": True, "false": False}.get(said.get("present", "")),
        technology=short(said.get("technology", "")) or None,
        level=level,
        scale=scale,
        overridden=any("UPDATES STOPPED" in line.text for line in text.lines),
    )


def _entries(text: Text) -> dict[str, str]:
    said: dict[str, str] = {}
    for line in text.whole():
        if line.text.startswith("["):
            break
        for piece in _GLUED.split(line.text) if _HEADING in line.text else [line.text]:
            found = _ENTRY.fullmatch(piece.strip())
            if found:
                said.setdefault(found[1], found[2].strip())
    return said


def _whole(said: dict[str, str], key: str) -> int | None:
    return integer(said.get(key, ""))


def _voltage_mv(said: dict[str, str]) -> int | None:
    voltage = _whole(said, "voltage")
    # Some kernels give the driver's µV on.
    voltage = voltage // 1000 if voltage is not None and voltage >= 1_000_000 else voltage
    return voltage if voltage is not None and _LEAST_MV <= voltage <= _MOST_MV else None


def _temperature_c(said: dict[str, str], voltage_mv: int | None) -> float | None:
    tenths = _whole(said, "temperature")
    # 0 is what a device without a sensor says; where the voltage has another unit, so may the temperature.
    if not tenths or ("voltage" in said and voltage_mv is None) or not _LEAST_C <= tenths / 10 <= _MOST_C:
        return None
    return tenths / 10
