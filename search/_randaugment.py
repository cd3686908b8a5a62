"""RandAugment: a few random changes of one strength, for whole batches of images from 0 to 1 in grey or colour.

Images that undergo the same change are changed together.  Greys are those of Pillow where an image holds
whole numbers of 255ths, as pixels from files do, but nothing is rounded on the way.

Source: Cubuk et al. 2020, "RandAugment: Practical automated data augmentation with a reduced search space".
Differences: what moves into an image from outside repeats its border, where the authors fill in grey;
negatives are left out unless asked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

LARGEST_MAGNITUDE = 10
"""Magnitude at which changes are as strong as they get, as in AutoAugment."""

_SHEAR = 0.3
_TURN_DEG = 30.0
_TRANSLATION = 10 / 32
"""Of the image's side: AutoAugment's 10 pixels for images of CIFAR-10."""

_ENHANCEMENT = 0.9
_POSTERISED_BITS = 4
_LUMA = (0.299, 0.587, 0.114)
_LEVELS = 255

_MOVES = ("rotate", "shear_x", "shear_y", "translate_x", "translate_y")

_Change = Callable[[Tensor, Tensor], Tensor]
"""Takes images (n, channels, height, width) and signed strengths (n, 1, 1, 1), -1 to 1."""


def changed_at_random(
    images: Tensor, operations: int, magnitude: float, rng: np.random.Generator, *, invert: bool = False
) -> Tensor:
    """Return images after random changes, each image after its own.

    Args:
        images: From 0 to 1.  Shape: (n, channels, height, width) with 1 or 3 channels.
        operations: Changes an image, >= 0.
        magnitude: Strength of all changes, 0 to 10; their directions are random.
        rng: Draws changes and directions.
        invert: Whether negatives are among the changes.
    """
    names = names_of_changes(images.shape[1], invert=invert)
    for _ in range(operations):
        drawn = rng.integers(len(names), size=len(images))
        strengths = np.where(rng.random(len(images)) < 0.5, -1.0, 1.0) * (magnitude / LARGEST_MAGNITUDE)
        images = _changed(images, [names[index] for index in drawn], strengths)
    return images


def names_of_changes(channels: int, *, invert: bool) -> tuple[str, ...]:
    """Return the changes that are drawn from; `identity` is one of them."""
    left_out = {name for name, absent in (("invert", not invert), ("colour", channels == 1)) if absent}
    return ("identity", *_MOVES, *(name for name in CHANGES if name not in left_out))


def _changed(images: Tensor, names: list[str], strengths: npt.NDArray[np.float64]) -> Tensor:
    """Return images after one change each."""
    changed = images.clone(memory_format=torch.contiguous_format)
    chosen = np.array(names)
    moved = np.flatnonzero(np.isin(chosen, _MOVES))
    if len(moved):
        where = torch.from_numpy(moved)
        changed[where] = moves([names[index] for index in moved], strengths[moved], images[where])
    for name in sorted(set(names) & CHANGES.keys()):
        where = torch.from_numpy(np.flatnonzero(chosen == name))
        strength = torch.from_numpy(strengths.astype(np.float32))[where]
        changed[where] = CHANGES[name](images[where], strength[:, None, None, None])
    return changed


def moves(names: list[str], strengths: npt.NDArray[np.float64], images: Tensor) -> Tensor:
    """Return images each of which is rotated, sheared or translated, by bilinear interpolation."""
    maps = np.stack([_map(name, strength) for name, strength in zip(names, strengths, strict=True)])
    theta = torch.from_numpy(maps.astype(np.float32))
    _, _, height, width = images.shape
    # Coordinates run from -1 to 1 along both sides, however long they are.
    theta[:, 0, 1] *= height / width
    theta[:, 1, 0] *= width / height
    grid = functional.affine_grid(theta, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _map(name: str, strength: float) -> npt.NDArray[np.float64]:
    """Return the affine map from places in the moved image to those of the image.  Shape: (2, 3)."""
    cosine, sine = math.cos(math.radians(_TURN_DEG * strength)), math.sin(math.radians(_TURN_DEG * strength))
    sheared, moved = _SHEAR * strength, 2 * _TRANSLATION * strength
    rows = {
        "rotate": ((cosine, -sine, 0), (sine, cosine, 0)),
        "shear_x": ((1, sheared, 0), (0, 1, 0)),
        "shear_y": ((1, 0, 0), (sheared, 1, 0)),
        "translate_x": ((1, 0, moved), (0, 1, 0)),
        "translate_y": ((1, 0, 0), (0, 1, moved)),
    }
    return np.array(rows[name], dtype=np.float64)


def _grey(images: Tensor) -> Tensor:
    if images.shape[1] == 1:
        return images
    return (images * images.new_tensor(_LUMA)[:, None, None]).sum(dim=1, keepdim=True)


def _enhanced(plain: Callable[[Tensor], Tensor]) -> _Change:
    """Return the change that moves images away from, or towards, a plain form of themselves."""

    def change(images: Tensor, strengths: Tensor) -> Tensor:
        without = plain(images)
        return (without + (1 + _ENHANCEMENT * strengths) * (images - without)).clamp(0, 1)

    return change


def _smooth(images: Tensor) -> Tensor:
    """Return images with their inner pixels smoothed as Pillow's filter SMOOTH does."""
    kernel = torch.ones(3, 3)
    kernel[1, 1] = 5
    channels = images.shape[1]
    smoothed = images.clone()
    inner = functional.conv2d(images, (kernel / kernel.sum()).expand(channels, 1, 3, 3).contiguous(), groups=channels)
    smoothed[:, :, 1:-1, 1:-1] = inner
    return smoothed


