"""Latency table -> training rows: checked, of one device and runtime, one row a configuration."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import numpy as np

from predictor._features import FloatArray
from predictor.errors import (
    ContradictoryRowsError,
    FunctionOnlyRowsError,
    MixedRowsError,
    TooFewRowsError,
    TrainingRowsError,
)
from profiler.errors import NetworkError
from profiler.kernels import Kernel
from profiler.network import Network
from profiler.workload import EMULATED_ISA, ISA_REMARK

if TYPE_CHECKING:
    import pandas as pd

    from profiler.table import LatencyTable

LEAST_KERNEL_ROWS = 20
"""Different kernels below which kernels are not learned by themselves: fewer do not settle the physical terms."""

LEAST_NETWORK_ROWS = 10
"""Different whole networks below which, without enough kernels, no predictor is made."""

_AGREE, _ABSURD = 1.15, 10.0
"""Most by which labels of one configuration may differ, largest over smallest, and still agree; and from where on
no statement about both makes sense: another unit, another device, another kernel under its name."""

_SHOWN = 3

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
        kernel_doubts: Half the range of a kernel's labels, in log latency; 0 where they agree. Shape as before.
        networks: Whole networks; may be empty. Different ones, but for those whose labels contradict one another,
            which stand here once a label.
        network_ms: Their latencies. Shape: (len(networks),).
        refused: Rows left out because their verdict is INVALID.
        protocols: Keys of the protocols, sorted.
        measured_until: When the last row was measured, ISO UTC.
        digest: SHA-256 of configurations and latencies.
        remarks: What a user must know of them.
    """

    origin: Origin
    kernels: tuple[Kernel, ...]
    kernel_ms: FloatArray
    kernel_doubts: FloatArray
    networks: tuple[Network, ...]
    network_ms: FloatArray
    refused: int
    protocols: tuple[str, ...]
    measured_until: str
    digest: str
    remarks: tuple[str, ...] = ()


def training_rows(table: LatencyTable, *, few: bool = False) -> TrainingRows:
    """Return what can be learned from a table, which has checked its cells already.

    Rows of one configuration become one row with their median when their labels agree. Rows with verdict
    INVALID are left out and counted.

    Args:
        table: Rows of one device, runtime, thread count and type.
        few: Whether any number of rows will do, one at least, as where other devices' rows are stood on.

    Raises:
        TrainingRowsError: A configuration cannot be read, or all rows took equally long.
        FunctionOnlyRowsError: Rows are of emulated instructions.
        ContradictoryRowsError: Latencies of one configuration lie so far apart that they cannot be of one thing.
        MixedRowsError: Rows differ in device, source, runtime, threads, dtype or processor.
        TooFewRowsError: There are fewer than LEAST_KERNEL_ROWS different kernels and LEAST_NETWORK_ROWS networks.
    """
    frame = table.frame
    if EMULATED_ISA in table.sources:
        raise FunctionOnlyRowsError(EMULATED_ISA, ISA_REMARK)
    rows = [_Row(position, *cells) for position, cells in enumerate(_cells(frame), start=1)]
    usable = [row for row in rows if row.verdict != "INVALID"]
    kernels = _labelled((Kernel(row.network()), row) for row in usable if row.level == "kernel")
    networks = _labelled((row.network(), row) for row in usable if row.level == "network")
    if few and not usable:
        raise TrainingRowsError(f"none of {len(rows)} rows can be learned from; at least one must not be INVALID")
    if not few and len(kernels) < LEAST_KERNEL_ROWS and len(networks) < LEAST_NETWORK_ROWS:
        raise TooFewRowsError(len(kernels), LEAST_KERNEL_ROWS, len(networks), LEAST_NETWORK_ROWS)
    # A network whose labels contradict one another keeps them all, so that what holds it out meets the others.
    spread = [(labels.config, label) for labels in networks for label in labels.kept]
    kernel_ms = np.array([labels.median_ms for labels in kernels], dtype=np.float64)
    network_ms = np.array([label for _, label in spread], dtype=np.float64)
    if not few:
        _refuse_constant("kernels" if len(kernels) >= LEAST_KERNEL_ROWS else "networks", kernel_ms, network_ms)
    return TrainingRows(
        origin=_origin(frame[frame["verdict"] != "INVALID"]),
        kernels=tuple(labels.config for labels in kernels),
        kernel_ms=kernel_ms,
        kernel_doubts=np.array([labels.doubt for labels in kernels], dtype=np.float64),
        networks=tuple(network for network, _ in spread),
        network_ms=network_ms,
        refused=len(rows) - len(usable),
        protocols=tuple(sorted({row.protocol for row in usable})),
        measured_until=max(row.measured_at for row in usable),
        digest=_digest(
            [*(labels.config.key for labels in kernels), *(network.key for network, _ in spread)],
            [*kernel_ms.tolist(), *network_ms.tolist()],
        ),
        remarks=tuple(_contradictions(kernels, "kernels")) + tuple(_contradictions(networks, "networks")),
    )


