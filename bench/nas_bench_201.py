"""Reads nn-Meter's latencies of NAS-Bench-201: cells on 32 x 32 images, far from the networks that laws learn from."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from nn_meter_graphs import MeasuredNetworks, counted

from profiler.network import Add, AvgPool2d, Conv2d, Dense, GlobalAvgPool2d, Network, Operator, Relu, TensorSpec
from profiler.phone.soc import Delegate, steps_of

FAMILY = "nasbench201"
_STAGES = (16, 32, 64)
_CELLS = 5
_CLASSES = 10


def read_nasbench201(folder: Path, device: str, delegate: Delegate) -> MeasuredNetworks:
    """Return the networks of NAS-Bench-201 that have a latency on a device; cells that pass nothing on are left out.

    Args:
        folder: nn-meter's folder of the shared data, with nasbench201.csv.gz.
        device: Device of the latencies, such as "pixel4_cpu".
        delegate: Delegate whose steps the networks become.
    """
    rows = pd.read_csv(folder / "nasbench201.csv.gz")
    frame = rows[rows["device"] == device].rename(columns={"arch_str": "model"}).assign(family=FAMILY)
    networks = [build(architecture) for architecture in frame["model"]]
    frame = frame[[network is not None for network in networks]].reset_index(drop=True)
    return counted(frame, (steps_of(network, delegate=delegate) for network in networks if network is not None))


def build(architecture: str) -> Network | None:
    """Return the network of a cell such as "|nor_conv_3x3~0|+|…|+|…|"; None where the cell has no output.

    Source: Dong & Yang 2020, "NAS-Bench-201", section 2: three stages of five cells, a residual block between them.
    """
    layers = _Layers()
    tensor = layers.add(Conv2d("stem", ("image",), _STAGES[0]))
    for stage, channels in enumerate(_STAGES):
        if stage:
            tensor = layers.reduction(tensor, channels)
        for _ in range(_CELLS):
            joined = layers.cell(tensor, channels, architecture)
            if joined is None:
                return None
            tensor = joined
    tensor = layers.add(Relu("last", (tensor,)))
    tensor = layers.add(GlobalAvgPool2d("pool", (tensor,)))
    layers.add(Dense("classes", (tensor,), _CLASSES))
    return layers.network("classes")


class _Layers:
    def __init__(self) -> None:
        self._operators: list[Operator] = []

    def add(self, operator: Operator) -> str:
        self._operators.append(operator)
        return operator.name

    def reduction(self, source: str, channels: int) -> str:
        tensor = self._convolved(self._convolved(source, channels, 3, 2), channels, 3)
        shortcut = self.add(AvgPool2d(self._name(), (source,), (2, 2), (2, 2)))
        shortcut = self.add(Conv2d(self._name(), (shortcut,), channels, (1, 1)))
        return self.add(Add(self._name(), (tensor, shortcut)))

    def cell(self, source: str, channels: int, architecture: str) -> str | None:
        """Add a cell; each of its nodes is the sum of its edges, and one without edges passes nothing on."""
        nodes: list[str | None] = [source]
        for node in architecture.split("+"):
            edges = [edge.split("~") for edge in node.strip("|").split("|")]
            terms = [self._edge(nodes[int(start)], kind, channels) for kind, start in edges]
            nodes.append(self._sum([term for term in terms if term is not None]))
        return nodes[-1]

    def network(self, output: str) -> Network:
        """Return the network without what its output does not need, as a converter leaves it out."""
        needed, kept = {output}, []
        for operator in reversed(self._operators):
            if operator.name in needed:
                kept.append(operator)
                needed.update(operator.inputs)
        return Network(FAMILY, [TensorSpec("image", (1, 32, 32, 3))], kept[::-1], [output])

    def _edge(self, source: str | None, kind: str, channels: int) -> str | None:
        if source is None or kind == "none":
            return None
        if kind == "skip_connect":
            return source
        if kind == "avg_pool_3x3":
            return self.add(AvgPool2d(self._name(), (source,), (3, 3), (1, 1), "same"))
        return self._convolved(source, channels, {"nor_conv_1x1": 1, "nor_conv_3x3": 3}[kind])

    def _convolved(self, source: str, channels: int, kernel: int, stride: int = 1) -> str:
        activated = self.add(Relu(self._name(), (source,)))
        return self.add(Conv2d(self._name(), (activated,), channels, (kernel, kernel), (stride, stride)))

    def _sum(self, terms: list[str]) -> str | None:
        if not terms:
            return None
        total = terms[0]
        for term in terms[1:]:
            total = self.add(Add(self._name(), (total, term)))
        return total

    def _name(self) -> str:
        return f"operator{len(self._operators)}"
