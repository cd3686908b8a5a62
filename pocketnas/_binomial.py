"""Owns the interval of an accuracy that was counted on so many images."""

from __future__ import annotations

import math

_QUANTILE = 1.959964
"""Of the normal distribution, for 95 %."""


def accuracy_interval(accuracy: float, images: int) -> tuple[float, float]:
    """Return the 95 % interval of a share.

    Args:
        accuracy: Share of images that were classified rightly, 0 to 1.
        images: How many there were, >= 1.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference".

    Example:
        >>> low, high = accuracy_interval(0.9, 100)
        >>> round(low, 3), round(high, 3)
        (0.826, 0.945)
    """
    square = _QUANTILE**2
    middle = (accuracy + square / (2 * images)) / (1 + square / images)
    half = _QUANTILE / (1 + square / images) * math.sqrt(accuracy * (1 - accuracy) / images + square / (4 * images**2))
    return max(0.0, middle - half), min(1.0, middle + half)
