"""Owns how the operators inside networks are timed and shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from pocketnas.cli._screen import Screen, table
from profiler.errors import ConfigError

if TYPE_CHECKING:
    from profiler.devices import Device
    from profiler.network import Network
    from profiler.workload import Dtype

_WARMUP_RUNS = 5
_PROFILED_RUNS = 50


def show_operators(
    screen: Screen, devices: Sequence[Device], networks: Sequence[Network], dtype: Dtype, wait_s: float
) -> None:
    """Show the latency of each operator inside each network, as the runtime's own profiler gives it.

    Raises:
        ConfigError: There is no network, or more than one device.
        DeviceError: The device cannot be reached.
    """
    from profiler.backends import open_backend
    from profiler.workload import EMULATED_ISA, ISA_REMARK, Workload

    if not networks:
        raise ConfigError("needs a model to look into; give one with --network FILE", key="--operators")
    if len(devices) > 1:
        raise ConfigError("times operators on one device at a time; give one --device", key="--operators")
    documents = []
    with open_backend(devices[0], wait_s=wait_s) as backend:
        name, source = backend.name, backend.source
        if source == EMULATED_ISA:
            screen.show(f"{EMULATED_ISA}: {ISA_REMARK}")
        for network in networks:
            profile = backend.profile_operators(Workload(network, dtype), warmup_runs=_WARMUP_RUNS, runs=_PROFILED_RUNS)
            rows = [[found.name, found.kind, _operator_ms(found.mean_ms)] for found in profile.operators]
            title = f"{network.name}: operators, {source} on {name}, calmer ones of {_PROFILED_RUNS} runs"
            screen.show(table(title, ["operator", "kind", "ms"], rows, right=["ms"]))
            screen.show(f"end to end while profiled: {profile.end_to_end_ms:.4g} ms")
            documents.append({"network": network.name, **asdict(profile)})
    screen.document({"device": name, "source": source, "networks": documents})


def _operator_ms(mean_ms: float | None) -> str:
    return "below 0.001" if mean_ms is None else f"{mean_ms:.4g}"
