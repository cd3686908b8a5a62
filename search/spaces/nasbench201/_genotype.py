"""Genotypes of the NAS-Bench-201 space: one cell, what is alive in it, and how the benchmark and JSON write it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Self, cast, get_args

from profiler.catalogues.nasbench201 import NasBench201Cell
from profiler.errors import ArchitectureTextError
from search.errors import GenotypeError
from search.spaces._key import key_of

Operation = Literal["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"]
OPERATIONS: tuple[Operation, ...] = get_args(Operation)
"""The five candidates of the benchmark, in its order."""

NODES = 4
EDGES = NasBench201Cell.EDGES
"""(source, target) of each edge; node 0 is the cell's input and the last node its output."""


def carries(present: Sequence[bool]) -> tuple[bool, ...]:
    """Return which edges lie on a way from a cell's input to its output, if only some edges are there.

    Args:
        present: Of each edge, in the order of EDGES.
    """
    fed, read = {0}, {NODES - 1}
    # Edges are ordered by target, so forwards every writer of a node is seen before its readers.
    for there, (source, target) in zip(present, EDGES, strict=True):
        if there and source in fed:
            fed.add(target)
    for there, (source, target) in reversed(list(zip(present, EDGES, strict=True))):
        if there and target in read:
            read.add(source)
    ends = zip(present, EDGES, strict=True)
    return tuple(there and source in fed and target in read for there, (source, target) in ends)


@dataclass(frozen=True)
class NasBench201Genotype:
    """One cell: what each of its six edges does.

    Attributes:
        operations: In the order of EDGES: (0,1) (0,2) (1,2) (0,3) (1,3) (2,3) of (source, target).
    """

    operations: tuple[Operation, ...]

    @cached_property
    def live(self) -> tuple[Operation, ...]:
        """The operations, with "none" for those that lie on no way from the cell's input to its output."""
        carrying = carries([operation != "none" for operation in self.operations])
        return tuple(
            operation if carried else "none" for operation, carried in zip(self.operations, carrying, strict=True)
        )

    @property
    def alive(self) -> bool:
        """Whether the cell's output depends on its input; genotypes of which this is false are in no space."""
        return any(operation != "none" for operation in self.live)

    @cached_property
    def key(self) -> str:
        """16 hexadecimal digits over the live operations; cut and dead edges do not matter."""
        return key_of(self.live)

    @classmethod
    def from_arch_str(cls, text: str) -> Self:
        """Read a cell as the benchmark writes it; it may be one that is not alive.

        Raises:
            GenotypeError: The text is no cell.

        Example:
            >>> text = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|none~2|"
            >>> NasBench201Genotype.from_arch_str(text).alive
            False
        """
        try:
            return cls(cast(tuple[Operation, ...], NasBench201Cell.parse(text).operations))
        except ArchitectureTextError as err:
            raise GenotypeError(str(err)) from err

    def to_arch_str(self) -> str:
        """Return the cell as the benchmark writes it, dead edges as they are."""
        nodes: list[list[str]] = [[] for _ in range(NODES - 1)]
        for operation, (source, target) in zip(self.operations, EDGES, strict=True):
            nodes[target - 1].append(f"{operation}~{source}")
        return "+".join(f"|{'|'.join(node)}|" for node in nodes)


def encode(genotype: NasBench201Genotype) -> dict[str, object]:
    """Return {"arch_str": "|...~0|+|...~0|...~1|+|...~0|...~1|...~2|"}."""
    return {"arch_str": genotype.to_arch_str()}


def decode(encoded: object, operations: Sequence[Operation]) -> NasBench201Genotype:
    """Return the genotype that a JSON value encodes.

    Args:
        encoded: What `encode` made, after a trip through JSON.
        operations: Those that may be there.

    Raises:
        GenotypeError: The value has another form, has other operations, or its cell leads nowhere.
    """
    if not isinstance(encoded, Mapping) or encoded.keys() != {"arch_str"} or not isinstance(encoded["arch_str"], str):
        raise GenotypeError("must be an object with the one key 'arch_str', a text")
    genotype = NasBench201Genotype.from_arch_str(encoded["arch_str"])
    if not set(genotype.operations) <= set(operations):
        raise GenotypeError(f"operations must be among {', '.join(operations)}", place="arch_str")
    if not genotype.alive:
        raise GenotypeError("no way leads from the cell's input to its output", place="arch_str")
    return genotype
