"""Images and labels in a NumPy archive."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from search.errors import DataError
from search.images._data import LabelledImages
from search.images._loaded import LoadedImages

_TOTAL_BYTES = 4 * 2**30
"""Most that the archive may unpack to."""


def load_npz(path: Path) -> LoadedImages:
    """Return the images of an .npz archive.

    The archive has `x` (n, height, width) or (n, height, width, channels), uint8 or floats from 0 to 1, and `y` (n,),
    whole numbers; and, optionally, `x_test` and `y_test` of the same form.  Each number in `y` is a class.

    Raises:
        DataError: The archive is damaged, holds Python objects, or its arrays have another form.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(member.file_size for member in archive.infolist()) > _TOTAL_BYTES:
                raise DataError(f"unpacks to more than {_TOTAL_BYTES} bytes", source=path)
        with np.load(path, allow_pickle=False) as loaded:
            arrays = {name: np.asarray(loaded[name]) for name in ("x", "y", "x_test", "y_test") if name in loaded}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as err:
        raise DataError(f"is not a readable .npz archive ({err}); write or copy it anew", source=path) from err
    if not {"x", "y"} <= arrays.keys() or ("x_test" in arrays) != ("y_test" in arrays):
        raise DataError("must hold the arrays x and y, and x_test and y_test both or neither", source=path)
    _check_labels(arrays["y"], "y", path)
    numbers = np.unique(arrays["y"])
    images = _labelled(arrays["x"], arrays["y"], numbers, "", path)
    test = _labelled(arrays["x_test"], arrays["y_test"], numbers, "_test", path) if "x_test" in arrays else None
    if test is not None and test.pixels.shape[1:] != images.pixels.shape[1:]:
        raise DataError("x and x_test hold images of different shapes", source=path)
    return LoadedImages(
        images=images,
        class_names=tuple(str(number) for number in numbers),
        source=f"arrays in the file {path.name!r}",
        licence="the user's own",
        test=test,
    )


def _check_labels(labels: npt.NDArray[np.generic], name: str, path: Path) -> None:
    if labels.ndim != 1 or not len(labels) or not np.issubdtype(labels.dtype, np.integer):
        raise DataError(f"{name} must be whole numbers of shape (n,), not {labels.dtype} {labels.shape}", source=path)


def _labelled(
    pixels: npt.NDArray[np.generic],
    labels: npt.NDArray[np.generic],
    numbers: npt.NDArray[np.generic],
    suffix: str,
    path: Path,
) -> LabelledImages:
    """Return checked images with each label replaced by the index of its class."""
    _check_labels(labels, f"y{suffix}", path)
    if pixels.ndim == 3:
        pixels = pixels[..., None]
    fitting = pixels.ndim == 4 and len(pixels) == len(labels) and pixels.shape[3] in (1, 3)
    if not fitting:
        raise DataError(
            f"x{suffix} must have shape ({len(labels)}, height, width[, 1 or 3]), not {pixels.shape}", source=path
        )
    if pixels.dtype != np.uint8 and not np.issubdtype(pixels.dtype, np.floating):
        raise DataError(f"x{suffix} must be uint8 or floats from 0 to 1, not {pixels.dtype}", source=path)
    if not np.isin(labels, numbers).all():
        raise DataError(f"y{suffix} holds classes that y has not", source=path)
    with np.errstate(over="ignore"):  # what is beyond float32 is refused with all that lies outside 0 to 1
        values = pixels if pixels.dtype == np.uint8 else pixels.astype(np.float32)
    return LabelledImages(values, np.searchsorted(numbers, labels).astype(np.int64))  # type: ignore[arg-type]
