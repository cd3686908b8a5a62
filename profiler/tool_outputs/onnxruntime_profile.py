"""Reads the JSON that ONNX Runtime writes under `enable_profiling`, whole or as people quote it.

A profile that a process did not end is a list without its end; quotations are a few of its events.  Events are read
one by one, so that all before the break are there; of the event that is broken only what is followed by a comma is.
The list is not summed: means over a part of a profile would be numbers that the whole does not have.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from profiler.errors import ToolOutputError
from profiler.tool_outputs._figures import count, figure
from profiler.tool_outputs._lines import MAX_BYTES, short

KIND: Final = "onnxruntime_profile"

_KERNEL: Final = "_kernel_time"
_FENCES: Final = ("_fence_before", "_fence_after")
_DECODER: Final = json.JSONDecoder()
_SPACE: Final = " \t\r\n"


@dataclass(frozen=True)
class ProfiledNode:
    """One execution of one node.

    Attributes:
        name: The node's name; None for an unnamed one.
        op_type: Its operator; None where the profile does not say, as for nodes that an accelerator fused.
        provider: Execution provider; None where the profile does not say.
        node_index: Place in the graph.
        duration_us: How long it took.
        started_us: When it began, since the session did.
    """

    name: str | None
    op_type: str | None
    provider: str | None
    node_index: int | None
    duration_us: float
    started_us: float | None


@dataclass(frozen=True)
class ProfileOutput:
    """What a profile says.

    Attributes:
        complete: Whether it is one whole list.
        model_runs_us: Duration of each run as a whole, in order.
        executions_us: Duration of each run's nodes as a whole, where the profile has it.
        nodes_total_us: Sum over all nodes; None unless the profile is complete.
        nodes: The nodes' executions in the profile's order, without the fences around them.
    """

    complete: bool
    model_runs_us: tuple[float, ...]
    executions_us: tuple[float, ...]
    nodes_total_us: float | None
    nodes: tuple[ProfiledNode, ...]


def parse_onnxruntime_profile(data: bytes) -> ProfileOutput:
    """Return what a profile of ONNX Runtime says.

    Raises:
        ToolOutputError: It is no such profile.
    """
    if len(data) > MAX_BYTES:
        raise ToolOutputError(KIND, f"larger than {MAX_BYTES >> 20} MiB; profile fewer runs")
    try:
        events, complete = _events(data.decode("utf-8-sig", "replace"))
    except RecursionError as err:
        raise ToolOutputError(KIND, "nested deeper than any profile") from err
    if len(events) == 1 and isinstance(wrapped := events[0].get("traceEvents"), list):
        # Chrome's other form: a document with the list inside.
        events, complete = [event for event in wrapped if isinstance(event, dict)], True
    events = [event for event in events if "cat" in event and ("name" in event or "dur" in event)]
    if not events:
        raise ToolOutputError(KIND, "it holds no event of ONNX Runtime's profiler")
    nodes = tuple(node for event in events if (node := _node(event)) is not None)
    total_us = sum(node.duration_us for node in nodes) if complete and nodes else None
    runs_us, executions_us = _durations(events, "model_run"), _durations(events, "SequentialExecutor::Execute")
    return ProfileOutput(complete, runs_us, executions_us, total_us, nodes)


def _events(text: str) -> tuple[list[Mapping[str, object]], bool]:
    """Return the events of a list or a part of one, and whether it is a whole list."""
    events: list[Mapping[str, object]] = []
    at = _skip(text, 0, _SPACE)
    listed = text[at : at + 1] == "["
    at = _skip(text, at + listed, _SPACE + ",")
    while at < len(text) and text[at] == "{":
        try:
            event, at = _DECODER.raw_decode(text, at)
        except ValueError:
            return [*events, _part_of_event(text, at)], False
        events.append(event)
        at = _skip(text, at, _SPACE + ",")
    ended = text[at : at + 1] == "]"
    return events, listed and ended and _skip(text, at + 1, _SPACE) == len(text)


def _part_of_event(text: str, at: int) -> dict[str, object]:
    """Return the entries of a broken object that a comma follows."""
    entries: dict[str, object] = {}
    at = _skip(text, at + 1, _SPACE)
    while text[at : at + 1] == '"':
        try:
            key, at = _DECODER.raw_decode(text, at)
            at = _skip(text, at, _SPACE + ":")
            value, at = _DECODER.raw_decode(text, at)
        except ValueError:
            break
        at = _skip(text, at, _SPACE)
        if text[at : at + 1] != ",":
            break
        entries[key] = value
        at = _skip(text, at, _SPACE + ",")
    return entries


def _skip(text: str, at: int, characters: str) -> int:
    while at < len(text) and text[at] in characters:
        at += 1
    return at


def _node(event: Mapping[str, object]) -> ProfiledNode | None:
    name = event.get("name")
    duration_us = _number(event.get("dur"))
    if event.get("cat") != "Node" or duration_us is None or not isinstance(name, str) or name.endswith(_FENCES):
        return None
    arguments = event.get("args")
    said = arguments if isinstance(arguments, dict) else {}
    index = said.get("node_index")
    return ProfiledNode(
        name=short(name.removesuffix(_KERNEL)) or None,
        op_type=_name(said.get("op_name")),
        provider=_name(said.get("provider")),
        node_index=count(str(index)) if isinstance(index, (str, int)) else None,
        duration_us=duration_us,
        started_us=_number(event.get("ts")),
    )


def _durations(events: list[Mapping[str, object]], name: str) -> tuple[float, ...]:
    found = (_number(event.get("dur")) for event in events if event.get("name") == name)
    return tuple(duration_us for duration_us in found if duration_us is not None)


def _number(value: object) -> float | None:
    """Return a number that some versions write as a string."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        return figure(str(value))
    except ValueError:
        # Python does not write integers of thousands of digits.
        return None


def _name(value: object) -> str | None:
    return short(value) or None if isinstance(value, str) else None
