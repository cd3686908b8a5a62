"""How many kernels a minute are profiled: packs of branches beside one process a kernel.

The same random kernels are measured both ways with the same runs: each in a process of its own, which
is how most tools do it, and as branches of packs with the runtime's own profiler on.  On the host that
is seconds of the wall clock, on the emulated phone seconds of the phone's clock.  Latencies are held
against each other by size.  One process a kernel times whole calls and a pack operators alone, so they
are compared as they are and without a call, which is what the smaller half takes more in the median.
The target is twenty times as many kernels a minute on each device.

    python bench/profiling_rate.py [--kernels 128] [--device host] [--device pixel4] [--json]
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from profiler.backends import Backend, BlockRequest, open_backend
from profiler.devices import Device, EmulatedDevice, HostDevice
from profiler.errors import WorkloadFailedError
from profiler.kernels import random_kernels
from profiler.measure import PROTOCOLS, Pack, cut_packs
from profiler.workload import Workload

RUNS, WARMUP_RUNS = PROTOCOLS["packed"].runs_per_block, PROTOCOLS["packed"].warmup_runs
PASSES = 3
"""Passes of the packs, whose medians are compared: one costs next to nothing."""

TARGET = 20.0
LOCK_WAIT_S = 60.0
SIZES_MS = (0.0, 0.02, 0.2, np.inf)

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Pass:
    """What measuring all kernels once gave.

    Attributes:
        latencies_ms: One a kernel; NaN where there is none. Shape: (n_kernels,).
        seconds: By the device's clock.
        processes: How many were started.
    """

    latencies_ms: FloatArray
    seconds: float
    processes: int

    @property
    def rate(self) -> float:
        """Kernels a minute."""
        return 60.0 * len(self.latencies_ms) / self.seconds


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print a table (or only the JSON line), and return 0 when the target is met."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--kernels", type=int, default=128, help="how many random kernels")
    parser.add_argument("--device", action="append", help="host, or the name of an emulated phone; may be repeated")
    parser.add_argument("--seed", type=int, default=0, help="of the kernels")
    parser.add_argument("--json", action="store_true", help="print the JSON line alone")
    options = parser.parse_args(arguments)
    kernels = random_kernels(options.kernels, np.random.default_rng(options.seed))
    workloads = [Workload(kernel.network, kind=kernel.kind) for kernel in kernels]
    results = [run(_device(name), workloads) for name in options.device or ["host", "pixel4"]]
    if not options.json:
        for result in results:
            print_table(result)
    print(json.dumps(results))
    return 0 if all(result["speedup"] >= TARGET for result in results) else 1


def run(device: Device, workloads: Sequence[Workload]) -> dict[str, Any]:
    """Measure the kernels both ways on a device and return the figures."""
    alone = run_alone(device, workloads)
    with _opened(device) as (backend, clock):
        passes = [run_packed(backend, clock, workloads) for _ in range(PASSES)]
    packed_ms = np.median([found.latencies_ms for found in passes], axis=0)
    seconds = float(np.median([found.seconds for found in passes]))
    rate = 60.0 * len(workloads) / seconds
    call_ms = _call_ms(packed_ms, alone.latencies_ms)
    return {
        "device": device.name,
        "clock": "phone" if isinstance(device, EmulatedDevice) else "wall",
        "n_kernels": len(workloads),
        "alone_kernels_per_minute": alone.rate,
        "packed_kernels_per_minute": rate,
        "speedup": rate / alone.rate,
        "alone_processes": alone.processes,
        "packed_processes": passes[0].processes,
        "not_told": int(np.isnan(packed_ms).sum()),
        "call_ms": call_ms,
        "ratio_by_size": _ratios(packed_ms, alone.latencies_ms, 0.0),
        "ratio_without_call_by_size": _ratios(packed_ms, alone.latencies_ms, call_ms),
    }


def run_alone(device: Device, workloads: Sequence[Workload]) -> Pass:
    """Measure each kernel in a process of its own; on the host that is a worker of its own."""
    latencies_ms: list[float] = []
    seconds = 0.0
    emulated = isinstance(device, EmulatedDevice)
    for group in [workloads] if emulated else [[workload] for workload in workloads]:
        opening = time.perf_counter()
        with _opened(device) as (backend, clock):
            # The host's worker starts when the device is opened; a phone's process starts with each block.
            began = clock() if emulated else opening
            requests = [BlockRequest(work, WARMUP_RUNS, RUNS, occasion=f"alone/{work.key}") for work in group]
            latencies_ms += [_median(result.samples_ms) for result in backend.run_blocks(requests)]
            seconds += clock() - began
    return Pass(np.array(latencies_ms), seconds, len(workloads))


def run_packed(backend: Backend, clock: Callable[[], float], workloads: Sequence[Workload]) -> Pass:
    """Measure the kernels as branches of packs, with reference kernels in each."""
    found: dict[str, float] = {}
    began = clock()
    groups = list(cut_packs(workloads, PROTOCOLS["packed"].kernels_per_pack))
    for index, group in enumerate(groups):
        pack = Pack(group)
        request = BlockRequest(pack.workload, WARMUP_RUNS, RUNS, profiled=True, occasion=f"pack-{index}")
        (result,) = backend.run_blocks([request])
        if result.failure:
            raise WorkloadFailedError(result.failure.reason, result.failure.detail)
        reading = pack.read(result.operators)
        for workload, latency_ms in zip(group, reading.latencies_ms, strict=True):
            found[workload.key] = np.nan if latency_ms is None else latency_ms
    return Pass(np.array([found[work.key] for work in workloads]), clock() - began, len(groups))


def print_table(result: dict[str, Any]) -> None:
    """Print both ways side by side, and how their latencies compare."""
    print(f"{result['n_kernels']} random kernels on {result['device']}, seconds of the {result['clock']} clock")
    print(f"{'':24}{'kernels/min':>12}{'processes':>11}")
    for title, way in (("one process a kernel", "alone"), ("packed", "packed")):
        print(f"{title:24}{result[f'{way}_kernels_per_minute']:12.0f}{result[f'{way}_processes']:11}")
    print(f"{result['speedup']:.0f} times as many; target: {TARGET:.0f}")
    for title, prefix in (("packed over alone", "ratio"), ("without the call", "ratio_without_call")):
        print(f"{title:24}{'kernels':>12}{'p10':>8}{'median':>8}{'p90':>8}")
        for size, ratios in result[f"{prefix}_by_size"].items():
            print(f"{size:24}{ratios['n']:12}{ratios['p10']:8.2f}{ratios['median']:8.2f}{ratios['p90']:8.2f}")
    print(f"a call takes {1000.0 * result['call_ms']:.1f} us; kernels that packs do not tell: {result['not_told']}\n")


def _device(name: str) -> Device:
    return HostDevice(name="host") if name == "host" else EmulatedDevice(name=name, phone=name)


@contextmanager
def _opened(device: Device) -> Iterator[tuple[Backend, Callable[[], float]]]:
    """Open a device, with its clock in seconds."""
    with open_backend(device, wait_s=LOCK_WAIT_S) as backend:
        phone = getattr(backend, "phone", None)
        yield backend, time.perf_counter if phone is None else lambda: float(phone.clock.now_s)


def _median(samples_ms: Sequence[float]) -> float:
    return float(np.median(samples_ms)) if samples_ms else np.nan


def _call_ms(packed_ms: FloatArray, alone_ms: FloatArray) -> float:
    """Return what the smaller half of the kernels take more alone, in the median."""
    known = ~np.isnan(packed_ms)
    small = known & (alone_ms <= np.median(alone_ms[known]))
    return float(np.median((alone_ms - packed_ms)[small]))


def _ratios(packed_ms: FloatArray, alone_ms: FloatArray, call_ms: float) -> dict[str, dict[str, float]]:
    """Return quantiles of packed over alone, less a call, for each range of the packed latencies."""
    found = {}
    ratios = packed_ms / (alone_ms - call_ms)
    for low, high in pairwise(SIZES_MS):
        chosen = ratios[(packed_ms > low) & (packed_ms <= high)]
        if len(chosen):
            title = f"above {low:g} ms" if np.isinf(high) else f"{low:g} to {high:g} ms"
            p10, median, p90 = np.quantile(chosen, [0.1, 0.5, 0.9]).tolist()
            found[title] = {"n": len(chosen), "p10": p10, "median": median, "p90": p90}
    return found


if __name__ == "__main__":
    sys.exit(main())
