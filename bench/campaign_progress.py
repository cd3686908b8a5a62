"""Says on standard error how a campaign of a bench is getting on; no bench of its own."""

from __future__ import annotations

import sys
from collections.abc import Callable

from profiler.measure import Progress

_EVERY_S = 5.0


def say_progress(title: str) -> Callable[[Progress], None]:
    """Return what `measure` may call after each block; it says a line every few seconds.

    Args:
        title: What is being measured.
    """
    last_s = [0.0]

    def report(progress: Progress) -> None:
        if progress.elapsed_s - last_s[0] >= _EVERY_S:
            last_s[0] = progress.elapsed_s
            done = f"{progress.blocks_done} of {progress.blocks_planned} blocks, round {progress.round + 1}"
            print(f"{title}: {done}, {progress.active} workloads active", file=sys.stderr)

    return report
