"""Latency tables of an invented device whose law is known, so that predictions can be judged."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from predictor import Prediction
from profiler.kernels import FUSION_RULES, Kernel, fuse, random_kernels
from profiler.network import Add, Conv2d, Dense, DepthwiseConv2d, GlobalAvgPool2d, Network, Operator, Relu, TensorSpec
from profiler.table import LatencyTable

KINDS = ("conv2d", "depthwise_conv2d", "add", "dense", "global_avg_pool2d")
CALL_MS = 0.001
NOISE = 0.02


def true_ms(kernel: Kernel) -> float:
    """Latency of a kernel run alone: a call, its work, its traffic, and idle lanes of the last channels."""
    cost = kernel.network.cost()
    channels = kernel.output_shapes[0][-1]
    idle = 1.0 + 0.5 * (-channels % 8) / 8
    return CALL_MS + cost.macs * 1e-7 * idle + cost.bytes_moved * 2e-8


def true_network_ms(network: Network, rules: str = "litert") -> float:
    return CALL_MS + sum(true_ms(kernel) - CALL_MS for kernel in fuse(network, FUSION_RULES[rules]))


def noisy(latency_ms: float, rng: np.random.Generator) -> float:
    return float(latency_ms * np.exp(rng.normal(0.0, NOISE)))


def row(network: Network, kind: str, median_ms: float, **changes: object) -> dict[str, Any]:
    cells: dict[str, Any] = {
        "device": "bench", "source": "measured", "runtime": "litert", "runtime_version": "2.3.0", "threads": 1,
        "dtype": "float32", "level": "network" if kind == "network" else "kernel", "key": network.key, "kind": kind,
        "config": network.to_json(), "median_ms": median_ms, "low_ms": median_ms, "high_ms": median_ms, "mad_ms": 0.0,
        "p90_ms": median_ms, "n_blocks": 6, "n_samples": 60, "verdict": "VALID", "reasons": "", "protocol": "p1",
        "processor": "invented", "measured_at": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    return cells | changes


def kernel_rows(kernels: Iterable[Kernel], rng: np.random.Generator, **changes: object) -> list[dict[str, Any]]:
    return [row(kernel.network, kernel.kind, noisy(true_ms(kernel), rng), **changes) for kernel in kernels]


def network_rows(networks: Iterable[Network], rng: np.random.Generator) -> list[dict[str, Any]]:
    return [row(network, "network", noisy(true_network_ms(network), rng)) for network in networks]


def some_networks(count: int, rng: np.random.Generator) -> list[Network]:
    return [some_network(rng) for _ in range(count)]


def some_network(rng: np.random.Generator) -> Network:
    """A small residual network with drawn sizes, of the kinds in KINDS."""
    size, width = int(rng.choice((14, 20, 28, 40))), int(rng.choice((8, 16, 24, 32)))
    operators: list[Operator] = [Conv2d("stem", ("x",), width, (3, 3), (2, 2)), Relu("r0", ("stem",))]
    last = "r0"
    for index in range(int(rng.integers(1, 6))):
        names = {role: f"{role}{index}" for role in ("depth", "clamp", "point", "sum")}
        operators += [
            DepthwiseConv2d(names["depth"], (last,), (3, 3)), Relu(names["clamp"], (names["depth"],)),
            Conv2d(names["point"], (names["clamp"],), width, (1, 1)), Add(names["sum"], (names["point"], last)),
        ]  # fmt: skip
        last = names["sum"]
    operators += [GlobalAvgPool2d("pool", (last,)), Dense("logits", ("pool",), 10)]
    return Network("residual", [TensorSpec("x", (1, size, size, 3))], operators, ["logits"])


def table_of_rows(rows: Sequence[dict[str, Any]]) -> LatencyTable:
    return LatencyTable(pd.DataFrame(list(rows)))


def records(table: LatencyTable) -> list[dict[str, Any]]:
    """Rows of a table as dictionaries, to be changed."""
    return [{str(name): cell for name, cell in record.items()} for record in table.frame.to_dict("records")]


def law_table(kernels: int = 200, networks: int = 0, seed: int = 0) -> LatencyTable:
    """A table of random kernels and networks, measured with 2 % noise."""
    rng = np.random.default_rng(seed)
    measured = random_kernels(kernels, rng, kinds=KINDS)
    return table_of_rows(kernel_rows(measured, rng) + network_rows(some_networks(networks, rng), rng))


def assert_same(found: Sequence[Prediction], expected: Sequence[Prediction]) -> None:
    """Hold predictions to others; what was priced together may differ in the last bits from what was priced apart."""
    for one, other in zip(found, expected, strict=True):
        for name in ("latency_ms", "low_ms", "high_ms", "call_ms"):
            np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-9)
        assert one.out_of_domain == other.out_of_domain
        assert [(k.kernel, k.kind, k.in_domain, k.bound) for k in one.kernels] == [
            (k.kernel, k.kind, k.in_domain, k.bound) for k in other.kernels
        ]
