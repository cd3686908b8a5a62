"""Reads the two binary files of `benchmark_model`: --result_file_path, and the op profile in proto mode.

Numbers of fields are those of benchmark_result.proto and profiling_info.proto in TensorFlow Lite.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from profiler.errors import ToolOutputError
from profiler.tool_outputs._lines import short
from profiler.tool_outputs._operator_table import Operator
from profiler.tool_outputs._wire import Message

RESULT_KIND: Final = "benchmark_result"
PROFILE_KIND: Final = "op_profile"

# Ten thousand operators, at some two hundred bytes each, take half of it.
_MOST_BYTES: Final = 4 << 20
_KIB: Final = 1024
_US_OF_MS: Final = 1000
_FEW_CALLS: Final = 2


@dataclass(frozen=True)
class BenchmarkResultFile:
    """The content of --result_file_path.  None is not set.

    Attributes:
        average_ms: Mean latency of an inference, warm-up left out.
        min_ms: Shortest.
        max_ms: Longest.
        std_ms: Standard deviation.
        median_ms: Median.
        p5_ms: 5th percentile.
        p95_ms: 95th percentile.
        init_ms: Initialisation.
        first_ms: First inference of all.
        warmup_average_ms: Mean latency of a warm-up inference.
        runs: Inferences that the mean is over.
        warmup_runs: Warm-up inferences.
        footprint_init_bytes: Memory that initialisation took.
        footprint_overall_bytes: Memory at the end.
    """

    average_ms: float
    min_ms: float | None
    max_ms: float | None
    std_ms: float | None
    median_ms: float | None
    p5_ms: float | None
    p95_ms: float | None
    init_ms: float | None
    first_ms: float | None
    warmup_average_ms: float | None
    runs: int | None
    warmup_runs: int | None
    footprint_init_bytes: int | None
    footprint_overall_bytes: int | None


@dataclass(frozen=True)
class ProfiledOperator(Operator):
    """One operator of an op profile.

    Attributes:
        calls: Calls that the mean is over, of all runs.
        calm_ms: Mean latency of one call without the longest, where there are more than two: a call in which the
            processor was taken away can last longer than all others together.
    """

    calls: int
    calm_ms: float


@dataclass(frozen=True)
class OpProfileFile:
    """The op profile of the regular runs.

    Attributes:
        operators: Operators of the graph in run order.
        delegate_operators: Operators inside the delegate, where the delegate has a profile of its own.
    """

    operators: tuple[ProfiledOperator, ...]
    delegate_operators: tuple[ProfiledOperator, ...]


def parse_benchmark_result(data: bytes) -> BenchmarkResultFile:
    """Return the content of `--result_file_path`.

    Raises:
        ToolOutputError: It is no such file, is cut, or its mean is not finite and above 0.
    """
    result = _message(data, RESULT_KIND)
    latency, memory, misc = result.message(2), result.message(3), result.message(4)
    average_ms = latency.real(1) if latency else None
    if not result.only({1, 2, 3, 4}) or latency is None or average_ms is None:
        raise ToolOutputError(RESULT_KIND, "it has no latency: no result file of benchmark_model, or a cut one")
    if misc is None:
        raise ToolOutputError(RESULT_KIND, "the count of runs is missing: the file is cut")
    if not 0 < average_ms < float("inf"):
        raise ToolOutputError(RESULT_KIND, f"a mean of {average_ms} ms is no latency")
    return BenchmarkResultFile(
        average_ms=average_ms,
        min_ms=_finite(latency.real(2)),
        max_ms=_finite(latency.real(3)),
        std_ms=_finite(latency.real(4)),
        median_ms=_finite(latency.real(5)),
        p5_ms=_finite(latency.real(6)),
        p95_ms=_finite(latency.real(7)),
        init_ms=_finite(latency.real(8)),
        first_ms=_finite(latency.real(9)),
        warmup_average_ms=_finite(latency.real(10)),
        runs=misc.integer(2),
        warmup_runs=misc.integer(3),
        footprint_init_bytes=_bytes(memory, 1),
        footprint_overall_bytes=_bytes(memory, 2),
    )


def parse_op_profile(data: bytes) -> OpProfileFile:
    """Return the operators of the regular runs from an op profile in proto mode.

    Means are sum over count, for the file's own mean is cut to whole microseconds.

    Raises:
        ToolOutputError: It is no such file or is cut.
    """
    profile = _message(data, PROFILE_KIND)
    regular = profile.message(3)
    if not profile.only({1, 2, 3}) or regular is None:
        raise ToolOutputError(PROFILE_KIND, "it has no profile of regular runs")
    # Subgraph 0 is the model; others are bodies of its control flow and are in its rows already.
    graphs = [graph for graph in regular.messages(1) if not graph.integer(2)]
    operators = [_operator(row) for graph in graphs for row in graph.messages(3)]
    inside = [_operator(row) for delegate in regular.messages(2) for row in delegate.messages(2)]
    if not operators and not inside:
        raise ToolOutputError(PROFILE_KIND, "its profile of regular runs has no operator")
    return OpProfileFile(_in_order(operators), _in_order(inside))


def _message(data: bytes, kind: str) -> Message:
    if not data:
        raise ToolOutputError(kind, "empty")
    if len(data) > _MOST_BYTES:
        raise ToolOutputError(kind, f"larger than {_MOST_BYTES >> 20} MiB, which no file of this kind is")
    return Message(data, kind)


def _operator(row: Message) -> tuple[int, ProfiledOperator]:
    stat = row.message(2)
    node_type, called = row.text(1), row.integer(4)
    total_us, count = (stat.integer(8), stat.integer(9)) if stat else (None, None)
    if node_type is None or called is None or called < 0 or total_us is None or total_us < 0 or not count or count < 0:
        raise ToolOutputError(PROFILE_KIND, "an operator without its type, its calls or its sum")
    name = short(row.text(5) or "") or None
    longest_us = stat.integer(7) if stat else None
    calm_us = total_us / count
    if count > _FEW_CALLS and longest_us is not None and 0 <= longest_us <= total_us:
        calm_us = (total_us - longest_us) / (count - 1)
    average_ms = total_us / count / _US_OF_MS
    return row.integer(6) or 0, ProfiledOperator(
        short(node_type), name, average_ms, called, calls=count, calm_ms=calm_us / _US_OF_MS
    )


def _in_order(operators: list[tuple[int, ProfiledOperator]]) -> tuple[ProfiledOperator, ...]:
    return tuple(operator for _, operator in sorted(operators, key=lambda entry: entry[0]))


def _finite(value: float | None) -> float | None:
    return value if value is not None and 0 <= value < float("inf") else None


def _bytes(memory: Message | None, field: int) -> int | None:
    kib = memory.integer(field) if memory else None
    # The tool writes -1 where it could not tell.
    return kib * _KIB if kib is not None and kib >= 0 else None
