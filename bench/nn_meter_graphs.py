"""Reads nn-Meter's published networks as the steps of an emulated phone: rows of a graph become small networks.

Each row of an operator list, with the activation right after it, is lowered as a network of its own: the law looks
at one step at a time, and for it that is the same.  A ReLU that comes after nothing of that kind stands for a batch
norm that cannot be folded, too: MUL and ADD with RELU.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from profiler.catalogues.operator_lists import lower_row
from profiler.phone.soc import Delegate, Step, steps_of

Row = tuple[str, int, int, int, int, int, int, int, int]

_ACTIVATIONS = frozenset({"relu", "relu6", "hswish"})
_ACTIVATED = frozenset({"conv", "dwconv", "fc", "add"})


@dataclass(frozen=True)
class MeasuredNetworks:
    """Networks with latencies, as counts of the steps that they share.

    Attributes:
        frame: One row a network: family, model, latency_ms.
        steps: All different steps.
        counts: How often each network executes each step.  Shape: (n_networks, n_steps).
    """

    frame: pd.DataFrame
    steps: tuple[Step, ...]
    counts: csr_array

    def selected(self, mask: np.ndarray) -> MeasuredNetworks:
        """Return some of the networks with the steps that they execute."""
        counts = self.counts[mask]
        used = np.unique(counts.indices)
        return MeasuredNetworks(
            self.frame[mask].reset_index(drop=True), tuple(self.steps[index] for index in used), counts[:, used]
        )


def read_networks(folder: Path, device: str, delegate: Delegate) -> MeasuredNetworks:
    """Return the networks that have an open latency on a device.

    Args:
        folder: nn-meter's folder of the shared data, with latency.csv.gz and graphs/.
        device: Device of the latencies, such as "pixel4_cpu".
        delegate: Delegate whose steps the networks become.
    """
    rows = pd.read_csv(folder / "latency.csv.gz")
    frame = rows[rows["device"] == device].reset_index(drop=True)
    graphs = {family: _read_json(folder / "graphs" / f"{family}.json.gz") for family in frame["family"].unique()}
    models = zip(frame["family"], frame["model"], strict=True)
    return counted(frame, (_steps_of_graph(graphs[family][model], delegate) for family, model in models))


def counted(frame: pd.DataFrame, executed: Iterable[Iterable[Step]]) -> MeasuredNetworks:
    """Return networks as counts of their steps; two steps are one where no law can tell them apart.

    Args:
        frame: One row a network: family, model, latency_ms.
        executed: The steps of each network.
    """
    positions: dict[tuple[object, ...], int] = {}
    steps: list[Step] = []
    networks, columns = [], []
    for network, own in enumerate(executed):
        for step in own:
            numbers = (
                step.routine, step.groups, step.rows, step.columns, step.depth, step.read_bytes, step.weight_bytes,
                step.written_bytes, step.copied_bytes, step.bursts,
            )  # fmt: skip
            if numbers not in positions:
                positions[numbers] = len(steps)
                steps.append(step)
            networks.append(network)
            columns.append(positions[numbers])
    counts = csr_array((np.ones(len(networks)), (networks, columns)), shape=(len(frame), len(steps)))
    return MeasuredNetworks(frame, tuple(steps), counts)


def _read_json(path: Path) -> Mapping[str, Sequence[Sequence[str | int]]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        graphs: Mapping[str, Sequence[Sequence[str | int]]] = json.load(file)
    return graphs


def _with_activations(rows: Sequence[Sequence[str | int]]) -> Iterator[tuple[Row, str]]:
    """Yield each row with the activation right after it, or ""; whether the two are one step is the law's to say."""
    position = 0
    while position < len(rows):
        row: Row = tuple(rows[position])  # type: ignore[assignment]
        following = rows[position + 1][0] if position + 1 < len(rows) else ""
        activation = str(following) if row[0] in _ACTIVATED and following in _ACTIVATIONS else ""
        yield row, activation
        position += 2 if activation else 1


def _steps_of_graph(rows: Sequence[Sequence[str | int]], delegate: Delegate) -> Iterator[Step]:
    for row, activation in _with_activations(rows):
        yield from _steps(row, activation, delegate)


@cache
def _steps(row: Row, activation: str, delegate: Delegate) -> tuple[Step, ...]:
    return steps_of(lower_row(row, activation, normalised=row[0] == "relu"), delegate=delegate)
