"""A small data set and a small space, for tests that train."""

from __future__ import annotations

import numpy as np

from search.images import ImageData
from search.spaces import CarsGenotype, CarsParams, CarsSpace
from search.supernet import Supernet, SupernetParams

SPACE = CarsSpace(CarsParams(image_shape=(8, 8, 1), classes=4, cells=3, channels=4, nodes=2))


def stripes(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Noisy images whose class is the pair of rows that is bright."""
    classes = rng.integers(4, size=count)
    images = rng.random((count, 8, 8, 1), dtype=np.float32) * 0.5
    for image, bright in zip(images, classes, strict=True):
        image[2 * bright : 2 * bright + 2] += 0.5
    return images, classes.astype(np.int64)


def stripes_data() -> ImageData:
    rng = np.random.default_rng(0)
    parts = [array for count in (128, 64, 64) for array in stripes(count, rng)]
    return ImageData("stripes", *parts, class_names=tuple("abcd"), source="made here", licence="none")


def stripes_supernet(seed: int = 0, space: CarsSpace = SPACE) -> Supernet[CarsGenotype]:
    return Supernet(space, stripes_data(), SupernetParams(epochs=8, batch_size=32), seed=seed)
