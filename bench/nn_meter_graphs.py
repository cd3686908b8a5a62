"""Reads nn-Meter's published networks as the steps of an emulated phone: rows of a graph become small networks.

Rows are [op, h, w, cin, oh, ow, cout, kernel, stride] in execution order; for concat and split the kernel column is
the number of parts.  They tell no edges, so each row, with the activation right after it, is lowered as a network
of its own: the law looks at one step at a time, and for it that is the same.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from profiler.network import (
    Add,
    AvgPool2d,
    ChannelShuffle,
    Concat,
    Conv2d,
    Dense,
    DepthwiseConv2d,
    GlobalAvgPool2d,
    HardSigmoid,
    HardSwish,
    MaxPool2d,
    Mul,
    Network,
    Operator,
    Relu,
    Relu6,
    Split,
    TensorSpec,
)
from profiler.phone.soc import Delegate, Step, steps_of

Row = tuple[str, int, int, int, int, int, int, int, int]

_ACTIVATIONS: Mapping[str, type[Operator]] = MappingProxyType({"relu": Relu, "relu6": Relu6, "hswish": HardSwish})
_ACTIVATED = frozenset({"conv", "dwconv", "fc", "add"})
_SHUFFLE_GROUPS = 2
_SE_RATIO = 4


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
    inputs, operators = _OPERATORS[row[0]](row)
    if activation:
        operators = [*operators, _ACTIVATIONS[activation]("activation", operators[-1].outputs)]
    return steps_of(Network("row", inputs, operators, operators[-1].outputs), delegate=delegate)


Built = tuple[list[TensorSpec], list[Operator]]


def _image(row: Row) -> TensorSpec:
    return TensorSpec("x", (1, row[1], row[2], row[3]))


def _one(operator: Operator) -> Callable[[Row], Built]:
    return lambda row: ([_image(row)], [operator])


def _windowed(kind: Any, *, has_filters: bool = False) -> Callable[[Row], Built]:
    """Return a builder of sliding windows; the padding is the one that gives the row's output size."""

    def built(row: Row) -> Built:
        _, height, _, channels, out_height, _, filters, kernel, stride = row
        padding = "same"
        if -(-height // stride) != out_height:
            padding = "valid"
            height = max(height, (out_height - 1) * stride + kernel)
        sizes = {"kernel": (kernel, kernel), "stride": (stride, stride), "padding": padding}
        operator = kind("op", ("x",), **sizes, **({"out_channels": filters} if has_filters else {}))
        return [TensorSpec("x", (1, height, height, channels))], [operator]

    return built


def _sum(row: Row) -> Built:
    image = _image(row)
    return [image, TensorSpec("y", image.shape)], [Add("op", ("x", "y"))]


def _concat(row: Row) -> Built:
    parts = row[7]
    channels = [row[6] // parts + (index < row[6] % parts) for index in range(parts)]
    inputs = [TensorSpec(f"x{index}", (1, row[1], row[2], own)) for index, own in enumerate(channels)]
    return inputs, [Concat("op", tuple(spec.name for spec in inputs))]


def _normalised(row: Row) -> Built:
    """An activation before a convolution: a batch norm that cannot be folded, so MUL and ADD with RELU."""
    vectors = [TensorSpec(name, (1, 1, 1, row[3])) for name in ("scale", "shift")]
    scaled = Mul("scaled", ("x", "scale"))
    return [_image(row), *vectors], [scaled, Add("op", ("scaled", "shift")), Relu("relu", ("op",))]


def _squeeze_excite(row: Row) -> Built:
    return [_image(row)], [
        GlobalAvgPool2d("pool", ("x",), True),
        Conv2d("reduce", ("pool",), max(row[3] // _SE_RATIO, 1), (1, 1)),
        Relu("relu", ("reduce",)),
        Conv2d("restore", ("relu",), row[3], (1, 1)),
        HardSigmoid("gate", ("restore",)),
        Mul("op", ("x", "gate")),
    ]


_OPERATORS: Mapping[str, Callable[[Row], Built]] = MappingProxyType(
    {
        "conv": _windowed(Conv2d, has_filters=True),
        "dwconv": _windowed(DepthwiseConv2d),
        "maxpool": _windowed(MaxPool2d),
        "avgpool": _windowed(AvgPool2d),
        "fc": lambda row: ([TensorSpec("x", (1, row[3]))], [Dense("op", ("x",), row[6])]),
        "gap": _one(GlobalAvgPool2d("op", ("x",))),
        "add": _sum,
        "concat": _concat,
        "split": lambda row: ([_image(row)], [Split("op", ("x",), row[7])]),
        "shuffle": _one(ChannelShuffle("op", ("x",), _SHUFFLE_GROUPS)),
        "hswish": _one(HardSwish("op", ("x",))),
        "relu": _normalised,
        "se": _squeeze_excite,
    }
)
