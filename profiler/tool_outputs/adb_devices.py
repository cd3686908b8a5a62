"""Reads `adb devices` and `adb devices -l`.

The serial ends at the tab; where somebody's clipboard made spaces of it, at the first known state.  A serial can hold a
space ("adb-13e75597-Upleco (2)._adb-tls-connect._tcp"), a state can be many words, and the daemon may talk in between.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from profiler.errors import ToolOutputError
from profiler.tool_outputs._figures import count
from profiler.tool_outputs._lines import Line, read_text, short

KIND: Final = "adb_devices"

_HEADING: Final = "List of devices attached"
_STATES: Final = (
    "no permissions|no device|unauthorized|authorizing|connecting|offline|bootloader|recovery|sideload|rescue"
    "|detached|disconnected|device|host|unknown"
)
_STATE = re.compile(rf"(?P<state>{_STATES})(?=[\s;(]|$)(?P<rest>.*)")
# Two spaces first: the words of a serial have one between them.
_SPACED = tuple(re.compile(rf"(?P<serial>\S(?:[^\t]*?\S)?){gap}(?={_STATES})") for gap in (r"\s{2,}", r"\s"))
_ATTRIBUTE = re.compile(r"(?:^|\s)(usb|product|model|device|transport_id|features):(\S+)(?=\s|$)")
_CHATTER = re.compile(r"\* |\*$|adb(?:\.exe)?[: ]|error: |- waiting for device")


@dataclass(frozen=True)
class AdbDevice:
    """One device of the list.

    Attributes:
        serial: Serial, or address and port.
        state: "device", "offline", "unauthorized", "no permissions" or another of adb's words.
        detail: What adb adds to the state, such as what is wrong with permissions.
        usb: Port, with -l.
        product: Product name, with -l.
        model: Model, with -l; adb writes "_" for what is not a letter or digit.
        device: Device name, with -l.
        transport_id: Number of the connection, with -l.
    """

    serial: str
    state: str
    detail: str | None = None
    usb: str | None = None
    product: str | None = None
    model: str | None = None
    device: str | None = None
    transport_id: int | None = None


@dataclass(frozen=True)
class AdbDevicesOutput:
    """The list.

    Attributes:
        complete: Whether it does not end inside a line.
        devices: The devices, in order.
        messages: What adb said besides.
    """

    complete: bool
    devices: tuple[AdbDevice, ...]
    messages: tuple[str, ...]


def parse_adb_devices(data: bytes) -> AdbDevicesOutput:
    r"""Return the devices that adb lists.

    Raises:
        ToolOutputError: There is no list.

    Example:
        >>> parse_adb_devices(b"List of devices attached\nemulator-5554\toffline\n").devices[0].state
        'offline'
    """
    text = read_text(data, KIND)
    if not any(_HEADING in line.text for line in text.whole()):
        raise ToolOutputError(KIND, f"the line {_HEADING!r} is missing")
    devices, messages = [], []
    complete = not text.cut
    for line in text.lines:
        own = line.text.strip()
        if not own or _HEADING in own:
            continue
        device = None if _CHATTER.match(own) else _device(line)
        if device is not None:
            devices.append(device)
            complete = complete or _is_all(line, device)
        elif line.whole:
            messages.append(short(own))
    return AdbDevicesOutput(complete, tuple(devices), tuple(messages))


def _device(line: Line) -> AdbDevice | None:
    text = line.text.strip() if line.whole else line.text.lstrip()
    serial, tab, rest = text.partition("\t")
    if not tab:
        found = next((match for pattern in _SPACED if (match := pattern.match(text))), None)
        if found is None:
            return None
        serial, rest = found["serial"], text[found.end() :]
    known = _STATE.match(rest.strip())
    if known is None and (not line.whole or not tab):
        return None
    state, rest = (known["state"], known["rest"]) if known else (short(rest), "")
    # The last word of a line that is cut may be half a word.
    rest = rest if line.whole else rest.rpartition(" ")[0]
    said = dict(_ATTRIBUTE.findall(rest))
    return AdbDevice(
        serial=short(serial),
        state=state,
        detail=short(_ATTRIBUTE.sub("", rest).lstrip("; ")) or None,
        usb=said.get("usb"),
        product=said.get("product"),
        model=said.get("model"),
        device=said.get("device"),
        transport_id=count(said.get("transport_id", "")),
    )


def _is_all(line: Line, device: AdbDevice) -> bool:
    """Whether a line without its newline ends in its state, which no other state begins with."""
    return line.text.endswith(device.state)
