"""The processes of an emulated phone: what runs, under which number, and how it is ended."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any

_FIRST_PID = 4321
"""Where a phone that has been up for a while has got to."""
_ENDING_SIGNALS = frozenset({1, 2, 3, 6, 9, 11, 13, 14, 15})


@dataclass
class Process:
    """A running process.

    Attributes:
        pid: Its number.
        group: Number of its group: that of the shell that a client started.
        parent: Number of the process that started it.
        arguments: Its command line.
        uid: Whose it is.
        task: What runs it; None for the system's own.
        signal: What ended it, once something has.
        affinity: Cores that it may run on; None for all.
        deliver: Hands signals to the process of this computer that it really is; None when it is none.
    """

    pid: int
    group: int
    parent: int
    arguments: tuple[str, ...]
    uid: int = 2000
    task: asyncio.Task[int] | None = None
    signal: int | None = None
    affinity: tuple[int, ...] | None = None
    deliver: Callable[[int], None] | None = None

    def end(self, signal: int) -> None:
        """End it by a signal, if it is not the system's own; what really runs may answer the signal in its own way."""
        if self.deliver is not None:
            self.deliver(signal)
        elif self.task is not None:
            self.signal = signal
            self.task.cancel()

    async def wait(self) -> int:
        """Return its exit code, 128 + the signal if one ended it; what waits may itself be ended without harm to it."""
        if self.task is None:
            return 0
        await asyncio.wait({self.task})
        if self.task.cancelled():
            return 128 + (self.signal or 9)
        return self.task.result()


class ProcessTable:
    """All processes, by number."""

    def __init__(self) -> None:
        self._processes: dict[int, Process] = {}
        self._next = _FIRST_PID
        for pid, parent, uid, name in _SYSTEM:
            self._processes[pid] = Process(pid, pid, parent, (name,), uid)

    def __iter__(self) -> Iterator[Process]:
        return iter(sorted(self._processes.values(), key=lambda process: process.pid))

    def get(self, pid: int) -> Process | None:
        """Return the process of a number, if it runs."""
        return self._processes.get(pid)

    def start(
        self,
        arguments: tuple[str, ...],
        parent: Process | None,
        run: Callable[[Process], Coroutine[Any, Any, int]],
    ) -> Process:
        """Start a process; without a parent it is adbd's and leads a group of its own."""
        pid = self._next
        self._next += 1
        group = parent.group if parent else pid
        process = Process(pid, group, parent.pid if parent else _ADBD_PID, arguments)
        process.affinity = parent.affinity if parent else None
        process.task = asyncio.get_running_loop().create_task(run(process))
        self._processes[pid] = process
        process.task.add_done_callback(lambda _: self._processes.pop(pid, None))
        return process

    def kill(self, pid: int, signal: int, uid: int) -> None:
        """Send a signal to a process or, with a negative number, to a group.

        Args:
            pid: Number of a process, or minus that of a group.
            signal: Number of the signal; 0 only asks whether it could be sent.
            uid: Who sends it.

        Raises:
            OSError: There is no such process, or it is another user's.
        """
        chosen = [one for one in self._processes.values() if pid == one.pid or -pid == one.group]
        if not chosen:
            raise OSError(errno.ESRCH, os.strerror(errno.ESRCH))
        mine = [one for one in chosen if uid in (0, one.uid) and one.task is not None]
        if not mine:
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))
        for process in mine:
            if signal in _ENDING_SIGNALS:
                process.end(signal)

    def end_all(self) -> None:
        """End everything that a client started, as a reboot does."""
        for process in list(self._processes.values()):
            process.end(9)


_ADBD_PID = 1127
_SYSTEM = (
    (1, 0, 0, "init"),
    (2, 0, 0, "[kthreadd]"),
    (412, 1, 1000, "/system/bin/servicemanager"),
    (633, 1, 1000, "/system/bin/surfaceflinger"),
    (702, 1, 0, "zygote64"),
    (_ADBD_PID, 1, 2000, "/apex/com.android.adbd/bin/adbd"),
    (1544, 702, 1000, "system_server"),
)
