"""Profiles of all runtimes: published shapes are read, and anything odd is an error, never 0 ms."""

from __future__ import annotations

import json
from typing import Any

import pytest

from profiler.errors import MeasurementError
from profiler.runtimes import RUNTIMES, read_litert_events, read_ort_trace
from profiler.runtimes.ncnn_times import read_ncnn_times


def node(name: str, start_us: float, duration_us: float, **changes: Any) -> dict[str, Any]:
    arguments = {"op_name": name.partition("_")[0], "provider": "CPUExecutionProvider"}
    event = {"cat": "Node", "name": f"{name}_kernel_time", "ts": start_us, "dur": duration_us, "args": arguments}
    return {**event, **changes}


def whole(start_us: float, duration_us: float) -> dict[str, Any]:
    return {"cat": "Session", "name": "model_run", "ts": start_us, "dur": duration_us, "args": {}}


def trace() -> list[dict[str, Any]]:
    """One warm-up run and four runs of Conv and Relu, one disturbed, out of order as ONNX Runtime writes them."""
    events: list[dict[str, Any]] = [{"cat": "Session", "name": "model_loading", "ts": 0, "dur": 9, "args": {}}]
    for start, conv, relu in ((100, 99, 99), (1000, 10, 2), (2000, 30, 4), (3000, 10, 900), (4000, 31, 4)):
        events += [node("Conv_0", start + 1, conv), node("Relu_1", start + 1 + conv, relu)]
        events += [whole(start, 2 + conv + relu)]
    return events


def read(events: object, **changes: Any) -> Any:
    return read_ort_trace(json.dumps(events).encode(), **{"warmup_runs": 1, "runs": 4, **changes})


def test_means_leave_the_warm_up_and_disturbed_runs_out() -> None:
    profile = read(trace())
    assert [(time.name, time.kind, time.mean_ms, time.runs) for time in profile.operators] == [
        ("Conv_0", "Conv", pytest.approx(0.020), 2),
        ("Relu_1", "Relu", pytest.approx(0.003), 2),
    ]
    assert profile.end_to_end_ms == pytest.approx((14 + 36) / 2 / 1000)


@pytest.mark.parametrize(
    "events",
    [
        {},
        [1],
        [],
        trace()[:-1],
        [event for event in trace() if event["cat"] != "Node"],
        [event for event in trace() if event["ts"] != 2001],
        [*trace()[:-1], whole(2000, -1)],
        [*trace(), node("Conv_0", 2003, 1, dur=None)],
        [*trace(), node("Conv_0", 2003, 1, args={})],
        [*trace(), node("Conv_0", 2003, 1, ts="1")],
    ],
)
def test_an_odd_trace_is_an_error(events: object) -> None:
    with pytest.raises(MeasurementError, match="trace"):
        read(events)


def test_operators_below_the_profilers_microsecond_have_no_latency() -> None:
    runs = [litert_run(12, 0), litert_run(11, 0)]
    assert [time.mean_ms for time in read_litert(runs).operators] == [pytest.approx(0.0115), None]


def test_a_network_of_operators_that_are_too_short_has_no_profile() -> None:
    with pytest.raises(MeasurementError, match="2 of 2 operators are shorter"):
        read_litert([litert_run(0, 0), litert_run(0, 0)]).check_resolved()


def test_a_cut_trace_is_an_error() -> None:
    with pytest.raises(MeasurementError, match="cut short"):
        read_ort_trace(json.dumps(trace()).encode()[:-5], warmup_runs=1, runs=4)


def event(tag: str, elapsed_us: float, kind: int = 8) -> dict[str, Any]:
    return {"tag": tag, "type": kind, "start_us": 0, "elapsed_us": elapsed_us, "node": 0, "source": 0}


def litert_run(conv_us: float, add_us: float, **changes: Any) -> dict[str, Any]:
    events = [event("Invoke", conv_us + add_us, 1), event("Conv", conv_us), event("ADD", add_us, 2)]
    return {"elapsed_us": conv_us + add_us + 1, "events": [*events, event("Invoke", 2**32, 32)], **changes}


