"""Reads `dumpsys power`, or what `grep` left of it: is the phone awake, and does it save power?"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from profiler.errors import ToolOutputError
from profiler.tool_outputs._lines import read_text, short

KIND: Final = "power"

_ENTRY = re.compile(r"\s*(m\w{1,80})(?:=|: )(\S{1,80})\s*")
_REFUSED = re.compile(r"Permission Denial|[Pp]ermission denied|inaccessible or not found|Can't find service")
_TRUTH: Final = {"true": True, "false": False}
# Before Android 5 the display's own state stood for the device's.
_SCREENS: Final = ("mScreenOn", "mInteractive")
_MARKS: Final = {"mWakefulness", "mLowPowerModeEnabled", "mDeviceIdleMode", *_SCREENS}


@dataclass(frozen=True)
class PowerState:
    """Whether the device is awake.  None is unknown.

    Attributes:
        awake: Whether it is awake: neither asleep nor dozing nor dreaming.
        wakefulness: Android's word for it: "Awake", "Asleep", "Dozing" or "Dreaming".
        low_power_mode: Whether battery saver is on.
        idle_mode: Whether the device is in doze.
        refused: Why the device does not say.
    """

    awake: bool | None
    wakefulness: str | None
    low_power_mode: bool | None
    idle_mode: bool | None
    refused: str | None


def parse_power(data: bytes) -> PowerState:
    """Return the state of power from `dumpsys power`.

    Raises:
        ToolOutputError: It is something else.
    """
    text = read_text(data, KIND)
    said: dict[str, str] = {}
    refused = None
    for line in text.whole():
        refused = refused or (short(line.text) if _REFUSED.search(line.text) else None)
        if found := _ENTRY.fullmatch(line.text):
            said.setdefault(found[1], found[2])
    if not said.keys() & _MARKS and refused is None:
        raise ToolOutputError(KIND, "not a dump of the power service")
    wakefulness = said.get("mWakefulness")
    screen = next((_TRUTH.get(said[key]) for key in _SCREENS if key in said), None)
    return PowerState(
        awake=wakefulness == "Awake" if wakefulness else screen,
        wakefulness=wakefulness,
        low_power_mode=_TRUTH.get(said.get("mLowPowerModeEnabled", "")),
        idle_mode=_TRUTH.get(said.get("mDeviceIdleMode", "")),
        refused=None if said.keys() & _MARKS else refused,
    )
