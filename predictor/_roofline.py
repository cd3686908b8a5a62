"""The roofline of a device, estimated from kernels measured alone: its peak, its bandwidth, and what a call costs.

A kernel run alone takes at least

    overhead + max(multiply-accumulates / peak, bytes / bandwidth)

where bytes are the activations that it reads and writes and its weights, each once.  The three numbers are those that
the fastest kernels of a table reach, so nearly no row lies beyond them and most lie short of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from predictor._features import TERMS, FloatArray, terms
from predictor._rows import TrainingRows
from predictor.errors import TrainingRowsError
from profiler.kernels import Kernel

Bound = Literal["compute", "memory", "overhead"]
"""What a kernel waits for."""

BOUNDS: tuple[Bound, ...] = ("compute", "memory", "overhead")

_TOP_SHARE, _TOP_ROWS = 0.05, 3
"""A limit is the median of the best twentieth of the rows, three at least: one lucky row does not make it."""

_NEAR = 0.8
"""Rows at a limit are those that reach this share of it."""

_PLATEAU = 2.0
"""How unlike rows at one limit must be (their quantiles at 10 and 90 %) for it to be theirs: see `Roofline.fit`."""

_FLOOR_SHARE = 0.2
_FLOOR_ROWS, _PILED = 10, 2.0
"""Latencies pile up on a floor: at it is this share of the rows, or so many, and twice those of the next step up."""

_ROUNDS = 20
_RESAMPLES = 100
_INTERVAL = (0.05, 0.95)
_FLOAT32_BYTES = 4.0
_MACS, _TRAFFIC = TERMS.index("macs"), [TERMS.index(f"{what}_bytes") for what in ("input", "output", "weight")]


class Roofline(BaseModel):
    """What a device does at best, as far as a table of kernels tells.

    Plain data, so that it can be kept in a predictor's file.  A limit that the table does not settle is in
    `undetermined`, and its number is then only a bound: the device may compute or move more, or call for less.

    Attributes:
        peak_gmac_per_s: Multiply-accumulates a second at best, in 10^9; None where no kernel has any.
        peak_interval: 90 % bootstrap interval over rows; None where undetermined.
        bandwidth_gb_per_s: Bytes moved a second at best, in 10^9, from whichever cache or memory they come; None
            without kernels.
        bandwidth_interval: As for the peak.
        bandwidth_megabytes: Least and most megabytes that the kernels at this limit move; None where undetermined.
        overhead_us: What a kernel takes that hardly works; None without kernels.
        overhead_interval: As for the peak.
        undetermined: Limits that the table does not settle.
        kernels: Different kernels that it was estimated from.
        element_bytes: Bytes of an activation or weight: 4 in float32, 1 in int8.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    peak_gmac_per_s: FiniteFloat | None = Field(gt=0)
    peak_interval: tuple[FiniteFloat, FiniteFloat] | None
    bandwidth_gb_per_s: FiniteFloat | None = Field(gt=0)
    bandwidth_interval: tuple[FiniteFloat, FiniteFloat] | None
    bandwidth_megabytes: tuple[FiniteFloat, FiniteFloat] | None
    overhead_us: FiniteFloat | None = Field(ge=0)
    overhead_interval: tuple[FiniteFloat, FiniteFloat] | None
    undetermined: tuple[Bound, ...]
    kernels: int = Field(ge=0)
    element_bytes: FiniteFloat = Field(default=_FLOAT32_BYTES, gt=0)

    @classmethod
    def fit(
        cls, kernels: Sequence[Kernel], latency_ms: Sequence[float] | FloatArray, *, element_bytes: float = 4.0
    ) -> Self:
        """Estimate a device's limits from kernels measured alone.

        Each limit is the median of the best twentieth of the rows: the overhead that of the fastest rows, less the
        work that the other two limits give them; peak and bandwidth those of the rows that take at least twice the
        overhead, after it.  The three are found in turn until they stay.  A limit counts as found where unlike rows
        reach it alike: rows whose operational intensity (MACs a byte) differs by a factor of 2 and that compute at
        one rate are held by the peak, for under another roof their rates would differ, too; likewise for bandwidth,
        where kernels without MACs are proof enough, and for the overhead with rows of unlike work, which
        must be many: latencies pile up on a floor.

        Args:
            kernels: Different kernels of one device, runtime and type.
            latency_ms: Their latencies run alone, all > 0. Shape: (len(kernels),).
            element_bytes: Bytes of an activation or weight.

        Raises:
            TrainingRowsError: There is not one finite latency above 0 for each kernel.

        Source: Williams, Waterman & Patterson 2009, "Roofline: an insightful visual performance model", CACM 52(4).
            There the limits come from benchmarks made for them and the memory is DRAM; here they are the envelope of
            what was measured anyway, so they are those of the runtime's kernels, caches included, and there is a call.
        """
        rows = _Rows.of(kernels, np.asarray(latency_ms, dtype=np.float64), element_bytes)
        limits = _limits(rows)
        found = limits.found(rows)
        intervals = _intervals(rows, found)
        return cls(
            peak_gmac_per_s=limits.peak,
            peak_interval=intervals.get("compute"),
            bandwidth_gb_per_s=limits.bandwidth,
            bandwidth_interval=intervals.get("memory"),
            bandwidth_megabytes=limits.megabytes_at_bandwidth(rows) if "memory" in found else None,
            overhead_us=None if limits.overhead_ms is None else 1e3 * limits.overhead_ms,
            overhead_interval=(
                (1e3 * intervals["overhead"][0], 1e3 * intervals["overhead"][1]) if "overhead" in intervals else None
            ),
            undetermined=tuple(bound for bound in BOUNDS if bound not in found),
            kernels=len(rows.latency_ms),
            element_bytes=element_bytes,
        )

    @classmethod
    def of_rows(cls, rows: TrainingRows) -> Self:
        """Estimate the limits from the kernel rows of a table; see `fit`."""
        return cls.fit(rows.kernels, rows.kernel_ms, element_bytes=1.0 if rows.origin.dtype == "int8" else 4.0)

    @property
    def ridge_macs_per_byte(self) -> float | None:
        """Operational intensity from which kernels wait for arithmetic and no more for bytes; None if not known."""
        if self.peak_gmac_per_s is None or self.bandwidth_gb_per_s is None:
            return None
        return self.peak_gmac_per_s / self.bandwidth_gb_per_s

    def bound(self, kernel: Kernel) -> Bound | None:
        """Return what a kernel waits for: the largest of its overhead, bytes / bandwidth and MACs / peak.

        None says that the table does not tell: the largest is one that it did not settle, so that it may be less.
        """
        return self.bounds([kernel])[0]

    def bounds(self, kernels: Sequence[Kernel]) -> list[Bound | None]:
        """Return what each of some kernels waits for; see `bound`."""
        parts = self._parts_ms(*_work(kernels, self.element_bytes))
        winners = [BOUNDS[index] for index in parts.argmax(axis=0)]
        return [None if winner in self.undetermined else winner for winner in winners]

    def work(self, kernels: Sequence[Kernel]) -> tuple[FloatArray, FloatArray]:
        """Return what kernels do and move: millions of multiply-accumulates, and megabytes. Shapes: (n,)."""
        return _work(kernels, self.element_bytes)

    def attainable_ms(self, kernel: Kernel) -> float:
        """Return how long a kernel run alone takes at best, in ms."""
        return self.work_ms(kernel) + (self.overhead_us or 0.0) / 1e3

    def work_ms(self, kernel: Kernel) -> float:
        """Return how long a kernel's work takes at best, without its overhead, in ms."""
        return float(self._parts_ms(*_work([kernel], self.element_bytes))[:2, 0].max())

    def efficiency(self, kernel: Kernel, latency_ms: float) -> float:
        """Return which share of its latency a kernel would take at best; about 1 at the limits, low far from them.

        Args:
            kernel: The kernel.
            latency_ms: Its latency run alone, > 0.
        """
        return self.attainable_ms(kernel) / latency_ms

    def inside_network(self, call_ms: float) -> Self:
        """Return the roofline of kernels inside a network, which do not pay a call each.

        Args:
            call_ms: What a kernel alone pays and a kernel in a network does not, >= 0.
        """
        if self.overhead_us is None:
            return self
        left_us = max(self.overhead_us - 1e3 * call_ms, 0.0)
        return self.model_copy(update={"overhead_us": left_us, "overhead_interval": None})

    def _parts_ms(self, mega_macs: FloatArray, megabytes: FloatArray) -> FloatArray:
        """Return the time that each limit asks for, in the order of BOUNDS. Shape: (3, n)."""
        compute = mega_macs / self.peak_gmac_per_s if self.peak_gmac_per_s else np.zeros_like(mega_macs)
        memory = megabytes / self.bandwidth_gb_per_s if self.bandwidth_gb_per_s else np.zeros_like(megabytes)
        return np.stack([compute, memory, np.full_like(compute, (self.overhead_us or 0.0) / 1e3)])


