"""The two halves of a predictor file in the making: a JSON document, and arrays under names with a path."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, ValidationError

from predictor._costs import KernelCosts
from predictor._features import FloatArray
from predictor.errors import PredictorFileError

Array = npt.NDArray[Any]
_Model = TypeVar("_Model", bound=BaseModel)


class Part(BaseModel):
    """A part of the document: nothing in it is optional by accident, nothing superfluous is passed over."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PartWriter:
    """Takes arrays by name, and costs within costs.

    Args:
        arrays: Where arrays go.
        write_costs: Writes any form of costs.
        prefix: Path in front of the names.
    """

    def __init__(
        self,
        arrays: dict[str, Array],
        write_costs: Callable[[KernelCosts, PartWriter], dict[str, Any]],
        prefix: str = "",
    ) -> None:
        self._arrays, self._write_costs, self._prefix = arrays, write_costs, prefix

    def put(self, name: str, array: Array) -> None:
        """Keep an array of float64 or int32."""
        self._arrays[self._prefix + name] = array

    def costs(self, name: str, costs: KernelCosts) -> dict[str, Any]:
        """Write costs that stand within others, their arrays below `name`; return their part of the document."""
        return self._write_costs(costs, self.within(name))

    def within(self, name: str) -> PartWriter:
        """Return a writer of what is below `name`."""
        return PartWriter(self._arrays, self._write_costs, f"{self._prefix}{name}/")


class PartReader:
    """Takes arrays by name, each once, and refuses what does not fit.

    Args:
        arrays: Arrays of the file; those taken are removed.
        read_costs: Reads any form of costs.
        path: The file.
        prefix: Path in front of the names.
    """

    def __init__(
        self,
        arrays: dict[str, Array],
        read_costs: Callable[[Mapping[str, Any], PartReader], KernelCosts],
        path: Path,
        prefix: str = "",
    ) -> None:
        self._arrays, self._read_costs, self._path, self._prefix = arrays, read_costs, path, prefix

    @property
    def depth(self) -> int:
        """How many names the path holds."""
        return self._prefix.count("/")

    def refuse(self, problem: str) -> NoReturn:
        """Raise the error of a damaged file."""
        raise PredictorFileError(f"is damaged: {problem}", path=self._path)

    def part(self, model: type[_Model], document: object) -> _Model:
        """Return a part of the document, checked."""
        try:
            return model.model_validate(document)
        except ValidationError as err:
            first = err.errors()[0]
            place = self._prefix + ".".join(str(part) for part in first["loc"])
            self.refuse(f"{place}: {first['msg']}")

    def take(self, name: str, *sizes: int | None, whole: bool = False, empty: bool = False) -> Array:
        """Return an array of these sizes (None for any from 1 on, or from 0 when empty), of indices when whole."""
        array = self._arrays.pop(self._prefix + name, None)
        if array is None:
            self.refuse(f"it lacks {self._prefix + name!r}")
        fits = array.ndim == len(sizes) and all(
            (found >= 1 or empty) and wanted in (None, found) for found, wanted in zip(array.shape, sizes, strict=True)
        )
        if not fits or array.dtype != (np.int32 if whole else np.float64):
            self.refuse(f"{self._prefix + name!r} has shape {array.shape} and type {array.dtype}")
        return array

    def non_negative(self, name: str, *sizes: int | None, empty: bool = False) -> FloatArray:
        """Return an array of these sizes without a value below 0."""
        array = self.take(name, *sizes, empty=empty)
        if (array < 0).any():
            self.refuse(f"{self._prefix + name!r} holds a value below zero")
        return array

    def costs(self, name: str, document: Mapping[str, Any]) -> KernelCosts:
        """Read costs that stand within others, their arrays below `name`."""
        return self._read_costs(document, self.within(name))

    def within(self, name: str) -> PartReader:
        """Return a reader of what is below `name`."""
        return PartReader(self._arrays, self._read_costs, self._path, f"{self._prefix}{name}/")

    def finish(self) -> None:
        """Refuse a file with arrays that nothing took."""
        if self._arrays:
            self.refuse(f"{next(iter(self._arrays))!r} belongs to nothing")
