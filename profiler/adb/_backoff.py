"""Tries again what a lost connection spoiled, a few times, with growing pauses, and never past a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from profiler.adb._deadline import Deadline

PAUSES_S = (0.05, 0.2, 0.8, 2.0)
"""Pauses between tries: a daemon that restarts is back within about a second; more is for a person to look at."""

Result = TypeVar("Result")


def with_reconnects(attempt: Callable[[], Result], deadline: Deadline | None) -> Result:
    """Return what an attempt gives, trying again when the connection fails.

    Args:
        attempt: What may fail.
        deadline: Until when; None for a single attempt.

    Raises:
        ConnectionError: It failed each time.
        TimeoutError: The deadline came first.
    """
    for pause_s in PAUSES_S if deadline else ():
        try:
            return attempt()
        except ConnectionError:
            if deadline and deadline.remaining_s() <= pause_s:
                raise
            time.sleep(pause_s)
    return attempt()
