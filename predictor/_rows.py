"""Latency table -> training rows: checked, of one device and runtime, one row a configuration."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np

from predictor._features import FloatArray
from predictor.errors import MixedRowsError, TooFewRowsError, TrainingRowsError
from profiler.errors import NetworkError
from profiler.kernels import Kernel
from profiler.network import Network

if TYPE_CHECKING:
    import pandas as pd

    from profiler.table import LatencyTable

LEAST_KERNEL_ROWS = 20
"""Different kernels below which no predictor is made: fewer do not even settle the physical terms."""

_ORIGIN = ("device", "source", "runtime", "runtime_version", "threads", "dtype", "processor")


@dataclass(frozen=True)
class Origin:
    """Where training rows come from; all rows share it.

    Attributes:
        device: Name of the device.
        source: "measured" or "emulated".
        runtime: Name of the runtime.
        runtime_version: Its version.
        threads: Threads it used.
        dtype: Numeric type of the networks.
        processor: Processor of the device.
    """

    device: str
    source: str
    runtime: str
    runtime_version: str
    threads: int
    dtype: str
    processor: str


@dataclass(frozen=True)
class TrainingRows:
    """What a predictor learns from.

    Attributes:
        origin: Where all rows come from.
        kernels: Different kernels.
        kernel_ms: Their latencies. Shape: (len(kernels),).
        networks: Different whole networks; may be empty.
        network_ms: Their latencies. Shape: (len(networks),).
        refused: Rows left out because their verdict is INVALID.
        protocols: Keys of the protocols, sorted.
        measured_until: When the last row was measured, ISO UTC.
        digest: SHA-256 of configurations and latencies.
    """

    origin: Origin
    kernels: tuple[Kernel, ...]
    kernel_ms: FloatArray
    networks: tuple[Network, ...]
    network_ms: FloatArray
    refused: int
    protocols: tuple[str, ...]
    measured_until: str
    digest: str


def training_rows(table: LatencyTable) -> TrainingRows:
    """Return what can be learned from a table, which has checked its cells already.

    Rows of one configuration become one row with their median. Rows with verdict INVALID are left out
    and counted.

    Raises:
        TrainingRowsError: A configuration cannot be read, or all kernels took equally long.
        MixedRowsError: Rows differ in device, source, runtime, threads, dtype or processor.
        TooFewRowsError: There are fewer than LEAST_KERNEL_ROWS different kernels.
    """
    frame = table.frame
    rows = [_Row(position, *cells) for position, cells in enumerate(_cells(frame), start=1)]
    usable = [row for row in rows if row.verdict != "INVALID"]
    kernels, kernel_ms = _merged((Kernel(row.network()), row.median_ms) for row in usable if row.level == "kernel")
    networks, network_ms = _merged((row.network(), row.median_ms) for row in usable if row.level == "network")
    if len(kernels) < LEAST_KERNEL_ROWS:
        raise TooFewRowsError(len(kernels), LEAST_KERNEL_ROWS)
    if math.isclose(kernel_ms.min(), kernel_ms.max(), rel_tol=1e-6):
        raise TrainingRowsError(
            f"all {len(kernels)} kernels took {kernel_ms[0]:g} ms; latencies that do not vary teach nothing",
            column="median_ms",
        )
    return TrainingRows(
        origin=_origin(frame[frame["verdict"] != "INVALID"]),
        kernels=kernels,
        kernel_ms=kernel_ms,
        networks=networks,
        network_ms=network_ms,
        refused=len(rows) - len(usable),
        protocols=tuple(sorted({row.protocol for row in usable})),
        measured_until=max(row.measured_at for row in usable),
        digest=_digest((*kernels, *networks), [*kernel_ms.tolist(), *network_ms.tolist()]),
    )


@dataclass(frozen=True)
class _Row:
    """The cells that learning needs, and the number of their row."""

    position: int
    level: str
    config: str
    median_ms: float
    verdict: str
    protocol: str
    measured_at: str

    def network(self) -> Network:
        try:
            return Network.from_json(self.config)
        except NetworkError as err:
            raise TrainingRowsError(str(err), column="config", row=self.position) from err


def _cells(frame: pd.DataFrame) -> Iterator[tuple[Any, ...]]:
    columns = [field.name for field in fields(_Row)[1:]]
    return zip(*(frame[column].tolist() for column in columns), strict=True)


def _origin(frame: pd.DataFrame) -> Origin:
    found: dict[str, Any] = {}
    for column in _ORIGIN:
        values = frame[column].unique().tolist()
        if len(values) > 1:
            raise MixedRowsError(column, sorted(map(str, values)))
        found[column] = values[0]
    return Origin(**found)


class _Keyed(Protocol):
    @property
    def key(self) -> str: ...


_Config = TypeVar("_Config", bound=_Keyed)


def _merged(pairs: Iterable[tuple[_Config, float]]) -> tuple[tuple[_Config, ...], FloatArray]:
    """Return different configurations ordered by key, each with the median of its latencies."""
    configs: dict[str, _Config] = {}
    found: dict[str, list[float]] = {}
    for config, latency_ms in pairs:
        configs.setdefault(config.key, config)
        found.setdefault(config.key, []).append(latency_ms)
    keys = sorted(found)
    medians = np.array([np.median(found[key]) for key in keys], dtype=np.float64)
    return tuple(configs[key] for key in keys), medians


def _digest(configs: Iterable[_Keyed], latency_ms: Iterable[float]) -> str:
    lines = [f"{config.key} {latency!r}" for config, latency in zip(configs, latency_ms, strict=True)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