@dataclass(frozen=True, eq=False)
class _Rows:
    """Kernels as amounts of work with their latencies; 10^6 MACs a ms are 10^9 a second, and so are megabytes."""

    mega_macs: FloatArray
    megabytes: FloatArray
    latency_ms: FloatArray

    @classmethod
    def of(cls, kernels: Sequence[Kernel], latency_ms: FloatArray, element_bytes: float) -> _Rows:
        if latency_ms.shape != (len(kernels),):
            raise TrainingRowsError(f"{len(kernels)} kernels have latencies of shape {latency_ms.shape}")
        if not (np.isfinite(latency_ms) & (latency_ms > 0)).all():
            raise TrainingRowsError("latencies must be finite and above 0", column="median_ms")
        return cls(*_work(kernels, element_bytes), latency_ms)

    def chosen(self, index: npt.NDArray[np.intp]) -> _Rows:
        return _Rows(self.mega_macs[index], self.megabytes[index], self.latency_ms[index])


@dataclass(frozen=True)
class _Limits:
    """Peak in GMAC/s, bandwidth in GB/s, overhead in ms; None where no row says anything.

    The rates are of latencies after the overhead when it is `settled`, else of whole latencies.
    """

    peak: float | None
    bandwidth: float | None
    overhead_ms: float | None
    settled: bool

    @classmethod
    def of(cls, rows: _Rows, overhead_ms: float, *, settled: bool = True) -> _Limits:
        """Return the limits that go with an overhead."""
        own_ms = _own_ms(rows, overhead_ms if settled else 0.0)
        return cls(_best(rows.mega_macs / own_ms), _best(rows.megabytes / own_ms), overhead_ms, settled)

    def at_least(self, rows: _Rows) -> _Limits:
        """Return limits whose unknown rates are the best of whole latencies: the device does so much at least."""
        macs, megabytes = (
            float((amount / rows.latency_ms).max(initial=0.0)) or None for amount in (rows.mega_macs, rows.megabytes)
        )
        return replace(self, peak=self.peak or macs, bandwidth=self.bandwidth or megabytes)

    def work_ms(self, rows: _Rows) -> FloatArray:
        """Return what the rows take at best besides the overhead."""
        compute = rows.mega_macs / self.peak if self.peak else np.zeros_like(rows.mega_macs)
        memory = rows.megabytes / self.bandwidth if self.bandwidth else np.zeros_like(rows.megabytes)
        return np.maximum(compute, memory)

    def found(self, rows: _Rows) -> tuple[Bound, ...]:
        """Return the limits that unlike rows reach alike."""
        intensity = rows.mega_macs / np.maximum(rows.megabytes, np.finfo(np.float64).tiny)
        at_peak, at_bandwidth = (self._at(rows, bound) for bound in ("compute", "memory"))
        found = {
            "compute": _unlike(intensity[at_peak]),
            "memory": _unlike(intensity[at_bandwidth]),
            "overhead": self.settled,
        }
        return tuple(bound for bound in BOUNDS if found[bound])

    def megabytes_at_bandwidth(self, rows: _Rows) -> tuple[float, float]:
        """Return the least and most that rows at the bandwidth move."""
        moved = rows.megabytes[self._at(rows, "memory")]
        return float(moved.min()), float(moved.max())

    def shows_overhead(self, rows: _Rows) -> bool:
        """Say whether rows of unlike work take as long as the overhead, and more of them than chance puts there."""
        floor_ms = self.overhead_ms or 0.0
        at_floor = rows.latency_ms * _NEAR <= floor_ms
        at_next = int(((rows.latency_ms * _NEAR**2 <= floor_ms) & ~at_floor).sum())
        count = int(at_floor.sum())
        piled = count >= _FLOOR_SHARE * len(at_floor) or count >= max(_FLOOR_ROWS, _PILED * at_next)
        return piled and _unlike(self.work_ms(rows)[at_floor])

    def _at(self, rows: _Rows, bound: Literal["compute", "memory"]) -> npt.NDArray[np.bool_]:
        amount, limit = (rows.mega_macs, self.peak) if bound == "compute" else (rows.megabytes, self.bandwidth)
        own_ms = _own_ms(rows, (self.overhead_ms or 0.0) if self.settled else 0.0)
        return np.asarray(amount / own_ms >= _NEAR * (limit or math.inf))


