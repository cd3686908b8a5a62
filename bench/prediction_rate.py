"""How fast networks of a search space are predicted, from genotypes, from networks and from operator lists.

The route that counts is the whole way from genotypes to latencies with intervals in one batch call
(`search.assessment.predict_batch`); below 50,000 networks/s the exit code is 1.  All routes are measured in turn, round
after round, in one process; a rate is the median of the rounds, and lowest and highest round are its interval (98 % at
seven rounds).  Where other programs take the processor's time, what a core does in a second of its own says more; it
stands beside.  The latencies learned from are invented (work and traffic at fixed costs): rates do not depend on them.

    python bench/prediction_rate.py [--networks 100000] [--kernels 300] [--rounds 7] [--json]
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from predictor import NetworkPredictor
from predictor.operator_lists import OperatorLists, WholeNetworkPredictor
from profiler.kernels import FUSION_RULES, sample_kernels
from profiler.network import Network
from profiler.table import LatencyTable
from search.assessment import predict_batch
from search.spaces import CarsSpace
from search.spaces.cars import CarsParams

LEAST_RATE = 50_000.0
GATED = "genotypes"
LOWERED = 400
MOST_OBJECTS = 100_000
LISTS = 2_000
LEARNED_NETWORKS = 60
LEARNED_LISTS = 500

Row = list[str | int]


@dataclass(frozen=True)
class Route:
    """One way to a prediction.

    Attributes:
        networks: How many it predicts in a call.
        predict: Predicts them.
    """

    networks: int
    predict: Callable[[], object]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print a table (or only the JSON line), and return 0 when the rate is enough."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--networks",
        type=int,
        default=100_000,
        help="networks in the batch call from an array; from objects at most 100000",
    )
    parser.add_argument("--kernels", type=int, default=300, help="kernels to learn from")
    parser.add_argument("--rounds", type=int, default=7, help="rounds over all routes")
    parser.add_argument("--json", action="store_true", help="print the JSON line only")
    options = parser.parse_args(arguments)
    routes, fits_s = _prepare(options.networks, options.kernels)
    before_mib = _peak_mib()
    rates, own_rates = measure_rates(routes, options.rounds)
    grown_mib = _peak_mib() - before_mib
    if not options.json:
        _print_table(routes, rates, own_rates, options.rounds, fits_s)
        print(f"peak memory grew by {grown_mib:.0f} MiB in {options.rounds} rounds")
    medians = {f"{name}_networks_per_s": float(np.median(own)) for name, own in rates.items()}
    medians |= {f"{name}_networks_per_core_s": float(np.median(own)) for name, own in own_rates.items()}
    line = {"rounds": options.rounds, "networks": options.networks, "least_rate": LEAST_RATE, **medians, **fits_s}
    print(json.dumps({"bench": "prediction_rate", **line, "grown_mib": grown_mib}))
    return 0 if medians[f"{GATED}_networks_per_s"] >= LEAST_RATE else 1


Rates = dict[str, list[float]]


def measure_rates(routes: Mapping[str, Route], rounds: int) -> tuple[Rates, Rates]:
    """Return networks/s of each route in each round, and the same per second of this process on its cores.

    The first call of each route, which fills its tables, does not count.
    """
    for route in routes.values():
        route.predict()
    rates: Rates = {name: [] for name in routes}
    own_rates: Rates = {name: [] for name in routes}
    for _ in range(rounds):
        for name, route in routes.items():
            start, start_own = time.perf_counter(), time.process_time()
            route.predict()
            own_s, whole_s = time.process_time() - start_own, time.perf_counter() - start
            rates[name].append(route.networks / whole_s)
            own_rates[name].append(route.networks / own_s)
    return rates, own_rates


def _prepare(networks: int, kernels: int) -> tuple[dict[str, Route], dict[str, float]]:
    """Fit a predictor of each kind, and return the routes and how long fitting took, in s."""
    rng = np.random.default_rng(0)
    space = CarsSpace(CarsParams(image_shape=(32, 32, 3), classes=10))
    lowered = [space.lower(space.sample(rng)) for _ in range(LOWERED)]
    chosen = [kernel.network for kernel in sample_kernels(lowered, kernels, rng, rules=FUSION_RULES["litert"])]
    fits_s: dict[str, float] = {}

    def fitted(name: str, table: LatencyTable) -> NetworkPredictor:
        start = time.perf_counter()
        predictor = NetworkPredictor().fit(table)
        fits_s[f"fit_{name}_s"] = time.perf_counter() - start
        return predictor

    plain = fitted("kernels", _table(chosen, []))
    both = fitted("kernels_and_networks", _table(chosen, lowered[:LEARNED_NETWORKS]))
    lists, learned = _lists(LISTS, rng), _lists(LEARNED_LISTS, rng)
    start = time.perf_counter()
    by_lists = WholeNetworkPredictor().fit(
        OperatorLists.of(learned),
        ["phone"] * len(learned),
        ["a"] * len(learned),
        [1e-7 * _macs(rows) for rows in learned],
    )
    fits_s["fit_operator_lists_s"] = time.perf_counter() - start
    array = space.sample_array(networks, rng)
    # A million genotypes as objects would be gigabytes; as an array they are 32 bytes each.
    genotypes = space.from_array(array[:MOST_OBJECTS])
    few = space.from_array(array[:LOWERED])
    return {
        "genotypes": Route(len(genotypes), lambda: predict_batch(space, plain, genotypes)),
        "genotype_array": Route(networks, lambda: predict_batch(space, plain, array)),
        "genotypes_shared_errors": Route(len(genotypes), lambda: predict_batch(space, both, genotypes)),
        "lowering": Route(LOWERED, lambda: [space.lower(genotype) for genotype in few]),
        "lowered_networks": Route(LOWERED, lambda: plain.predict_many(lowered, allow_unknown=True)),
        "operator_lists": Route(
            LISTS, lambda: by_lists.predict(OperatorLists.of(lists), ["phone"] * LISTS, ["a"] * LISTS)
        ),
    }, fits_s


def _table(kernels: Sequence[Network], networks: Sequence[Network]) -> LatencyTable:
    texts = {"device": "invented", "source": "emulated", "runtime": "litert", "runtime_version": "0",
             "dtype": "float32", "verdict": "VALID", "reasons": "", "protocol": "none",
             "processor": "invented", "measured_at": "2026-01-01T00:00:00Z"}  # fmt: skip
    rows = []
    for level, own in (("kernel", kernels), ("network", networks)):
        for network in own:
            cost = network.cost()
            latency_ms = 1e-3 + cost.macs * 1e-7 + cost.bytes_moved * 2e-8
            numbers = {name: latency_ms for name in ("median_ms", "low_ms", "high_ms", "p90_ms")}
            row = {"key": network.key, "kind": level, "config": network.to_json(), "level": level}
            rows.append({**texts, **numbers, **row, "mad_ms": 0.0, "threads": 1, "n_blocks": 6, "n_samples": 60})
    return LatencyTable(pd.DataFrame(rows))


def _lists(count: int, rng: np.random.Generator) -> list[list[Row]]:
    """Return operator lists as long as those of MobileNets, with random widths."""
    return [_list(rng) for _ in range(count)]


def _list(rng: np.random.Generator) -> list[Row]:
    size, channels = 112, 32
    rows: list[Row] = [["conv", 224, 224, 3, 112, 112, 32, 3, 2], ["relu", 112, 112, 32, 112, 112, 32, 0, 0]]
    for stride in (1, 2, 1, 2, 1, 2, 1, 1, 1, 2, 1):
        small, filters = -(-size // stride), 8 * int(rng.integers(2, 40))
        rows += [
            ["dwconv", size, size, channels, small, small, channels, int(rng.choice((3, 5))), stride],
            ["relu", small, small, channels, small, small, channels, 0, 0],
            ["conv", small, small, channels, small, small, filters, 1, 1],
            ["relu", small, small, filters, small, small, filters, 0, 0],
        ]
        size, channels = small, filters
    return [*rows, ["gap", size, size, channels, 1, 1, channels, 0, 0], ["fc", 1, 1, channels, 1, 1, 1000, 0, 0]]


def _macs(rows: Sequence[Row]) -> float:
    """Return the work of a list, so that there is something to learn."""
    total = 0.0
    for name, _, _, channels, *output, window, _ in rows:
        height, width, filters = (float(size) for size in output)
        if name in ("conv", "dwconv", "fc"):
            total += (
                height * width * filters * max(float(window), 1) ** 2 * (1 if name == "dwconv" else float(channels))
            )
    return total


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _print_table(
    routes: Mapping[str, Route], rates: Rates, own_rates: Rates, rounds: int, fits_s: Mapping[str, float]
) -> None:
    titles = ("networks", "networks/s", "lowest", "highest", "a core s")
    print(f"{'from':<26}" + "".join(f"{title:>12}" for title in titles) + f"   of {rounds} rounds")
    for name, own in rates.items():
        numbers = (routes[name].networks, np.median(own), min(own), max(own), np.median(own_rates[name]))
        print(f"{name:<26}" + "".join(f"{number:12,.0f}" for number in numbers))
    for name, seconds in fits_s.items():
        print(f"{name:<26}{seconds:12.2f} s")


if __name__ == "__main__":
    sys.exit(main())
