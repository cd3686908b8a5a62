"""How many of each kernel the networks of whole arrays of genotypes have, without lowering any of them.

Each pattern of a cell is lowered and fused once for each place where cells differ in size; what is left is to count
patterns, and to add counts up over the cells that are needed.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from profiler.kernels import FusionRules, Kernel, fuse
from search.space import KernelCounts
from search.spaces.cars import _pieces
from search.spaces.cars._arrays import GenotypeArray, Mask
from search.spaces.cars._genotype import CELL_INPUTS
from search.spaces.cars._lowering import CarsParams
from search.spaces.cars._patterns import ALONE, ENDINGS, CellPatterns, patterns_of
from search.spaces.cars._pieces import Piece, Place, place_of

_SUM = ("conv2d", "add")
_REACHED = frozenset(
    {("conv2d", "relu"), ("add", "relu"), ("max_pool2d", "relu"), ("avg_pool2d", "relu"), ("concat", "relu"),
     _SUM, (*_SUM, "relu")}
)  # fmt: skip
"""Chains that patterns know how to follow."""

_SUCCESSIONS = frozenset(
    {(before, after)
     for before in ("conv2d", "add", "max_pool2d", "avg_pool2d")
     for after in ("relu", "add", "max_pool2d", "avg_pool2d", "concat", "global_avg_pool2d")}
    | {("concat", "relu"), ("concat", "global_avg_pool2d"), ("global_avg_pool2d", "dense")}
    | {("relu", "conv2d"), ("relu", "depthwise_conv2d"), ("depthwise_conv2d", "conv2d")}
)  # fmt: skip
"""Kinds of operators that follow each other in networks of the space."""


def follows(rules: FusionRules) -> bool:
    """Return whether patterns cut every network of the space as these rules do.

    They do while convolutions, pooling and concatenations begin kernels: then no kernel reaches from one pattern
    into the next. Chains that cannot occur in the space do not matter.
    """

    def occurs(chain: Sequence[str]) -> bool:
        return all(pair in _SUCCESSIONS for pair in itertools.pairwise(chain))

    return all(chain in _REACHED for chain in rules.chains if occurs(chain))


class CountTables:
    """Tables of one space and one set of rules; they grow with the patterns that are met.

    Args:
        params: Settings of the space.
        rules: What the runtime fuses; `follows(rules)` must hold.
    """

    def __init__(self, params: CarsParams, rules: FusionRules) -> None:
        self._params, self._rules = params, rules
        self._columns: dict[Kernel, int] = {}
        self._known: dict[tuple[Hashable, ...], tuple[int, ...]] = {}
        self._places = tuple(place_of(params, index) for index in range(params.cells))
        # No kernel is in a cell more often than its edges have pointwise convolutions, ReLUs and sums.
        self._dtype = np.min_scalar_type(params.cells * (8 * params.nodes + 8))

    def count(self, genotypes: GenotypeArray) -> tuple[tuple[Kernel, ...], KernelCounts]:
        """Return the kernels of the networks, and how often each network has each.

        Args:
            genotypes: Genotypes of the space, checked. Shape: (n, 2, nodes, 2, 2).

        Returns:
            The kernels that occur, and their counts. Shape: (n, len(kernels)).
        """
        params, cells = self._params, self._patterns(genotypes)
        needed = _needed(cells)
        tally: dict[int, KernelCounts] = {}
        self._add(tally, needed[-1], _pieces.stem, params)
        for index in range(params.cells):
            self._count_adapters(tally, index, cells, needed[index])
        for place in dict.fromkeys(self._places):
            alike = [index for index, other in enumerate(self._places) if other == place]
            times = needed[alike].sum(axis=0, dtype=self._dtype)
            self._count_cells(tally, place, cells[alike[0]], times)
        for parts in range(1, params.nodes + 1):
            self._add(tally, cells[-1].parts == parts, _pieces.tail, params, parts)
        kernels = tuple(self._columns)
        occurring = sorted(tally)
        counts = np.empty((len(occurring), len(genotypes)), dtype=self._dtype)
        for row, column in enumerate(occurring):
            counts[row] = tally[column]
        return tuple(kernels[column] for column in occurring), counts.T

    def _patterns(self, genotypes: GenotypeArray) -> list[CellPatterns]:
        """Return the patterns of each cell; cells that differ only in size share them."""
        sums_join = _SUM in self._rules.chains
        found: dict[tuple[bool, bool], CellPatterns] = {}
        for place in self._places:
            kind = (place.reducing, place.last)
            if kind not in found:
                own = genotypes[:, int(place.reducing)]
                found[kind] = patterns_of(own, reducing=place.reducing, last=place.last, sums_join=sums_join)
        return [found[place.reducing, place.last] for place in self._places]

    def _count_adapters(
        self, tally: dict[int, KernelCounts], index: int, cells: Sequence[CellPatterns], needed: Mask
    ) -> None:
        for source, ending in itertools.product(range(CELL_INPUTS), range(ENDINGS)):
            chosen = needed & (cells[index].adapters[source] == ending)
            before = index - CELL_INPUTS + source
            for parts in range(1, self._params.nodes + 1) if before >= 0 and chosen.any() else (0,):
                amount = chosen & (cells[before].parts == parts) if parts else chosen
                self._add(tally, amount, _pieces.adapter, self._params, index, source, parts, ending)

    def _count_cells(
        self, tally: dict[int, KernelCounts], place: Place, cells: CellPatterns, times: KernelCounts
    ) -> None:
        for pattern, amount in cells.counts.items():
            self._add(tally, amount * times, _pieces.pattern, place, pattern)
        for joined in np.unique(cells.joined).tolist():
            if joined:
                self._add(tally, (cells.joined == joined) * times, _pieces.concat, place, joined, self._params.nodes)

    def _add(
        self, tally: dict[int, KernelCounts], amount: npt.NDArray[Any], lower: Callable[..., Piece], *what: Hashable
    ) -> None:
        """Add an amount to the counts of the kernels that a piece is fused to; amounts of 0 are no reason to lower it.

        Args:
            tally: Counts by column.
            amount: How often each network has the piece. Shape: (n,).
            lower: Makes the piece.
            what: What `lower` reads.
        """
        if not amount.any():
            return
        columns = self._known.get((lower, *what))
        if columns is None:
            kernels = [kernel for network in lower(*what) for kernel in fuse(network, self._rules)]
            columns = tuple(self._columns.setdefault(kernel, len(self._columns)) for kernel in kernels)
            self._known[lower, *what] = columns
        for column in columns:
            if column in tally:
                tally[column] += amount
            else:
                tally[column] = amount.astype(self._dtype)


def _needed(cells: Sequence[CellPatterns]) -> Mask:
    """Return which cells reach the logits. Shape: (cells, n)."""
    needed = np.zeros((len(cells), len(cells[0].parts)), dtype=np.bool_)
    needed[-1] = True
    for index in range(len(cells) - 1, -1, -1):
        for source in range(CELL_INPUTS):
            if index - CELL_INPUTS + source >= 0:
                needed[index - CELL_INPUTS + source] |= needed[index] & (cells[index].adapters[source] >= ALONE)
    return needed
