"""Cells of NAS-Bench-201: six edges between four nodes, written `|op~0|+|op~0|op~1|+|op~0|op~1|op~2|`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Self

from profiler.errors import ArchitectureTextError

_OPERATION = re.compile(r"([a-z0-9_]+)~([0-9])")
_NODES = 4


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
