"""What can be made to go wrong on an emulated phone, when, and how often."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

FaultKind = Literal[
    "unauthorized",
    "offline",
    "drop_connection",
    "reset_on_open",
    "reset_after_open",
    "reject_service",
    "cut_push",
    "cut_output",
    "truncate_output",
    "damage_output",
    "slow_output",
    "lose_exit_status",
    "hang",
    "kill",
    "wrong_latency",
    "wrong_count",
    "reboot",
    "vanish",
    "throttle",
    "battery",
    "screen_off",
    "storage_full",
    "no_execute",
]


@dataclass(frozen=True)
class Effect:
    """What a kind of fault does.

    Attributes:
        settings: The settings of Fault that it takes besides `after`, `times` and `share`.
        text: What happens, for a person.
    """

    settings: frozenset[str]
    text: str


def _effect(settings: str, text: str) -> Effect:
    return Effect(frozenset(settings.split()), text)


EFFECTS: Mapping[FaultKind, Effect] = {
    "unauthorized": _effect("seconds", "a new key is not accepted, or only after `seconds`"),
    "offline": _effect("match", "the phone keeps its connection and says nothing more on it"),
    "drop_connection": _effect("", "the connection is closed when the client says hello"),
    "reset_on_open": _effect("match", "the connection is closed when a service is opened"),
    "reset_after_open": _effect(
        "match", "a service has begun, and the connection is closed before the client hears of it"
    ),
    "reject_service": _effect("match", "a service is refused"),
    "cut_push": _effect("match at_bytes", "the connection is closed after `at_bytes` of a pushed file"),
    "cut_output": _effect("match at_bytes", "the connection is closed after `at_bytes` of a command's output"),
    "truncate_output": _effect("match at_bytes", "output ends after `at_bytes` as if that were all"),
    "damage_output": _effect("match at_bytes", "a bit of a command's output is wrong in the byte after `at_bytes`"),
    "slow_output": _effect("match seconds", "output comes one byte in `seconds`"),
    "lose_exit_status": _effect("match", "a command ends without its exit code"),
    "hang": _effect("match at_run", "a command, or a program at a run, never ends and says nothing more"),
    "kill": _effect(
        "match at_run at_bytes signal",
        "a program is ended by `signal`: 9 for lack of memory, 11, 4; one that really runs, after `at_bytes` of output",
    ),
    "wrong_latency": _effect("match at_run latency_ns", "a program measures `latency_ns` in each run from `at_run` on"),
    "wrong_count": _effect("match count", "a program says that it did `count` runs"),
    "reboot": _effect("match at_run seconds", "the phone restarts and has booted after `seconds`, or never"),
    "vanish": _effect("match at_run seconds", "the phone is gone for `seconds` or for good, as when it gets too hot"),
    "throttle": _effect("match at_run seconds status", "the thermal status is `status` for `seconds`, or for good"),
    "battery": _effect("match at_run level_percent", "the battery is at `level_percent`"),
    "screen_off": _effect("match at_run", "the screen goes off and the phone dozes"),
    "storage_full": _effect("match at_run free_bytes", "only `free_bytes` are left for data"),
    "no_execute": _effect("match at_run", "nothing that was pushed may be executed any more"),
}
"""What each kind does, and which settings it takes."""

OF_PROGRAMS: frozenset[FaultKind] = frozenset({"kill", "wrong_latency", "wrong_count"})
"""What happens to a program only; at its start where no run is given."""
OF_THE_PHONE: tuple[FaultKind, ...] = (
    "throttle",
    "battery",
    "screen_off",
    "storage_full",
    "no_execute",
    "reboot",
    "vanish",
)
"""What changes the phone as a whole, whatever struck: in the order in which they happen at one moment."""


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong; EFFECTS says what, and which settings it takes.

    Attributes:
        kind: What happens.
        match: Text that must be in the name of the service that is opened, such as "shell,v2,raw:ls"; in a file's
            path for cut_push; in a program's command line where the fault is a program's or has at_run.
        after: Fitting occasions that go well before.
        times: How often it happens; None for always.
        share: Probability that it happens on a fitting occasion, drawn from the script's seed.
        at_bytes: Where a cut is.
        at_run: Which timed run of a program it happens before, counted from 0; None for when a command starts.
        seconds: How long something takes.
        signal: What ends a program.
        status: Android's thermal severity, 1 to 5.
        level_percent: Charge of the battery.
        free_bytes: What is left of the storage.
        latency_ns: What a program measures.
        count: How many runs it says it did.
    """

    kind: FaultKind
    match: str = ""
    after: int = 0
    times: int | None = None
    share: float = 1.0
    at_bytes: int = 0
    at_run: int | None = None
    seconds: float | None = None
    signal: int = 9
    status: int = 2
    level_percent: int = 10
    free_bytes: int = 0
    latency_ns: float = 0.0
    count: int = 0

    def fits(self, kind: FaultKind, occasion: str, run: int | None) -> bool:
        """Say whether this is an occasion for it."""
        at_run = 0 if self.at_run is None and kind in OF_PROGRAMS else self.at_run
        return self.kind == kind and self.match in occasion and at_run == run


class FaultScript:
    """The faults that a phone has before it.

    Args:
        faults: In order; of two that fit, the first happens.
        seed: Fixes which of the occasions of faults with a share below 1 they happen on.
    """

    def __init__(self, faults: Iterable[Fault] = (), *, seed: int = 0) -> None:
        self._seed = seed
        self._entries: list[_Entry] = []
        for fault in faults:
            self.add(fault)

    def add(self, fault: Fault) -> None:
        """Let one more thing go wrong from now on."""
        self._entries.append(_Entry(fault, np.random.default_rng([self._seed, len(self._entries)])))

    def clear(self) -> None:
        """Let nothing go wrong any more."""
        self._entries.clear()

    def take(self, kind: FaultKind, occasion: str = "", *, run: int | None = None) -> Fault | None:
        """Return the fault that happens now, and count it; None when all goes well.

        Args:
            kind: What could go wrong here.
            occasion: Name of the service, path of the file or command line of the program.
            run: Which timed run of a program is about to begin; None outside of programs.
        """
        fitting = (entry for entry in list(self._entries) if entry.fault.fits(kind, occasion, run))
        return next((entry.fault for entry in fitting if entry.happens()), None)

    def following_run(self, line: str, run: int, last: int) -> int:
        """Return the next run of a program, behind `run`, that faults may wait for; `last` when there is none."""
        waiting = (entry.fault.at_run for entry in list(self._entries) if entry.fault.match in line)
        return min((at_run for at_run in waiting if at_run is not None and at_run > run), default=last)

    def happened(self, fault: Fault) -> int:
        """Return how often a fault of the script has happened."""
        return sum(entry.happened for entry in self._entries if entry.fault is fault)


class _Entry:
    """A fault with what has become of it so far."""

    def __init__(self, fault: Fault, rng: np.random.Generator) -> None:
        self.fault, self._rng = fault, rng
        self._fitted, self.happened = 0, 0

    def happens(self) -> bool:
        """Say whether it happens on this fitting occasion, and count it."""
        self._fitted += 1
        lucky = self.fault.share < 1.0 and self._rng.random() >= self.fault.share
        spent = self.fault.times is not None and self.happened >= self.fault.times
        if self._fitted <= self.fault.after or lucky or spent:
            return False
        self.happened += 1
        return True
