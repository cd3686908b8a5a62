"""What there is to see of a device without a job on it: nothing is sent to a phone, and nothing there is changed."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Literal

from profiler.adb import AdbServer, open_transport
from profiler.backends._registry import backend_of
from profiler.backends.adb import AdbBackend
from profiler.backends.android import (
    FACT_PROBES,
    HEALTH_PROBES,
    PhoneFacts,
    PhoneHealth,
    ask,
    phone_checks,
    read_facts,
    read_health,
)
from profiler.backends.base import Check, DeviceFacts
from profiler.backends.quarantine import Quarantine
from profiler.devices import AdbDevice, Device
from profiler.errors import (
    DeviceBusyError,
    DeviceOfflineError,
    DeviceQuarantinedError,
    DeviceTimeoutError,
    DeviceUnauthorizedError,
    PocketnasError,
)
from profiler.workload import Source

State = Literal["device", "unauthorized", "offline", "busy", "quarantined", "not found", "error"]
"""How a device is to be had: "device" is adb's word for one that is ready, and "error" is what no other word says."""

_ANSWER_S = 15.0


@dataclass(frozen=True)
class Glance:
    """What was seen of a device.

    Attributes:
        device: Its name.
        backend: What opens it.
        state: How it is to be had.
        detail: What that means and what to do; empty for one that is ready.
        source: Whether its latencies are measured or emulated; None when it did not tell.
        facts: What models would run in there; of devices other than phones.
        phone: What a phone says it is.
        health: How a phone is at this moment.
        checks: What speaks against measuring at this moment.
    """

    device: str
    backend: str
    state: State
    detail: str = ""
    source: Source | None = None
    facts: DeviceFacts | None = None
    phone: PhoneFacts | None = None
    health: PhoneHealth | None = None
    checks: tuple[Check, ...] = ()


def glance(device: Device) -> Glance:
    """Return what is to be seen of a device, be it in use, out of reach or set aside."""
    seen = Glance(device.name, device.backend, "device")
    try:
        Quarantine(device.name).check()
        backend = backend_of(device)
        if backend.holder is not None:
            raise DeviceBusyError(device.name, backend.holder)
        return _phone(device, seen) if isinstance(device, AdbDevice) else _opened(device, seen)
    except PocketnasError as error:
        return replace(seen, state=_state(device, error), detail=str(error))


def phones_without_name(known: set[str]) -> dict[str, str]:
    """Return the phones that an adb server has and nobody configured: state by serial.

    A server is asked only if one runs; none is started.

    Args:
        known: Serials that have a name.

    Raises:
        DeviceError: What listens on adb's port is no adb server, or does not answer.
    """
    listed = AdbServer.from_environment().devices() or {}
    return {serial: state for serial, state in listed.items() if serial not in known}


def _opened(device: Device, seen: Glance) -> Glance:
    """Look at a device that is here, by opening it for a moment."""
    with backend_of(device) as backend:
        seen = replace(seen, source=backend.source, facts=backend.facts(), checks=backend.checks())
        if isinstance(backend, AdbBackend):
            seen = replace(seen, phone=backend.phone_facts(), health=backend.health())
        return seen


def _phone(device: AdbDevice, seen: Glance) -> Glance:
    """Ask a phone what it is and how it is."""
    with open_transport(device.serial) as transport:
        answers = ask(transport, {**FACT_PROBES, **HEALTH_PROBES}, timeout_s=_ANSWER_S)
    facts, health = read_facts(answers), read_health(answers)
    return replace(
        seen,
        source=AdbBackend(device).source_on(facts),
        phone=facts,
        health=health,
        checks=phone_checks(facts, health, cores=facts.cores, now_unix_s=time.time()),
    )


def _state(device: Device, error: PocketnasError) -> State:
    if isinstance(error, DeviceUnauthorizedError):
        return "unauthorized"
    if isinstance(error, DeviceQuarantinedError):
        return "quarantined"
    if isinstance(error, DeviceBusyError):
        return "busy"
    if isinstance(device, AdbDevice) and not _is_somewhere(device):
        return "not found"
    return "offline" if isinstance(error, DeviceOfflineError | DeviceTimeoutError) else "error"


def _is_somewhere(device: AdbDevice) -> bool:
    """Whether a phone that cannot be looked at is known to be at an address, or on an adb server."""
    try:
        return ":" in device.serial or device.serial in (AdbServer.from_environment().devices() or {})
    except PocketnasError:
        return False
