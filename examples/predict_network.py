"""Measure the kernels of one network on this machine, learn from them, and predict that network and another.

Takes about half a minute.  With a table at hand (from `pocketnas table`, or one of data/tables) nothing needs to
be measured: `NetworkPredictor().fit(LatencyTable.read(path))`.

Run it with: python examples/predict_network.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from predictor import NetworkPredictor, Prediction
from profiler.backends import open_backend
from profiler.devices import HostDevice
from profiler.kernels import FUSION_RULES, sample_kernels
from profiler.measure import Protocol, measure
from profiler.network import Network
from profiler.store import Store
from profiler.table import LatencyTable, table_of
from profiler.workload import Workload
from profiler.zoo import mobilenet_v2

KERNELS = 80


def measured_kernels(networks: list[Network], folder: Path) -> LatencyTable:
    """Measure kernels of the networks, and around them, in three quick rounds."""
    rng = np.random.default_rng(0)
    kernels = sample_kernels(networks, KERNELS, rng, rules=FUSION_RULES["litert"])
    workloads = [Workload(kernel.network, kind=kernel.kind) for kernel in kernels]
    device = HostDevice(name="this-machine")
    with open_backend(device) as backend, Store(folder / "rows.db") as store:
        return table_of(measure(backend, workloads, Protocol(rounds=3, max_rounds=3), store))


def show(name: str, prediction: Prediction) -> None:
    """Print a prediction, what it rests on, and the kernels that cost most."""
    print(f"\n{name}: {prediction.latency_ms:.3f} ms ({prediction.low_ms:.3f} to {prediction.high_ms:.3f})")
    if not prediction.in_domain:
        print(f"  nothing like {len(prediction.out_of_domain)} of its kernels was measured")
    for part in sorted(prediction.kernels, key=lambda part: -part.latency_ms)[:4]:
        print(f"  {part.latency_ms:.4f} ms  {part.share:4.0%}  {part.kernel}")


def main() -> None:
    """Run the example."""
    small, large = mobilenet_v2(96, 0.35), mobilenet_v2(224, 1.0)
    with tempfile.TemporaryDirectory() as folder:
        predictor = NetworkPredictor().fit(measured_kernels([small], Path(folder)))
        predictor.save(Path(folder) / "this-machine.safetensors")
        again = NetworkPredictor.load(Path(folder) / "this-machine.safetensors")
    for family in again.card.families:
        error = family.held_out.mape_percent
        print(
            f"{family.family:<20} {family.rows:3} rows, held-out error {'unknown' if error is None else f'{error} %'}"
        )
    for remark in again.card.remarks:
        print(f"note: {remark}")
    show("mobilenet_v2 96 px, width 0.35, whose kernels were measured", again.predict(small))
    show("mobilenet_v2 224 px, width 1.0, whose kernels were not", again.predict(large))


if __name__ == "__main__":
    main()
