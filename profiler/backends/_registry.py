"""Which backend opens which device: the one list of them."""

from __future__ import annotations

from collections.abc import Callable

from profiler.backends.base import Backend
from profiler.backends.host import HostBackend
from profiler.backends.quarantine import Quarantine
from profiler.devices import Device

BACKENDS: dict[str, Callable[..., Backend]] = {"host": HostBackend}
"""Every backend by the name that devices.yaml's `backend:` has; profiler.devices.DEVICE_MODELS has their settings."""


def open_backend(device: Device, *, wait_s: float = 0.0, even_set_aside: bool = False) -> Backend:
    """Return the backend of a device, to be used in a `with` block.

    Args:
        device: As load_devices gives it.
        wait_s: How long to wait for another job that holds the device.
        even_set_aside: Whether to open a device that is in quarantine, to see what is wrong with it.

    Raises:
        DeviceQuarantinedError: The device failed so often that it is set aside.
    """
    if not even_set_aside:
        Quarantine(device.name).check()
    return BACKENDS[device.backend](device, wait_s=wait_s)
