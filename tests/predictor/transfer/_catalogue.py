"""A small catalogue of cells with an invented law a device: sums over operations, and one device that prunes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from profiler.catalogues import NasBench201Cell

FloatArray = npt.NDArray[np.float64]


def cell_text(operations: tuple[str, ...]) -> str:
    """Write a cell as the benchmark does."""
    nodes: list[str] = []
    for target in (1, 2, 3):
        edges = [
            f"{operation}~{source}"
            for operation, (source, end) in zip(operations, NasBench201Cell.EDGES, strict=True)
            if end == target
        ]
        nodes.append(f"|{'|'.join(edges)}|")
    return "+".join(nodes)


def random_cells(count: int, rng: np.random.Generator) -> list[NasBench201Cell]:
    """Return different cells."""
    codes = rng.choice(5**6, count, replace=False)
    names = NasBench201Cell.OPERATIONS
    return [NasBench201Cell(tuple(names[code // 5**place % 5] for place in range(6))) for code in codes]


def latencies(cells: list[NasBench201Cell], costs_ms: FloatArray, *, prunes: bool = False) -> FloatArray:
    """Return 1 ms, and each operation's cost. Shape of costs_ms: (5,)."""
    places = {operation: place for place, operation in enumerate(NasBench201Cell.OPERATIONS)}
    seen = [cell.live() if prunes else cell for cell in cells]
    return np.array([1.0 + sum(costs_ms[places[operation]] for operation in cell.operations) for cell in seen])


def device_costs(count: int, rng: np.random.Generator) -> FloatArray:
    """Return costs of operations on some devices, in ms. Shape: (count, 5)."""
    usual = np.array([0.0, 0.1, 1.0, 4.0, 0.6])
    return usual * np.exp(0.4 * rng.standard_normal((count, 5)))
