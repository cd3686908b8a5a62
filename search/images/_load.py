"""From a name or a path to images that are ready to train on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from search.errors import DataError
from search.images._cifar10 import is_cifar10, load_cifar10
from search.images._data import ImageData, LabelledImages, check_images, limited, split, split_given_test
from search.images._folder import load_folder
from search.images._loaded import LoadedImages
from search.images._npz import load_npz
from search.images._packaged import load_animal_shapes, load_digits_images

DATA_SETS: Mapping[str, Callable[[], LoadedImages]] = {
    "digits": load_digits_images,
    "animal-shapes": load_animal_shapes,
}
"""Data sets by name; everything else is a path."""

_LEAST_RESOLUTION = 4


def load_images(
    source: str | Path, *, seed: int = 0, resolution: int | None = None, limit: int | None = None
) -> ImageData:
    """Load images and split them into training, validation and test images.

    Args:
        source: "digits", "animal-shapes", a folder with one sub-folder of pictures a class, CIFAR-10's python
            archive or folder, or an .npz file with arrays x and y.
        seed: Of the split; the same seed gives the same split.
        resolution: Height and width to resize to, in pixels, >= 4; as the images are if None (pictures in
            folders must then be of one size).
        limit: Most images to keep, those of a given test part counted apart, >= 10; all if None.

    Raises:
        DataError: There is no such source, it cannot be read, or it is not fit to train on.
    """
    if resolution is not None and resolution < _LEAST_RESOLUTION:
        raise DataError(f"resolution must be at least {_LEAST_RESOLUTION}, not {resolution}", source=source)
    if limit is not None and limit < 10:
        raise DataError(f"limit must be at least 10, not {limit}", source=source)
    loaded = _load(source, resolution)
    _check_size(loaded.images, source)
    parts = [loaded.images] if loaded.test is None else [loaded.images, loaded.test]
    rng = np.random.default_rng(seed)
    if limit is not None:
        parts = [limited(part, limit, rng) for part in parts]
    for part in parts:
        check_images(part, loaded.class_names, source=str(source))
    parts = [resized(part, resolution) for part in parts]
    train, validation, test = split(parts[0], rng) if len(parts) == 1 else split_given_test(parts[0], parts[1], rng)
    return ImageData(
        name=str(source) if source in DATA_SETS else Path(source).name,
        train_x=train.scaled(),
        train_y=train.labels,
        val_x=validation.scaled(),
        val_y=validation.labels,
        test_x=test.scaled(),
        test_y=test.labels,
        class_names=loaded.class_names,
        source=loaded.source,
        licence=loaded.licence,
        mirrored=loaded.mirrored,
    )


def resized(images: LabelledImages, resolution: int | None) -> LabelledImages:
    """Return images of resolution x resolution, by bilinear interpolation that averages where it shrinks."""
    if resolution is None or images.pixels.shape[1:3] == (resolution, resolution):
        return images
    import torch
    from torch.nn import functional

    pixels = torch.from_numpy(images.scaled()).permute(0, 3, 1, 2)
    size = (resolution, resolution)
    changed = functional.interpolate(pixels, size=size, mode="bilinear", antialias=True).clamp(0, 1)
    return LabelledImages(changed.permute(0, 2, 3, 1).contiguous().numpy(), images.labels)


def _check_size(images: LabelledImages, source: str | Path) -> None:
    height, width = images.pixels.shape[1:3]
    if min(height, width) < _LEAST_RESOLUTION:
        raise DataError(f"has images of {width}x{height} pixels; at least 4x4 are needed", source=source)


def _load(source: str | Path, resolution: int | None) -> LoadedImages:
    if isinstance(source, str) and source in DATA_SETS:
        return DATA_SETS[source]()
    path = Path(source)
    if not path.exists():
        known = ", ".join(DATA_SETS)
        raise DataError(f"is neither a data set ({known}) nor an existing file or folder", source=source)
    if is_cifar10(path):
        return load_cifar10(path)
    if path.is_dir():
        return load_folder(path, resolution=resolution)
    if path.suffix == ".npz":
        return load_npz(path)
    raise DataError("must be a folder of pictures, CIFAR-10's python archive or an .npz file", source=source)
