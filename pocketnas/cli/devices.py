"""`pocketnas devices`: which devices there are, what they are, and how they are at this moment."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from pocketnas.cli._configured import configured_devices
from pocketnas.cli._options import Config, Json
from pocketnas.cli._screen import Screen, fail, table
from pocketnas.cli._text import capped
from profiler.errors import PocketnasError

if TYPE_CHECKING:
    from profiler.backends.glance import Glance
    from profiler.devices import Device

_COLUMNS = ("device", "state", "source", "battery, heat", "what it is")
_WHOLE = _COLUMNS[:-1]
_MOST_AT_ONCE = 16
_LOOK_EVERY_S = 0.5
_STILL_AWAY = 75


def command(
    config: Config = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="First wait until a phone of the devices file is ready.", show_default=False)
    ] = False,
    limit_s: Annotated[
        float, typer.Option("--limit-s", metavar="S", min=0.0, help="How long --wait waits; then the exit code is 75.")
    ] = 300.0,
    as_json: Json = False,
) -> int:
    """List the devices: state, model, SoC, Android version, battery, temperature, and what speaks against measuring.

    Phones are asked, and nothing on them is changed; one that is in use is left alone.  Phones that an adb server has
    and the devices file does not name are listed too, each with the line to add; no server is started.

    Example: pocketnas devices --config devices.yaml

    Example: pocketnas devices --wait --limit-s 60
    """
    screen = Screen(as_json=as_json)
    devices = list(configured_devices(config).values())
    seen, ready = _await_phone(screen, devices, limit_s) if wait else (_look(devices), True)
    strangers = _strangers(screen, devices)
    rows = [_row(glance) for glance in seen] + [[serial, state, "", "", ""] for serial, state, _ in strangers]
    screen.show(table("", _COLUMNS, rows, whole=_WHOLE))
    for glance in seen:
        for check in glance.checks:
            screen.show(f"{glance.device}: {check.id}: {check.detail}")
        if glance.detail:
            screen.show(glance.detail)
    for serial, _, line in strangers:
        screen.show(f"{serial}: not in the devices file; a line for it:  {line}")
    unnamed = [{"serial": serial, "state": state, "line": line} for serial, state, line in strangers]
    screen.document(capped({"devices": [asdict(glance) for glance in seen], "unconfigured": unnamed}))
    if not ready:
        states = ", ".join(f"{glance.device!r} is {glance.state}" for glance in _phones(seen))
        fail(f"no phone got ready within {limit_s:g} s: {states}")
    return 0 if ready else _STILL_AWAY


def _look(devices: Sequence[Device]) -> list[Glance]:
    """Look at all phones at the same time, for one that does not answer keeps nobody waiting but itself.

    What is here is opened for a moment, and some of it shares a lease: one after the other.
    """
    from profiler.backends.glance import glance
    from profiler.devices import AdbDevice

    with ThreadPoolExecutor(_MOST_AT_ONCE) as threads:
        phones = {device.name: threads.submit(glance, device) for device in devices if isinstance(device, AdbDevice)}
        here = {device.name: glance(device) for device in devices if device.name not in phones}
        return [phones[device.name].result() if device.name in phones else here[device.name] for device in devices]


def _await_phone(screen: Screen, devices: Sequence[Device], limit_s: float) -> tuple[list[Glance], bool]:
    """Look until a phone is ready or time is up; where no phone is configured there is none to wait for."""
    deadline_s, told = time.monotonic() + limit_s, ""
    while True:
        seen = _look(devices)
        phones = _phones(seen)
        if not phones or any(glance.state == "device" for glance in phones):
            return seen, True
        if time.monotonic() >= deadline_s:
            return seen, False
        states = "; ".join(glance.detail for glance in phones)
        if states != told:
            screen.note(f"waiting: {states}")
            told = states
        time.sleep(_LOOK_EVERY_S)


def _phones(seen: Iterable[Glance]) -> list[Glance]:
    return [glance for glance in seen if glance.backend == "adb"]


def _strangers(screen: Screen, devices: Iterable[Device]) -> list[tuple[str, str, str]]:
    """Return (serial, state, line for the devices file) of phones that nobody configured."""
    from profiler.backends.glance import phones_without_name
    from profiler.devices import AdbDevice

    known = {device.serial for device in devices if isinstance(device, AdbDevice)}
    try:
        found = phones_without_name(known)
    except PocketnasError as error:
        screen.warn(str(error))
        return []
    # JSON's text is YAML's as well, whatever is in it.
    settings = "backend: adb, serial: {}"
    return [(serial, state, f"phone: {{{settings.format(json.dumps(serial))}}}") for serial, state in found.items()]


def _row(glance: Glance) -> list[object]:
    what: list[str | None] = []
    if glance.phone:
        android = f"Android {glance.phone.android}" if glance.phone.android else None
        what = [glance.phone.model, glance.phone.soc, android]
    elif glance.facts:
        facts = glance.facts
        threads = "1 thread" if facts.threads == 1 else f"{facts.threads} threads"
        what = [facts.processor, facts.system, f"{facts.runtime} {facts.runtime_version}", facts.accelerator, threads]
    return [
        glance.device,
        glance.state,
        glance.source or "",
        _battery(glance),
        ", ".join(part for part in what if part),
    ]


def _battery(glance: Glance) -> str:
    """Return charge and temperature, as far as the phone tells them."""
    if glance.health is None:
        return ""
    percent, heat_c = glance.health.battery_percent, glance.health.temperature_c
    figures = (None if percent is None else f"{percent:.0f} %", None if heat_c is None else f"{heat_c:.0f} °C")
    return ", ".join(figure for figure in figures if figure)
