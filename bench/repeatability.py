"""How far two measurements of the same kernels differ: pocketnas beside one block of many runs each.

Random kernels are measured in two passes on the host: in each pass once as people usually do it (one
block of 200 runs a kernel) and once by the protocol for kernels (shuffled rounds, reference kernels,
calm moments).  A pass is a whole campaign with its own seed and its own worker process, and all of the
first is over before the second begins.  The target is a median difference of 3 % at most and 95 % of the
kernels within 10 %.

    python bench/repeatability.py [--kernels 200] [--json]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from campaign_progress import say_progress

from profiler.backends import open_backend
from profiler.devices import Device, HostDevice
from profiler.kernels import random_kernels
from profiler.measure import PROTOCOLS, Measurement, Protocol, measure
from profiler.store import Store
from profiler.workload import Workload

NAIVE = Protocol(name="naive", rounds=1, max_rounds=1, runs_per_block=200, references=False)
LOCK_WAIT_S = 60.0
TARGET_MEDIAN = 0.03
TARGET_SHARE = 0.95


@dataclass
class Passes:
    """Latencies of one protocol in both passes, and what they cost.

    Attributes:
        latencies_ms: One array a pass. Shape of each: (n_kernels,).
        seconds: Seconds over both passes.
    """

    latencies_ms: list[npt.NDArray[np.float64]]
    seconds: float = 0.0

    def relative_differences(self) -> npt.NDArray[np.float64]:
        """Difference between the passes over their mean. Shape: (n_kernels,)."""
        first, second = self.latencies_ms
        return np.asarray(np.abs(first - second) / ((first + second) / 2.0))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print a table (or only the JSON line), and return 0 when the target is met."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--kernels", type=int, default=200, help="how many random kernels")
    parser.add_argument("--seed", type=int, default=0, help="of the kernels and the schedules")
    parser.add_argument("--json", action="store_true", help="print the JSON line alone")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        result = run(HostDevice(name="host"), Path(scratch) / "store.db", options.kernels, options.seed)
    if not options.json:
        print_table(result)
    print(json.dumps(result))
    good = result["median_relative_difference"] <= TARGET_MEDIAN and result["share_within_10_percent"] >= TARGET_SHARE
    return 0 if good else 1


def run(device: Device, place: Path, count: int, seed: int) -> dict[str, Any]:
    """Measure the kernels twice by both protocols and return the figures.

    Args:
        device: What to measure on.
        place: Where the store is made.
        count: Number of kernels.
        seed: Of the kernels and the schedules.
    """
    kernels = random_kernels(count, np.random.default_rng(seed))
    workloads = [Workload(kernel.network, kind=kernel.kind) for kernel in kernels]
    passes = {"naive": Passes([]), "ours": Passes([])}
    protocols = {"naive": NAIVE, "ours": PROTOCOLS["kernels"]}
    measured: list[Measurement] = []
    with Store(place) as store:
        for number in range(2):
            for name, protocol in protocols.items():
                began = time.perf_counter()
                seeded = replace(protocol, seed=1000 * seed + number)
                with open_backend(device, wait_s=LOCK_WAIT_S) as backend:
                    found = measure(
                        backend, workloads, seeded, store, progress=say_progress(f"pass {number + 1}, {name}")
                    )
                passes[name].seconds += time.perf_counter() - began
                passes[name].latencies_ms.append(np.array([item.median_ms for item in found]))
                measured += found if name == "ours" else ()
    naive, ours = (passes[name].relative_differences() for name in ("naive", "ours"))
    facts = measured[0].campaign.configuration.facts
    return {
        "median_relative_difference": float(np.median(ours)),
        "share_within_10_percent": float(np.mean(ours <= 0.1)),
        "p90_relative_difference": float(np.quantile(ours, 0.9)),
        "naive_median_relative_difference": float(np.median(naive)),
        "naive_share_within_10_percent": float(np.mean(naive <= 0.1)),
        "naive_p90_relative_difference": float(np.quantile(naive, 0.9)),
        "n_kernels": count,
        "blocks_per_kernel": float(np.mean([len(item.blocks) for item in measured])),
        "valid_share": float(np.mean([item.verdict == "VALID" for item in measured])),
        "seconds": passes["ours"].seconds,
        "naive_seconds": passes["naive"].seconds,
        "processor": facts.processor,
        "runtime": f"{facts.runtime} {facts.runtime_version}",
    }


def print_table(result: dict[str, Any]) -> None:
    """Print both protocols side by side."""
    print(f"{result['n_kernels']} random kernels, two passes, {result['processor']}, {result['runtime']}")
    print(f"{'':32}{'median':>9}{'p90':>9}{'within 10 %':>13}{'seconds':>9}")
    for title, prefix in (("one block of 200 runs", "naive_"), ("pocketnas", "")):
        print(
            f"{title:32}{result[prefix + 'median_relative_difference']:9.1%}"
            f"{result[prefix + 'p90_relative_difference']:9.1%}"
            f"{result[prefix + 'share_within_10_percent']:13.1%}{result[prefix + 'seconds']:9.0f}"
        )
    print(f"target: median <= {TARGET_MEDIAN:.0%}, within 10 % >= {TARGET_SHARE:.0%}")


if __name__ == "__main__":
    sys.exit(main())
