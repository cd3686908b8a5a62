"""ONNX Runtime's `onnxruntime_perf_test`, built for the phone: .onnx models by an execution provider."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from profiler.errors import MeasurementError, RuntimeNotSupportedError, ToolOutputError, WorkloadFailedError
from profiler.runtimes.ort_trace import read_ort_trace
from profiler.runtimes.phone_tools.phone_tool import PhoneTool, ToolEnd, ToolReading, ToolRun, line_of
from profiler.runtimes.runtime import RUNTIMES
from profiler.tool_outputs import PerfTestRun, parse_onnxruntime_perf_test

_PROVIDERS: Final[Mapping[str, str]] = {
    "CPUExecutionProvider": "cpu",
    "XnnpackExecutionProvider": "xnnpack",
    "NnapiExecutionProvider": "nnapi",
    "QNNExecutionProvider": "qnn",
}
"""The tool's short names."""
_WARMUP_RUNS: Final = 1
"""What the tool makes by itself; it takes no other number."""

_BAD_FLAGS = re.compile(
    r"perf_test \[options|unrecogni[sz]ed (?:option|command)|invalid option|Unknown command line flag"
)
_NO_PROVIDER = re.compile(r"is not supported in this build|not (?:enabled|available) in this build")
_BAD_MODEL = re.compile(
    r"INVALID_PROTOBUF|Protobuf parsing failed|Load model .{0,300} failed|INVALID_GRAPH|NO_SUCHFILE"
)


class OnnxruntimePerfTest(PhoneTool):
    """ONNX Runtime's own tool.

    It warms up by one run of its own, whatever is asked, and takes random inputs (`-I`).  Its profile is the same trace
    that ONNX Runtime writes on the host.
    """

    name = "onnxruntime_perf_test"
    model_runtime = RUNTIMES["onnxruntime"]
    accelerator_option = "execution_provider"
    default_accelerator = "CPUExecutionProvider"
    accelerators = tuple(_PROVIDERS)
    version_pattern = re.compile(rb"VERS_([0-9]+\.[0-9]+\.[0-9]+)|(?<=onnxruntime )([0-9]+\.[0-9]+\.[0-9]+)")

    def kernels_per_process(self, accelerator: str) -> int:
        """Return 1: the optimiser may merge branches of a model that kernels are packed into."""
        return 1

    def words(self, run: ToolRun) -> tuple[str, ...]:
        """Return program and options, the model, and the file that the tool writes each run to."""
        profile = ("-p", run.results) if run.profiled else ()
        options = ("-m", "times", "-r", str(run.runs), "-e", _PROVIDERS[run.accelerator], "-x", str(run.threads))
        # Only old builds leave the median out of what they print, so the file is not read; but its name tells this
        # run from all others, and an emulated phone draws its noise by the command line.
        return (run.program, *options, *profile, "-I", "-s", run.model, f"{run.results}.csv")

    def result_files(self, run: ToolRun) -> tuple[str, ...]:
        """Return the trace of a profiled run; all else is in what the tool prints."""
        return (f"{run.results}.json",) if run.profiled else ()

    def after(self, run: ToolRun) -> str:
        """Rename the trace, whose name has the time of day in it."""
        return f"mv -f {run.results}_*.json {run.results}.json" if run.profiled else ""

    def read(self, run: ToolRun, end: ToolEnd) -> ToolReading:
        """Read what the tool printed and, of a profiled run, the trace."""
        if _BAD_FLAGS.search(end.log):
            problem = f"it does not know all of our options ({line_of(_BAD_FLAGS, end.log)}); give a newer one"
            raise RuntimeNotSupportedError(run.serial, self.name, problem)
        if _NO_PROVIDER.search(end.log):
            problem = f"{line_of(_NO_PROVIDER, end.log)}; choose another `execution_provider:`"
            raise RuntimeNotSupportedError(run.serial, self.name, problem)
        if _BAD_MODEL.search(end.log):
            raise WorkloadFailedError("INVALID_MODEL", line_of(_BAD_MODEL, end.log))
        try:
            return self._reading(run, end, _printed(run, end))
        except MeasurementError as err:
            if isinstance(err, WorkloadFailedError):
                raise
            raise WorkloadFailedError("INVALID_OUTPUT", str(err)) from err

    def _reading(self, run: ToolRun, end: ToolEnd, printed: PerfTestRun) -> ToolReading:
        if printed.average_ms is None:
            raise WorkloadFailedError("INVALID_OUTPUT", "onnxruntime_perf_test printed no mean latency")
        if not run.profiled:
            return ToolReading(printed.p50_ms or printed.average_ms)
        (path,) = self.result_files(run)
        profile = read_ort_trace(end.files.get(path, b""), warmup_runs=_WARMUP_RUNS, runs=run.runs)
        return ToolReading(profile.end_to_end_ms, profile.operators)


def _printed(run: ToolRun, end: ToolEnd) -> PerfTestRun:
    try:
        output = parse_onnxruntime_perf_test(end.log.encode())
    except ToolOutputError as err:
        reason = "UNSUPPORTED" if end.exit_code else "INVALID_OUTPUT"
        raise WorkloadFailedError(reason, f"exit code {end.exit_code}: {err}") from err
    if output.failed or end.exit_code:
        raise WorkloadFailedError("UNSUPPORTED", output.failed or f"the tool ended with exit code {end.exit_code}")
    if not output.complete or len(output.runs) != 1:
        raise WorkloadFailedError("INVALID_OUTPUT", "the output of onnxruntime_perf_test is cut or not of one run")
    (printed,) = output.runs
    if printed.requests != run.runs:
        raise WorkloadFailedError("INVALID_OUTPUT", f"{printed.requests} runs in the output for {run.runs}")
    return printed
