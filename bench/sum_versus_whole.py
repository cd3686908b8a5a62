"""How far the sum of a network's kernels lies from the network, and how much of that the correction mends.

Thirty networks and every kernel in them are measured on this machine in one campaign a runtime, so that both sides
see the same minutes.  Three predictions of each network are compared with its measured latency: the plain sum of its
measured kernels, that sum times one factor found on the other networks, and a predictor fitted without the network.
The target is a mean absolute error of 5 % at most for the last.

    python bench/sum_versus_whole.py [--runtimes litert,onnxruntime] [--networks 30] [--json]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from campaign_progress import say_progress

from predictor import NetworkPredictor
from profiler import zoo
from profiler.backends import open_backend
from profiler.devices import HostDevice
from profiler.kernels import FUSION_RULES, fuse
from profiler.measure import PROTOCOLS, measure
from profiler.network import Network
from profiler.store import Store
from profiler.table import LatencyTable, table_of
from profiler.workload import Workload
from search.spaces import CarsSpace
from search.spaces.cars import CarsParams

TARGET_MAPE = 5.0
MOST_HALF_WIDTH = 0.05
"""Half the 95 % interval over the latency beyond which a network was not measured well enough to be compared with."""

LOCK_WAIT_S = 60.0


@dataclass(frozen=True)
class Errors:
    """Relative errors of three predictions of the same networks. Shape of each: (n_networks,).

    Attributes:
        plain: Of the sum of the measured kernels.
        scaled: Of that sum times the median ratio of the other networks.
        held_out: Mean absolute error of a predictor that had not seen the network, in percent.
        coverage: Share of the networks within its 90 % intervals.
    """

    plain: npt.NDArray[np.float64]
    scaled: npt.NDArray[np.float64]
    held_out: float
    coverage: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print a table (or only the JSON line), and return 0 when every runtime meets the target."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runtimes", default="litert,onnxruntime", help="with commas between them")
    parser.add_argument("--networks", type=int, default=30, help="how many")
    parser.add_argument("--seed", type=int, default=0, help="of the random networks and the schedule")
    parser.add_argument("--json", action="store_true", help="print the JSON line alone")
    options = parser.parse_args(arguments)
    networks = chosen_networks(options.networks, options.seed)
    results = [run(runtime, networks) for runtime in options.runtimes.split(",")]
    if not options.json:
        print_table(results)
    print(json.dumps({"bench": "sum_versus_whole", "target_mape": TARGET_MAPE, "results": results}))
    return 0 if all(result["predictor_mape"] <= TARGET_MAPE for result in results) else 1


def chosen_networks(count: int, seed: int) -> list[Network]:
    """Return different networks: well-known ones at several sizes, a pixel-level one, and random cells, in turn."""
    return [network for _, network in zip(range(count), _in_turn(seed), strict=False)]


def _in_turn(seed: int) -> Iterator[Network]:
    known = iter(_known())
    space = CarsSpace(CarsParams(image_shape=(32, 32, 3), classes=10, channels=16))
    rng = np.random.default_rng(seed)
    while True:
        network = next(known, None)
        if network is not None:
            yield network
        yield space.lower(space.sample(rng))


def _known() -> Iterator[Network]:
    for resolution in (96, 128, 160):
        yield zoo.mobilenet_v2(resolution, 0.5)
        yield zoo.shufflenet_v2(resolution)
        yield zoo.mobilenet_v3_small(resolution)
        yield zoo.squeezenet(resolution)
        yield zoo.super_resolution(resolution // 2, resolution, 2, 16)


def run(runtime: str, networks: Sequence[Network]) -> dict[str, Any]:
    """Measure networks and kernels under one runtime and compare.

    Args:
        runtime: Runtime of the host.
        networks: Different networks.
    """
    kernels = dict.fromkeys(kernel for network in networks for kernel in fuse(network, FUSION_RULES[runtime]))
    workloads = [Workload(kernel.network, kind=kernel.kind) for kernel in kernels]
    workloads += [Workload(network) for network in networks]
    began = time.perf_counter()
    with (
        tempfile.TemporaryDirectory() as scratch,
        Store(Path(scratch) / "store.db") as store,
        open_backend(HostDevice(name="host", runtime=runtime), wait_s=LOCK_WAIT_S) as backend,
    ):
        found = measure(backend, workloads, PROTOCOLS["kernels"], store, progress=say_progress(runtime))
    table = precise(table_of(found))
    errors = compare(runtime, networks, table)
    facts = found[0].campaign.configuration.facts
    return {
        "runtime": f"{facts.runtime} {facts.runtime_version}",
        "processor": facts.processor,
        "networks": len(errors.plain),
        "too_noisy": len(networks) - len(errors.plain),
        "kernels": len(kernels),
        "plain_sum_mape": 100 * float(np.abs(errors.plain).mean()),
        "plain_sum_bias": 100 * float(errors.plain.mean()),
        "scaled_sum_mape": 100 * float(np.abs(errors.scaled).mean()),
        "predictor_mape": errors.held_out,
        "predictor_coverage": errors.coverage,
        "usable_share": float(np.mean([item.verdict != "INVALID" for item in found])),
        "seconds": time.perf_counter() - began,
    }


def precise(table: LatencyTable) -> LatencyTable:
    """Return the rows without the networks whose own interval is too wide, and without INVALID rows."""
    frame = table.usable().frame
    half_width = (frame["high_ms"] - frame["low_ms"]) / (2.0 * frame["median_ms"])
    return LatencyTable(frame[(frame["level"] == "kernel") | (half_width <= MOST_HALF_WIDTH)])


def compare(runtime: str, networks: Sequence[Network], table: LatencyTable) -> Errors:
    """Compare three predictions with what was measured."""
    latency_ms = dict(zip(table.frame["key"], table.frame["median_ms"], strict=True))
    sums, whole = [], []
    for network in networks:
        parts = [latency_ms.get(kernel.key) for kernel in fuse(network, FUSION_RULES[runtime])]
        known = [part for part in parts if part is not None]
        if network.key in latency_ms and len(known) == len(parts):
            sums.append(sum(known))
            whole.append(latency_ms[network.key])
    ratio = np.array(sums) / np.array(whole)
    others = np.array([np.median(np.delete(ratio, index)) for index in range(len(ratio))])
    held_out = NetworkPredictor().fit(table).card.networks
    if held_out.mape_percent is None or held_out.coverage is None:
        raise SystemExit("error: no network was measured well enough to be compared")
    return Errors(ratio - 1.0, ratio / others - 1.0, held_out.mape_percent, held_out.coverage)


def print_table(results: Sequence[dict[str, Any]]) -> None:
    """Print one line a runtime."""
    print(f"{'runtime':<22} {'networks':>8} {'noisy':>6} {'kernels':>8} {'sum, MAPE':>10} {'bias':>7} {'scaled':>7} "
          f"{'predictor':>10} {'in interval':>12} {'seconds':>8}")  # fmt: skip
    for result in results:
        counts = f"{result['networks']:>8} {result['too_noisy']:>6} {result['kernels']:>8}"
        sums = f"{result['plain_sum_mape']:9.1f}% {result['plain_sum_bias']:6.1f}% {result['scaled_sum_mape']:6.1f}%"
        learned = f"{result['predictor_mape']:9.2f}% {100 * result['predictor_coverage']:11.0f}%"
        print(f"{result['runtime']:<22} {counts} {sums} {learned} {result['seconds']:8.0f}")
    print(f"noisy: networks whose own 95 % interval is wider than ±{MOST_HALF_WIDTH:.0%}; they are left out")
    print(f"target: predictor without the network in question, mean absolute error <= {TARGET_MAPE:.0f} %; "
          f"{results[0]['processor']}, measured")  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
