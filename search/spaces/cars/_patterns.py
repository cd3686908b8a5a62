"""What a runtime makes of cells, for whole arrays of them: which operators run, and what each is fused with.

Fusion joins an operator to the one that alone reads it. In a cell only a few tensors have readers that depend on
the genotype: what its two inputs become (the adapters), and what each node sums up. So it suffices to count, for
each of these, who reads it; all else follows from an edge's operation alone. A *pattern* is a piece of a cell with
the same operators wherever it stands; `_counts` makes kernels of patterns.

The arrays have cells on their last axis, so that every step works on thousands of numbers that lie side by side.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from search.spaces.cars._arrays import GenotypeArray, Mask
from search.spaces.cars._genotype import CELL_INPUTS, OPERATIONS

Counts = npt.NDArray[np.uint8]
Codes = npt.NDArray[np.int8]

ALONE, CLAMPED = 0, 1
FIRST, SECOND, BOTH = 2, 3, 4
"""Fused into a sum that follows, as its first, its second or both terms."""
THEN_CLAMPED = 3
"""What is added to the code of a sum when a ReLU follows that alone reads it."""
ENDINGS = 8
NOT_THERE = -1

_SKIP = OPERATIONS.index("skip_connect")
_NONE = OPERATIONS.index("none")
_POOLS = np.array(["pool" in operation for operation in OPERATIONS])
_LATEST = 100
"""Later than every tensor that an edge can read: terms that an edge makes itself come after those."""


class Pattern(NamedTuple):
    """A piece of a cell.

    Attributes:
        kind: "edge" (with what its last operator is fused with), "sum" or "relu" (one that is in no other kernel).
        operation: Of an edge, by its place in OPERATIONS.
        strided: Whether the edge halves its map; of a "relu", whether it stands before such edges.
        ending: What follows in the same kernel: ALONE, CLAMPED, FIRST, ...; a sum of one tensor with itself says BOTH.
    """

    kind: str
    operation: int = 0
    strided: bool = False
    ending: int = ALONE


_STRIDED_CODE, _OPERATION_CODE = ENDINGS, 2 * ENDINGS
_NO_CODE = np.uint8(255)
"""An edge's pattern in one number: operation, whether it is strided, ending."""


def _edge_pattern(code: int) -> Pattern:
    operation, rest = divmod(code, _OPERATION_CODE)
    return Pattern("edge", operation, rest >= _STRIDED_CODE, rest % ENDINGS)


@dataclass(frozen=True, eq=False)
class CellPatterns:
    """Cells as counts of patterns.

    Attributes:
        counts: How often each cell has each pattern that occurs. Shape of each: (n,).
        adapters: How the kernels of the two adapters end, or NOT_THERE where nobody reads them. Shape: (2, n).
        joined: What the cell's output joins: one digit a live node in base nodes + 1, equal for nodes whose tensor is
            the same, counted from 1 in order; 0 where the output is a node's own tensor. Shape: (n,).
        parts: Number of live nodes. Shape: (n,).
    """

    counts: Mapping[Pattern, Counts]
    adapters: Codes
    joined: npt.NDArray[np.int64]
    parts: Codes


def patterns_of(cells: GenotypeArray, *, reducing: bool, last: bool, sums_join: bool) -> CellPatterns:
    """Return what a runtime makes of living cells.

    Args:
        cells: Sources and operations. Shape: (n, nodes, 2, 2).
        reducing: Whether edges from the cell's inputs halve their map.
        last: Whether the cell's output goes to the classifier, and not to a ReLU.
        sums_join: Whether the runtime fuses a sum into a convolution that it alone reads.
    """
    return _Cells(cells, reducing=reducing).patterns(last=last, sums_join=sums_join)


