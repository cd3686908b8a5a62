"""Ends what still runs on a phone from our folder: jobs of ours that nobody waits for any more.

The transport ends a command by the process number that it was told, when time is up, the connection breaks or somebody
interrupts.  Where it could not (the phone was out of reach, or our own process was killed), the next who comes by does.
"""

from __future__ import annotations

import re

from profiler.adb import Transport
from profiler.errors import DeviceError

_TRIES = 5
_LIST = "ps -A -o PID,ARGS 2>/dev/null"


def end_leftovers(transport: Transport, folder: str) -> int:
    """End every process that was started from a folder, or whose shell speaks of it; return how many there were.

    Args:
        transport: The way to the phone; the lock on it is held, so that no job there is anybody else's.
        folder: Path of our folder.

    Raises:
        DeviceError: One cannot be ended, or the phone cannot be reached.
    """
    ended: set[int] = set()
    for _ in range(_TRIES):
        found = _running(transport, folder)
        if not found:
            return len(ended)
        ended |= found
        numbers = " ".join(map(str, sorted(found)))
        transport.shell(f"kill -9 {numbers} 2>/dev/null; sleep 0.05")
    raise DeviceError(transport.serial, f"processes {sorted(found)} of ours cannot be ended; restart the phone")


def _running(transport: Transport, folder: str) -> set[int]:
    # The list is searched here, for a shell that searched it would find itself.
    listed = transport.shell(_LIST).stdout
    # A shell's script has lines of its own; they belong to the row above.
    rows = re.findall(r"^ *([0-9]+) (.*(?:\n(?! *[0-9]+ ).*)*)", listed, re.MULTILINE)
    return {int(number) for number, arguments in rows if f"{folder}/" in arguments}
