"""Pictures in folders, one folder a class."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from search.errors import DataError
from search.images._data import LabelledImages
from search.images._loaded import LoadedImages

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")

_PICTURE_PIXELS = 64 * 10**6
"""Most pixels of a picture; more is a mistake or a decompression bomb."""

_TOTAL_BYTES = 2 * 2**30
"""Most memory that all pictures may take after they are resized."""


def load_folder(path: Path, *, resolution: int | None) -> LoadedImages:
    """Return the pictures of a folder's sub-folders, in colour unless all are grey.

    Args:
        path: The folder; each sub-folder is a class, and other files are passed over.  Sub-folders whose names
            start with a dot or two underscores are no classes.
        resolution: Height and width in pixels to which pictures are resized; as they are if None.

    Raises:
        DataError: There are no pictures, or none of a class, too many to hold, or one cannot be read or has
            another size than others where no resolution is asked for.
    """
    classes = {folder.name: _pictures(folder) for folder in sorted(path.iterdir()) if _is_class(folder)}
    if not any(classes.values()):
        raise DataError("has no sub-folders with pictures; it needs one for each class", source=path)
    for name, files in classes.items():
        if not files:
            raise DataError("is a class without pictures; add some, or remove the folder", source=path / name)
    width, height = (resolution, resolution) if resolution else _size(next(iter(classes.values()))[0])
    count = sum(len(files) for files in classes.values())
    if count * width * height * 3 > _TOTAL_BYTES:
        raise DataError(
            f"holds {count} pictures, which do not fit into memory at {width}x{height}; choose a lower resolution",
            source=path,
        )
    read = _resized_picture if resolution else _picture_of_size
    pictures = [read(file, (width, height)) for files in classes.values() for file in files]
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


def _is_class(folder: Path) -> bool:
    return folder.is_dir() and not folder.name.startswith((".", "__"))


def _pictures(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES and file.is_file())


@contextmanager
def _opened(path: Path) -> Iterator[Image]:
    """Open a picture, and turn what goes wrong with it into our error."""
    from PIL import Image

    try:
        with Image.open(path, formats=_FORMATS) as opened:
            if opened.width * opened.height > _PICTURE_PIXELS:
                raise DataError(f"has {opened.width}x{opened.height} pixels, which is too many", source=path)
            yield opened
    # Pillow raises these on files that are damaged, cut short, or larger than they say.
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as err:
        raise DataError(f"is not a readable picture ({err}); replace or remove it", source=path) from err


def _size(path: Path) -> tuple[int, int]:
    with _opened(path) as picture:
        return picture.size


def _picture_of_size(path: Path, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Return a picture as RGB, which must have some (width, height).  Shape: (height, width, 3)."""
    with _opened(path) as picture:
        if picture.size != size:
            found, others = ("x".join(map(str, pair)) for pair in (picture.size, size))
            raise DataError(f"has {found} pixels where others have {others}; choose a resolution", source=path)
        return np.asarray(picture.convert("RGB"), dtype=np.uint8)


def _resized_picture(path: Path, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Return the middle of a picture as RGB, resized to (width, height).  Shape: (height, width, 3)."""
    from PIL import Image, ImageOps

    with _opened(path) as picture:
        return np.asarray(ImageOps.fit(picture.convert("RGB"), size, Image.Resampling.BILINEAR), dtype=np.uint8)