def _refuse_constant(what: str, kernel_ms: FloatArray, network_ms: FloatArray) -> None:
    latency_ms = kernel_ms if what == "kernels" else network_ms
    if math.isclose(latency_ms.min(), latency_ms.max(), rel_tol=1e-6):
        raise TrainingRowsError(
            f"all {len(latency_ms)} {what} took {latency_ms[0]:g} ms; latencies that do not vary teach nothing",
            column="median_ms",
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


@dataclass(frozen=True)
class _Labels(Generic[_Config]):
    """All labels of one configuration."""

    config: _Config
    latency_ms: tuple[float, ...]

    @property
    def median_ms(self) -> float:
        return float(np.median(self.latency_ms))

    @property
    def agree(self) -> bool:
        return max(self.latency_ms) <= _AGREE * min(self.latency_ms)

    @property
    def kept(self) -> tuple[float, ...]:
        """One label when they agree, else all."""
        return (self.median_ms,) if self.agree else self.latency_ms

    @property
    def doubt(self) -> float:
        """Half their range, in log latency; 0 when they agree."""
        return 0.0 if self.agree else math.log(max(self.latency_ms) / min(self.latency_ms)) / 2


def _labelled(pairs: Iterable[tuple[_Config, _Row]]) -> list[_Labels[_Config]]:
    """Return different configurations ordered by key, each with its labels in ascending order.

    Raises:
        ContradictoryRowsError: Labels of one configuration lie absurdly far apart.
    """
    configs: dict[str, _Config] = {}
    found: dict[str, list[_Row]] = {}
    for config, row in pairs:
        configs.setdefault(config.key, config)
        found.setdefault(config.key, []).append(row)
    for rows in found.values():
        low, high = min(rows, key=lambda row: row.median_ms), max(rows, key=lambda row: row.median_ms)
        if high.median_ms > _ABSURD * low.median_ms:
            raise ContradictoryRowsError((low.position, low.median_ms), (high.position, high.median_ms))
    return [_Labels(configs[key], tuple(sorted(row.median_ms for row in found[key]))) for key in sorted(found)]


def _contradictions(labelled: Sequence[_Labels[Any]], what: str) -> Iterator[str]:
    strange = [labels for labels in labelled if not labels.agree]
    if strange:
        shown = "; ".join(
            f"{labels.config.describe() if isinstance(labels.config, Kernel) else labels.config.name}: "
            f"{min(labels.latency_ms):.3g} to {max(labels.latency_ms):.3g} ms"
            for labels in strange[:_SHOWN]
        )
        more = f"; and {len(strange) - _SHOWN} more" if len(strange) > _SHOWN else ""
        yield f"labels of {len(strange)} {what} contradict one another, so intervals near them are wide: {shown}{more}"


def _digest(keys: Iterable[str], latency_ms: Iterable[float]) -> str:
    lines = [f"{key} {latency!r}" for key, latency in zip(keys, latency_ms, strict=True)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
