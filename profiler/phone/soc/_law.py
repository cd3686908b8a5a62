"""The law's questions: how long steps take where they are placed, what a call costs, and what is drawn meanwhile."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from profiler.errors import ConfigError
from profiler.phone.soc._accelerator import accelerator_latencies_s
from profiler.phone.soc._cpu import cpu_latencies_s, pace_of, team_of
from profiler.phone.soc._placement import Placement
from profiler.phone.soc._schema import Accelerator, Soc
from profiler.phone.soc._step import Step
from profiler.phone.soc._table import StepTable

FULL_SPEED: Mapping[str, float] = MappingProxyType({})
"""All clusters at their highest clocks."""


def step_latencies_s(
    soc: Soc,
    steps: Sequence[Step] | StepTable,
    placement: Placement,
    frequency_share: Mapping[str, float] = FULL_SPEED,
) -> npt.NDArray[np.float64]:
    """Return the latency of each step, free of noise, in s.  Shape: (n_steps,).

    Args:
        soc: The phone's processors.
        steps: What is executed, lowered for the placement's delegate; a table where many laws are asked.
        placement: Where.
        frequency_share: Each cluster's clock as a share of its highest, by name; 1 where none is given.

    Raises:
        ConfigError: The phone has no such core or delegate, or there are no threads.
    """
    table = steps if isinstance(steps, StepTable) else StepTable.of(steps)
    accelerator = _checked(soc, placement)
    if accelerator is not None:
        return accelerator_latencies_s(accelerator, table)
    return cpu_latencies_s(soc, table, placement, frequency_share)


def call_overhead_s(soc: Soc, placement: Placement, frequency_share: Mapping[str, float] = FULL_SPEED) -> float:
    """Return what one invocation costs besides its steps, in s.

    Raises:
        ConfigError: The phone has no such core or delegate, or there are no threads.
    """
    accelerator = _checked(soc, placement)
    own_s = soc.call_us * 1e-6 / pace_of(soc, team_of(soc, placement)[0], frequency_share)
    return own_s + (0.0 if accelerator is None else accelerator.call_us * 1e-6)


def power_w(soc: Soc, placement: Placement | None, frequency_share: Mapping[str, float] = FULL_SPEED) -> float:
    """Return what the phone draws while a placement is loaded, in W.

    Args:
        soc: The phone's processors.
        placement: Where the load is; None for an idle phone.
        frequency_share: Each cluster's clock as a share of its highest, by name; 1 where none is given.

    Raises:
        ConfigError: The phone has no such core or delegate, or there are no threads.
    """
    if placement is None:
        return soc.power.idle_w
    accelerator = _checked(soc, placement)
    if accelerator is not None:
        return soc.power.idle_w + accelerator.active_w
    drawn_w = [
        core.active_w * math.pow(frequency_share.get(core.name, 1.0), soc.power.exponent)
        for core in team_of(soc, placement)
    ]
    return soc.power.idle_w + sum(drawn_w)


def _checked(soc: Soc, placement: Placement) -> Accelerator | None:
    """Return the accelerator that a placement uses, None for the cores."""
    if placement.threads < 1:
        raise ConfigError(f"threads must be at least 1, not {placement.threads}")
    if not placement.cores or not set(placement.cores) <= soc.cores.keys():
        raise ConfigError(f"the phone has the cores {sorted(soc.cores)}, not {sorted(placement.cores)}")
    if placement.delegate in ("xnnpack", "builtin"):
        return None
    accelerator = soc.gpu if placement.delegate == "gpu" else soc.nnapi
    if accelerator is None:
        raise ConfigError(f"the phone has no delegate {placement.delegate!r}")
    return accelerator