def _work(kernels: Sequence[Kernel], element_bytes: float) -> tuple[FloatArray, FloatArray]:
    """Return millions of multiply-accumulates and megabytes moved. Shapes: (n,)."""
    amounts = terms(kernels)
    return amounts[:, _MACS], amounts[:, _TRAFFIC].sum(axis=1) * (element_bytes / _FLOAT32_BYTES)


def _limits(rows: _Rows) -> _Limits:
    """Find the three limits; where no overhead shows, peak and bandwidth are of whole latencies."""
    if not len(rows.latency_ms):
        return _Limits(None, None, None, settled=False)
    fastest = np.argsort(rows.latency_ms, kind="stable")[: _top(len(rows.latency_ms))]
    floor_ms = float(np.median(rows.latency_ms[fastest]))
    limits = _Limits.of(rows, floor_ms)
    for _ in range(_ROUNDS):
        left_ms = np.maximum(rows.latency_ms - limits.work_ms(rows), 0.0)[fastest]
        following = _Limits.of(rows, float(np.median(left_ms)))
        if following == limits:
            break
        limits = following
    limits = limits.at_least(rows)
    return limits if limits.shows_overhead(rows) else _Limits.of(rows, floor_ms, settled=False).at_least(rows)


def _own_ms(rows: _Rows, overhead_ms: float) -> FloatArray:
    """Return latencies after the overhead; infinite where less than the overhead is left, which is mostly its error."""
    left = rows.latency_ms - overhead_ms
    return np.where((left >= overhead_ms) & (left > 0), left, math.inf)


