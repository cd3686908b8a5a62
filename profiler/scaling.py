"""How published networks are made wider, narrower and fit for other images: channels and strides.

The zoo and the search spaces scale by these rules alike, so that a baseline and a found network differ in nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["LEAST_MAP", "rounded_channels", "scaled_strides"]

LEAST_MAP = 3
"""Least height and width of a network's last map in pixels: what the published networks have at 96x96, the smallest
images that they were published for."""


def rounded_channels(channels: float, divisor: int = 8) -> int:
    """Round channels to a multiple of a divisor, and never down by more than a tenth.

    Example:
        >>> rounded_channels(20.0), rounded_channels(9.0)
        (24, 16)
    """
    nearest = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return nearest + divisor if nearest < 0.9 * channels else nearest


def scaled_strides(published: Sequence[int], size: tuple[int, int]) -> tuple[int, ...]:
    """Return the strides of a network's layers for images of a size: the first ones are left out on small images.

    As many strides stay, counted from the last, as leave a last map of LEAST_MAP. So 224x224 ends in 7x7 and 96x96 in
    3x3, both with all five strides of a mobile network; 64x64, 32x32 and 28x28 all end in 4x4, with four, three and
    three of them.

    Args:
        published: Stride of each layer as published, in their order, each > 0.
        size: Height and width of the image in pixels.

    Returns:
        Stride of each layer; 1 where one was left out.

    Example:
        >>> scaled_strides((2, 2, 1, 2), (8, 8)), scaled_strides((2, 2, 1, 2), (224, 224))
        ((1, 1, 1, 2), (2, 2, 1, 2))
    """
    least, kept, total = min(size), [1] * len(published), 1
    for layer in reversed(range(len(published))):
        total *= published[layer]
        if -(-least // total) < LEAST_MAP:
            break
        kept[layer] = published[layer]
    return tuple(kept)