def read_litert(runs: object, count: int = 2) -> Any:
    return read_litert_events(json.dumps(runs).encode(), runs=count)


def test_operators_inside_and_outside_the_delegate_are_counted_once() -> None:
    profile = read_litert([litert_run(10, 2), litert_run(10, 900), litert_run(30, 4), litert_run(31, 4)], 4)
    assert [(time.kind, time.mean_ms) for time in profile.operators] == [
        ("Conv", pytest.approx(0.0205)),
        ("ADD", pytest.approx(0.003)),
    ]
    assert profile.end_to_end_ms == pytest.approx((13 + 35) / 2 / 1000)
    assert len({time.name for time in profile.operators}) == 2


@pytest.mark.parametrize(
    "runs",
    [
        [],
        {},
        [litert_run(1, 1)],
        [litert_run(1, 1), {}],
        [litert_run(1, 1), litert_run(1, 1, events=[])],
        [litert_run(1, 1, events=[])] * 2,
        [litert_run(1, 1, events=[event("Conv", 1, 7)])] * 2,
        [litert_run(1, 1, events=[event("Conv", 2**32)])] * 2,
        [litert_run(1, 1, events=[event("Conv", -1)])] * 2,
        [litert_run(1, 1, events=[{"tag": "Conv"}])] * 2,
        [litert_run(1, 1, elapsed_us="soon")] * 2,
    ],
)
def test_odd_events_are_an_error(runs: object) -> None:
    with pytest.raises(MeasurementError, match="LiteRT's profile"):
        read_litert(runs)


def test_only_tried_versions_of_litert_are_profiled() -> None:
    litert = RUNTIMES["litert"]
    for version in ("2.1.6", "2.2.0", "2.3.0"):
        assert litert.profiler_problem(version) is None
    for version in ("2.1.2", "2.4.0", ""):
        assert "2.3.0" in str(litert.profiler_problem(version))
    assert RUNTIMES["tflite-runtime"].profiler_problem("2.14.0")


def ncnn_run(conv_ns: int, relu_ns: int, **changes: Any) -> dict[str, Any]:
    return {"elapsed_ns": conv_ns + relu_ns, "layers_ns": [conv_ns, relu_ns], **changes}


def read_ncnn(runs: object, layers: object = (("y", "Convolution"), ("z", "ReLU")), count: int = 2) -> Any:
    return read_ncnn_times(json.dumps({"layers": layers, "runs": runs}).encode(), runs=count)


def test_ncnns_layers_have_means_over_the_calm_half() -> None:
    profile = read_ncnn([ncnn_run(10, 2), ncnn_run(10, 900), ncnn_run(30, 4), ncnn_run(31, 4)], count=4)
    assert [(time.name, time.kind, time.mean_ms, time.runs) for time in profile.operators] == [
        ("y", "Convolution", pytest.approx(20e-6), 2),
        ("z", "ReLU", pytest.approx(3e-6), 2),
    ]
    assert profile.end_to_end_ms == pytest.approx(23e-6)


@pytest.mark.parametrize(
    "runs",
    [
        None,
        [],
        {},
        [ncnn_run(1, 1)],
        [ncnn_run(1, 1), {}],
        [ncnn_run(1, 1), ncnn_run(1, 0)],
        [ncnn_run(1, 1), ncnn_run(1, 1, layers_ns=[1])],
        [ncnn_run(1, 1), ncnn_run(1, 1, elapsed_ns="soon")],
        [ncnn_run(1, 1), ncnn_run(1, 1, elapsed_ns=None)],
    ],
)
def test_odd_times_of_ncnn_are_an_error(runs: object) -> None:
    with pytest.raises(MeasurementError, match="ncnn's profile"):
        read_ncnn(runs)


@pytest.mark.parametrize("layers", [None, [], ["y"], [["y", "Convolution", "more"]], 5])
def test_odd_layers_of_ncnn_are_an_error(layers: object) -> None:
    with pytest.raises(MeasurementError, match="ncnn's profile"):
        read_ncnn([ncnn_run(1, 1), ncnn_run(1, 1)], layers)
