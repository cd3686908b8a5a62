"""Devices whose law is known: families of small networks, and what each kernel costs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from predictor.operator_lists import OperatorLists

Graph = list[list[str | int]]

PRICES = {"conv": 2e-8, "dwconv": 1e-7, "concat": 4e-7, "maxpool": 2e-7, "shuffle": 8e-7}
FAMILIES = ("plain", "separable", "dense")


def _conv(side: int, channels: int, filters: int, window: int, stride: int = 1) -> Graph:
    out = -(-side // stride)
    return [
        ["conv", side, side, channels, out, out, filters, window, stride],
        ["relu", out, out, filters, out, out, filters, 0, 0],
    ]


def graph_of(family: str, rng: np.random.Generator) -> Graph:
    """Return a network of a family: three stages of random widths."""
    side, channels = 32, int(rng.integers(8, 33))
    graph = _conv(64, 3, channels, 3, 2)
    for _ in range(3):
        filters, window = int(rng.integers(8, 129)), int(rng.choice([1, 3, 5]))
        if family == "separable":
            graph.append(["dwconv", side, side, channels, side, side, channels, window, 1])
            graph += _conv(side, channels, filters, 1)
        else:
            graph += _conv(side, channels, filters, window)
        if family == "dense":
            graph.append(["concat", side, side, filters + channels, side, side, filters + channels, 2, 0])
            filters += channels
        graph.append(["maxpool", side, side, filters, side // 2, side // 2, filters, 2, 2])
        side, channels = side // 2, filters
    return graph


def graphs(count: int, seed: int) -> tuple[list[Graph], list[str]]:
    """Return networks of all families in turn, and their families."""
    rng = np.random.default_rng(seed)
    families = [FAMILIES[index % len(FAMILIES)] for index in range(count)]
    return [graph_of(family, rng) for family in families], families


def latency_ms(networks: Sequence[Graph], *, noise: float = 0.0, seed: int = 0, faster: float = 1.0) -> np.ndarray:
    """Return the law's latencies: work at its price, and 0.01 ms a kernel."""
    totals = []
    for graph in networks:
        total = 0.1
        for operator, _, _, channels, out_height, out_width, filters, window, _ in graph:
            out = out_height * out_width * filters
            work = out * {"conv": channels * window**2, "dwconv": window**2}.get(operator, 1)
            if operator != "relu":
                total += 0.01 + PRICES[operator] * work / (faster if operator == "conv" else 1.0)
        totals.append(total)
    return np.array(totals) * np.exp(noise * np.random.default_rng(seed).standard_normal(len(totals)))


def lists(networks: Sequence[Graph]) -> OperatorLists:
    """Return the networks as arrays."""
    return OperatorLists.of(networks)
