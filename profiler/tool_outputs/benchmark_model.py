"""Reads the log of Google's `benchmark_model`, as any version since 2017 writes it and people save it.

A number is reported only from a line that is there as a whole and matches as a whole.  Lines that are not the tool's
are passed over: a log is mixed with what the runtime, the shell, logcat and people write.
"""

from __future__ import annotations

import re
from typing import Final

from profiler.errors import ToolOutputError
from profiler.tool_outputs._benchmark_run import BenchmarkOutput, RunReading
from profiler.tool_outputs._delegate import read_delegate
from profiler.tool_outputs._failure import Failures
from profiler.tool_outputs._figures import count, figure
from profiler.tool_outputs._lines import Line, Text, read_text, short
from profiler.tool_outputs._log_prefix import without_prefix
from profiler.tool_outputs._profile_tables import ProfileTables
from profiler.tool_outputs._timings import read_stage, read_summary

KIND: Final = "benchmark_model"

_HEAD = re.compile(
    r"STARTING!$|^Log parameter values verbosely: |^(?:Min )?[Nn]um runs: \[|^Num threads: \[|^Graph: \["
    r"|^Loaded model\b|^resolved reporter$|^The input model file size \(MB\)|^Initialized session in "
    r"|^Running benchmark for |^Replacing [0-9]+ .{0,20}node\(s\) with delegate"
    r"|[Cc]reated TensorFlow Lite .{0,20}delegate"
    r"|\S delegate created\.?$|[Aa]pplied \S+ delegate, and the model graph|delegate is .{0,40}applied, the model graph"
    r"|^Running TensorFlow Lite benchmark with args"
)
_START = re.compile(r"STARTING!$|^Log parameter values verbosely: |^(?:Min )?[Nn]um runs: \[")
_RESTART = re.compile(r"STARTING!$|^Loaded model\b|^Log parameter values verbosely: |^Initialized session in ")
_OTHER = re.compile(
    r"^Unconsumed cmdline flags|^Benchmarking failed|^Number of nodes executed: |nodes observed$"
    r"|Memory footprint delta from the start of the tool|^(?:Overall p|P)eak memory footprint \(MB\)"
    r"|^Could not create \S+ delegate|^Failed to apply .{0,60}delegate|^Profiling Info for Benchmark Init"
    r"|^Operator-wise Profiling Info"
)
_PARAMETER = re.compile(r"([^:\[\]]{1,80}?) ?: \[(.*)\]")
_FOOTPRINT = re.compile(r"footprint.{0,60} \(MB\): init=(\S+) overall=(\S+)$")
_PEAK = re.compile(r"Overall peak memory footprint \(MB\) via periodic monitoring: (\S+)$")
_PROFILE_FILES: Final = {
    "CSV File to export profiling data to",
    "File path to export profile data to",
    "Op profiling output file",
    "Op profiling output file.",
    "Output file to export profiling data to",
}


def parse_benchmark_model(data: bytes) -> BenchmarkOutput:
    r"""Return what a log of `benchmark_model` says, and its operator tables as text or CSV.

    Args:
        data: The log as it was saved: standard output, with or without standard error, or logcat.

    Raises:
        ToolOutputError: It is no such log.

    Example:
        >>> log = b"Inference timings in us: Init: 5, First inference: 9, Warmup (avg): 8, Inference (avg): 7.5\n"
        >>> parse_benchmark_model(log).runs[0].inference_avg_us
        7.5
    """
    text = read_text(data, KIND)
    reading = _LogReading()
    for line in text.whole():
        reading.read(line)
    return reading.output(text)


