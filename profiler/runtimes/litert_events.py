"""Reads the events of LiteRT's profiler; what is not understood is an error, never 0 ms."""

from __future__ import annotations

import json
from typing import Any

from profiler.errors import MeasurementError
from profiler.runtimes.operator_profile import XNNPACK_CUT_US, OperatorProfile, summarise_runs

KNOWN_VERSIONS = ("2.1.6", "2.2.0", "2.3.0")
"""Versions of ai-edge-litert whose C interface was tried; 2.1.2 aborts the process."""

_OPERATOR_TYPES = frozenset({2, 8})
"""OPERATOR_INVOKE_EVENT, and DELEGATE_PROFILED_OPERATOR_INVOKE_EVENT for what XNNPACK runs; TFLite leaves
the former out for a delegate that profiles itself, so together they count each operator once."""
_DELEGATE_TYPE = 8
_OTHER_TYPES = frozenset({1, 4, 16, 32})
"""Spans around operators, and telemetry whose duration is none (tflite/core/api/profiler.h)."""


def read_litert_events(profile: bytes, *, runs: int) -> OperatorProfile:
    """Return the operators' latencies from the events of several runs.

    Args:
        profile: JSON list with an object a run: `elapsed_us`, and `events` with `tag`, `type`,
            `elapsed_us` and `node`.
        runs: Runs that were made.

    Raises:
        MeasurementError: The list is not as said, an event has an unknown type or lasts longer than
            its run, or runs differ in their operators.
    """
    try:
        per_run = json.loads(profile)
        operators = [_operators(run) for run in per_run]
        whole_us = [float(run["elapsed_us"]) for run in per_run]
    except (ValueError, TypeError, KeyError) as err:
        raise MeasurementError(f"LiteRT's profile could not be understood: {err!r}") from err
    tags = [[(tag, kind) for tag, kind, _ in run] for run in operators]
    if len(per_run) != runs or not tags[0] or any(found != tags[0] for found in tags):
        raise MeasurementError("LiteRT's profile has no operators, or not the same ones in each run")
    named = [(f"{position}:{tag}", tag) for position, (tag, _) in enumerate(tags[0])]
    cut_us = [XNNPACK_CUT_US if kind == _DELEGATE_TYPE else 0.0 for _, kind in tags[0]]
    return summarise_runs(named, [[elapsed_us for *_, elapsed_us in run] for run in operators], whole_us, cut_us)


def _operators(run: dict[str, Any]) -> list[tuple[str, int, float]]:
    """Return tag, type and duration (us) of each operator of one run, in execution order."""
    found = []
    for event in run["events"]:
        if event["type"] not in _OPERATOR_TYPES | _OTHER_TYPES:
            raise MeasurementError(f"LiteRT's profile has an event of the unknown type {event['type']!r}")
        if event["type"] not in _OPERATOR_TYPES:
            continue
        elapsed_us = float(event["elapsed_us"])
        # A layout that we misread gives numbers like 2**32; the profiler's clock may round up by 1 us.
        if not 0 <= elapsed_us <= run["elapsed_us"] + 1:
            raise MeasurementError(f"LiteRT's profile has an operator of {elapsed_us:g} us: {event['tag']!r}")
        found.append((str(event["tag"]), int(event["type"]), elapsed_us))
    return found
