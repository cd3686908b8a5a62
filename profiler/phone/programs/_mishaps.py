"""What goes wrong in a program's runs, by the phone's script of faults: in the timed ones only."""

from __future__ import annotations

import asyncio

import numpy as np

from profiler.phone._strikes import strike
from profiler.phone.commands import Call
from profiler.phone.faults import Fault
from profiler.phone.programs._statistics import Microseconds

_NS_PER_US = 1e3
_LIMITS = np.iinfo(np.int64)


class Calm:
    """Runs in which nothing goes wrong."""

    def room(self, run: int) -> int:
        """Return how many runs may be made at once."""
        return _LIMITS.max

    async def before(self, run: int) -> None:
        """Let happen what happens before a run; returns only if the program goes on."""

    def measured(self, values: Microseconds) -> Microseconds:
        """Return what the program takes runs, or parts of them, to have lasted."""
        return values

    def counted(self, count: int) -> int:
        """Return how many runs the program takes itself to have made."""
        return count


class Mishaps(Calm):
    """The timed runs of a program.

    Args:
        call: The program as it was called; its command line is what faults choose by.
    """

    def __init__(self, call: Call) -> None:
        self._phone, self._process = call.phone, call.process
        self._line = " ".join((call.name, *call.arguments))
        self._wrong: Fault | None = None

    def room(self, run: int) -> int:
        """Return how many runs may be made until something can go wrong again."""
        return self._phone.faults.following_run(self._line, run, super().room(run)) - run

    async def before(self, run: int) -> None:
        """Let happen what happens before a timed run."""
        faults = self._phone.faults
        strike(self._phone, self._line, run)
        self._wrong = faults.take("wrong_latency", self._line, run=run) or self._wrong
        if fault := faults.take("kill", self._line, run=run):
            self._process.end(fault.signal)
        if faults.take("hang", self._line, run=run):
            await asyncio.Event().wait()
        await asyncio.sleep(0)  # where a process that was ended stops

    def measured(self, values: Microseconds) -> Microseconds:
        """Return the script's latency in the place of all, as far as whole microseconds of 64 bits can hold it."""
        if self._wrong is None:
            return values
        microseconds = self._wrong.latency_ns / _NS_PER_US
        held = _LIMITS.max if microseconds >= _LIMITS.max else max(_LIMITS.min, int(np.floor(microseconds)))
        return np.full_like(values, held)

    def counted(self, count: int) -> int:
        """Return the script's number."""
        fault = self._phone.faults.take("wrong_count", self._line, run=0)
        return count if fault is None else fault.count
