"""Owns which texts are numbers: the whole text or nothing, finite, and of a size that a device can mean."""

from __future__ import annotations

import re
from decimal import Decimal

_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,18}(?:\.[0-9]{0,18})?|\.[0-9]{1,18})(?:[eE][+-]?[0-9]{1,3})?")
_COUNT = re.compile(r"[0-9]{1,15}")
# A day in nanoseconds is 1e14; devices that report more report nonsense.
_LIMIT = 1e15


def number(text: str) -> float | None:
    """Return the number that a text is; None when it is none, or is beyond ±1e15.

    Example:
        >>> number("2.95034e+06"), number("76587.9 "), number("nan"), number("1e300")
        (2950340.0, None, None, None)
    """
    if not _NUMBER.fullmatch(text):
        return None
    value = float(text)
    return value if abs(value) < _LIMIT else None


def figure(text: str) -> float | None:
    """Return the number that a text is if it is not negative."""
    value = number(text)
    return value if value is not None and value >= 0 else None


def positive(text: str) -> float | None:
    """Return the number that a text is if it is above 0, as every latency is."""
    value = number(text)
    return value if value is not None and value > 0 else None


def count(text: str) -> int | None:
    """Return the whole number, not negative, that a text is."""
    return int(text) if _COUNT.fullmatch(text) else None


def integer(text: str) -> int | None:
    """Return the whole number, with or without a sign, that a text is."""
    magnitude = count(text.removeprefix("-"))
    return magnitude if magnitude is None or not text.startswith("-") else -magnitude


def scaled(text: str, factor: Decimal) -> float | None:
    """Return a number that is not negative times a factor, as exactly as the text is.

    Example:
        >>> scaled("0.00183404", Decimal(1000))
        1.83404
    """
    return None if figure(text) is None else float(Decimal(text) * factor)
