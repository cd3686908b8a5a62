"""What can be made to go wrong on an emulated phone's wire, and how often."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

FaultKind = Literal[
    "unauthorized",
    "drop_connection",
    "reset_on_open",
    "reject_service",
    "cut_push",
    "cut_output",
    "truncate_output",
    "slow_output",
    "lose_exit_status",
    "hang",
]


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong.

    Attributes:
        kind: unauthorized: no new key is accepted, or only after seconds.  drop_connection: closed when the
            client says hello.  reset_on_open: closed when it opens a service.  reject_service: the service is
            refused.  cut_push, cut_output: closed after at_bytes of a file or of a command's output.
            truncate_output: a command's output ends after at_bytes as if that were all.  slow_output: output comes
            one byte in `seconds`.  lose_exit_status: a command ends without its status.  hang: a command
            never gives a byte and never ends.
        match: Text that the service's name, such as "shell,v2,raw:ls", must hold.
        at_bytes: Where a cut is.
        seconds: How long something takes.
        times: How often it happens; None for always.
    """

    kind: FaultKind
    match: str = ""
    at_bytes: int = 0
    seconds: float | None = None
    times: int | None = None


class FaultScript:
    """The faults that a phone has before it.

    Args:
        faults: In order; of two that fit, the first happens.
    """

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self._faults = list(faults)
        self._happened = [0] * len(self._faults)

    def add(self, fault: Fault) -> None:
        """Let one more thing go wrong from now on."""
        self._faults.append(fault)
        self._happened.append(0)

    def clear(self) -> None:
        """Let nothing go wrong any more."""
        self._faults.clear()
        self._happened.clear()

    def take(self, kind: FaultKind, service: str = "") -> Fault | None:
        """Return the fault that happens now, and count it; None when all goes well."""
        for place, fault in enumerate(self._faults):
            left = fault.times is None or self._happened[place] < fault.times
            if fault.kind == kind and left and fault.match in service:
                self._happened[place] += 1
                return fault
        return None
