"""Reads what ONNX Runtime's `onnxruntime_perf_test` prints.

The tool mixes units, the average in ms and percentiles in s, and has changed its words: "Average time cost",
"Average inference time cost", "… cost total"; "P50 Latency is 0.0018sec", "P50 Latency: 0.0018 s".  Units are read from
the line and never assumed; a latency without one is not reported.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from profiler.errors import ToolOutputError
from profiler.tool_outputs._figures import count, scaled
from profiler.tool_outputs._lines import Line, Text, read_text
from profiler.tool_outputs._log_prefix import without_prefix

KIND: Final = "onnxruntime_perf_test"

_ITEM = re.compile(
    r"(?P<label>[A-Za-z][A-Za-z0-9 /]{2,80}?) ?(?::| is ) ?"
    r"(?P<value>[0-9.eE+-]{1,40}) ?(?P<unit>[a-z%]{0,6})(?P<rest>.*)"
)
_AVERAGE = re.compile(r"(?:average|avg|mean)(?: inference)? (?:time(?: cost)?|latency)(?: total| per \S+)?")
_PERCENTILE = re.compile(r"(p50|p90|p95|p99|p999|min|max) latency")
_MS_OF: Final = {"s": Decimal(1000), "sec": Decimal(1000), "ms": Decimal(1), "us": Decimal("0.001")}
_PLAIN: Final = {
    "total inference requests": "requests",
    "total iterations": "requests",
    "runs": "requests",
    "peak working set size": "peak_working_set_bytes",
}
_TIMED: Final = {
    "session creation time cost": "session_creation_ms",
    "first inference time cost": "first_ms",
}
_FAILED = re.compile(
    r"\[E:onnxruntime|\bException\b|terminate called|\b[Ff]ail(?:ed|ure)?\b|CANNOT LINK|not executable: "
    r"|^Segmentation fault"
)


@dataclass(frozen=True)
class PerfTestRun:
    """One run of the tool.  None is unknown.

    Attributes:
        average_ms: Mean latency of a request.
        requests: Requests that were timed.
        session_creation_ms: Making the session.
        first_ms: First request of all.
        min_ms: Shortest.
        max_ms: Longest.
        p50_ms: Median.
        p90_ms: 90th percentile.
        p95_ms: 95th percentile.
        p99_ms: 99th percentile.
        p999_ms: 99.9th percentile.
        peak_working_set_bytes: Peak of memory.
    """

    average_ms: float | None = None
    requests: int | None = None
    session_creation_ms: float | None = None
    first_ms: float | None = None
    min_ms: float | None = None
    max_ms: float | None = None
    p50_ms: float | None = None
    p90_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    p999_ms: float | None = None
    peak_working_set_bytes: int | None = None


@dataclass(frozen=True)
class PerfTestOutput:
    """What the tool printed.

    Attributes:
        complete: Whether every run has its average and the output does not end inside a line.
        failed: The line that says why there is no result; None when there is one or no such line.
        runs: The runs, in order; tools print one, people put several into a file.
    """

    complete: bool
    failed: str | None
    runs: tuple[PerfTestRun, ...]


def parse_onnxruntime_perf_test(data: bytes) -> PerfTestOutput:
    r"""Return what `onnxruntime_perf_test` printed.

    Raises:
        ToolOutputError: It is no such output.

    Example:
        >>> parse_onnxruntime_perf_test(b"Average inference time cost: 1.85739 ms\n").runs[0].average_ms
        1.85739
    """
    text = read_text(data, KIND)
    runs: list[dict[str, float | int]] = [{}]
    failure: str | None = None
    for line in text.lines:
        own = without_prefix(line.text)
        item = _item(own, line)
        if item is None:
            failure = failure or (own if line.whole and _FAILED.search(own) else None)
            continue
        name, value = item
        if "average_ms" in runs[-1] and _begins_again(name, runs[-1].get(name), value):
            runs.append({})
        runs[-1].setdefault(name, value)
    known = [PerfTestRun(**run) for run in runs if run]  # type: ignore[arg-type]  # _item gives whole numbers their type
    done = bool(known) and all(run.average_ms is not None for run in known)
    if not known and (failure is None or "onnxruntime" not in failure):
        raise ToolOutputError(KIND, "no line of it is one that onnxruntime_perf_test prints")
    return PerfTestOutput(done and not _cut(text), None if done else failure, tuple(known))


def _begins_again(name: str, known: float | None, value: float) -> bool:
    """Whether a figure is one of the next run: a new session, or another value of what a run has one of."""
    return name == "session_creation_ms" or (name in ("average_ms", "requests") and known not in (None, value))


def _item(text: str, line: Line) -> tuple[str, float | int] | None:
    """Return the figure of a line; a line that is not whole counts if its number's unit is there."""
    found = _ITEM.fullmatch(text)
    if found is None:
        return None
    label, unit = found["label"].lower().removeprefix("- "), found["unit"]
    name = _PLAIN.get(label)
    if name is not None:
        amount = count(found["value"]) if line.whole and not found["rest"].strip("() .%0-9MGKiB") else None
        return None if not amount else (name, amount)
    percentile = _PERCENTILE.fullmatch(label)
    name = _TIMED.get(label) or (f"{percentile[1]}_ms" if percentile else None)
    name = "average_ms" if name is None and _AVERAGE.fullmatch(label) else name
    if name is None or unit not in _MS_OF or (found["rest"] and not found["rest"][0].isspace()):
        return None
    latency_ms = scaled(found["value"], _MS_OF[unit])
    return None if not latency_ms else (name, latency_ms)


def _cut(text: Text) -> bool:
    last = text.lines[-1]
    return text.cut and (last.whole or _item(without_prefix(last.text), last) is None)