def _posterise(images: Tensor, strengths: Tensor) -> Tensor:
    step = 2 ** (strengths.abs() * _POSTERISED_BITS).round()
    return torch.floor(_whole(images) / step) * step / _LEVELS


def _solarise(images: Tensor, strengths: Tensor) -> Tensor:
    return torch.where(images > 1 - strengths.abs(), 1 - images, images)


def _stretch(images: Tensor, _: Tensor) -> Tensor:
    least, most = images.amin(dim=(2, 3), keepdim=True), images.amax(dim=(2, 3), keepdim=True)
    return torch.where(most > least, (images - least) / (most - least).clamp_min(1e-6), images)


def _equalise(images: Tensor, _: Tensor) -> Tensor:
    """Spread the greys of each channel evenly, as Pillow does."""
    greys = _whole(images).long().flatten(2)
    counts = torch.zeros(*greys.shape[:2], _LEVELS + 1, dtype=torch.long)
    counts.scatter_add_(2, greys, torch.ones_like(greys))
    # The brightest grey's own pixels do not count.
    step = (greys.shape[2] - counts.gather(2, greys.amax(dim=2, keepdim=True))) // _LEVELS
    table = ((counts.cumsum(2) - counts + step // 2) // step.clamp_min(1)).clamp_max(_LEVELS)
    levels = table.gather(2, greys).view(images.shape).to(images.dtype) / _LEVELS
    return torch.where((step > 0)[..., None], levels, images)


def _whole(images: Tensor) -> Tensor:
    return (images * _LEVELS).round().clamp(0, _LEVELS)


CHANGES: Mapping[str, _Change] = MappingProxyType(
    {
        "autocontrast": _stretch,
        "brightness": _enhanced(torch.zeros_like),
        "colour": _enhanced(_grey),
        "contrast": _enhanced(lambda images: _grey(images).mean(dim=(1, 2, 3), keepdim=True)),
        "equalise": _equalise,
        "invert": lambda images, _: 1 - images,
        "posterise": _posterise,
        "sharpness": _enhanced(_smooth),
        "solarise": _solarise,
    }
)
"""Changes of brightness and colour by name."""
