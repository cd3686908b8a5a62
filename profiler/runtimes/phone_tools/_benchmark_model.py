"""Google's `benchmark_model`, built for the phone: .tflite models by XNNPACK, TFLite's own kernels, GPU or NNAPI."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from profiler.errors import RuntimeNotSupportedError, ToolOutputError, WorkloadFailedError
from profiler.runtimes.operator_profile import XNNPACK_CUT_US, OperatorTime
from profiler.runtimes.phone_tools.phone_tool import PhoneTool, ToolEnd, ToolReading, ToolRun, line_of
from profiler.runtimes.runtime import RUNTIMES
from profiler.tool_outputs import (
    BenchmarkResultFile,
    BenchmarkRun,
    ProfiledOperator,
    parse_benchmark_model,
    parse_benchmark_result,
    parse_op_profile,
)

_DELEGATE_FLAGS: Mapping[str, tuple[str, ...]] = {
    "xnnpack": ("--use_xnnpack=true",),
    # Said outright, or the default delegate, which is XNNPACK, would be applied.
    "builtin": ("--use_xnnpack=false",),
    "gpu": ("--use_gpu=true",),
    "nnapi": ("--use_nnapi=true",),
}
_OWN_CHIPS = ("gpu", "nnapi")
_KERNELS_PER_PROCESS = 64
"""Starting the process and its warm-up take about 0.3 s on a phone; 64 kernels make that a small part of each, and keep
a model's weights and buffers to some tens of megabytes."""
_ENTRIES_PER_OPERATOR, _LEAST_ENTRIES = 16, 1024
"""An operator leaves up to four events a run, its delegate's among them, and a fused network may be split again."""
_PRINTED_DIGITS = 0.02
"""The log rounds to six digits, old versions to whole microseconds; means that differ by more are of different runs."""
_ROUNDED_US = 1.0
_STOPPED_SHARE = 0.9
_XNNPACK_ROW = "Delegate/"
"""How rows of a delegate with a profiler of its own are named; of those on the processor that is XNNPACK alone.
Source: tflite/profiling/profile_summarizer.cc."""
_US_PER_MS = 1e3

_UNKNOWN_FLAGS = re.compile(r"Unconsumed cmdline flags|unrecognized commandline flag")
_NO_DELEGATE = re.compile(
    r"Could not create \S+ delegate|acceleration is unsupported"
    r"|[Cc]ould(?:n't| not) find the specified (?:NNAPI )?accelerator"
    r"|delegate (?:is unsupported|is not supported|isn't supported)"
)
_BAD_MODEL = re.compile(
    r"[Ff]ailed to (?:mmap|load|initialize|open|read)(?: the)? model|not a valid [Ff]lat[Bb]uffer"
    r"|Model provided has model identifier|Failed to load graph|Could not open"
)


