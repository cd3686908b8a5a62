"""How fast networks of a search space are predicted, beside what a search needs, and how long fitting takes.

A generation of the search asks for some hundred predictions, so 300 networks/s keep it under a second.  The
latencies learned from are invented (work and traffic at fixed costs): the rate does not depend on them.

    python bench/prediction_rate.py [--networks 400] [--kernels 300] [--json]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from predictor import NetworkPredictor
from profiler.kernels import FUSION_RULES, Kernel, sample_kernels
from profiler.table import LatencyTable
from search.spaces import CarsSpace
from search.spaces.cars import CarsParams

LEAST_RATE = 300.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print a table (or only the JSON line), and return 0 when the rate is enough."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--networks", type=int, default=400, help="networks to predict")
    parser.add_argument("--kernels", type=int, default=300, help="kernels to learn from")
    parser.add_argument("--json", action="store_true", help="print the JSON line only")
    options = parser.parse_args(arguments)
    result = measure_rates(options.networks, options.kernels)
    if not options.json:
        for name, value in result.items():
            print(f"{name:<36} {value:10.1f}")
    print(json.dumps({"bench": "prediction_rate", "least_rate": LEAST_RATE, **result}))
    return 0 if result["known_kernels_networks_per_s"] >= LEAST_RATE else 1


def measure_rates(networks: int, kernels: int) -> dict[str, float]:
    """Fit once, then predict new networks and the same networks again."""
    rng = np.random.default_rng(0)
    space = CarsSpace(CarsParams(image_shape=(32, 32, 3), classes=10))
    lowered = [space.lower(space.sample(rng)) for _ in range(networks)]
    table = _table(sample_kernels(lowered, kernels, rng, rules=FUSION_RULES["litert"]))
    start = time.perf_counter()
    predictor = NetworkPredictor().fit(table)
    fit_s = time.perf_counter() - start
    rates = []
    for _ in range(2):
        start = time.perf_counter()
        predictor.predict_many(lowered)
        rates.append(networks / (time.perf_counter() - start))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "p.safetensors"
        predictor.save(path)
        size_kib = path.stat().st_size / 1024
    return {
        "fit_s": fit_s,
        "new_kernels_networks_per_s": rates[0],
        "known_kernels_networks_per_s": rates[1],
        "file_kib": size_kib,
    }


def _table(kernels: Sequence[Kernel]) -> LatencyTable:
    texts = {"device": "invented", "source": "emulated", "runtime": "litert", "runtime_version": "0",
             "dtype": "float32", "level": "kernel", "verdict": "VALID", "reasons": "", "protocol": "none",
             "processor": "invented", "measured_at": "2026-01-01T00:00:00Z"}  # fmt: skip
    rows = []
    for kernel in kernels:
        cost = kernel.network.cost()
        latency_ms = 1e-3 + cost.macs * 1e-7 + cost.bytes_moved * 2e-8
        numbers = {name: latency_ms for name in ("median_ms", "low_ms", "high_ms", "p90_ms")}
        own = {"key": kernel.key, "kind": kernel.kind, "config": kernel.network.to_json()}
        rows.append({**texts, **numbers, **own, "mad_ms": 0.0, "threads": 1, "n_blocks": 6, "n_samples": 60})
    return LatencyTable(pd.DataFrame(rows))


if __name__ == "__main__":
    sys.exit(main())
