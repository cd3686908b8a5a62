"""What steps cost on cores: tiles of arithmetic against traffic through the caches, alone or in a team."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from profiler.phone.soc._placement import Delegate, Placement
from profiler.phone.soc._schema import ROUTINE_NAMES, ClusterLaw, Soc
from profiler.phone.soc._table import Array, RoutineColumns, StepTable, padded_turns, softened_max, tiles

# The runtime's own kernels hand only products of matrices and convolutions to threads.
_THREADED_BUILTINS = frozenset({"gemm", "gemv", "depthwise"})


def cpu_latencies_s(soc: Soc, table: StepTable, placement: Placement, frequency_share: Mapping[str, float]) -> Array:
    """Return the latency of each step on cores, in s.  Shape: (n_steps,)."""
    team = team_of(soc, placement)
    routine = RoutineColumns.of(soc.routines, table)
    leader = _Resources.of(soc, team[:1], frequency_share)
    latency_s = _work_s(soc, table, routine, leader)
    if placement.threads > 1:
        parallel = _parallel_share(table, routine, placement.delegate)
        shared_s = _work_s(soc, table, routine, _Resources.of(soc, team, frequency_share))
        shared_s *= _imbalance(tiles(table, routine), len(team))
        shared_s *= 1.0 + soc.threading.oversubscription * (placement.threads - len(team))
        sync_s = soc.threading.sync_us * 1e-6 * (placement.threads - 1) / leader.pace
        latency_s = (1.0 - parallel) * latency_s + parallel * shared_s + np.where(parallel > 0, sync_s, 0.0)
    return latency_s + routine.overhead_us * 1e-6 / leader.pace


def team_of(soc: Soc, placement: Placement) -> tuple[ClusterLaw, ...]:
    """Return the cluster of each core that works, the fastest first: a scheduler puts load on big cores."""
    cores = soc.cores
    allowed = sorted((cores[core] for core in placement.cores), key=_peak, reverse=True)
    return tuple(allowed[: placement.threads])


def pace_of(soc: Soc, cluster: ClusterLaw, frequency_share: Mapping[str, float]) -> float:
    """Return how fast a core does scalar work, beside the phone's fastest core at its highest clock."""
    fastest = max(soc.clusters, key=_peak)
    own = cluster.frequency_hz * cluster.pipeline * frequency_share.get(cluster.name, 1.0)
    return own / (fastest.frequency_hz * fastest.pipeline)


@dataclass(frozen=True)
class _Resources:
    """What one core or a team of cores has together, per second at the present clocks."""

    macs_per_s: float
    l1_bytes: float
    l2_bytes: float
    l2_bytes_per_s: float
    l3_bytes_per_s: float
    dram_bytes_per_s: float
    pace: float

    @classmethod
    def of(cls, soc: Soc, team: tuple[ClusterLaw, ...], frequency_share: Mapping[str, float]) -> _Resources:
        clocks_hz = [core.frequency_hz * frequency_share.get(core.name, 1.0) for core in team]
        pairs = list(zip(team, clocks_hz, strict=True))
        return cls(
            macs_per_s=sum(core.macs_per_cycle * core.pipeline * clock_hz for core, clock_hz in pairs),
            l1_bytes=min(core.l1_bytes for core in team),
            l2_bytes=sum(core.l2_bytes for core in team),
            l2_bytes_per_s=sum(core.l2_bytes_per_cycle * clock_hz for core, clock_hz in pairs),
            l3_bytes_per_s=sum(core.l3_bytes_per_s for core in team),
            dram_bytes_per_s=min(sum(core.dram_bytes_per_s for core in team), soc.memory.dram_bytes_per_s),
            pace=sum(pace_of(soc, core, frequency_share) for core in team),
        )


def _work_s(soc: Soc, table: StepTable, routine: RoutineColumns, have: _Resources) -> Array:
    """Return what each step takes besides its call: arithmetic hides streaming, but not what is laid out before."""
    gain = np.where(table.element_bytes == 1, routine.int8_gain, 1.0)
    compute_s = padded_turns(table, routine) / (have.macs_per_s * routine.efficiency * gain)
    used = table.read_bytes + table.weight_bytes + table.written_bytes
    s_per_byte = _s_per_byte(used + table.copied_bytes, soc, have)
    stream_s = used * s_per_byte + _panel_bytes(table, routine, have) / have.l2_bytes_per_s
    laid_out = 2.0 * table.copied_bytes + (routine.weight_passes - 1.0) * table.weight_bytes
    bursts_s = table.bursts * routine.burst_ns * 1e-9 / have.pace
    return softened_max(compute_s, stream_s, soc.memory.overlap) + laid_out * s_per_byte + bursts_s


def _s_per_byte(footprint: Array, soc: Soc, have: _Resources) -> Array:
    """Return what a byte costs: it passes the second level, and with those that do not fit, the levels below."""
    from_l3 = _missing(footprint, have.l2_bytes) / have.l3_bytes_per_s
    from_dram = _missing(footprint, soc.memory.l3_bytes) / have.dram_bytes_per_s
    return 1.0 / have.l2_bytes_per_s + from_l3 + from_dram


def _panel_bytes(table: StepTable, routine: RoutineColumns, have: _Resources) -> Array:
    """Return what tiles fetch again from the second level because a panel of the inner loop overflows the first."""
    panel = table.depth * (routine.tile_rows + routine.tile_columns) * table.element_bytes
    return np.asarray(tiles(table, routine) * panel * _missing(panel, have.l1_bytes))


def _missing(footprint: Array, capacity: float) -> Array:
    """Return the share of a footprint's bytes that a cache does not hold: a smooth step at its capacity."""
    return np.asarray(footprint**2 / (footprint**2 + capacity**2))


def _parallel_share(table: StepTable, routine: RoutineColumns, delegate: Delegate) -> Array:
    if delegate != "builtin":
        return routine.parallel
    threaded = np.array([name in _THREADED_BUILTINS for name in ROUTINE_NAMES])
    return np.where(threaded[table.routine], routine.parallel, 0.0)


def _imbalance(pieces: Array, workers: int) -> Array:
    """Return how much longer the busiest of equal workers is busy than an even division would have it."""
    pieces = np.maximum(pieces, 1.0)
    return np.asarray(np.ceil(pieces / workers) * workers / pieces)


def _peak(cluster: ClusterLaw) -> float:
    return cluster.macs_per_cycle * cluster.pipeline * cluster.frequency_hz
