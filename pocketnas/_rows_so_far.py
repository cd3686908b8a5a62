"""Owns what the rows of one device's configuration say so far, as kernels and networks with latencies."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from profiler.kernels import Kernel
from profiler.measure import Configuration, Measurement, load_measurements
from profiler.network import Network
from profiler.workload import Dtype

if TYPE_CHECKING:
    from profiler.store import Store


@dataclass(frozen=True)
class RowsSoFar:
    """Workloads of one numeric type that were measured on a configuration.

    Attributes:
        measurements: All of them, one a campaign and workload.
        kernels: Latency in ms of each kernel that may be learned from, sorted by key.
        networks: The same of whole networks.
        tried: Keys of all networks' structures, those that failed included.
    """

    measurements: tuple[Measurement, ...]
    kernels: dict[Kernel, float] = field(default_factory=dict)
    networks: dict[Network, float] = field(default_factory=dict)
    tried: frozenset[str] = frozenset()


def rows_so_far(store: Store, configuration: Configuration, dtype: Dtype) -> RowsSoFar:
    """Return what a store knows of a configuration.

    Of a workload that several campaigns measured, the median counts, as in fitting; INVALID rows do not.
    """
    from profiler.measure.campaign import usual_levels

    levels = usual_levels(store, configuration)
    records = [record for record in store.campaigns() if record.configuration == configuration]
    found = tuple(row for record in records for row in load_measurements(store, record, levels=levels))
    return _rows_of([row for row in found if row.workload.dtype == dtype])


def _rows_of(measurements: Iterable[Measurement]) -> RowsSoFar:
    by_key: dict[str, list[Measurement]] = {}
    for measurement in measurements:
        by_key.setdefault(measurement.workload.network_key, []).append(measurement)
    kernels: dict[Kernel, float] = {}
    networks: dict[Network, float] = {}
    for key in sorted(by_key):
        rows = by_key[key]
        usable = [row.median_ms for row in rows if row.verdict != "INVALID" and row.interval]
        if not usable:
            continue
        network = Network.from_json(rows[0].workload.config)
        if rows[0].workload.kind == "network":
            networks[network] = float(np.median(usable))
        else:
            kernels[Kernel(network)] = float(np.median(usable))
    everything = tuple(row for rows in by_key.values() for row in rows)
    return RowsSoFar(everything, kernels, networks, frozenset(by_key))
