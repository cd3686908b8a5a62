"""CIFAR-10 as its authors publish it for Python: an archive of pickles, read from the user's disk.

Nothing is unpacked: the seven members are read by their names from the archive or from the folder it was
unpacked to, whatever else is there.
"""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from search.errors import DataError
from search.images._array_pickle import read_array_pickle
from search.images._data import LabelledImages
from search.images._loaded import LoadedImages

FOLDER = "cifar-10-batches-py"
_TRAINING = tuple(f"data_batch_{number}" for number in range(1, 6))
_TEST, _META = "test_batch", "batches.meta"

_MEMBER_BYTES = 64 * 2**20
"""Most that a member may hold; a real one has 31 million bytes."""

_ReadMember = Callable[[str], bytes]


def is_cifar10(path: Path) -> bool:
    """Return whether a path looks like CIFAR-10: a tar archive, or a folder with its files."""
    if path.is_dir():
        return any((folder / _META).is_file() for folder in (path, path / FOLDER))
    return path.name.endswith((".tar.gz", ".tgz", ".tar"))


def load_cifar10(path: Path) -> LoadedImages:
    """Return CIFAR-10's 50,000 training and 10,000 test images, 32x32 in colour.

    Args:
        path: The archive cifar-10-python.tar.gz, or the folder that it unpacks to.

    Raises:
        DataError: The archive or folder is not CIFAR-10, is damaged, or its pickles hold something else.
    """
    if path.is_dir():
        folder = path if (path / _META).is_file() else path / FOLDER
        return _load(lambda member: _read_file(folder / member), path)
    try:
        with tarfile.open(path) as archive:
            return _load(lambda member: _read_member(archive, member, path), path)
    except (tarfile.TarError, OSError, EOFError, zlib.error) as err:
        raise DataError(f"is not a readable tar archive ({err}); download it anew", source=path) from err


def _load(read: _ReadMember, path: Path) -> LoadedImages:
    meta = read_array_pickle(read(_META), source=f"{path}/{_META}")
    names = meta.get("label_names") if isinstance(meta, dict) else None
    if not isinstance(names, list) or len(names) < 2 or not all(isinstance(name, str) for name in names):
        raise DataError(f"{_META} has no label_names", source=path)
    batches = [_batch(read(member), len(names), f"{path}/{member}") for member in (*_TRAINING, _TEST)]
    training = batches[:-1]
    return LoadedImages(
        images=LabelledImages(
            np.concatenate([batch.pixels for batch in training]), np.concatenate([batch.labels for batch in training])
        ),
        class_names=tuple(names),
        source="CIFAR-10 (Krizhevsky 2009), python version",
        licence="not stated by its authors",
        test=batches[-1],
        mirrored=True,
    )


def _batch(content: bytes, classes: int, source: str) -> LabelledImages:
    batch = read_array_pickle(content, source=source)
    pixels, labels = (batch.get("data"), batch.get("labels")) if isinstance(batch, dict) else (None, None)
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.shape[1:] != (3 * 32 * 32,):
        raise DataError("has no images of 3x32x32 bytes", source=source)
    if not isinstance(labels, list) or len(labels) != len(pixels):
        raise DataError(f"has not one label for each of its {len(pixels)} images", source=source)
    if not all(type(label) is int and 0 <= label < classes for label in labels):
        raise DataError(f"has labels outside 0 to {classes - 1}", source=source)
    images = pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return LabelledImages(np.ascontiguousarray(images), np.array(labels, dtype=np.int64))


def _read_member(archive: tarfile.TarFile, member: str, path: Path) -> bytes:
    try:
        entry = archive.getmember(f"{FOLDER}/{member}")
    except KeyError as err:
        raise DataError(f"has no member {FOLDER}/{member}; is it cifar-10-python.tar.gz?", source=path) from err
    # A link would lead to another member or out of the archive.
    if not entry.isfile() or entry.size > _MEMBER_BYTES:
        raise DataError(f"member {member} is not a plain file of at most {_MEMBER_BYTES} bytes", source=path)
    file = archive.extractfile(entry)
    if file is None:
        raise DataError(f"member {member} cannot be read", source=path)
    return file.read()


def _read_file(path: Path) -> bytes:
    try:
        if path.stat().st_size > _MEMBER_BYTES:
            raise DataError(f"is larger than {_MEMBER_BYTES} bytes", source=path)
        return path.read_bytes()
    except OSError as err:
        raise DataError(f"cannot be read: {err.strerror}", source=path) from err
