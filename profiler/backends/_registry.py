"""Which backend opens which device: the one list of them."""

from __future__ import annotations

from collections.abc import Callable

from profiler.backends.base import Backend
from profiler.backends.host import HostBackend
from profiler.devices import Device

BACKENDS: dict[str, Callable[..., Backend]] = {"host": HostBackend}
"""Every backend by the name that devices.yaml's `backend:` has; profiler.devices.DEVICE_MODELS has their settings."""


def open_backend(device: Device, *, wait_s: float = 0.0) -> Backend:
    """Return the backend of a device, to be used in a `with` block.

    Args:
        device: As load_devices gives it.
        wait_s: How long to wait for another job that holds the device.
    """
    return BACKENDS[device.backend](device, wait_s=wait_s)
