"""Convolutions for training on a processor: the same function as torch's, on the road that is fast.

Supernets of small networks spend most of a step in the gradients of convolutions, and torch has two
slow spots there: 1x1 convolutions (up to 3 times the work of the matrix product that they are) and dilated
depthwise convolutions (5 to 10 times those without dilation).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

Pair = tuple[int, int]
Margins = tuple[Pair, Pair]
"""Padding (before, after) along height and along width."""


def convolution(
    *, groups: int, kernel: Pair, stride: Pair, dilation: Pair, margins: Margins
) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the function that convolves (images, kernel).

    Images have shape (n, channels, height, width), best in channels-last memory; kernels have shape
    (out_channels, channels / groups, *kernel).

    Args:
        groups: Independent groups of channels.
        kernel: Window (height, width).
        stride: Step (height, width).
        dilation: Spacing of the window's cells (height, width).
        margins: Zeros put around the images first.
    """
    if kernel == (1, 1) and groups == 1:
        return lambda images, weight: _pointwise(_padded(images, margins)[:, :, :: stride[0], :: stride[1]], weight)
    if dilation != (1, 1) and stride == dilation:
        return lambda images, weight: functional.conv2d(
            _padded(images, margins)[:, :, :: stride[0], :: stride[1]].contiguous(memory_format=torch.channels_last),
            weight,
            groups=groups,
        )
    if dilation != (1, 1) and stride == (1, 1):
        return lambda images, weight: _dilated(images, weight, groups, dilation, margins)
    inside, outside = symmetric(margins)

    def convolve(images: Tensor, weight: Tensor) -> Tensor:
        padded = functional.pad(images, outside) if outside else images
        rows, columns = (
            (size + 2 * margin - (window - 1) * spacing - 1) // step + 1
            for size, margin, window, spacing, step in zip(
                padded.shape[2:], inside, kernel, dilation, stride, strict=True
            )
        )
        # A stride along an axis with one output does nothing, but oneDNN has returned garbage for such ones.
        steps = stride[0] if rows > 1 else 1, stride[1] if columns > 1 else 1
        values = functional.conv2d(padded, weight, None, steps, inside, dilation, groups)
        return _cut(values, rows, columns)

    return convolve


def symmetric(margins: Margins) -> tuple[Pair, tuple[int, ...]]:
    """Return (padding that torch's operators do themselves, padding to put around the images before; or ())."""
    (top, bottom), (left, right) = margins
    if top == bottom and left == right:
        return (top, left), ()
    return (0, 0), (left, right, top, bottom)


def _padded(images: Tensor, margins: Margins) -> Tensor:
    (top, bottom), (left, right) = margins
    return functional.pad(images, (left, right, top, bottom)) if top + bottom + left + right else images


def _pointwise(images: Tensor, weight: Tensor) -> Tensor:
    """Convolve by 1x1 as a matrix product over channels, which are last in memory."""
    return functional.linear(images.permute(0, 2, 3, 1), weight.flatten(1)).permute(0, 3, 1, 2)


def _dilated(images: Tensor, weight: Tensor, groups: int, dilation: Pair, margins: Margins) -> Tensor:
    """Convolve with dilation d as plain convolutions of the d * d interleaved images that it never mixes."""
    (top, bottom), (left, right) = margins
    down, across = dilation
    count, channels, height, width = images.shape
    # Interleaved images must be of equal size: the last rows and columns that fill up are cut off again.
    fill_down, fill_across = -(height + top + bottom) % down, -(width + left + right) % across
    padded = _padded(images, ((top, bottom + fill_down), (left, right + fill_across)))
    rows, columns = padded.shape[2] // down, padded.shape[3] // across
    apart = padded.permute(0, 2, 3, 1).reshape(count, rows, down, columns, across, channels).permute(2, 4, 0, 1, 3, 5)
    apart = apart.reshape(down * across * count, rows, columns, channels).permute(0, 3, 1, 2)
    values = functional.conv2d(apart, weight, groups=groups).permute(0, 2, 3, 1)
    _, rows, columns, channels = values.shape
    together = values.reshape(down, across, count, rows, columns, channels).permute(2, 3, 0, 4, 1, 5)
    together = together.reshape(count, rows * down, columns * across, channels).permute(0, 3, 1, 2)
    reach_down, reach_across = (weight.shape[2] - 1) * down, (weight.shape[3] - 1) * across
    return _cut(together, height + top + bottom - reach_down, width + left + right - reach_across)


def _cut(values: Tensor, rows: int, columns: int) -> Tensor:
    """Return the first rows and columns, as a tensor of its own.

    From some views of a tensor, such as one of a single column, torch's batch norm takes wrong gradients; asking for
    contiguous memory does not mend it, since the stride of a single column counts as any.
    """
    if values.shape[2:] == (rows, columns):
        return values
    return values[:, :, :rows, :columns].clone(memory_format=torch.channels_last)
