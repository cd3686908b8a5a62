"""Owns what a search says of its way: where it stands after a step, and when it may end."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from search.state import GenerationRecord


@dataclass(frozen=True, slots=True)
class SearchProgress:
    """How far a search is, after a step.

    Attributes:
        step: Steps taken, of `steps`.
        steps: Steps of the whole search.
        generation: The record of the generation that just ended; None after a step that only learned.
        loss: Mean training loss of the step; 0 when nothing was learned.
        elapsed_s: Since this process began or resumed the search.
        eta_s: Expected time to the end, at the pace of the step just taken and those like it.
        dropped: Candidates so far that were left out because their accuracy was no finite number.
        measured: Architectures so far that were measured in the closed loop.
    """

    step: int
    steps: int
    generation: GenerationRecord | None
    loss: float
    elapsed_s: float
    eta_s: float
    dropped: int = 0
    measured: int = 0


class Pace:
    """How long the steps of each kind take, for an expected end."""

    def __init__(self) -> None:
        self._began_s = self._last_s = time.monotonic()
        self._seconds: dict[str, list[float]] = {}

    def mark(self, kind: str, steps_left: int) -> tuple[float, float]:
        """Note the end of a step; return the time since the start and the expected time to the end, in s."""
        now_s = time.monotonic()
        durations = self._seconds.setdefault(kind, [])
        durations.append(now_s - self._last_s)
        self._last_s = now_s
        return now_s - self._began_s, steps_left * float(np.mean(durations))
