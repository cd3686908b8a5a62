"""What steps cost on an accelerator: waves of outputs against its own memory, and a launch for each kernel."""

from __future__ import annotations

import numpy as np

from profiler.phone.soc._schema import Accelerator
from profiler.phone.soc._table import Array, RoutineColumns, StepTable, padded_turns, softened_max, tiles

_FLOAT_BYTES = 4


def accelerator_latencies_s(accelerator: Accelerator, table: StepTable) -> Array:
    """Return the latency of each step on an accelerator, in s.  Shape: (n_steps,)."""
    routine = RoutineColumns.of(accelerator.routines, table)
    gain = np.where(table.element_bytes == 1, routine.int8_gain, 1.0)
    units = np.maximum(tiles(table, routine), 1.0)
    waste = np.ceil(units / accelerator.wave) * accelerator.wave / units
    compute_s = padded_turns(table, routine) * waste / (accelerator.macs_per_s * routine.efficiency * gain)
    moved = table.read_bytes + routine.weight_passes * table.weight_bytes + table.written_bytes
    moved = moved * np.where(table.element_bytes == 1, 1.0, accelerator.element_bytes / _FLOAT_BYTES)
    stream_s = moved / accelerator.bytes_per_s
    busy_s = softened_max(compute_s, stream_s, accelerator.overlap)
    return busy_s + table.bursts * routine.burst_ns * 1e-9 + routine.overhead_us * 1e-6
