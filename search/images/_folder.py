"""Pictures in folders, one folder a class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from search.errors import DataError
from search.images._data import LabelledImages
from search.images._loaded import LoadedImages

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")

DEFAULT_RESOLUTION = 32
"""Height and width of pictures of many sizes, where no other is asked for."""

_PICTURE_PIXELS = 64 * 10**6
"""Most pixels of a picture; more is a mistake or a decompression bomb."""

_TOTAL_BYTES = 2 * 2**30
"""Most memory that all pictures may take after they are resized."""


def load_folder(path: Path, *, resolution: int | None) -> LoadedImages:
    """Return the pictures of a folder's sub-folders, resized, in colour unless all are grey.

    Args:
        path: The folder; each sub-folder with pictures is a class, and other files are passed over.
        resolution: Height and width in pixels.

    Raises:
        DataError: There are no pictures, too many to hold, or one cannot be read.
    """
    size = resolution or DEFAULT_RESOLUTION
    classes = {
        folder.name: files for folder in sorted(path.iterdir()) if folder.is_dir() and (files := _pictures(folder))
    }
    if not classes:
        raise DataError("has no sub-folders with pictures; it needs one for each class", source=path)
    count = sum(len(files) for files in classes.values())
    if count * size * size * 3 > _TOTAL_BYTES:
        raise DataError(f"holds {count} pictures, which do not fit into memory at {size}x{size}", source=path)
    pictures = [_read_picture(file, size) for files in classes.values() for file in files]
    pixels = np.stack(pictures)
    if (pixels == pixels[..., :1]).all():
        pixels = pixels[..., :1]
    labels = np.repeat(np.arange(len(classes), dtype=np.int64), [len(files) for files in classes.values()])
    return LoadedImages(
        images=LabelledImages(pixels, labels),
        class_names=tuple(classes),
        source=f"pictures in the folder {path.name!r}",
        licence="the user's own",
    )


def _pictures(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES and file.is_file())


def _read_picture(path: Path, size: int) -> npt.NDArray[np.uint8]:
    """Return a picture's centre square as RGB.  Shape: (size, size, 3)."""
    from PIL import Image, ImageOps

    try:
        with Image.open(path, formats=_FORMATS) as opened:
            if opened.width * opened.height > _PICTURE_PIXELS:
                raise DataError(f"has {opened.width}x{opened.height} pixels, which is too many", source=path)
            picture = ImageOps.fit(opened.convert("RGB"), (size, size), Image.Resampling.BILINEAR)
    # Pillow raises these on files that are damaged, cut short, or larger than they say.
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as err:
        raise DataError(f"is not a readable picture: {err}", source=path) from err
    return np.asarray(picture, dtype=np.uint8)