class _LogReading:
    """The state of reading a log: the run in hand, and those before it."""

    def __init__(self) -> None:
        self._runs = [RunReading()]
        self._failures = Failures()
        self._tables = ProfileTables()
        self._recognised = False
        self._names_tool = False

    @property
    def _run(self) -> RunReading:
        return self._runs[-1]

    def read(self, line: Line) -> None:
        """Take the next line that is whole."""
        text = without_prefix(line.text)
        self._names_tool = self._names_tool or "benchmark_model" in line.text
        if self._timing(text) or self._table(text):
            self._recognised = True
            return
        self._failures.read(text)
        self._head(text)
        self._fact(text)

    def output(self, text: Text) -> BenchmarkOutput:
        """Return the result after the last line.

        Raises:
            ToolOutputError: No line was one of the tool's.
        """
        ended = not text.cut or self._ends_well(text.lines[-1])
        self._tables.end(self._run)
        if not self._recognised and not (self._names_tool and self._failures.in_shell):
            raise ToolOutputError(KIND, "no line of it is one that benchmark_model prints")
        if self._run.inference_avg_us is not None:
            # What the shell says after the result is about something else.
            self._failures.result()
        failed = self._failures.reason()
        runs = tuple(run for reading in self._runs if (run := reading.result()) is not None)
        complete = ended and failed is None and bool(runs) and self._reached_the_end()
        return BenchmarkOutput(complete, failed, runs)

    def _reached_the_end(self) -> bool:
        return all(reading.complete for reading in self._runs if reading.begun or reading.result() is not None)

    def _ends_well(self, last: Line) -> bool:
        """Whether a last line without a newline is whole all the same: another line vouches for its last number."""
        text = without_prefix(last.text)
        if re.fullmatch(r"[0-9]{1,9} nodes observed", text):
            return True
        summary = read_summary(text)
        if summary is None or summary.last != "inference_avg":
            self._tables.read_cut(text)
            return False
        if not any(stage.texts.get("avg") == summary.last_text for stage in self._run.stages[-1:]):
            return False
        self._timing(text)
        return True

    def _timing(self, text: str) -> bool:
        stage, summary = read_stage(text), read_summary(text)
        if stage is not None:
            if self._run.summary is not None:
                self._next_run()
            if not self._run.stages or self._run.stages[-1] != stage:
                self._run.stages.append(stage)
            if self._run.inference_avg_us is not None:
                self._failures.result()
        elif summary is not None:
            # One log prints its summary twice a run.
            if self._run.summary is not None and self._run.summary != summary:
                self._next_run()
            self._run.summary = summary
            self._failures.result()
        return stage is not None or summary is not None

    def _table(self, text: str) -> bool:
        taken = self._tables.read(text, self._run)
        if self._tables.unknown is not None:
            self._failures.certain(f"operator table with an unknown heading: {short(self._tables.unknown)}")
        return taken

    def _head(self, text: str) -> None:
        head = _HEAD.search(text) is not None
        self._recognised = self._recognised or head or _OTHER.search(text) is not None
        self._run.elided = self._run.elided or text.startswith("...") or text == "…"
        if not head:
            return
        run = self._run
        began_again = text.endswith("STARTING!") and run.begun
        if began_again or run.summary is not None or (_RESTART.search(text) and (run.stages or run.has_profile)):
            self._next_run()
        self._run.begun = True
        self._run.started = self._run.started or _START.search(text) is not None
        self._run.detailed = self._run.detailed or "with detailed stat logging" in text

    def _next_run(self) -> None:
        self._tables.end(self._run)
        self._tables = ProfileTables()
        self._runs.append(RunReading())

    def _fact(self, text: str) -> None:
        run = self._run
        run.delegate = read_delegate(text, run.delegate)
        parameter = _PARAMETER.fullmatch(text)
        if parameter:
            self._parameter(parameter[1], parameter[2])
        elif found := _FOOTPRINT.search(text):
            _keep(run, footprint_init_mb=figure(found[1]), footprint_overall_mb=figure(found[2]))
        elif found := _PEAK.search(text):
            _keep(run, footprint_peak_mb=figure(found[1]))

    def _parameter(self, name: str, value: str) -> None:
        run = self._run
        if name == "Enable op profiling":
            run.profiled = run.profiled or value == "1"
        elif name in _PROFILE_FILES and value:
            run.profiled_to_file = True
        elif name == "Graph" and value:
            run.facts["graph"] = short(value)
        elif name in ("Num threads", "#threads used for CPU inference"):
            # -1 asks the runtime to choose.
            _keep(run, threads=count(value) or None)


def _keep(run: RunReading, **facts: float | None) -> None:
    run.facts.update({name: value for name, value in facts.items() if value is not None})
