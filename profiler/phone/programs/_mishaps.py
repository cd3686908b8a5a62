"""What the phone's script of faults holds for the timed runs of a program."""

from __future__ import annotations

import asyncio

import numpy as np

from profiler.phone._strikes import strike
from profiler.phone.commands import Call
from profiler.phone.faults import Fault
from profiler.phone.programs._statistics import Microseconds

_NS_PER_US = 1e3
_LARGEST_US = np.iinfo(np.int64).max


class Mishaps:
    """The faults of one run of a program.

    Args:
        call: The program as it was called; its command line is what faults choose by.
    """

    def __init__(self, call: Call) -> None:
        self._phone, self._process = call.phone, call.process
        self._line = " ".join((call.name, *call.arguments))
        self._latency: Fault | None = None

    def room(self, run: int) -> int | None:
        """Return how many runs may be made at once before something can go wrong again; None for any number."""
        following = self._phone.faults.following_run(self._line, run)
        return None if following is None else following - run

    async def before(self, run: int) -> None:
        """Let happen what happens before a timed run; returns only if the program goes on."""
        faults = self._phone.faults
        strike(self._phone, self._line, run)
        self._latency = faults.take("wrong_latency", self._line, run=run) or self._latency
        if fault := faults.take("kill", self._line, run=run):
            self._process.end(fault.signal)
        if faults.take("hang", self._line, run=run):
            await asyncio.Event().wait()
        await asyncio.sleep(0)  # what has ended it comes through here

    def measured(self, values: Microseconds) -> Microseconds:
        """Return what the program takes runs, or parts of them, to have lasted."""
        if self._latency is None:
            return values
        wrong_us = min(float(_LARGEST_US), np.floor(self._latency.latency_ns / _NS_PER_US))
        return np.full_like(values, _LARGEST_US if wrong_us >= _LARGEST_US else int(wrong_us))

    def counted(self, count: int) -> int:
        """Return how many runs the program takes itself to have made."""
        fault = self._phone.faults.take("wrong_count", self._line, run=0)
        return count if fault is None else fault.count
