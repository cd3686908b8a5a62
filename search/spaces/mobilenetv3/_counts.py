"""How many of each kernel networks of the MobileNetV3 space have, without lowering any of them.

What is before the stages, each layer that a place may have, and what is after them are lowered and fused once; then it
is left to count them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from profiler.kernels import Fuser, FusionRules, Kernel
from profiler.layers import IMAGE, Layers
from profiler.network import Network, TensorSpec
from search.space import KernelCounts
from search.spaces.mobilenetv3 import _lowering
from search.spaces.mobilenetv3._genotype import Layer, MobileNetV3Genotype
from search.spaces.mobilenetv3._params import MobileNetV3Params

_LAST, _FIRST = frozenset({"conv2d", "add"}), frozenset({"conv2d", "depthwise_conv2d"})
"""Kinds of operators with which a piece may end and with which the next one may begin."""

_Piece = tuple[int, int, bool, Layer | None]
"""Resolution, stage, whether it is the stage's first layer, and the layer.

Without a layer: what is before the first stage (-1), or after the last one.
"""


def follows(rules: FusionRules) -> bool:
    """Return whether no kernel reaches from one piece of a network into the next under these rules."""
    pairs = itertools.chain.from_iterable(itertools.pairwise(chain) for chain in rules.chains)
    return not any(before in _LAST and after in _FIRST for before, after in pairs)


class CountTables:
    """Tables of one space and one set of rules; they grow with the pieces that are met.

    Args:
        params: Settings of the space.
        rules: What the runtime fuses; `follows(rules)` must hold.
    """

    def __init__(self, params: MobileNetV3Params, rules: FusionRules) -> None:
        self._params, self._fuser = params, Fuser(rules)
        self._columns: dict[Kernel, int] = {}
        self._numbers: dict[_Piece, int] = {}
        self._kernels: list[list[int]] = []

    def count(self, genotypes: Sequence[MobileNetV3Genotype]) -> tuple[tuple[Kernel, ...], KernelCounts]:
        """Return the kernels of the networks, and how often each network has each.

        Args:
            genotypes: Of the space. Length n.

        Returns:
            The kernels that occur, and their counts. Shape: (n, len(kernels)).
        """
        pieces = [self._pieces(genotype) for genotype in genotypes]
        owners = np.repeat(np.arange(len(pieces)), [len(own) for own in pieces])
        numbers = np.fromiter(itertools.chain.from_iterable(pieces), dtype=np.intp, count=len(owners))
        table = self._table()
        occurs = np.zeros(len(self._columns) + 1, dtype=np.bool_)
        occurs[table[np.bincount(numbers, minlength=len(table)) > 0]] = True
        occurs[-1] = False
        rank = np.cumsum(occurs) - 1
        executed = table[numbers]
        there = executed >= 0
        kernels = tuple(kernel for kernel, column in self._columns.items() if occurs[column])
        counts = np.zeros((len(pieces), len(kernels)), dtype=np.uint16)
        cells = np.broadcast_to(owners[:, None] * len(kernels), executed.shape)[there] + rank[executed[there]]
        np.add.at(counts.reshape(-1), cells, np.uint16(1))
        return kernels, counts

    def _table(self) -> npt.NDArray[np.intp]:
        """Return the columns of each piece's kernels; -1 fills the rows of those that have fewer."""
        sizes = np.array([len(kernels) for kernels in self._kernels], dtype=np.intp)
        table = np.full((len(sizes), max(sizes, default=0)), -1, dtype=np.intp)
        table[np.arange(table.shape[1]) < sizes[:, None]] = list(itertools.chain.from_iterable(self._kernels))
        return table

    def _pieces(self, genotype: MobileNetV3Genotype) -> list[int]:
        """Return the numbers of the pieces of a network."""
        resolution, number = genotype.resolution, self._number
        numbers = [number((resolution, -1, False, None)), number((resolution, len(genotype.stages), False, None))]
        for stage, layers in enumerate(genotype.stages):
            numbers += [number((resolution, stage, not index, layer)) for index, layer in enumerate(layers)]
        return numbers

    def _number(self, piece: _Piece) -> int:
        number = self._numbers.get(piece)
        if number is None:
            fused = self._fuser(self._lower(*piece))
            number = self._numbers[piece] = len(self._kernels)
            self._kernels.append([self._columns.setdefault(kernel, len(self._columns)) for kernel in fused])
        return number

    def _lower(self, resolution: int, stage: int, first: bool, layer: Layer | None) -> Network:
        params = self._params
        if layer is not None:
            index, before = (0, stage - 1) if first else (1, stage)
            return _piece(
                lambda layers, tensor: _lowering.add_layer(layers, params, stage, index, layer, tensor),
                (*params.map_size(resolution, before), params.channels(before)),
            )
        if stage < 0:
            return _piece(lambda layers, _: _lowering.add_stem(layers, params, resolution), params.image_shape)
        return _piece(
            lambda layers, tensor: _lowering.add_head(layers, params, tensor),
            (*params.map_size(resolution, stage - 1), params.channels(stage - 1)),
        )


def _piece(add: Callable[[Layers, str], str], shape: tuple[int, int, int]) -> Network:
    """Return what is added to an input as a network of its own."""
    layers = Layers()
    output = add(layers, IMAGE)
    return Network("piece", [TensorSpec(IMAGE, (1, *shape))], layers.operators, [output])
