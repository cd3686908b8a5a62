"""How onnxruntime_perf_test is called, and which of its outputs become a number."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise

import pytest

from profiler.errors import RuntimeNotSupportedError, WorkloadFailedError
from profiler.runtimes.phone_tools import PHONE_TOOLS, ToolEnd, ToolRun
from tests.profiler.runtimes.phone_tools.test_benchmark_model import RUN as OTHER

TOOL = PHONE_TOOLS["onnxruntime_perf_test"]
RUN = replace(OTHER, accelerator="CPUExecutionProvider", runs=3)
PROFILED = replace(RUN, profiled=True)
PRINTED = (
    "Session creation time cost: 0.01 s\nFirst inference time cost: 2 ms\nTotal inference time cost: 0.006 s\n"
    "Total inference requests: 3\nAverage inference time cost: 2.1 ms\nTotal inference run time: 0.006 s\n"
    "Min Latency: 0.0018 s\nMax Latency: 0.003 s\nP50 Latency: 0.00185739 s\n"
)


def trace(runs: int) -> bytes:
    events = []
    for run in range(runs):
        begin = 1000 * run
        events += [
            {"cat": "Session", "name": "model_run", "ts": begin, "dur": 500},
            {"cat": "Node", "name": "a_kernel_time", "ts": begin + 1, "dur": 300, "args": {"op_name": "Conv"}},
            {"cat": "Node", "name": "b_kernel_time", "ts": begin + 400, "dur": 50, "args": {"op_name": "Relu"}},
        ]
    return json.dumps(events).encode()


def read(run: ToolRun, text: str = PRINTED, code: int = 0, files: dict[str, bytes] | None = None) -> object:
    return TOOL.reading(run, ToolEnd(code, text, files or {}))


def test_options() -> None:
    words = TOOL.words(PROFILED)
    assert words[0] == "/f/p.x" and words[-2:] == ("/f/m", "/f/run-1.csv")
    pairs = dict(pairwise(words))
    assert (pairs["-m"], pairs["-r"], pairs["-e"], pairs["-x"], pairs["-p"]) == ("times", "3", "cpu", "2", "/f/run-1")
    assert "-p" not in TOOL.words(RUN)
    assert TOOL.after(PROFILED) == "mv -f /f/run-1_*.json /f/run-1.json"
    assert TOOL.kernels_per_process("CPUExecutionProvider") == 1


def test_the_median_and_the_trace() -> None:
    assert TOOL.reading(RUN, ToolEnd(0, PRINTED, {})).latency_ms == pytest.approx(1.85739)
    without = PRINTED.replace("P50", "P5x")
    assert TOOL.reading(RUN, ToolEnd(0, without, {})).latency_ms == 2.1
    profiled = TOOL.reading(PROFILED, ToolEnd(0, PRINTED, {"/f/run-1.json": trace(4)}))
    assert [(one.name, one.kind, one.mean_ms) for one in profiled.operators] == [
        ("a", "Conv", 0.3),
        ("b", "Relu", 0.05),
    ]


@pytest.mark.parametrize(
    ("run", "text", "code", "files", "reason"),
    [
        (RUN, PRINTED[:90], 0, {}, "INVALID_OUTPUT"),
        (RUN, PRINTED.replace("requests: 3", "requests: 2"), 0, {}, "INVALID_OUTPUT"),
        (RUN, PRINTED + PRINTED.replace("2.1", "2.2"), 0, {}, "INVALID_OUTPUT"),
        (RUN, "", 0, {}, "INVALID_OUTPUT"),
        (PROFILED, PRINTED, 0, {}, "INVALID_OUTPUT"),
        (PROFILED, PRINTED, 0, {"/f/run-1.json": trace(3)}, "INVALID_OUTPUT"),
        (PROFILED, PRINTED, 0, {"/f/run-1.json": trace(4)[:-9]}, "INVALID_OUTPUT"),
        (RUN, "Load model from m failed:Protobuf parsing failed.\n", 255, {}, "INVALID_MODEL"),
        (RUN, "[E:onnxruntime:, x.cc:1] Exception: no kernel for Mystery\n", 1, {}, "UNSUPPORTED"),
        (RUN, "", 137, {}, "OUT_OF_MEMORY"),
    ],
)
def test_what_gives_no_number(run: ToolRun, text: str, code: int, files: dict[str, bytes], reason: str) -> None:
    with pytest.raises(WorkloadFailedError) as caught:
        read(run, text, code, files)
    assert caught.value.reason == reason


@pytest.mark.parametrize("text", ["perf_test [options...] model_path\n", "QNN is not supported in this build\n"])
def test_what_the_build_cannot_do_ends_the_campaign(text: str) -> None:
    with pytest.raises(RuntimeNotSupportedError):
        read(RUN, text, 1)


def test_version() -> None:
    assert TOOL.version(b"\0VERS_1.17.1\0", "12") == "1.17.1"
