"""Training images as torch sees them: in shuffled batches, shifted, mirrored and with holes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from search.images import Images, Labels


@dataclass(frozen=True)
class Augmentation:
    """Random changes to training images that leave their class as it is.

    Attributes:
        shift: Farthest shift along each axis, as a share of the image's height; the border is repeated.
        cutout: Height of the square that is blanked, as a share of the image's height (DeVries & Taylor 2017).
        mirror: Whether half of the images are mirrored left to right.
    """

    shift: float = 0.0
    cutout: float = 0.0
    mirror: bool = False

    def apply(self, images: Tensor, rng: np.random.Generator) -> Tensor:
        """Return changed images.

        Args:
            images: Shape: (n, channels, height, width).
            rng: Decides; it is drawn from in the same way whatever torch does.
        """
        count, _, height, width = images.shape
        reach = round(self.shift * height)
        if reach:
            images = _shifted(images, reach, rng.integers(-reach, reach + 1, size=(count, 2)))
        if self.mirror:
            flips = torch.from_numpy(rng.random(count) < 0.5)
            images = torch.where(flips[:, None, None, None], images.flip(3), images)
        side = round(self.cutout * height)
        if side:
            images = images * _holes((height, width), side, rng.integers((0, 0), (height, width), size=(count, 2)))
        return images.contiguous(memory_format=torch.channels_last)


def to_torch(images: Images) -> Tensor:
    """Return NHWC images as an NCHW tensor, channels last in memory, without a copy."""
    return torch.from_numpy(images).permute(0, 3, 1, 2)


def batches(
    images: Tensor, labels: Tensor, size: int, augmentation: Augmentation, rng: np.random.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield one pass over the images in random order, in augmented batches of equal size.

    What is left over after the last full batch sits out this pass: a batch norm needs full batches.

    Args:
        images: Shape: (n, channels, height, width).
        labels: Shape: (n,).
        size: Images a batch; all of them when there are fewer.
        augmentation: Applied to each batch.
        rng: Orders and augments.
    """
    size = min(size, len(labels))
    order = torch.from_numpy(rng.permutation(len(labels)))
    for start in range(0, len(labels) - size + 1, size):
        chosen = order[start : start + size]
        yield augmentation.apply(images[chosen], rng), labels[chosen]


def labels_to_torch(labels: Labels) -> Tensor:
    """Return labels as a tensor of int64."""
    return torch.from_numpy(labels)


def _shifted(images: Tensor, reach: int, offsets: np.ndarray) -> Tensor:
    """Shift each image by its own (rows, columns), all within `reach`, repeating the border."""
    count, _, height, width = images.shape
    padded = functional.pad(images, (reach,) * 4, mode="replicate")
    rows = torch.arange(height)[None, :] + torch.from_numpy(offsets[:, :1] + reach)
    columns = torch.arange(width)[None, :] + torch.from_numpy(offsets[:, 1:] + reach)
    picked = padded.permute(0, 2, 3, 1)[torch.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]
    return picked.permute(0, 3, 1, 2)


def _holes(size: tuple[int, int], side: int, centres: np.ndarray) -> Tensor:
    """Return masks that are 0 in a square around each centre (row, column), clipped at the border."""
    first = torch.from_numpy(centres - side // 2)
    rows, columns = torch.arange(size[0])[None, :], torch.arange(size[1])[None, :]
    in_rows = (rows >= first[:, :1]) & (rows < first[:, :1] + side)
    in_columns = (columns >= first[:, 1:]) & (columns < first[:, 1:] + side)
    return (~(in_rows[:, :, None] & in_columns[:, None, :]))[:, None].float()
