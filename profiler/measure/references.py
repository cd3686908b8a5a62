"""Reference kernels: the same two small kernels timed between all blocks, and what they say of the moment.

Two things spoil a block, and the references beside it show both without a look at the block itself:

- The device's speed drifts over seconds (clocks, heat).  The block is scaled by how much slower or
  faster the references ran than they usually do.
- Other work on the machine takes caches and half a core.  Kernels suffer from it unequally (the
  references by 10 %, others by 100 %), so no factor can mend it: such blocks are left aside when
  there are enough calm ones.

Measured on a shared 2-core VM, 60 kernels, two passes, |difference| median / share within 10 %:
blocks as they are 10.6 % / 47 %; scaled 5.9 % / 67 %; calm ones only 0.7 % / 98 %; calm and scaled
0.9 % / 98 %.  On a quieter machine with drift alone, scaling halves the difference.  One reading
between two blocks serves both: own pairs for each block cost twice as much and were no better.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from profiler.network import Conv2d, DepthwiseConv2d, Network, TensorSpec
from profiler.workload import Workload

REFERENCE_RUNS = 5
"""Timed runs of each reference kernel; with three of them fewer blocks are found calm."""

REFERENCE_WARMUP_RUNS = 2

CALM = 1.05
"""Slowdown of the references up to which a moment is calm.  Between 1.03 and 1.06 the result is the
same; lower costs rounds, at 1.10 disturbed blocks come in."""

_MOST_STEPS = 20


def reference_workloads() -> tuple[Workload, Workload]:
    """Return the pair: a convolution bound by arithmetic and a depthwise one bound by memory.

    Both run for about a tenth of a millisecond on a laptop's core and for less than one on a phone's:
    short beside what they correct, long beside the timer's resolution.
    """
    conv = Network(
        "reference-conv",
        [TensorSpec("x", (1, 28, 28, 32))],
        [Conv2d("conv", ("x",), 32)],
        ["conv"],
    )
    depthwise = Network(
        "reference-depthwise",
        [TensorSpec("x", (1, 56, 56, 64))],
        [DepthwiseConv2d("depthwise", ("x",))],
        ["depthwise"],
    )
    return Workload(conv, kind="conv2d"), Workload(depthwise, kind="depthwise_conv2d")


def reference_level(readings_ms: Iterable[Sequence[float]]) -> tuple[float, ...]:
    """Return what each reference kernel takes when the device is calm.

    Other work only ever slows a device down, so the search begins at the lower quartile of all readings;
    from there the level moves to the median of the readings within CALM of it, until it stays. A cut on
    the upper side alone would pull it down by half a percent where readings scatter by 2 %.

    Args:
        readings_ms: One reading an entry, with one latency a reference kernel; empty ones are left out.

    Returns:
        One latency a reference kernel, in ms; empty when there is no reading.
    """
    known = np.asarray([reading for reading in readings_ms if reading], dtype=np.float64)
    if not len(known):
        return ()
    level = np.quantile(known, 0.25, axis=0)
    for _ in range(_MOST_STEPS):
        distance = np.abs(np.log(known / level).mean(axis=1))
        near = known[distance <= math.log(CALM)]
        moved = np.median(near, axis=0) if len(near) else level
        if np.array_equal(moved, level):
            break
        level = moved
    return tuple(level.tolist())


def slowdown(reading_ms: Sequence[float], level_ms: Sequence[float]) -> float:
    """Return how much slower than usual a reading is: the geometric mean over the references, 1 for usual."""
    logs = [math.log(local / usual) for local, usual in zip(reading_ms, level_ms, strict=True)]
    return math.exp(sum(logs) / len(logs))