class _Cells:
    """Cells taken apart: what is alive, which tensor each edge reads, and who else reads it."""

    def __init__(self, cells: GenotypeArray, *, reducing: bool) -> None:
        by_edge = np.ascontiguousarray(np.moveaxis(cells, 0, -1))
        self.source, self.operation = by_edge[:, :, 0], by_edge[:, :, 1]
        self.nodes, _, self.count = self.source.shape
        self.everyone = np.arange(self.count)
        self.reducing = reducing
        self.strided = (self.source < CELL_INPUTS) if reducing else np.zeros_like(self.source, dtype=np.bool_)
        self.passes = (self.operation == _SKIP) & ~self.strided
        self.pools = _POOLS[self.operation]
        self.live = np.zeros(self.source.shape, dtype=np.bool_)
        # A node that only passes a tensor on is that tensor: `root` follows such nodes to where it is made.
        self.root = np.zeros(self.source.shape, dtype=np.int8)
        self.tensor = np.zeros((CELL_INPUTS + self.nodes, self.count), dtype=np.int8)
        self.tensor[:CELL_INPUTS] = np.arange(CELL_INPUTS)[:, None]
        self._follow()
        self.two: Mask = np.asarray(self.live.all(axis=1))
        self.alive: Mask = np.asarray(self.live.any(axis=1))
        self.convolves = self.live & ~self.passes & ~self.pools

    def _follow(self) -> None:
        alive = np.zeros(self.tensor.shape, dtype=np.bool_)
        alive[:CELL_INPUTS] = True
        for node in range(self.nodes):
            for edge in range(2):
                source = self.source[node, edge]
                self.live[node, edge] = (self.operation[node, edge] != _NONE) & alive[source, self.everyone]
                self.root[node, edge] = self.tensor[source, self.everyone]
            live, passed = self.live[node], self.live[node] & self.passes[node]
            one = live[0] ^ live[1]
            own = np.where(one & passed[0], self.root[node, 0], np.int8(node + CELL_INPUTS))
            self.tensor[node + CELL_INPUTS] = np.where(one & passed[1], self.root[node, 1], own)
            alive[node + CELL_INPUTS] = live[0] | live[1]

    def patterns(self, *, last: bool, sums_join: bool) -> CellPatterns:
        parts = self.alive.sum(axis=0, dtype=np.int8)
        clamped, sums, others = self._readers(parts, last=last)
        alone_clamped = clamped & (sums == 0) & ~others
        alone_summed = ~clamped & (sums == 1) & ~others
        ends = np.where(alone_clamped, np.int8(CLAMPED), np.int8(ALONE))
        counts: dict[Pattern, Counts] = {}
        edge_ends = self._sums(counts, ends, alone_summed, alone_clamped, sums_join=sums_join)
        self._count_edges(counts, edge_ends)
        self._count_relus(counts, clamped & ~alone_clamped)
        read = np.stack([(self.live & (self.source == source)).any(axis=(0, 1)) for source in range(CELL_INPUTS)])
        adapters = np.where(read, ends[:CELL_INPUTS], np.int8(NOT_THERE))
        return CellPatterns(counts, adapters, self._joined(parts), parts)

    def _readers(self, parts: Codes, *, last: bool) -> tuple[Mask, Counts, Mask]:
        """Return for each tensor whether a ReLU reads it, how many sums do, and whether anything else does.

        Shapes: (2 + nodes, n). "Anything else" is true as well where more than one sum or one other operator reads it.
        """
        clamped = np.zeros(self.tensor.shape, dtype=np.bool_)
        sums = np.zeros(self.tensor.shape, dtype=np.uint8)
        others = np.zeros(self.tensor.shape, dtype=np.bool_)
        summed = self.passes & self.two[:, None]
        output = self.alive & (parts == 1)
        joined = self.alive & (parts > 1)
        for tensor in range(len(self.tensor)):
            reads = self.root == tensor
            clamped[tensor] = (reads & self.convolves).any(axis=(0, 1))
            sums[tensor] = (reads & summed).any(axis=1).sum(axis=0, dtype=np.uint8)
            written = self.tensor[CELL_INPUTS:] == tensor
            goes_on = (written & output).any(axis=0)
            others[tensor] = (reads & self.live & self.pools).any(axis=(0, 1)) | (written & joined).any(axis=0)
            if last:
                others[tensor] |= goes_on
            else:
                clamped[tensor] |= goes_on
        return clamped, sums, others

    def _sums(
        self, counts: dict[Pattern, Counts], ends: Codes, alone_summed: Mask, alone_clamped: Mask, *, sums_join: bool
    ) -> Codes:
        """Count sums of their own, and return how the kernel of each edge's last operator ends.

        Sums that join a convolution change the end of its kernel: in `ends` where the term is a tensor that
        others may read, else in what is returned. Shape: (nodes, 2, n).
        """
        edge_ends = np.full(self.source.shape, ALONE, dtype=np.int8)
        made_by_convolution = self._made_by_convolution()
        for node in range(self.nodes):
            two, passed = self.two[node], self.passes[node]
            tail = np.where(alone_clamped[node + CELL_INPUTS], np.int8(THEN_CLAMPED), np.int8(0))
            same = passed[0] & passed[1] & (self.root[node, 0] == self.root[node, 1])
            joins = self._joining(node, alone_summed & made_by_convolution) if sums_join else np.zeros_like(passed)
            for edge in range(2):
                position = np.where(same, np.int8(BOTH), np.int8(FIRST + edge)) + tail
                edge_ends[node, edge] = np.where(joins[edge] & ~passed[edge], position, np.int8(ALONE))
                outside = np.flatnonzero(joins[edge] & passed[edge])
                ends[self.root[node, edge][outside], outside] = position[outside]
            alone = two & ~joins[0] & ~joins[1]
            for is_same, is_clamped in itertools.product((False, True), repeat=2):
                ending = (BOTH + THEN_CLAMPED if is_clamped else BOTH) if is_same else int(is_clamped)
                chosen = alone & (same == is_same) & (alone_clamped[node + CELL_INPUTS] == is_clamped)
                pattern = Pattern("sum", ending=ending)
                counts[pattern] = counts.get(pattern, np.uint8(0)) + chosen.view(np.uint8)
        # The one term of a node is the node's tensor, and ends as that does.
        for node, edge in itertools.product(range(self.nodes), range(2)):
            edge_ends[node, edge] = np.where(self.two[node], edge_ends[node, edge], ends[node + CELL_INPUTS])
        return edge_ends

    def _made_by_convolution(self) -> Mask:
        """Return which tensors a convolution writes: the adapters' and those of nodes with one such edge."""
        nodes = self.convolves.any(axis=1) & ~self.two
        return np.concatenate([np.ones((CELL_INPUTS, self.count), dtype=np.bool_), nodes])

    def _joining(self, node: int, free: Mask) -> Mask:
        """Return which term, if any, a node's sum is fused with: a convolution's, and the first that runs.

        Args:
            node: The node.
            free: Tensors written by a convolution and read by one sum alone. Shape: (2 + nodes, n).
        """
        two, root, passed = self.two[node], self.root[node], self.passes[node]
        able = two & np.where(passed, free[root, self.everyone], self.convolves[node])
        runs = np.where(passed, root, np.int8(_LATEST) + np.arange(2, dtype=np.int8)[:, None])
        first = able[0] & (~able[1] | (runs[0] <= runs[1]))
        return np.stack([first, able[1] & ~first])

    def _count_edges(self, counts: dict[Pattern, Counts], edge_ends: Codes) -> None:
        code = self.operation * np.uint8(_OPERATION_CODE) + self.strided * np.uint8(_STRIDED_CODE) + edge_ends
        runs = self.live & ~self.passes
        code = np.where(runs, code.astype(np.uint8), _NO_CODE).reshape(2 * self.nodes, self.count)
        for present in np.flatnonzero(np.bincount(code.ravel(), minlength=256)[:_NO_CODE]).tolist():
            counts[_edge_pattern(present)] = (code == present).sum(axis=0, dtype=np.uint8)

    def _count_relus(self, counts: dict[Pattern, Counts], unfused: Mask) -> None:
        before, between = unfused[:CELL_INPUTS], unfused[CELL_INPUTS:]
        for strided in dict.fromkeys((self.reducing, False)):
            counted = [before] * (strided == self.reducing) + [between] * (not strided)
            counts[Pattern("relu", strided=strided)] = np.concatenate(counted).sum(axis=0, dtype=np.uint8)

    def _joined(self, parts: Codes) -> npt.NDArray[np.int64]:
        base = self.nodes + 1
        code = np.zeros(self.count, dtype=np.int64)
        labels = np.zeros((self.nodes, self.count), dtype=np.int8)
        used = np.zeros(self.count, dtype=np.int8)
        for node in range(self.nodes):
            alive, own = self.alive[node], self.tensor[CELL_INPUTS + node]
            for earlier in range(node):
                same = alive & self.alive[earlier] & (self.tensor[CELL_INPUTS + earlier] == own)
                labels[node] = np.where(same, labels[earlier], labels[node])
            fresh = alive & (labels[node] == 0)
            used += fresh
            labels[node] = np.where(fresh, used, labels[node])
            code = np.where(alive, code * base + labels[node], code)
        return np.where(parts > 1, code, 0)