class BenchmarkModel(PhoneTool):
    """Google's `benchmark_model`.

    Its own `--warmup_runs` and `--warmup_min_secs` warm up, and a number of runs is kept exactly by `--min_secs=0`.
    """

    name = "benchmark_model"
    model_runtime = RUNTIMES["litert"]
    accelerator_option = "delegate"
    default_accelerator = "xnnpack"
    accelerators = tuple(_DELEGATE_FLAGS)
    flags = (b"result_file_path", b"op_profiling_output_mode", b"op_profiling_output_file")
    version_pattern = re.compile(rb"benchmark_model[ -]version[ =:]{1,2}([0-9A-Za-z.+-]{1,40})")

    def kernels_per_process(self, accelerator: str) -> int:
        """Return 64 on the processor; chips of their own show the whole model as one row."""
        return 1 if accelerator in _OWN_CHIPS else _KERNELS_PER_PROCESS

    def words(self, run: ToolRun) -> tuple[str, ...]:
        """Return program and flags; the order of the delegates' flags is the order in which they are applied."""
        result, profile = self._paths(run)
        accelerator = run.nnapi_accelerator
        profiling = (
            "--enable_op_profiling=true",
            "--op_profiling_output_mode=proto",
            f"--op_profiling_output_file={profile}",
            f"--max_profiling_buffer_entries={_LEAST_ENTRIES + _ENTRIES_PER_OPERATOR * run.operators}",
        )
        return (
            run.program,
            f"--graph={run.model}",
            f"--num_threads={run.threads}",
            f"--num_runs={run.runs}",
            "--min_secs=0",
            f"--max_secs={run.timeout_s:g}",
            f"--warmup_runs={run.warmup_runs}",
            f"--warmup_min_secs={run.warmup_s:g}",
            f"--result_file_path={result}",
            *_DELEGATE_FLAGS[run.accelerator],
            *((f"--nnapi_accelerator_name={accelerator}",) if accelerator else ()),
            *(profiling if run.profiled else ()),
        )

    def result_files(self, run: ToolRun) -> tuple[str, ...]:
        """Return the result proto and, of a profiled run, the op profile."""
        result, profile = self._paths(run)
        return (result, profile) if run.profiled else (result,)

    def read(self, run: ToolRun, end: ToolEnd) -> ToolReading:
        """Read the log, the result proto and the op profile, and hold them against one another."""
        try:
            logged = self._logged(run, end)
            result_path, profile_path = self._paths(run)
            result = parse_benchmark_result(end.files.get(result_path, b""))
            _require_same(run, logged, result)
            if not run.profiled:
                return ToolReading(result.median_ms or result.average_ms)
            profile = parse_op_profile(end.files.get(profile_path, b""))
        except ToolOutputError as err:
            raise WorkloadFailedError("INVALID_OUTPUT", str(err)) from err
        # XNNPACK's operators stand among the graph's; a table of its own is what is inside of a row above.
        rows = profile.operators or profile.delegate_operators
        return ToolReading(result.average_ms, tuple(map(_operator_time, rows)))

    def _paths(self, run: ToolRun) -> tuple[str, str]:
        return f"{run.results}.result", f"{run.results}.profile"

    def _logged(self, run: ToolRun, end: ToolEnd) -> BenchmarkRun:
        """Return what the log says of the run.

        Raises:
            WorkloadFailedError: It says that there was none, or is cut.
            RuntimeNotSupportedError: It says that tool or phone cannot do what is asked.
        """
        if _UNKNOWN_FLAGS.search(end.log):
            problem = f"it does not know all of our flags ({line_of(_UNKNOWN_FLAGS, end.log)}); give a newer one"
            raise RuntimeNotSupportedError(run.serial, self.name, problem)
        if run.accelerator in _OWN_CHIPS and _NO_DELEGATE.search(end.log):
            problem = f"the phone has no such delegate: {line_of(_NO_DELEGATE, end.log)}; choose another `delegate:`"
            raise RuntimeNotSupportedError(run.serial, self.name, problem)
        if _BAD_MODEL.search(end.log):
            raise WorkloadFailedError("INVALID_MODEL", line_of(_BAD_MODEL, end.log))
        try:
            output = parse_benchmark_model(end.log.encode())
        except ToolOutputError as err:
            if end.exit_code:
                raise WorkloadFailedError("UNSUPPORTED", _exit(end)) from err
            raise
        if output.failed or end.exit_code:
            raise WorkloadFailedError("UNSUPPORTED", output.failed or _exit(end))
        if not output.complete or len(output.runs) != 1:
            raise WorkloadFailedError("INVALID_OUTPUT", "the log of benchmark_model is cut or not of one run")
        if run.accelerator in _OWN_CHIPS and output.runs[0].delegate is None:
            raise WorkloadFailedError("UNSUPPORTED", f"nothing in the log says that the {run.accelerator} was used")
        return output.runs[0]


def _require_same(run: ToolRun, logged: BenchmarkRun, result: BenchmarkResultFile) -> None:
    """Refuse a result file that is not of this run, or runs that are not as many as were asked for."""
    if result.runs != run.runs:
        took_s = (result.runs or 0) * result.average_ms / 1000.0
        if result.runs and result.runs < run.runs and took_s >= _STOPPED_SHARE * run.timeout_s:
            detail = f"{result.runs} of {run.runs} runs took the {run.timeout_s:g} s that a block may take"
            raise WorkloadFailedError("TIMEOUT", detail)
        raise WorkloadFailedError("INVALID_OUTPUT", f"{result.runs} runs in the result file for {run.runs}")
    average_us = 1000.0 * result.average_ms
    printed_us = logged.inference_avg_us
    if printed_us is None or not math.isclose(printed_us, average_us, rel_tol=_PRINTED_DIGITS, abs_tol=_ROUNDED_US):
        detail = f"a mean of {average_us:g} us in the result file and of {printed_us} us in the log"
        raise WorkloadFailedError("INVALID_OUTPUT", detail)
    if logged.count is not None and logged.count != run.runs:
        raise WorkloadFailedError("INVALID_OUTPUT", f"{logged.count} runs in the log for {run.runs}")
    if result.median_ms is not None and not _between(result.min_ms, result.median_ms, result.max_ms):
        raise WorkloadFailedError("INVALID_OUTPUT", f"a median of {result.median_ms} ms outside of the runs' range")


def _between(low: float | None, value: float, high: float | None) -> bool:
    return value > 0 and (low is None or low <= value) and (high is None or value <= high)


def _operator_time(row: ProfiledOperator) -> OperatorTime:
    # Rows count whole microseconds: one that has none is shorter, not nothing.
    cut_us = XNNPACK_CUT_US if (row.name or "").startswith(_XNNPACK_ROW) else 0.0
    call_ms = row.calm_ms + cut_us / _US_PER_MS if row.calm_ms else 0.0
    return OperatorTime(row.name or row.type, row.type, call_ms * row.times_called or None, row.calls)


def _exit(end: ToolEnd) -> str:
    said = " ".join(end.log.strip()[-200:].split())
    return f"benchmark_model ended with exit code {end.exit_code}" + (f": {said}" if said else "")
