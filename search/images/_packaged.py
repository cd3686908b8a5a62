"""Data sets that installed packages bring with them."""

from __future__ import annotations

import gzip
import importlib.util
from pathlib import Path

import numpy as np

from search.errors import DataError
from search.images._array_pickle import read_array_pickle
from search.images._data import LabelledImages
from search.images._loaded import LoadedImages

_ANIMALS = ("Bear", "Bird", "Cat", "Cow", "Dog", "Elephant", "Giraffe", "Horse", "Sheep", "Zebra")

_ANIMAL_BYTES = 64 * 2**20
"""Most that a file of animal-shapes may unpack to; the real one has 7.8 million bytes."""


def load_digits_images() -> LoadedImages:
    """Return scikit-learn's 1,797 handwritten digits, 8x8 in 17 greys."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    # Greys run from 0 to 16.
    pixels = (digits.images / 16).astype(np.float32)[..., None]
    return LoadedImages(
        images=LabelledImages(pixels, digits.target.astype(np.int64)),
        class_names=tuple(str(digit) for digit in range(10)),
        source="scikit-learn load_digits (UCI Optical Recognition of Handwritten Digits, test part)",
        licence="CC BY 4.0",
    )


def load_animal_shapes() -> LoadedImages:
    """Return the 10,000 animal shapes of the package animal-shape-mnist, 28x28 grey.

    The package's own loader imports TensorFlow and unpickles freely; only its two files are read here.

    Raises:
        DataError: The package is not installed, or its files are not what they should be.
    """
    specification = importlib.util.find_spec("animal_shape_mnist")
    if specification is None or not specification.submodule_search_locations:
        raise DataError("needs the extra: pip install 'pocketnas[datasets]'", source="animal-shapes")
    folder = Path(next(iter(specification.submodule_search_locations)), "data", "Animal Shape")
    pixels = _read_gzip_array(folder / "animal_data_version_3.gz")
    labels = _read_gzip_array(folder / "animal_label_version_3.gz")
    if pixels.dtype != np.uint8 or pixels.shape[1:] != (28, 28) or labels.shape != pixels.shape[:1]:
        raise DataError(f"has images of shape {pixels.shape} and labels of {labels.shape}", source=folder)
    if not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0 or labels.max() >= len(_ANIMALS):
        raise DataError(f"has labels beyond its {len(_ANIMALS)} classes", source=folder)
    return LoadedImages(
        images=LabelledImages(pixels[..., None], labels.astype(np.int64)),
        class_names=_ANIMALS,
        source="animal-shape-mnist 0.39 (PyPI)",
        licence="MIT",
        mirrored=True,
    )


def _read_gzip_array(path: Path) -> np.ndarray:
    try:
        with gzip.open(path, "rb") as file:
            content = file.read(_ANIMAL_BYTES + 1)
    except (OSError, EOFError) as err:
        raise DataError(f"cannot be read: {err}", source=path) from err
    if len(content) > _ANIMAL_BYTES:
        raise DataError(f"unpacks to more than {_ANIMAL_BYTES} bytes", source=path)
    array = read_array_pickle(content, source=str(path))
    if not isinstance(array, np.ndarray) or array.ndim < 1:
        raise DataError("does not hold an array", source=path)
    return array
