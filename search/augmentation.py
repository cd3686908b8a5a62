"""Training images as torch sees them: in shuffled batches, changed at random, and mixed with one another."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from search._randaugment import LARGEST_MAGNITUDE, changed_at_random
from search.errors import TrainingError
from search.images import ImageData, Images, Labels


@dataclass(frozen=True)
class Augmentation:
    """Random changes to training images that leave their class as it is.

    They are made in the order of the attributes, the hole last of all.

    Attributes:
        shift: Farthest shift along each axis, as a share of the image's height, 0 to 1; the border is repeated.
        cutout: Height of the square that is blanked, as a share of the image's height (DeVries & Taylor 2017).
        mirror: Whether half of the images are mirrored left to right; see `fitting`.
        operations: How many of RandAugment's changes each image undergoes, one after the other; 0 for none.
        magnitude: How strong these are, 0 to 10 (Cubuk et al. 2020).
        invert: Whether RandAugment may turn images into their negatives; wrong where classes differ in brightness.

    Raises:
        TrainingError: A setting is out of its range.
    """

    shift: float = 0.0
    cutout: float = 0.0
    mirror: bool = False
    operations: int = 0
    magnitude: float = 5.0
    invert: bool = False

    def __post_init__(self) -> None:
        for name, largest in (("shift", 1), ("cutout", 1), ("operations", math.inf), ("magnitude", LARGEST_MAGNITUDE)):
            value = getattr(self, name)
            if not 0 <= value <= largest:
                raise TrainingError(f"augmentation: {name} must lie in 0 to {largest:g}, not {value}")

    def fitting(self, data: ImageData) -> Augmentation:
        """Return the augmentation without mirroring unless images of the data set may be mirrored."""
        return replace(self, mirror=self.mirror and data.mirrored)

    def apply(self, images: Tensor, rng: np.random.Generator) -> Tensor:
        """Return changed images, channels last in memory.

        Args:
            images: From 0 to 1 where `operations` is not 0.  Shape: (n, channels, height, width).
            rng: Decides; it is drawn from in the same way whatever torch does.
        """
        count, _, height, width = images.shape
        if self.operations:
            images = changed_at_random(images, self.operations, self.magnitude, rng, invert=self.invert)
        reach = round(self.shift * height)
        if reach or self.mirror:
            offsets = rng.integers(-reach, reach + 1, size=(count, 2)) if reach else np.zeros((count, 2), np.int64)
            flips = rng.random(count) < 0.5 if self.mirror else np.zeros(count, np.bool_)
            images = _moved(images, offsets, flips)
        side = round(self.cutout * height)
        if side:
            images = images * _holes((height, width), side, rng.integers((0, 0), (height, width), size=(count, 2)))
        return images.contiguous(memory_format=torch.channels_last)


AUGMENTATIONS: Mapping[str, Augmentation] = MappingProxyType(
    {
        "none": Augmentation(),
        "basic": Augmentation(shift=0.125, mirror=True),
        "randaugment": Augmentation(shift=0.125, mirror=True, operations=2),
    }
)
"""Augmentations by the names that settings use."""


def to_torch(images: Images) -> Tensor:
    """Return NHWC images as an NCHW tensor, channels last in memory, without a copy."""
    return torch.from_numpy(images).permute(0, 3, 1, 2)


def batches(
    images: Tensor,
    labels: Tensor,
    size: int,
    augmentation: Augmentation,
    rng: np.random.Generator,
    *,
    mixup: float = 0.0,
    classes: int = 0,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield one pass over the images in random order, in augmented batches of equal size.

    What is left over after the last full batch sits out this pass: a batch norm needs full batches.

    Args:
        images: Shape: (n, channels, height, width).
        labels: Shape: (n,).
        size: Images a batch; all of them when there are fewer.
        augmentation: Applied to each batch.
        rng: Orders, augments and mixes.
        mixup: Parameter alpha of the Beta distribution of which each batch draws its proportion (Zhang et al.
            2018); 0 for images that are not mixed.
        classes: How many there are; needed where images are mixed.

    Returns:
        Pairs of images and labels: indices of shape (size,), or where images are mixed each class's share, of
        shape (size, classes).  `torch.nn.functional.cross_entropy` takes both.
    """
    size = min(size, len(labels))
    order = torch.from_numpy(rng.permutation(len(labels)))
    for start in range(0, len(labels) - size + 1, size):
        chosen = order[start : start + size]
        changed, own = augmentation.apply(images[chosen], rng), labels[chosen]
        yield _mixed(changed, own, mixup, classes, rng) if mixup else (changed, own)


def labels_to_torch(labels: Labels) -> Tensor:
    """Return labels as a tensor of int64."""
    return torch.from_numpy(labels)


def _mixed(
    images: Tensor, labels: Tensor, alpha: float, classes: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Return each image mixed with another of the batch, and the shares of classes."""
    own = float(rng.beta(alpha, alpha))
    partners = torch.from_numpy(rng.permutation(len(labels)))
    shares = functional.one_hot(labels, classes).to(images.dtype)
    # lerp(a, b, t) = a + t * (b - a)
    return images.lerp(images[partners], 1 - own), shares.lerp(shares[partners], 1 - own)


def _moved(images: Tensor, offsets: np.ndarray, flips: np.ndarray) -> Tensor:
    """Shift each image by its own (rows, columns), repeating the border, and mirror some of them."""
    count, channels, height, width = images.shape
    rows = np.clip(np.arange(height) + offsets[:, :1], 0, height - 1)
    columns = np.clip(np.arange(width) + offsets[:, 1:], 0, width - 1)
    columns = np.where(flips[:, None], columns[:, ::-1], columns)
    places = (np.arange(count)[:, None, None] * height + rows[:, :, None]) * width + columns[:, None, :]
    pixels = images.permute(0, 2, 3, 1).reshape(count * height * width, channels)
    moved = pixels.index_select(0, torch.from_numpy(places.ravel()))
    return moved.view(count, height, width, channels).permute(0, 3, 1, 2)


def _holes(size: tuple[int, int], side: int, centres: np.ndarray) -> Tensor:
    """Return masks that are 0 in a square around each centre (row, column), clipped at the border."""
    first = torch.from_numpy(centres - side // 2)
    rows, columns = torch.arange(size[0])[None, :], torch.arange(size[1])[None, :]
    in_rows = (rows >= first[:, :1]) & (rows < first[:, :1] + side)
    in_columns = (columns >= first[:, 1:]) & (columns < first[:, 1:] + side)
    return (~(in_rows[:, :, None] & in_columns[:, None, :]))[:, None].float()
