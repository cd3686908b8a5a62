"""Owns which devices there are for a command: those of a devices file, or what needs nothing but this computer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from profiler.devices import Device

DEFAULT_FILE = Path("devices.yaml")


def configured_devices(config: Path | None) -> dict[str, Device]:
    """Return the devices by name.

    Args:
        config: The file that was asked for; None for devices.yaml of the working folder and, where there is none,
            for this computer under the name "host" and an emulated phone under "pixel4-emulated".

    Raises:
        ConfigError: The file cannot be read or has a mistake.
    """
    from profiler.devices import EmulatedDevice, HostDevice, load_devices

    if config is None and not DEFAULT_FILE.exists():
        without_file = (HostDevice(name="host"), EmulatedDevice(name="pixel4-emulated", phone="pixel4"))
        return {device.name: device for device in without_file}
    return load_devices(config or DEFAULT_FILE)


def configured_device(config: Path | None, name: str) -> Device:
    """Return one device by its name.

    Raises:
        ConfigError: The file cannot be read or has a mistake.
        DeviceNotFoundError: It has no device of that name.
    """
    return configured_devices_named(config, [name])[0]


def configured_devices_named(config: Path | None, names: Sequence[str], *, runtime: str | None = None) -> list[Device]:
    """Return several devices by their names, each once.

    Args:
        config: As for configured_devices.
        names: Their names.
        runtime: What runs models on all of them, instead of what the file says.

    Raises:
        ConfigError: The file cannot be read or has a mistake, or a device cannot have the runtime.
        DeviceNotFoundError: It has no device of one of the names.
    """
    from profiler.devices import find_device, with_runtime

    devices = configured_devices(config)
    found = [find_device(devices, name) for name in dict.fromkeys(names)]
    return found if runtime is None else [with_runtime(device, runtime) for device in found]
