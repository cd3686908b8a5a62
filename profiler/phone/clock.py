"""A phone's clock: virtual time, which stands still, runs like ours, or faster than ours."""

from __future__ import annotations

import asyncio
import math
import threading
import time


class PhoneClock:
    """Tells a phone's time, and lets it pass by what the phone does.

    At speed 0 a second of work is over at once, and nothing but work moves the clock.  At a speed above 0 the clock
    runs by itself, a second of it in `speed` of our seconds, and work waits for as long as it takes.

    Args:
        speed: Our seconds for one of the phone's, from 0 to 1.
        start_unix_s: Where it starts, in seconds since 1970; None for our present time.

    Attributes:
        speed: Our seconds for one of the phone's.

    Raises:
        ValueError: The speed is not in 0 to 1.
    """

    def __init__(self, speed: float = 0.0, start_unix_s: float | None = None) -> None:
        if not 0.0 <= speed <= 1.0:
            raise ValueError(f"a phone's clock runs at a speed from 0 to 1, not {speed}")
        self.speed = speed
        self._start_s = time.time() if start_unix_s is None else start_unix_s
        self._began_s = time.monotonic()
        self._jumped_s = 0.0
        # A server's loop and whoever drives the phone from another thread both let time pass.
        self._lock = threading.Lock()

    @property
    def elapsed_s(self) -> float:
        """Seconds that have passed on it: finer than `now_s`, whose large number leaves few digits."""
        flowed_s = (time.monotonic() - self._began_s) / self.speed if self.speed else 0.0
        return flowed_s + self._jumped_s

    @property
    def now_s(self) -> float:
        """Its time, in seconds since 1970."""
        return self._start_s + self.elapsed_s

    async def spend(self, seconds: float) -> None:
        """Let time pass by work on the phone; others get their turn meanwhile.

        Raises:
            ValueError: The time is negative or not finite.
        """
        self._jump(seconds)
        await asyncio.sleep(seconds * self.speed)

    def sleep_s(self, seconds: float) -> None:
        """Let time pass for who waits for the phone to cool or to come to rest; for threads other than its own.

        Raises:
            ValueError: The time is negative or not finite.
        """
        self._jump(seconds)
        time.sleep(seconds * self.speed)

    def _jump(self, seconds: float) -> None:
        if not (math.isfinite(seconds) and seconds >= 0.0):
            raise ValueError(f"no time passes in {seconds} seconds")
        if not self.speed:
            with self._lock:
                self._jumped_s += seconds
