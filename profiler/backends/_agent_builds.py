"""Which build of our agent a device needs."""

from __future__ import annotations

import platform
from typing import Final

from profiler.agent.toolchains import Engine, Target
from profiler.devices import Device, HostDevice, PhoneDevice
from profiler.errors import RuntimeNotSupportedError
from profiler.runtimes import AGENT_RUNTIMES

PHONE_TARGET: Final = "aarch64"
_HOST_TARGETS: dict[str, Target] = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}
"""Targets by what systems call the processor."""


def agent_of(device: Device) -> tuple[Engine, Target] | None:
    """Return engine and target of the agent that a device runs; None for another runtime.

    Raises:
        RuntimeNotSupportedError: There is no agent for this computer.
    """
    if not isinstance(device, HostDevice | PhoneDevice) or device.runtime not in AGENT_RUNTIMES:
        return None
    target = host_target(device) if isinstance(device, HostDevice) else PHONE_TARGET
    return AGENT_RUNTIMES[device.runtime].engine, target


def host_target(device: HostDevice) -> Target:
    """Return the target that this computer is.

    Raises:
        RuntimeNotSupportedError: It is none.
    """
    machine, system = platform.machine().lower(), platform.system()
    if machine not in _HOST_TARGETS or system != "Linux":
        problem = f"the agent is for Linux on aarch64 and x86_64, not for {system} on {machine}"
        raise RuntimeNotSupportedError(device.name, device.runtime, problem)
    return _HOST_TARGETS[machine]
