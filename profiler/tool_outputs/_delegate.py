"""Reads what a log says about delegates: which one was asked for, how much of the graph it runs, on what."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from profiler.tool_outputs._figures import count
from profiler.tool_outputs._lines import short

_APPLIED = re.compile(
    r"[Aa]pplied (?P<name>\S{1,40}) delegate, and the model graph will be (?P<extent>completely|partially)"
)
_REFUSED = re.compile(r"[Tt]hough (?P<name>\S{1,40}) delegate is .{0,40}applied, the model graph will not be executed")
_REPLACING = re.compile(r"Replacing ([0-9]{1,9}) (?:out of ([0-9]{1,9}) )?node\(s\) with delegate \(([^()]{1,80})\)")
_DELEGATED = re.compile(r"([0-9]{1,9}) nodes delegated out of ([0-9]{1,9})")
_KERNELS = re.compile(r"w/ ([0-9]{1,9}) delegate kernels")
_GPU_API = re.compile(r"Initialized (\S{1,40})-based API")


@dataclass(frozen=True)
class DelegateUse:
    """What became of the delegate of a run.

    Attributes:
        name: Name in the log's own words, such as "XNNPACK", "GPU", "NNAPI" or "TfLiteGpuDelegateV2".
        extent: "completely", "partially" or "not": how much of the graph it executes; None when not said.
        kernels: Partitions that it executes.
        nodes_delegated: Nodes that it took.
        nodes_total: Nodes that there were.
        gpu_api: What a GPU delegate really runs on, "OpenCL" or "OpenGL": it falls back without an error.
    """

    name: str | None = None
    extent: str | None = None
    kernels: int | None = None
    nodes_delegated: int | None = None
    nodes_total: int | None = None
    gpu_api: str | None = None


def read_delegate(text: str, known: DelegateUse | None) -> DelegateUse | None:
    """Return what is known about the delegate after one more line."""
    use = known or DelegateUse()
    if found := _APPLIED.search(text):
        kernels = _KERNELS.search(text)
        partitions = count(kernels[1]) if kernels else use.kernels
        return replace(use, name=short(found["name"]), extent=found["extent"], kernels=partitions)
    if found := _REFUSED.search(text):
        return replace(use, name=short(found["name"]), extent="not")
    if found := _REPLACING.search(text):
        total = count(found[2]) if found[2] else None
        return replace(use, name=use.name or found[3], nodes_delegated=count(found[1]), nodes_total=total)
    if found := _DELEGATED.search(text):
        return replace(use, nodes_delegated=count(found[1]), nodes_total=count(found[2]))
    if found := _GPU_API.search(text):
        return replace(use, gpu_api=found[1])
    return known
