"""Which part of a shared weight an architecture uses that needs less of it than the largest does.

It takes the leading output channels, the leading input channels, and the centre of the window.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from search.errors import SupernetError

Shape = tuple[int, ...]

_CHANNEL_AXES = 2
"""Axes of a weight that count channels: outputs, then inputs.  Those behind them are the window."""


def part(whole: Shape, wanted: Shape) -> tuple[slice, ...]:
    """Return the index of a part of a weight.

    Args:
        whole: Shape of the weight.
        wanted: Shape of the part, nowhere larger.

    Example:
        >>> part((8, 4, 5, 5), (6, 4, 3, 3))
        (slice(0, 6, None), slice(0, 4, None), slice(1, 4, None), slice(1, 4, None))
    """
    starts = (0 if axis < _CHANNEL_AXES else (whole[axis] - size) // 2 for axis, size in enumerate(wanted))
    return tuple(slice(start, start + size) for start, size in zip(starts, wanted, strict=True))


def parts_of(weights: Mapping[str, Tensor], shapes: Mapping[str, Shape]) -> dict[str, Tensor]:
    """Return the parts of some shapes: views, through which gradients flow back; whole weights as they are.

    Args:
        weights: At least those of `shapes`, none smaller.
        shapes: Of each weight that is wanted.

    Raises:
        SupernetError: A weight is missing or too small.
    """
    found = {}
    for name, shape in shapes.items():
        weight = weights.get(name)
        if weight is None:
            raise SupernetError(f"there is no weight {name!r}")
        found[name] = weight if weight.shape == shape else _checked(name, weight, shape)[part(weight.shape, shape)]
    return found


def _checked(name: str, weight: Tensor, shape: Shape) -> Tensor:
    if weight.dim() != len(shape) or any(size > most for size, most in zip(shape, weight.shape, strict=True)):
        raise SupernetError(f"weight {name!r} of shape {tuple(weight.shape)} has no part of shape {shape}")
    return weight
