"""Which backend opens which device: the one list of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from profiler.backends.adb import AdbBackend
from profiler.backends.base import Backend
from profiler.backends.emulated import EmulatedBackend
from profiler.backends.host import HostBackend
from profiler.backends.quarantine import Quarantine
from profiler.devices import Device
from profiler.errors import DeviceError

BACKENDS: dict[str, Callable[..., Backend]] = {
    "host": HostBackend,
    "adb": AdbBackend,
    "emulated": EmulatedBackend,
}
"""Every backend by the name that devices.yaml's `backend:` has; profiler.devices.DEVICE_MODELS has their settings."""


@contextmanager
def open_backend(device: Device, *, wait_s: float = 0.0) -> Iterator[Backend]:
    """Open a device for a job.  A fault of the device that ends the job counts towards its quarantine.

    Args:
        device: As load_devices gives it.
        wait_s: How long to wait for another job that holds the device.

    Raises:
        DeviceQuarantinedError: The device failed so often that it is set aside.
        DeviceBusyError: Another job holds the device.
        DeviceError: It cannot be opened, or failed in the job.
    """
    quarantine = Quarantine(device.name)
    quarantine.check()
    try:
        with backend_of(device, wait_s=wait_s) as backend:
            yield backend
    except DeviceError as err:
        quarantine.note_fault(err)
        raise
    quarantine.note_success()


def backend_of(device: Device, *, wait_s: float = 0.0) -> Backend:
    """Return the backend of a device, to be used in a `with` block, for a look at it rather than for a job.

    It opens a device that is in quarantine, too, and nothing that happens to it counts.

    Args:
        device: As load_devices gives it.
        wait_s: How long to wait for another job that holds the device.
    """
    return BACKENDS[device.backend](device, wait_s=wait_s)
