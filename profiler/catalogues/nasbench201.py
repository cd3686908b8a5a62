"""Cells of NAS-Bench-201: six edges between four nodes, written `|op~0|+|op~0|op~1|+|op~0|op~1|op~2|`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Self

from profiler.catalogues._layers import IMAGE, Layers
from profiler.errors import ArchitectureTextError, NetworkError
from profiler.network import AvgPool2d, Network, Relu

_OPERATION = re.compile(r"([a-z0-9_]+)~([0-9])")
_NODES = 4
_STAGE_CHANNELS = (16, 32, 64)
_CELLS_A_STAGE = 5


@dataclass(frozen=True, slots=True)
class NasBench201Cell:
    """One cell: what each edge does, in the order (0,1) (0,2) (1,2) (0,3) (1,3) (2,3) of (source, target).

    Attributes:
        operations: One of OPERATIONS an edge.

    Source: Dong & Yang 2020, "NAS-Bench-201", figure 1 and section 2.1.
    """

    operations: tuple[str, ...]

    OPERATIONS: ClassVar[tuple[str, ...]] = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
    EDGES: ClassVar[tuple[tuple[int, int], ...]] = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a cell as the benchmark writes it.

        Raises:
            ArchitectureTextError: The text is no cell.

        Example:
            >>> cell = "|avg_pool_3x3~0|+|none~0|skip_connect~1|+|nor_conv_1x1~0|none~1|none~2|"
            >>> NasBench201Cell.parse(cell).operations[:3]
            ('avg_pool_3x3', 'none', 'skip_connect')
        """
        operations: list[str] = []
        nodes = text.split("+")
        if len(nodes) != _NODES - 1:
            raise ArchitectureTextError("has no three nodes with inputs, joined by +", text=text)
        for target, node in enumerate(nodes, start=1):
            edges = [_OPERATION.fullmatch(edge) for edge in node.strip("|").split("|")]
            if [edge and int(edge[2]) for edge in edges] != list(range(target)):
                raise ArchitectureTextError(f"node {target} must have one edge from each node before it", text=text)
            operations += [edge[1] for edge in edges if edge]
        unknown = set(operations) - set(cls.OPERATIONS)
        if unknown:
            raise ArchitectureTextError(f"unknown operation {min(unknown)!r}", text=text)
        return cls(tuple(operations))

    def live(self) -> NasBench201Cell:
        """Return the cell as a converter leaves it that drops what never reaches the output.

        Only the way forward counts: an operation on a constant input still runs, one that nobody reads does not.
        """
        read = {_NODES - 1}
        # Edges are ordered by target, so backwards every reader of a node is seen before its writers.
        for operation, (source, target) in reversed(list(zip(self.operations, self.EDGES, strict=True))):
            if operation != "none" and target in read:
                read.add(source)
        kept = [
            operation if target in read else "none"
            for operation, (_, target) in zip(self.operations, self.EDGES, strict=True)
        ]
        return NasBench201Cell(tuple(kept))

    def to_network(self, resolution: int = 32, classes: int = 10) -> Network:
        """Return the benchmark's network of three stages of five such cells, batch norm folded away.

        What never reaches the output is not in it, nor what works on nothing but zeros.

        Args:
            resolution: Height and width of the image in pixels.
            classes: Number of classes.

        Raises:
            NetworkError: The cell gives nothing but zeros: there is no network.

        Source: Dong & Yang 2020, "NAS-Bench-201", section 2.1; the benchmark's average pooling counts no padding.
        """
        layers = Layers()
        tensor = layers.conv("stem", IMAGE, _STAGE_CHANNELS[0], 3)
        for stage, channels in enumerate(_STAGE_CHANNELS):
            if stage:
                tensor = _reduction(layers, f"stage{stage}/reduction", tensor, channels)
            for cell in range(_CELLS_A_STAGE):
                tensor = self._lowered(layers, f"stage{stage}/cell{cell}", tensor, channels)
        output = layers.logits(layers.activated(tensor), classes)
        return layers.network("nasbench201", (resolution, resolution, 3), output)

    def _lowered(self, layers: Layers, name: str, source: str, channels: int) -> str:
        tensors = {0: source}
        live = self.live().operations
        for target in range(1, _NODES):
            terms = [
                _edge(layers, f"{name}/edge{start}{end}", tensors[start], operation, channels)
                for operation, (start, end) in zip(live, self.EDGES, strict=True)
                if end == target and operation != "none" and start in tensors
            ]
            if terms:
                tensors[target] = layers.sum(f"{name}/node{target}", terms)
        if _NODES - 1 not in tensors:
            raise NetworkError("the cell gives nothing but zeros, which is no network")
        return tensors[_NODES - 1]


def _edge(layers: Layers, name: str, source: str, operation: str, channels: int) -> str:
    if operation == "skip_connect":
        return source
    if operation == "avg_pool_3x3":
        return layers.add(AvgPool2d(name, (source,), (3, 3), (1, 1), "same"))
    return _relu_conv(layers, name, source, channels, 3 if operation == "nor_conv_3x3" else 1)


def _relu_conv(layers: Layers, name: str, source: str, channels: int, kernel: int, stride: int = 1) -> str:
    return layers.conv(name, layers.add(Relu(f"{name}/relu", (source,))), channels, kernel, stride)


def _reduction(layers: Layers, name: str, source: str, channels: int) -> str:
    """Halve the map by a residual block whose short cut is pooled."""
    tensor = _relu_conv(layers, f"{name}/first", source, channels, 3, 2)
    tensor = _relu_conv(layers, f"{name}/second", tensor, channels, 3)
    short = layers.add(AvgPool2d(f"{name}/pool", (source,), (2, 2), (2, 2)))
    return layers.sum(name, [tensor, layers.conv(f"{name}/short", short, channels)])
