"""The moment by which something must have ended, however slowly its bytes trickle."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Deadline:
    """A moment in the future.

    Attributes:
        timeout_s: How long there was at the start.
        ends_s: The moment, on the monotonic clock.
    """

    timeout_s: float
    ends_s: float

    @classmethod
    def after(cls, timeout_s: float) -> Deadline:
        """Return the deadline that ends in `timeout_s`."""
        return cls(timeout_s, time.monotonic() + timeout_s)

    def remaining_s(self) -> float:
        """Return how much time is left, > 0.

        Raises:
            TimeoutError: None is.
        """
        left_s = self.ends_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        return left_s
