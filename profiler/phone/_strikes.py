"""What faults of the phone as a whole do to it when they strike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from profiler.phone.faults import OF_THE_PHONE, Fault, FaultKind

if TYPE_CHECKING:
    from profiler.phone.phone import Phone

_DATA = "/data"


def strike(phone: Phone, occasion: str, run: int | None = None) -> bool:
    """Let happen to the phone what its script holds for this occasion, and say whether it has gone down by it.

    Args:
        phone: The phone.
        occasion: Name of the service that is opened, or command line of the program that runs.
        run: Which timed run of the program is about to begin; None outside of programs.
    """
    boot_id = phone.state.boot_id
    for kind in OF_THE_PHONE:
        if fault := phone.faults.take(kind, occasion, run=run):
            _STRIKES[kind](phone, fault)
    return phone.state.boot_id != boot_id


def _battery(phone: Phone, fault: Fault) -> None:
    phone.state.level_percent = fault.level_percent


def _screen_off(phone: Phone, _: Fault) -> None:
    phone.state.awake = False


def _storage_full(phone: Phone, fault: Fault) -> None:
    data = phone.files.mount_of(_DATA)
    data.used_bytes = data.size_bytes - fault.free_bytes


def _no_execute(phone: Phone, _: Fault) -> None:
    phone.files.mount_of(_DATA).noexec = True


_STRIKES: Mapping[FaultKind, Callable[[Phone, Fault], None]] = {
    "throttle": lambda phone, fault: phone.overheat(fault.status, fault.seconds),
    "battery": _battery,
    "screen_off": _screen_off,
    "storage_full": _storage_full,
    "no_execute": _no_execute,
    "reboot": lambda phone, fault: phone.reboot(boot_s=fault.seconds),
    "vanish": lambda phone, fault: phone.vanish(fault.seconds),
}
