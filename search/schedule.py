"""Learning-rate schedules: half cosines, with warm restarts and a linear warm-up."""

from __future__ import annotations

import math
from dataclasses import dataclass

from search.errors import TrainingError


@dataclass(frozen=True)
class Schedule:
    """How the learning rate moves during a training, as shares of its highest value.

    Each cycle follows half a cosine from the highest rate down to the least; after it, the rate starts anew
    (SGDR).  The last cycle always ends with the training: what is left over after the last whole cycle
    lengthens that one, since weights are of use only where the rate is low.

    Attributes:
        least: Lowest rate as a share of the highest, 0 to 1.
        warmup_epochs: Epochs, >= 0, over which the rate rises linearly from 0 at the start of the training.
        first_cycle: Epochs of the first cycle; 0 for a single cycle without restarts.
        multiplier: How many times as long as a cycle the next one is, >= 1.

    Raises:
        TrainingError: A setting is out of its range.

    Source: Loshchilov & Hutter 2017, "SGDR: Stochastic Gradient Descent with Warm Restarts".

    Example:
        >>> Schedule(first_cycle=2, multiplier=2).cycles(7)
        (2, 5)
        >>> [round(Schedule(first_cycle=2).factor(epoch, 6), 2) for epoch in range(7)]
        [1.0, 0.5, 1.0, 0.85, 0.5, 0.15, 0.0]
    """

    least: float = 0.0
    warmup_epochs: float = 0.0
    first_cycle: int = 0
    multiplier: int = 2

    def __post_init__(self) -> None:
        if not 0 <= self.least <= 1:
            raise TrainingError(f"least must be a share of the highest learning rate, 0 to 1, not {self.least}")
        if not 0 <= self.warmup_epochs < math.inf:
            raise TrainingError(f"warmup_epochs must be at least 0, not {self.warmup_epochs}")
        if self.first_cycle < 0:
            raise TrainingError(f"first_cycle must be at least 0, not {self.first_cycle}")
        if self.multiplier < 1:
            raise TrainingError(f"multiplier must be at least 1, not {self.multiplier}")

    def cycles(self, epochs: int) -> tuple[int, ...]:
        """Return the lengths of the cycles of a training, in epochs."""
        if not 0 < self.first_cycle < epochs:
            return (epochs,)
        lengths, following = [self.first_cycle], self.first_cycle * self.multiplier
        while sum(lengths) + following <= epochs:
            lengths.append(following)
            following *= self.multiplier
        lengths[-1] += epochs - sum(lengths)
        return tuple(lengths)

    def factor(self, epoch: float, epochs: int) -> float:
        """Return the learning rate at a moment, as a share of the highest; the least one after all epochs.

        Args:
            epoch: Epochs since the start, >= 0; the middle of a step is a good moment to ask for.
            epochs: Epochs of the training, >= 1.
        """
        start = 0
        for length in self.cycles(epochs):
            if epoch < start + length:
                rising = min(1.0, epoch / self.warmup_epochs) if self.warmup_epochs else 1.0
                return rising * cosine(1.0, self.least, epoch - start, length)
            start += length
        return self.least


def cosine(first: float, last: float, epoch: float, epochs: int) -> float:
    """Return the learning rate of an epoch: half a cosine from `first` at epoch 0 to `last` after all, and then on.

    Args:
        first: Learning rate of epoch 0.
        last: Learning rate from epoch `epochs` on.
        epoch: The epoch, >= 0.
        epochs: Number of epochs, >= 1.

    Source: Loshchilov & Hutter 2017, without restarts.

    Example:
        >>> [round(cosine(0.1, 0.0, epoch, 4), 3) for epoch in range(6)]
        [0.1, 0.085, 0.05, 0.015, 0.0, 0.0]
    """
    progress = min(epoch / epochs, 1.0)
    return last + (first - last) * 0.5 * (1 + math.cos(math.pi * progress))
