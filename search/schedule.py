"""Learning-rate schedules."""

from __future__ import annotations

import math


def cosine(first: float, last: float, epoch: int, epochs: int) -> float:
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
