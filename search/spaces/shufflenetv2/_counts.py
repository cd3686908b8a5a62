"""How many of each kernel the networks of many genotypes have, without lowering any of them.

Each choice of a block is lowered and fused once for each place where blocks differ in what they read and put out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from profiler.kernels import Fuser, FusionRules, Kernel
from profiler.network import Network, TensorSpec
from search.space import KernelCounts
from search.spaces.shufflenetv2._genotype import Block
from search.spaces.shufflenetv2._lowering import Place, ShuffleNetV2Params, Units

Codes = npt.NDArray[np.uint16]
Columns = Mapping[int, int]
"""How often a piece of a network has each kernel, by the kernel's column."""


def follows(rules: FusionRules) -> bool:
    """Return whether no kernel reaches from one block into the next: blocks end with a concatenation."""
    return all("concat" not in chain[:-1] for chain in rules.chains)


class CountTables:
    """The kernels of every piece of a space's networks under one set of rules.

    Args:
        params: Settings of the space.
        choices: What each block may be.
        rules: What the runtime fuses; `follows(rules)` must hold.
    """

    def __init__(self, params: ShuffleNetV2Params, choices: Sequence[Sequence[Block]], rules: FusionRules) -> None:
        self._params, self._fuser = params, Fuser(rules)
        self._columns: dict[Kernel, int] = {}
        last = params.places[-1]
        self._always = Counter(self._piece(params.image_shape, lambda units: units.stem("x")))
        self._always.update(self._piece((*last.put_size, 2 * last.half), lambda units: units.tail("x")))
        # Blocks that differ in their number alone have the same kernels.
        alike: dict[Place, tuple[Columns, ...]] = {}
        self._blocks: list[tuple[Columns, ...]] = []
        for place, own in zip(params.places, choices, strict=True):
            anywhere = replace(place, index=0)
            if anywhere not in alike:
                alike[anywhere] = tuple(self._block(place, block) for block in own)
            self._blocks.append(alike[anywhere])

    def count(self, codes: Codes) -> tuple[tuple[Kernel, ...], KernelCounts]:
        """Return the kernels of the networks, and how often each network has each.

        Args:
            codes: Which of its choices each block is. Shape: (n, blocks).

        Returns:
            The kernels that occur, and their counts. Shape: (n, len(kernels)).
        """
        counts = np.zeros((len(self._columns), len(codes)), dtype=np.uint16)
        for column, times in self._always.items():
            counts[column] += np.uint16(times)
        for own, choices in zip(codes.T, self._blocks, strict=True):
            for code in np.unique(own).tolist():
                there = (own == code).astype(np.uint16)
                for column, times in choices[code].items():
                    counts[column] += there * np.uint16(times)
        kernels, occurring = tuple(self._columns), np.flatnonzero(counts.any(axis=1))
        return tuple(kernels[column] for column in occurring.tolist()), counts[occurring].T

    def _block(self, place: Place, block: Block) -> Columns:
        return self._piece((*place.size, place.read), lambda units: units.block(place, block, "x"))

    def _piece(self, read: tuple[int, int, int], put: Callable[[Units], str]) -> Columns:
        """Return the kernels of what reads a tensor "x" of some height, width and channels."""
        units = Units(self._params)
        output = put(units)
        piece = Network("piece", [TensorSpec("x", (1, *read))], units.layers.operators, [output])
        return Counter(self._columns.setdefault(kernel, len(self._columns)) for kernel in self._fuser(piece))
