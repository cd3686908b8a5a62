"""What a runtime's own profiler says about the operators inside one network."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class OperatorTime:
    """Latency of one operator inside a network, as the runtime's own profiler gives it.

    Attributes:
        name: The runtime's name of the operator or node (fused operators have new names).
        kind: The runtime's type of it, such as "Conv" or "Convolution (NHWC, F32) IGEMM".
        mean_ms: Mean over the profiled runs.
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
