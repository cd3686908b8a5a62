"""Reads the trace that ONNX Runtime writes under `enable_profiling`; what is not understood is an error."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from profiler.errors import MeasurementError
from profiler.runtimes.operator_profile import OperatorProfile, summarise_runs

_KERNEL_SUFFIX = "_kernel_time"
_RUN = "model_run"


def read_ort_trace(trace: bytes, *, warmup_runs: int, runs: int) -> OperatorProfile:
    """Return the operators' latencies from a trace of warm-up and profiled runs.

    Args:
        trace: The trace file: a JSON list of events in Chrome's trace format, durations in us.
        warmup_runs: Runs at the start of the trace that are left out.
        runs: Runs after them.

    Raises:
        MeasurementError: The trace is no such list, is cut short, or its runs differ in their operators.
    """
    events = _events(trace)
    whole = sorted((event for event in events if event.get("name") == _RUN), key=_start_us)
    nodes = sorted((event for event in events if _is_kernel(event)), key=_start_us)
    if len(whole) != warmup_runs + runs:
        raise MeasurementError(f"ONNX Runtime's trace has {len(whole)} runs where {warmup_runs + runs} were made")
    per_run = [_inside(run, nodes) for run in whole[warmup_runs:]]
    names = [[event["name"] for event in run] for run in per_run]
    if not names[0] or any(found != names[0] for found in names):
        raise MeasurementError("ONNX Runtime's trace has no operators, or not the same ones in each run")
    named = [(str(node["name"]).removesuffix(_KERNEL_SUFFIX), str(node["args"]["op_name"])) for node in per_run[0]]
    durations_us = [[_duration_us(node) for node in run] for run in per_run]
    return summarise_runs(named, durations_us, [_duration_us(run) for run in whole[warmup_runs:]])


def _events(trace: bytes) -> list[Mapping[str, Any]]:
    try:
        events = json.loads(trace)
    except ValueError as err:
        raise MeasurementError("ONNX Runtime's trace is no JSON; it may have been cut short") from err
    if not isinstance(events, list) or not all(isinstance(event, dict) for event in events):
        raise MeasurementError("ONNX Runtime's trace is no list of events")
    return events


def _is_kernel(event: Mapping[str, Any]) -> bool:
    if event.get("cat") != "Node" or not str(event.get("name")).endswith(_KERNEL_SUFFIX):
        return False
    arguments = event.get("args")
    if not isinstance(arguments, dict) or not isinstance(arguments.get("op_name"), str):
        raise MeasurementError(f"ONNX Runtime's trace has a node without its type: {event.get('name')!r}")
    return True


def _inside(run: Mapping[str, Any], nodes: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    start_us, end_us = _start_us(run), _start_us(run) + _duration_us(run)
    return [event for event in nodes if start_us <= _start_us(event) <= end_us]


def _start_us(event: Mapping[str, Any]) -> float:
    return _number(event, "ts")


def _duration_us(event: Mapping[str, Any]) -> float:
    return _number(event, "dur")


def _number(event: Mapping[str, Any], key: str) -> float:
    value = event.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e15:
        raise MeasurementError(f"ONNX Runtime's trace has an event with {key} = {value!r}: {event.get('name')!r}")
    return float(value)
