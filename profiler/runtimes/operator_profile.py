"""What a runtime's own profiler says about the operators inside one network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from profiler.errors import MeasurementError

XNNPACK_CUT_US = 0.5
"""XNNPACK cuts each operator's time to whole microseconds, which takes half of one on average: 200 operators of
9.6 us were given as 8.9 us each, of which 0.2 us are between the operators."""


@dataclass(frozen=True)
class OperatorTime:
    """Latency of one operator inside a network, as the runtime's own profiler gives it.

    Attributes:
        name: The runtime's name of the operator or node (fused operators have new names).
        kind: The runtime's type of it, such as "Conv" or "Convolution (NHWC, F32) IGEMM".
        mean_ms: Mean over the calmer of the profiled runs (the calm half where single runs are told, else all but
            the longest); None where no run reached the whole microsecond that profilers count in.
        runs: How many runs the mean is over.
    """

    name: str
    kind: str
    mean_ms: float | None
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

    def check_resolved(self) -> None:
        """Make sure that the profile tells where the time goes.

        Raises:
            MeasurementError: Most operators are shorter than the microseconds that the profiler counts in.
        """
        too_short = sum(time.mean_ms is None for time in self.operators)
        if 2 * too_short > len(self.operators):
            raise MeasurementError(
                f"{too_short} of {len(self.operators)} operators are shorter than the whole microseconds that the "
                f"runtime's profiler counts in, and the network takes {self.end_to_end_ms:.3g} ms; "
                "measure its kernels instead"
            )


def summarise_runs(
    operators: Sequence[tuple[str, str]],
    durations_us: Sequence[Sequence[float]],
    end_to_end_us: Sequence[float],
    cut_us: Sequence[float] | None = None,
) -> OperatorProfile:
    """Return the profile of a network from what a profiler said of each run.

    Args:
        operators: Name and kind of each operator, in execution order.
        durations_us: For each run, the duration of each operator.
        end_to_end_us: The latency of each run as a whole.
        cut_us: What the profiler takes off each operator's duration on average, where it rounds down.
    """
    calm = calm_half(end_to_end_us)
    times = []
    for index, (name, kind) in enumerate(operators):
        total_us = sum(durations_us[run][index] for run in calm)
        mean_us = total_us / len(calm) + (cut_us[index] if cut_us else 0.0)
        times.append(OperatorTime(name, kind, mean_us / 1e3 if total_us else None, len(calm)))
    end_to_end_ms = sum(end_to_end_us[run] for run in calm) / len(calm) / 1e3
    return OperatorProfile(tuple(times), end_to_end_ms)


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
