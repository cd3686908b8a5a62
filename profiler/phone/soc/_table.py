"""Steps as columns of numbers, and the routines' numbers for each of them, so that a law is array arithmetic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from profiler.phone.soc._schema import ROUTINE_NAMES, Routine, RoutineName
from profiler.phone.soc._step import Step

Array = npt.NDArray[np.float64]

_INDEX = {name: index for index, name in enumerate(ROUTINE_NAMES)}
_ROUTINE_COLUMNS = (
    "tile_rows", "tile_columns", "efficiency", "prologue", "weight_passes", "burst_ns", "overhead_us", "parallel",
    "int8_gain",
)  # fmt: skip


@dataclass(frozen=True)
class StepTable:
    """The numbers of some steps, one array a field of Step, each of shape (n_steps,).

    Attributes:
        routine: Index into ROUTINE_NAMES.
        element_bytes: Bytes of an element: 4, or 1 in int8.
    """

    routine: npt.NDArray[np.intp]
    groups: Array
    rows: Array
    columns: Array
    depth: Array
    read_bytes: Array
    weight_bytes: Array
    written_bytes: Array
    copied_bytes: Array
    bursts: Array
    element_bytes: Array

    @classmethod
    def of(cls, steps: Sequence[Step]) -> StepTable:
        """Return the table of some steps."""
        numbers = np.array(
            [
                (
                    _INDEX[step.routine], step.groups, step.rows, step.columns, step.depth, step.read_bytes,
                    step.weight_bytes, step.written_bytes, step.copied_bytes, step.bursts, 1 if step.int8 else 4,
                )
                for step in steps
            ],
            dtype=np.float64,
        ).reshape(-1, 11).T  # fmt: skip
        return cls(numbers[0].astype(np.intp), *numbers[1:])

    def __len__(self) -> int:
        return len(self.routine)


@dataclass(frozen=True)
class RoutineColumns:
    """The routine's numbers of each step: one array a field of Routine, each of shape (n_steps,)."""

    tile_rows: Array
    tile_columns: Array
    efficiency: Array
    prologue: Array
    weight_passes: Array
    burst_ns: Array
    overhead_us: Array
    parallel: Array
    int8_gain: Array

    @classmethod
    def of(cls, routines: Mapping[RoutineName, Routine], table: StepTable) -> RoutineColumns:
        """Return the numbers of the routines that some steps use."""
        whole = np.array([[getattr(routines[name], column) for column in _ROUTINE_COLUMNS] for name in ROUTINE_NAMES])
        return cls(*whole[table.routine].T)


def padded_turns(table: StepTable, routine: RoutineColumns) -> Array:
    """Return the turns of each step's inner loop, whole tiles and their prologues counted."""
    grid = table.groups * _up(table.rows, routine.tile_rows) * _up(table.columns, routine.tile_columns)
    return grid * (table.depth + routine.prologue) * (table.depth > 0)


def tiles(table: StepTable, routine: RoutineColumns) -> Array:
    """Return the number of tiles of each step."""
    return table.groups * np.ceil(table.rows / routine.tile_rows) * np.ceil(table.columns / routine.tile_columns)


def softened_max(first: Array, second: Array, sharpness: float) -> Array:
    """Return (first^p + second^p)^(1/p): between the sum (p = 1) and the larger one (p large)."""
    larger, smaller = np.maximum(first, second), np.minimum(first, second)
    ratio = np.divide(smaller, larger, out=np.zeros_like(larger), where=larger > 0)
    return np.asarray(larger * (1.0 + ratio**sharpness) ** (1.0 / sharpness))


def _up(count: Array, step: Array) -> Array:
    return np.asarray(np.ceil(count / step) * step)
