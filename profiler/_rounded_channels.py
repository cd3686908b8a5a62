"""Owns how MobileNets, and what descends from them, round numbers of channels."""

from __future__ import annotations


def rounded_channels(channels: float, divisor: int = 8) -> int:
    """Round channels to a multiple of a divisor, and never down by more than a tenth.

    Example:
        >>> rounded_channels(20.0), rounded_channels(9.0)
        (24, 16)
    """
    nearest = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return nearest + divisor if nearest < 0.9 * channels else nearest
