"""How long a backend waits for a phone, and by which clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Patience:
    """Deadlines for a phone, each in seconds.

    Attributes:
        answer_s: For a short command.
        return_s: Until a phone that went away is back.
        boot_s: Until one that is back has booted.
        look_every_s: Between two looks for either.
        cooldown_s: Until one that throttles has cooled down; 20 min, as tradefed waits.
        cooldown_look_every_s: Between two looks for that; 30 s, as tradefed.
        sleep_s: Sleeps; the emulated phone's own clock, where its time is not ours.
    """

    answer_s: float = 30.0
    return_s: float = 120.0
    boot_s: float = 300.0
    look_every_s: float = 2.0
    cooldown_s: float = 1200.0
    cooldown_look_every_s: float = 30.0
    sleep_s: Callable[[float], None] = time.sleep

    def moments(self, limit_s: float, every_s: float) -> Iterator[float]:
        """Yield the seconds slept so far, at once and after each sleep, until the limit.

        Both the time slept and the time that really passed count, for each look takes time as well, and sleep may be
        an emulated phone's.
        """
        began_s, slept_s = time.monotonic(), 0.0
        while True:
            yield slept_s
            if max(slept_s, time.monotonic() - began_s) + every_s > limit_s:
                return
            self.sleep_s(every_s)
            slept_s += every_s
