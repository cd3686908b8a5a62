"""ONNX Runtime's two outputs, on samples made by hand."""

from __future__ import annotations

import pytest

from profiler.errors import ToolOutputError
from profiler.tool_outputs import parse_onnxruntime_perf_test, parse_onnxruntime_profile

EVENTS = [
    '{"cat":"Session","dur":900,"ts":1,"ph":"X","name":"model_run","args":{}}',
    '{"cat":"Node","dur":1,"ts":2,"name":"conv1_fence_before","args":{"op_name":"Conv"}}',
    '{"cat":"Node","dur":500,"ts":3,"name":"conv1_kernel_time","args":{"op_name":"Conv","node_index":"0"}}',
    '{"cat":"Node","dur":"40","ts":"503","name":"_kernel_time","args":{"op_name":"Relu","provider":"CPU"}}',
    '{"cat":"Session","dur":600,"ts":2,"name":"SequentialExecutor::Execute"}',
]


@pytest.mark.parametrize(
    "line",
    [
        "Average inference time cost: 1.5 ms",
        "Average inference time cost:1.5 ms",
        "Average inference time cost total: 1.5 ms",
        "Average time cost: 1.5 ms",
        "Average inference time: 0.0015 s",
        "Average inference time cost: 1500 us",
        "INFO: Average inference time cost: 1.5 ms (note by hand)",
    ],
)
def test_every_form_of_the_average(line: str) -> None:
    assert parse_onnxruntime_perf_test(line.encode() + b"\n").runs[0].average_ms == 1.5


@pytest.mark.parametrize("line", ["P99 Latency: 0.0625 s", "P99 Latency is 0.0625 sec", "P99 Latency is 0.0625sec"])
def test_every_form_of_a_percentile(line: str) -> None:
    said = parse_onnxruntime_perf_test(f"Average time cost: 58 ms\n{line}\n".encode())
    assert said.runs[0].p99_ms == 62.5


@pytest.mark.parametrize("value", ["1.5", "1.5 m", "0 ms", "-1 ms", "nan ms", "1e300 ms", "1.5 msx"])
def test_a_latency_that_is_none(value: str) -> None:
    said = parse_onnxruntime_perf_test(f"Total inference requests: 5\nAverage inference time cost: {value}\n".encode())
    assert said.runs[0].average_ms is None
    assert not said.complete


def test_several_runs_in_one_file() -> None:
    one = "Session creation time cost: 0.5 s\nTotal inference requests: {}\nAverage inference time cost: {} ms\n"
    said = parse_onnxruntime_perf_test((one.format(10, 1.5) + one.format(20, 2.5)).encode())
    assert [(run.requests, run.average_ms) for run in said.runs] == [(10, 1.5), (20, 2.5)]


def test_a_failed_run_says_why() -> None:
    said = parse_onnxruntime_perf_test(b"2026-01-01 [E:onnxruntime:, x.cc:9] Load model failed: no such file\n")
    assert said.failed is not None and "Load model failed" in said.failed
    assert (said.complete, said.runs) == (False, ())


def test_profile_whole() -> None:
    said = parse_onnxruntime_profile(("[" + ",\n".join(EVENTS) + "\n]\n").encode())
    assert [(node.name, node.op_type, node.duration_us, node.node_index) for node in said.nodes] == [
        ("conv1", "Conv", 500, 0),
        (None, "Relu", 40, None),
    ]
    assert (said.complete, said.model_runs_us, said.executions_us, said.nodes_total_us) == (True, (900,), (600,), 540)


def test_profile_as_a_document_of_chrome() -> None:
    listed = "[" + ",".join(EVENTS) + "]"
    assert parse_onnxruntime_profile(f'{{"traceEvents": {listed}}}'.encode()) == parse_onnxruntime_profile(
        listed.encode()
    )


def test_profile_in_parts_is_not_summed() -> None:
    part = parse_onnxruntime_profile((",\n".join(EVENTS) + ",\n").encode())
    assert (part.complete, part.nodes_total_us, len(part.nodes)) == (False, None, 2)


def test_of_a_broken_event_only_whole_entries_count() -> None:
    assert (
        parse_onnxruntime_profile(b'{"cat":"Node","dur":500,"name":"a_kernel_time","args":{"x').nodes[0].duration_us
        == 500
    )
    assert parse_onnxruntime_profile(b'{"cat":"Node","name":"a_kernel_time","dur":50').nodes == ()


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'[{"a":1}]', b"[1,2]", b"Average", b'"cat"', b"[" * 5000])
def test_what_is_no_profile(data: bytes) -> None:
    with pytest.raises(ToolOutputError):
        parse_onnxruntime_profile(data)