def _best(rates: FloatArray) -> float | None:
    """Return the median of the best rates, where there are enough."""
    some = np.sort(rates[rates > 0])
    return float(np.median(some[-_top(len(some)) :])) if len(some) >= _TOP_ROWS else None


def _top(count: int) -> int:
    return max(_TOP_ROWS, math.ceil(_TOP_SHARE * count))


def _unlike(measure: FloatArray) -> bool:
    """Say whether at least three rows span a factor of _PLATEAU, or do none of the work in question."""
    if len(measure) < _TOP_ROWS:
        return False
    low, high = np.quantile(measure, (0.1, 0.9))
    return bool(high >= _PLATEAU * low)


def _intervals(rows: _Rows, found: Sequence[Bound]) -> dict[Bound, tuple[float, float]]:
    """Return 90 % bootstrap intervals of the limits that were found; they say what the choice of rows contributes."""
    if not found:
        return {}
    rng = np.random.default_rng(0)
    count = len(rows.latency_ms)
    samples: dict[Bound, list[float]] = {bound: [] for bound in found}
    for _ in range(_RESAMPLES):
        again = _limits(rows.chosen(rng.integers(0, count, count)))
        values = {"compute": again.peak, "memory": again.bandwidth, "overhead": again.overhead_ms}
        for bound in found:
            value = values[bound]
            if value is not None:
                samples[bound].append(value)
    ends = {bound: np.quantile(drawn, _INTERVAL) for bound, drawn in samples.items() if drawn}
    return {bound: (float(low), float(high)) for bound, (low, high) in ends.items()}
