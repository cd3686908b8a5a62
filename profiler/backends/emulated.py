"""The emulated backend: a phone that exists in this process only, driven by the adb backend over the real protocol."""

from __future__ import annotations

import contextlib
import functools
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

from profiler.adb import DEFAULT_FOLDER, DirectTransport, Transport, own_key
from profiler.backends.adb import AdbBackend
from profiler.backends.android import Patience
from profiler.backends.lease import DeviceLease
from profiler.devices import EmulatedDevice

if TYPE_CHECKING:
    from profiler.phone import ContentPool, Phone

_LOOK_EVERY_S = 15.0
"""Rarer than for a real phone: a look at one that is gone takes seconds of ours, and sleep takes none."""


class EmulatedBackend(AdbBackend):
    """An emulated phone, which is there while the backend is open; waiting for it passes its own time.

    Args:
        device: Its settings.
        wait_s: How long to wait for another job that holds a device of this name.

    Raises:
        ConfigError: On entry: there is no such phone or no such file of faults.
        DeviceBusyError: On entry: another job holds the device.

    Attributes:
        phone: The phone.
    """

    # Both are memory of this process, which may have a hundred phones, and sending a model again costs next to nothing.
    files_bytes: ClassVar[int] = 4 * 2**20
    shelf_bytes: ClassVar[int] = 4 * 2**20

    def __init__(self, device: EmulatedDevice, *, wait_s: float = 0.0) -> None:
        # Here, for a phone brings the readers of model files with it, which a list of backends has no use for.
        from profiler.phone import Phone, PhoneClock, load_faults, load_phone

        clock = PhoneClock(device.speed)
        faults = load_faults(Path(device.faults)) if device.faults else ()
        self.phone: Phone = Phone(
            load_phone(device.phone), clock=clock, seed=device.seed, faults=faults, contents=_contents()
        )
        patience = Patience(sleep_s=clock.sleep_s, look_every_s=_LOOK_EVERY_S)
        super().__init__(device, wait_s=wait_s, patience=patience)

    def _make_lease(self, wait_s: float) -> DeviceLease:
        # Its phone is its own: no other device shares anything with it.
        return DeviceLease(self.name, wait_s=wait_s)

    def _connect(self, opening: contextlib.ExitStack) -> Transport:
        from profiler.phone import PhoneServer

        server = opening.enter_context(PhoneServer(self.phone))
        # A phone of one's own asks for a key as any other does; the user's own key is none of its business.
        return opening.enter_context(DirectTransport.tcp(server.address, key=own_key()))

    def _read_program(self) -> bytes:
        from profiler.phone.programs import Tool, virtual_program

        return virtual_program(cast("Tool", self._device.runtime))

    def _folder(self) -> str:
        return DEFAULT_FOLDER


@functools.cache
def _contents() -> ContentPool:
    """Return where all phones of this process share files, for a campaign on a hundred sends each the same models."""
    from profiler.phone import ContentPool

    return ContentPool()
