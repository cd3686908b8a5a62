"""Labelled images, and how they are split into training, validation and test images."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from search.errors import DataError

Images = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]

LEAST_PER_CLASS = 5
"""Fewest images of a class that can be split 3:1:1 with one left for each part."""

_PARTS = (0.6, 0.2, 0.2)
"""Shares of training, validation and test images where a data set brings no split of its own."""

_VALIDATION_SHARE = 0.2
"""Share of the other images that validates where the test images are given."""


@dataclass(frozen=True)
class LabelledImages:
    """Images with their classes, before they are split.

    Attributes:
        pixels: uint8, or float32 from 0 to 1.  Shape: (n, height, width, channels).
        labels: Index of each image's class.  Shape: (n,).
    """

    pixels: npt.NDArray[np.uint8] | Images
    labels: Labels

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: npt.NDArray[np.intp]) -> LabelledImages:
        """Return the images at some indices, in that order."""
        return LabelledImages(self.pixels[indices], self.labels[indices])

    def scaled(self) -> Images:
        """Return the pixels as float32 from 0 to 1."""
        if self.pixels.dtype == np.uint8:
            return self.pixels.astype(np.float32) / np.float32(255)
        return self.pixels.astype(np.float32, copy=False)


@dataclass(frozen=True, eq=False)
class ImageData:
    """Images for training, validation and test, with plain pixels: the networks take what a file holds.

    No mean is taken off and nothing is divided by a deviation: the batch norm behind the first
    convolution does that, and it is folded into the network that is exported.  So whoever runs the
    exported network needs to know nothing but "pixels from 0 to 1".

    Attributes:
        name: Of the data set.
        train_x: Training images, 0 to 1.  Shape: (n_train, height, width, channels).
        train_y: Their classes.  Shape: (n_train,).
        val_x: Validation images, which choose among architectures.  Shape: (n_val, height, width, channels).
        val_y: Their classes.  Shape: (n_val,).
        test_x: Test images, which choose nothing.  Shape: (n_test, height, width, channels).
        test_y: Their classes.  Shape: (n_test,).
        class_names: Name of each class, by index.
        source: Where the images come from, in words.
        licence: Their licence as far as it is known.
        mirrored: Whether an image keeps its class when it is mirrored left to right.
    """

    name: str
    train_x: Images
    train_y: Labels
    val_x: Images
    val_y: Labels
    test_x: Images
    test_y: Labels
    class_names: tuple[str, ...]
    source: str
    licence: str
    mirrored: bool = False

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels."""
        _, height, width, channels = self.train_x.shape
        return height, width, channels

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @cached_property
    def digest(self) -> str:
        """SHA-256 (32 hex digits) of all that a training depends on: images, classes, split, and `mirrored`.

        Name, source and licence do not matter, so a file that was moved keeps its digest.
        """
        digest = hashlib.sha256(repr((self.class_names, self.mirrored)).encode())
        for array in (self.train_x, self.train_y, self.val_x, self.val_y, self.test_x, self.test_y):
            digest.update(f"{array.dtype.str} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()[:32]


def check_images(images: LabelledImages, class_names: Sequence[str], *, source: str) -> None:
    """Check that images can be trained on.

    Raises:
        DataError: There are too few classes, or images of one, or values are not finite or out of range.
    """
    if len(class_names) < 2:
        raise DataError(f"has {len(class_names)} class(es); at least 2 are needed", source=source)
    counts = np.bincount(images.labels, minlength=len(class_names))
    if counts.min() < LEAST_PER_CLASS:
        poor = class_names[int(counts.argmin())]
        raise DataError(
            f"class {poor!r} has {counts.min()} image(s); at least {LEAST_PER_CLASS} of each are needed: "
            "add some, or remove the class",
            source=source,
        )
    if images.pixels.dtype != np.uint8 and not (
        np.isfinite(images.pixels).all() and images.pixels.min() >= 0 and images.pixels.max() <= 1
    ):
        raise DataError("floating-point pixels must be finite and lie in 0 to 1", source=source)


def split(
    images: LabelledImages, rng: np.random.Generator, shares: Sequence[float] = _PARTS
) -> tuple[LabelledImages, ...]:
    """Split images by random choice within each class, so that each part has the classes in like proportion.

    Args:
        images: All images.
        rng: Chooses; the caller owns the seed.
        shares: Of each part; they add up to 1.

    Returns:
        One part for each share, each in random order.
    """
    members: list[list[npt.NDArray[np.intp]]] = [[] for _ in shares]
    for label in np.unique(images.labels):
        shuffled = rng.permutation(np.flatnonzero(images.labels == label))
        bounds = np.rint(np.cumsum(shares)[:-1] * len(shuffled)).astype(np.intp)
        for part, chosen in zip(members, np.split(shuffled, bounds), strict=True):
            part.append(chosen)
    return tuple(images.take(rng.permutation(np.concatenate(part))) for part in members)


def limited(images: LabelledImages, count: int, rng: np.random.Generator) -> LabelledImages:
    """Return about `count` of the images with the classes in like proportion; all when there are no more."""
    if len(images) <= count:
        return images
    return split(images, rng, (count / len(images), 1 - count / len(images)))[0]


def split_given_test(
    others: LabelledImages, test: LabelledImages, rng: np.random.Generator
) -> tuple[LabelledImages, LabelledImages, LabelledImages]:
    """Return training, validation and test images of a data set whose test images are given."""
    train, validation = split(others, rng, (1 - _VALIDATION_SHARE, _VALIDATION_SHARE))
    return train, validation, test
