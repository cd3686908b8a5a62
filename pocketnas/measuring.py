"""Owns how networks of a search are measured: on which device, into which store, under which label.

A device is opened for one campaign and closed after it, so that others may have it while networks are trained.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np

from pocketnas._observer import Observer
from pocketnas._records import measurement_info
from pocketnas.profiling import measure_workloads
from pocketnas.result import MeasurementInfo, OperatorCost
from profiler.backends import Backend, DeviceFacts, open_backend
from profiler.devices import Device
from profiler.errors import MeasurementError, RuntimeNotSupportedError
from profiler.measure import Measurement, Protocol
from profiler.network import Network
from profiler.store import Store
from profiler.workload import Workload, require_times

STORE_NAME = "measurements.db"

LOCK_WAIT_S = 60.0
"""How long to wait for another job on the device; commands of one road follow each other closely."""

_PROFILED_RUNS = 200
_PROFILE_WARMUP_RUNS = 10


class Bench:
    """The devices of a search, and how its networks are measured on them.

    Args:
        devices: The devices.
        store: Where each block goes at once.
        observer: Who is told how it goes.
        protocol: How networks are measured.
    """

    def __init__(self, devices: Sequence[Device], store: Store, observer: Observer, protocol: Protocol) -> None:
        self._devices = {device.name: device for device in devices}
        self.store, self.observer, self.protocol = store, observer, protocol

    @property
    def devices(self) -> tuple[str, ...]:
        """Names of the devices."""
        return tuple(self._devices)

    def under(self, protocol: Protocol) -> Bench:
        """Return the same devices with another way of measuring."""
        return Bench(list(self._devices.values()), self.store, self.observer, protocol)

    @contextmanager
    def opened(self, device: str) -> Iterator[Backend]:
        """Open a device while the block runs.

        Raises:
            DeviceBusyError: Another job has had it for a minute.
            DeviceError: It cannot be reached.
            FunctionOnlyError: It emulates instructions, so that its latencies mean nothing.
        """
        with open_backend(self._devices[device], wait_s=LOCK_WAIT_S) as backend:
            require_times(device, backend.source, "a search")
            yield backend

    def facts(self, device: str) -> DeviceFacts:
        """Return what a device says of itself."""
        with self.opened(device) as backend:
            return backend.facts()

    def measure(
        self, device: str, networks: Mapping[str, Network], title: str, *, label: str
    ) -> dict[str, Measurement]:
        """Measure networks in one campaign; the same networks under the same label are measured once.

        Args:
            device: Name of the device.
            networks: By name.
            title: What is being done, for the observer.
            label: Tells campaigns of the same structures apart.

        Returns:
            The measurement of each by its name.
        """
        workloads = {name: Workload(network) for name, network in networks.items()}
        different = list({workload.key: workload for workload in workloads.values()}.values())
        with self.opened(device) as backend:
            found = measure_workloads(
                backend, different, self.protocol, self.store, self.observer, title=f"{title} on {device}", label=label
            )
        by_key = {measurement.workload.key: measurement for measurement in found}
        return {name: by_key[workload.key] for name, workload in workloads.items()}

    def profile(self, device: str, network: Network) -> tuple[tuple[OperatorCost, ...], str]:
        """Return the latency of each operator inside a network, and how it was had; or why there is none."""
        with self.opened(device) as backend:
            return _profile(backend, Workload(network))

    def info(self, device: str) -> MeasurementInfo:
        """Return where and how is measured, with the conditions of this moment."""
        with self.opened(device) as backend:
            return measurement_info(backend, self.protocol, "float32")


def _profile(backend: Backend, workload: Workload) -> tuple[tuple[OperatorCost, ...], str]:
    try:
        profile = backend.profile_operators(workload, warmup_runs=_PROFILE_WARMUP_RUNS, runs=_PROFILED_RUNS)
    except (RuntimeNotSupportedError, MeasurementError) as error:
        return (), f"Not available: {error}"
    facts = backend.facts()
    costs = tuple(OperatorCost(name=o.name, kind=o.kind, mean_ms=o.mean_ms) for o in profile.operators)
    note = (
        f"Mean of the calmer half of {_PROFILED_RUNS} runs by the profiler of {facts.runtime} "
        f"{facts.runtime_version}; profiling itself takes time, so the whole ran in {profile.end_to_end_ms:.3g} ms."
    )
    return costs, note


def trained_label(networks: Mapping[str, Network], *, what: str = "finalists") -> str:
    """Return the label of the campaign that measures trained networks.

    A campaign is known by structures and label, so without the weights in the label, one that is finished
    would stand for networks that were trained anew.

    Args:
        networks: With their trained weights, by name; the order does not matter.
        what: What they are; begins the label.
    """
    digest = hashlib.sha256()
    for name, network in sorted(networks.items()):
        for key, weight in sorted((network.weights or {}).items()):
            digest.update(f"{name}|{key}|{weight.dtype}|{weight.shape}|".encode())
            digest.update(np.ascontiguousarray(weight).tobytes())
    return f"{what}-{digest.hexdigest()[:12]}"
