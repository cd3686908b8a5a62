"""Reads listings of /sys/class/thermal, in which every vendor, and some zones, have a unit of their own."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from profiler.tool_outputs._figures import count, number
from profiler.tool_outputs._lines import Line, Text, short, without_prompt

_ZONE_FILE = re.compile(r"thermal_zone([0-9]{1,4})/(type|temp)\b")
_ALL_ZONES = re.compile(r"thermal_zone\S{0,20}/(type|temp)\b")
_TRIP = re.compile(r"trip_point|_hyst\b|cooling_device|/policy\b|/mode\b")
_HEAD = re.compile(r"==> (\S{1,300}) <==")
_COMMAND = re.compile(r"[^$#]{0,80}[$#] ?cat (\S{1,300})")
_GREPPED = re.compile(r"(\S{0,300}thermal_zone[0-9]{1,4}/(?:type|temp)):\s?(.{0,100})")
_PAIR = re.compile(r"([A-Za-z][\w.+-]{1,63})(?:\s?[:=]\s*|\s+)(-?[0-9.]{1,12})")
_ROW = re.compile(r"\S{0,300}thermal_zone([0-9]{1,4}):?\s+([A-Za-z][\w.+-]{1,63})[\s:=]+(-?[0-9.]{1,12})")
_REFUSAL = re.compile(r"\S{1,60}: .*(?:Permission denied|No such|Invalid argument|inaccessible or not found)")
_ALONE = re.compile(r"[A-Za-z][\w.+-]*[-_0-9][\w.+-]*")
_ASSIGNED = re.compile(r"(type|temp)=([\w.+-]{1,64})")
_SENSOR = re.compile(r"[a-z]{2,20}:([\w.-]{1,60}):([\w.-]{0,60}):([0-9]{1,7})")

# No zone of a phone that runs is outside of these; what is, is a sensor that is not fitted.
_LEAST_C, _MOST_C = -30.0, 130.0
_MILLI_FROM, _TENTHS_FROM = 1000, 200


@dataclass(frozen=True)
class ThermalZone:
    """One zone.  None is unknown.

    Attributes:
        zone: Its number, which means another sensor on the next phone.
        name: Its type, by which it is known.
        temperature_c: Temperature; None when the file has none, or one of no plausible unit.
        raw: The number as it stands in the file.
        units_per_c: How many units are one degree, where the kernel says so.
        alias: What the sensor sits at, such as "cpu4", where the kernel says so.
    """

    zone: int | None
    name: str | None
    temperature_c: float | None = None
    raw: float | None = None
    units_per_c: int | None = None
    alias: str | None = None


def degrees(raw: float) -> float | None:
    """Return a zone's temperature in °C; the unit, m°C, tenths or °C, is told by the size, for no file tells it.

    Example:
        >>> degrees(25000), degrees(309), degrees(31), degrees(-40), degrees(150)
        (25.0, 30.9, 31.0, None, None)
    """
    size = abs(raw)
    # Whole degrees beyond 130 and tenths below 20 °C cannot be told apart.
    value = raw / 1000 if size >= _MILLI_FROM else raw / 10 if size >= _TENTHS_FROM else float(raw)
    return value if raw != 0 and _LEAST_C < value < _MOST_C else None


def read_zones(text: Text) -> tuple[ThermalZone, ...]:
    """Return the zones of a listing; none when a line of it is of another kind."""
    reading = _Listing()
    for line in text.lines:
        if line.whole and not reading.read(line):
            return ()
    return reading.zones()


class _Listing:
    """The state of reading a listing: which zones are known, and which file the next line is from."""

    def __init__(self) -> None:
        self._zones: list[ThermalZone] = []
        self._numbered: dict[int, ThermalZone] = {}
        self._file: str | None = None
        self._sure = False
        self._columns: dict[str, list[str]] = {"type": [], "temp": []}

    def zones(self) -> tuple[ThermalZone, ...]:
        """Return the zones in the listing's order, numbered ones first; none when all of it could be mere words."""
        listed = self._columns
        # `cat thermal_zone*/type` and `cat thermal_zone*/temp`: the same zones only if none was refused.
        paired = len(listed["type"]) == len(listed["temp"])
        raws = [number(text) for text in listed["temp"]] if paired else [None] * len(listed["type"])
        zipped = (
            _measured(ThermalZone(None, short(name)), raw) for name, raw in zip(listed["type"], raws, strict=True)
        )
        sure = self._sure or self._numbered or listed["type"]
        return (*self._numbered.values(), *self._zones, *zipped) if sure else ()

    def read(self, line: Line) -> bool:
        """Take one more line; whether listings have such lines."""
        text = line.text.strip()
        if not text or _REFUSAL.fullmatch(text):
            return True
        command = _HEAD.fullmatch(text) or _COMMAND.match(text)
        if command:
            self._file = command[1]
            return "therm" in self._file
        if self._file is not None:
            file = self._file
            self._file = None if _ZONE_FILE.search(file) else file
            return self._content(file, text)
        if grepped := _GREPPED.fullmatch(text):
            return self._content(grepped[1], grepped[2])
        return bool(_TRIP.search(text)) or self._entry(text) or not without_prompt(text)

    def _content(self, file: str, text: str) -> bool:
        zone = _ZONE_FILE.search(file)
        every = _ALL_ZONES.search(file)
        if zone is None and every:
            self._columns[every[1]].append(text)
            return True
        if zone is None:
            return bool(_TRIP.search(file)) or self._entry(text)
        index = int(zone[1])
        known = self._numbered.get(index, ThermalZone(index, None))
        if zone[2] == "type":
            self._numbered[index] = replace(known, name=short(text) or None)
        else:
            self._numbered[index] = _measured(known, number(text))
        return True

    def _entry(self, text: str) -> bool:
        if found := _SENSOR.fullmatch(text):
            self._zones.append(ThermalZone(None, found[1], units_per_c=count(found[3]), alias=found[2] or None))
        elif found := _ASSIGNED.fullmatch(text):
            self._assigned(found[1], found[2])
        elif found := _PAIR.fullmatch(text):
            self._zones.append(_measured(ThermalZone(None, found[1]), number(found[2])))
        elif found := _ROW.fullmatch(text):
            index = int(found[1])
            self._numbered[index] = _measured(ThermalZone(index, found[2]), number(found[3]))
        elif _ALONE.fullmatch(text):
            self._zones.append(ThermalZone(None, short(text)))
            return True
        else:
            return False
        self._sure = True
        return True

    def _assigned(self, key: str, value: str) -> None:
        if key == "type":
            self._zones.append(ThermalZone(None, value))
        elif self._zones and self._zones[-1].raw is None:
            self._zones[-1] = _measured(self._zones[-1], number(value))


def _measured(zone: ThermalZone, raw: float | None) -> ThermalZone:
    return zone if raw is None else replace(zone, raw=raw, temperature_c=degrees(raw))
