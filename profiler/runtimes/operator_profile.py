"""What a runtime's own profiler says about the operators inside one network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class OperatorTime:
    """Latency of one operator inside a network, as the runtime's own profiler gives it.

    Attributes:
        name: The runtime's name of the operator or node (fused operators have new names).
        kind: The runtime's type of it, such as "Conv" or "Convolution (NHWC, F32) IGEMM".
        mean_ms: Mean over the calm half of the profiled runs.
        runs: How many runs the mean is over.
    """

    name: str
    kind: str
    mean_ms: float
    runs: int


@dataclass(frozen=True)
class OperatorProfile:
    """Per-operator latencies of one network in execution order.

    Attributes:
        operators: One entry an executed operator.
        end_to_end_ms: Mean latency of the same runs as a whole; profiling itself slows them.
    """

    operators: tuple[OperatorTime, ...]
    end_to_end_ms: float


def calm_half(end_to_end_us: Sequence[float]) -> tuple[int, ...]:
    """Return the indices of the faster half of the runs, rounded up, in order.

    A run in which the processor was taken away puts a hundred times its latency on whichever operator
    happened to run, so a mean over all runs tells of the machine.  A median per operator would not do:
    profilers count whole microseconds, which only a mean resolves further, and only times of the same
    runs add up to the whole.

    Example:
        >>> calm_half([15.0, 900.0, 14.0])
        (0, 2)
    """
    by_latency = sorted(range(len(end_to_end_us)), key=lambda run: end_to_end_us[run])
    return tuple(sorted(by_latency[: (len(by_latency) + 1) // 2]))
