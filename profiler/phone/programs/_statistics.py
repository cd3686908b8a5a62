"""Running statistics of whole microseconds, as TensorFlow's tools keep and print them.

Source: tsl/util/stats_calculator.h: count, first, newest, min, max, sum and the sum of squares; a standard deviation
that is cut to a whole number; percentiles that are the value at rank n*p/100.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Microseconds = npt.NDArray[np.int64]


@dataclass
class Stat:
    """Statistics of whole numbers that came one after the other.

    Attributes:
        count: How many.
        first: The first.
        newest: The last.
        least: The smallest.
        largest: The largest.
        total: Their sum.
        squares: The sum of their squares.
    """

    count: int = 0
    first: int = 0
    newest: int = 0
    least: int = 0
    largest: int = 0
    total: int = 0
    squares: float = 0.0

    def add(self, values: Microseconds) -> None:
        """Take more values, in order."""
        if not values.size:
            return
        least, largest = int(values.min()), int(values.max())
        self.least = min(self.least, least) if self.count else least
        self.largest = max(self.largest, largest) if self.count else largest
        self.first = self.first if self.count else int(values[0])
        self.newest = int(values[-1])
        self.count += values.size
        self.total += int(values.sum())
        self.squares += float(np.square(values, dtype=np.float64).sum())

    @property
    def average(self) -> float:
        """Mean; NaN of nothing."""
        return self.total / self.count if self.count else math.nan

    @property
    def variance(self) -> int:
        """Variance, cut to a whole number."""
        if not self.count or self.least == self.largest:
            return 0
        return int(max(0.0, self.squares / self.count - self.average**2))

    @property
    def deviation(self) -> int:
        """Standard deviation, cut to a whole number."""
        return int(math.sqrt(self.variance))

    def line(self) -> str:
        """Return them as a line of the log."""
        if not self.count:
            return "count=0"
        if self.least == self.largest:
            return f"count={self.count} curr={self.newest}" + ("(all same)" if self.count > 1 else "")
        return (
            f"count={self.count} first={self.first} curr={self.newest} min={self.least} max={self.largest}"
            f" avg={self.average:g} std={self.deviation}"
        )


class StatWithPercentiles(Stat):
    """Statistics that keep the values, for percentiles."""

    _MOST_VALUES = 1 << 21
    """Beyond them percentiles are those of the first two millions, which differ from all by nothing that shows."""

    def __init__(self) -> None:
        super().__init__()
        self._kept: list[Microseconds] = []

    def add(self, values: Microseconds) -> None:
        """Take more values, in order."""
        if self.count < self._MOST_VALUES:
            self._kept.append(values)
        super().add(values)

    def percentiles(self, *percents: int) -> tuple[int, ...]:
        """Return the values at ranks n*p/100; 0 of nothing."""
        if not self.count:
            return (0,) * len(percents)
        values = np.concatenate(self._kept)
        ranks = [values.size * percent // 100 for percent in percents]
        return tuple(int(value) for value in np.partition(values, ranks)[ranks])

    def line(self) -> str:
        """Return them as a line of the log."""
        low, median, high = self.percentiles(5, 50, 95)
        return f"{super().line()} p5={low} median={median} p95={high}"
