"""Reads temperatures: `dumpsys thermalservice`, and listings of /sys/class/thermal.

The service prints what it remembers and what the sensors say now, and only the latter is a temperature: a cached one
can be 30 degrees off.  0.0 is a sensor that is not fitted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from profiler.errors import ToolOutputError
from profiler.tool_outputs._figures import count, integer, number
from profiler.tool_outputs._lines import Text, read_text, short
from profiler.tool_outputs._thermal_zones import ThermalZone, read_zones

KIND: Final = "thermal"

_TEMPERATURE = re.compile(
    r"Temperature\{mValue=([^,{}]{1,40}), mType=([^,{}]{1,10}), mName=([^{}]{0,80}), mStatus=([0-9]{1,2})\}"
)
_STATUS = re.compile(r"\s*Thermal Status: ([0-9]{1,2})\s*")
_READY = re.compile(r"\s*HAL Ready: (true|false)\s*")
_SERVICE = re.compile(r"Temperature\{|Thermal Status: |Cached temperatures:|Current temperatures from HAL:|HAL Ready: ")
# android.os.Temperature: TYPE_* and THROTTLING_*.
_TYPES: Final = (
    "cpu",
    "gpu",
    "battery",
    "skin",
    "usb_port",
    "power_amplifier",
    "bcl_voltage",
    "bcl_current",
    "bcl_percentage",
    "npu",
    "tpu",
    "display",
    "modem",
    "soc",
    "wifi",
    "camera",
    "flashlight",
    "speaker",
    "ambient",
    "pogo",
)
_LEVELS: Final = ("none", "light", "moderate", "severe", "critical", "emergency", "shutdown")
_LEAST_C, _MOST_C = -40.0, 150.0


@dataclass(frozen=True)
class Temperature:
    """One sensor of the thermal service.

    Attributes:
        name: The vendor's name of it.
        type: What it measures, such as "cpu", "skin" or "battery"; None for a type that Android does not name.
        temperature_c: Temperature; None when the sensor is not fitted or says nonsense.
        status: Throttling that it asks for, from "none" to "shutdown".
    """

    name: str
    type: str | None
    temperature_c: float | None
    status: str | None


@dataclass(frozen=True)
class ThermalState:
    """Temperatures of a device.  None is unknown.

    Attributes:
        complete: Whether the output does not end inside a line.
        status: Throttling of the device as a whole, from "none" to "shutdown".
        status_code: Android's number of it, from 0 to 6.
        hal_ready: Whether the service reaches its sensors.
        temperatures: What sensors say now; empty where the service tells only what it remembers.
        zones: Zones of /sys/class/thermal, where the output is a listing of these.
    """

    complete: bool
    status: str | None
    status_code: int | None
    hal_ready: bool | None
    temperatures: tuple[Temperature, ...]
    zones: tuple[ThermalZone, ...]


def parse_thermal(data: bytes) -> ThermalState:
    r"""Return temperatures from `dumpsys thermalservice` or from a listing of thermal zones.

    Listings are "name: 37000" or "type=name" and "temp=37000" lines, `cat` commands with what they printed,
    `head -v` or `grep .` of many files, and Qualcomm's sensor_info.

    Raises:
        ToolOutputError: It is neither.

    Example:
        >>> parse_thermal(b"Thermal Status: 2\n").status
        'moderate'
    """
    text = read_text(data, KIND)
    if any(_SERVICE.search(line.text) for line in text.lines):
        return _service(text)
    zones = read_zones(text)
    if not zones:
        raise ToolOutputError(KIND, "neither a dump of the thermal service nor a listing of thermal zones")
    return ThermalState(not text.cut, None, None, None, (), zones)


def _service(text: Text) -> ThermalState:
    code: int | None = None
    ready: bool | None = None
    temperatures: list[Temperature] = []
    cached = False
    for line in text.lines:
        if "Cached temperatures" in line.text:
            cached = True
        elif "Current temperatures from HAL" in line.text:
            cached = False
        elif line.whole and (found := _STATUS.fullmatch(line.text)):
            code = count(found[1])
        elif line.whole and (found := _READY.fullmatch(line.text)):
            ready = found[1] == "true"
        elif not cached and (found := _TEMPERATURE.search(line.text)):
            # The brace closes it, also where the newline is missing.
            temperatures.append(_temperature(*found.groups()))
    level = None if code is None else _level(str(code))
    return ThermalState(not text.cut, level, code, ready, tuple(temperatures), ())


def _temperature(value: str, kind: str, name: str, status: str) -> Temperature:
    degrees, index = number(value), integer(kind)
    known = degrees is not None and degrees != 0 and _LEAST_C < degrees < _MOST_C
    named = index is not None and 0 <= index < len(_TYPES)
    return Temperature(short(name), _TYPES[index or 0] if named else None, degrees if known else None, _level(status))


def _level(text: str) -> str | None:
    index = count(text)
    return _LEVELS[index] if index is not None and index < len(_LEVELS) else None
