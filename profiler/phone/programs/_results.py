"""What `benchmark_model` gives at its end: the summary in its log and the result file."""

from __future__ import annotations

import math
from dataclasses import dataclass

from profiler.phone.programs._protobuf import bytes_field, float_field, integer_field
from profiler.phone.programs._statistics import StatWithPercentiles

_BYTES_PER_MB = 1e6
_KB_PER_MB = 1024.0
_MS_PER_US = 1e-3


@dataclass(frozen=True)
class BenchmarkResults:
    """Everything that a benchmark has found.

    Attributes:
        file_bytes: Size of the model file.
        input_bytes: Of all inputs.
        init_us: Initialisation.
        warmup: Latencies of the warm-up.
        runs: Latencies of the runs.
        init_kb: Memory that initialisation took.
        overall_kb: Memory at the end.
        watched: Whether the peak of memory was watched.
    """

    file_bytes: int
    input_bytes: int
    init_us: int
    warmup: StatWithPercentiles
    runs: StatWithPercentiles
    init_kb: int
    overall_kb: int
    watched: bool

    def lines(self) -> list[str]:
        """Return the summary."""
        lines = [
            f"Inference timings in us: Init: {self.init_us}, First inference: {self.warmup.first}, "
            f"Warmup (avg): {self.warmup.average:g}, Inference (avg): {self.runs.average:g}",
            "Note: as the benchmark tool itself affects memory footprint, the following is only APPROXIMATE to the "
            "actual memory footprint of the model at runtime. Take the information at your discretion.",
            f"Memory footprint delta from the start of the tool (MB): init={self.init_kb / _KB_PER_MB:g}"
            f" overall={self.overall_kb / _KB_PER_MB:g}",
        ]
        if self.watched:
            peak_mb = self.overall_kb / _KB_PER_MB
            lines.append(f"Overall peak memory footprint (MB) via periodic monitoring: {peak_mb:g}")
        return lines

    def proto(self) -> bytes:
        """Return a serialised BenchmarkResult."""
        return bytes_field(2, self._latency()) + bytes_field(3, self._memory()) + bytes_field(4, self._miscellaneous())

    def _latency(self) -> bytes:
        low, median, high = self.runs.percentiles(5, 50, 95)
        figures_us = (
            self.runs.average, self.runs.least, self.runs.largest, self.runs.deviation, median, low, high,
            self.init_us, self.warmup.first, self.warmup.average,
        )  # fmt: skip
        return b"".join(float_field(number, _MS_PER_US * figure) for number, figure in enumerate(figures_us, 1))

    def _memory(self) -> bytes:
        peak = float_field(3, self.overall_kb / _KB_PER_MB) if self.watched else b""
        return integer_field(1, self.init_kb) + integer_field(2, self.overall_kb) + peak

    def _miscellaneous(self) -> bytes:
        total_s = self.runs.total / 1e6
        moved_mb = self.input_bytes * self.runs.count / _BYTES_PER_MB
        return (
            float_field(1, self.file_bytes / _BYTES_PER_MB)
            + integer_field(2, self.runs.count)
            + integer_field(3, self.warmup.count)
            + float_field(4, moved_mb / total_s if total_s else math.nan)
        )
