"""Which cores of a phone a program runs on, and how taskset is told."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import Literal

from profiler.backends.android.facts import PhoneFacts
from profiler.errors import ConfigError

Cpus = Literal["auto", "any"] | tuple[int, ...]


def chosen_cores(cpus: Cpus, threads: int, facts: PhoneFacts) -> tuple[int, ...] | None:
    """Return the cores to bind a program to; None for no binding.

    Args:
        cpus: As devices.yaml has it: "auto" for the fastest ones, as many as there are threads.
        threads: Threads of the program.
        facts: What the phone says of its cores; where it says nothing, "auto" binds to none.

    Raises:
        ConfigError: A core is named that the phone does not have, or that does not run.
    """
    if cpus == "any":
        return None
    if cpus == "auto":
        rising = list(chain.from_iterable(cluster.cores for cluster in facts.clusters))
        return tuple(sorted(rising[:threads])) if len(rising) >= threads else None
    missing = sorted(set(cpus) - set(facts.cores))
    if facts.cores and missing:
        raise ConfigError(f"the phone runs cores {list(facts.cores)}, and not {missing}", key="cpus")
    return tuple(sorted(set(cpus)))


def affinity_mask(cores: Iterable[int]) -> str:
    """Return cores as taskset takes them: a bare hexadecimal mask.

    Example:
        >>> affinity_mask([4, 5, 6, 7])
        'f0'
    """
    return f"{sum(1 << core for core in set(cores)):x}"
