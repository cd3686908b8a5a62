"""What a process and its workers hand one another as files: images, shared weights, trained weights.

All are safetensors files in the engine's private folder.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

import numpy as np
import numpy.typing as npt
import safetensors.numpy
import safetensors.torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from search.distillation import Teacher
from search.engine._scoring import ScoringImages
from search.errors import EngineError
from search.images import ImageData
from search.unfolded import Weights


class SharedFiles:
    """The files that workers of an engine read.

    Args:
        folder: The engine's private folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._images: dict[str, Path] = {}
        self._teachers: dict[str, Path] = {}
        self._weights = 0

    def images(self, data: ImageData) -> Path:
        """Return the file of a data set, which is written when it is first asked for."""
        if data.digest not in self._images:
            path = self._folder / f"images-{len(self._images)}.safetensors"
            values = {field.name: getattr(data, field.name) for field in fields(data)}
            arrays = {name: value for name, value in values.items() if isinstance(value, np.ndarray)}
            others = {name: value for name, value in values.items() if name not in arrays}
            write_arrays(path, arrays, {"others": json.dumps(others)})
            self._images[data.digest] = path
        return self._images[data.digest]

    def teacher(self, teacher: Teacher) -> Path:
        """Return the file of a teacher, which is written when it is first asked for."""
        if teacher.identity not in self._teachers:
            path = self._folder / f"teacher-{len(self._teachers)}.safetensors"
            try:
                teacher.save(path)
            except OSError as err:
                raise _no_room(path, err) from err
            self._teachers[teacher.identity] = path
        return self._teachers[teacher.identity]

    def weights(self, weights: Weights) -> Path:
        """Write shared weights to a file of a new name, and remove the one before."""
        before = self._folder / f"weights-{self._weights}.safetensors"
        self._weights += 1
        path = self._folder / f"weights-{self._weights}.safetensors"
        write_tensors(path, weights)
        before.unlink(missing_ok=True)
        return path


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors by name.

    Raises:
        EngineError: The file cannot be written.
    """
    content = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    try:
        safetensors.torch.save_file(content, path)
    except (SafetensorError, OSError) as err:
        raise _no_room(path, err) from err


def write_arrays(
    path: Path, arrays: Mapping[str, npt.NDArray[np.generic]], metadata: dict[str, str] | None = None
) -> None:
    """Write arrays by name.

    Raises:
        EngineError: The file cannot be written.
    """
    content = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    try:
        safetensors.numpy.save_file(content, path, metadata)
    except (SafetensorError, OSError) as err:
        raise _no_room(path, err) from err


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read what `write_tensors` wrote.  Raises SafetensorError or OSError."""
    return safetensors.torch.load_file(path)


def read_arrays(path: Path) -> dict[str, npt.NDArray[np.generic]]:
    """Read what `write_arrays` wrote.  Raises SafetensorError or OSError."""
    return safetensors.numpy.load_file(path)


def read_scoring_images(path: Path, calibration_images: int) -> ScoringImages:
    """Read of a data set what networks are scored on, and nothing else."""
    with safe_open(path, framework="np") as file:
        train = file.get_slice("train_x")
        calibration = train[: min(calibration_images, train.get_shape()[0])]
        return ScoringImages.of(calibration, file.get_tensor("val_x"), file.get_tensor("val_y"))


def read_images(path: Path) -> ImageData:
    """Read a whole data set."""
    with safe_open(path, framework="np") as file:
        others = json.loads(file.metadata()["others"])
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    others["class_names"] = tuple(others["class_names"])
    return ImageData(**arrays, **others)


def _no_room(path: Path, err: Exception) -> EngineError:
    return EngineError(f"cannot hand over {path.name} to workers in {str(path.parent)!r}: {err}; set TMPDIR elsewhere")
