"""The NAS-Bench-201 space itself: how many genotypes there are, and the moves among them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from profiler.kernels import FusionRules, Kernel
from profiler.network import Network
from search.errors import SearchError
from search.space import KernelCounts, SearchSpace
from search.spaces._choices import allowed
from search.spaces.nasbench201 import _genotype, _lowering
from search.spaces.nasbench201._counts import KnownCounts
from search.spaces.nasbench201._features import features
from search.spaces.nasbench201._genotype import EDGES, OPERATIONS, NasBench201Genotype, Operation, carries
from search.spaces.nasbench201._lowering import NasBench201Params

_TRIES = 64
"""Draws before a dead cell is given up on.  1 cell in 46 is dead, and 17 in 64 when "none" is half of the choices."""

_CHANGE_PROBABILITY = 1 / len(EDGES)
"""Chance of each edge to change beside the one that always does."""


class NasBench201Space(SearchSpace[NasBench201Genotype]):
    """The cell space of NAS-Bench-201 (Dong & Yang, ICLR 2020): six edges between four nodes, five operations.

    Cells whose output does not depend on their input are not part of the space: 341 of the benchmark's 15,625, which
    its table lists at the accuracy of guessing. 15,284 remain, which are 9,444 different functions of their edges.

    Args:
        params: Settings of the space.

    Raises:
        SearchError: A setting is out of range.
    """

    def __init__(self, params: NasBench201Params) -> None:
        least = {"channels": 1, "cells": 1, "stages": 1, "classes": 2}
        for name, bound in least.items():
            if getattr(params, name) < bound:
                raise SearchError(f"the NAS-Bench-201 space needs {name} >= {bound}, not {getattr(params, name)}")
        if len(params.image_shape) != 3 or min(params.image_shape) < 1:
            raise SearchError(f"images must have a height, a width and channels >= 1, not {params.image_shape}")
        self.params = params
        self._known: dict[FusionRules, KnownCounts] = {}
        self._operations = allowed("NAS-Bench-201", params.operations, OPERATIONS, cuts=["none"])

    @property
    def name(self) -> str:
        """The space's name, "nasbench201"."""
        return "nasbench201"

    @property
    def identity(self) -> str:
        """Name and settings, such as "nasbench201 image=32x32x3 classes=10 channels=16 cells=5 stages=3"."""
        params = self.params
        image = "x".join(str(size) for size in params.image_shape)
        settings = f"channels={params.channels} cells={params.cells} stages={params.stages}"
        some = "" if len(self._operations) == len(OPERATIONS) else f" operations={','.join(self._operations)}"
        return f"nasbench201 image={image} classes={params.classes} {settings}{some}"

    @property
    def size(self) -> int:
        """Living cells: for each set of edges that opens a way through, the operations that these may have."""
        cuts = "none" in self._operations
        choices = len(self._operations) - cuts
        sets = itertools.product((False, True), repeat=len(EDGES))
        return sum(
            choices ** sum(present) * cuts ** (len(EDGES) - sum(present)) for present in sets if any(carries(present))
        )

    def sample(self, rng: np.random.Generator) -> NasBench201Genotype:
        """Return a genotype, each with equal probability: draw edges uniformly, again while the cell is dead."""

        def draw() -> NasBench201Genotype:
            codes = rng.integers(len(self._operations), size=len(EDGES)).tolist()
            return NasBench201Genotype(tuple(self._operations[code] for code in codes))

        sampled = _living(draw)
        if sampled is None:
            raise SearchError(f"{_TRIES} random cells in a row were dead; the random generator is not random")
        return sampled

    def mutate(self, genotype: NasBench201Genotype, rng: np.random.Generator) -> NasBench201Genotype:
        """Return a copy in which one edge, and each other with probability 1/6, has another operation."""
        if len(self._operations) == 1:
            return genotype

        def draw() -> NasBench201Genotype:
            changes = rng.random(len(EDGES)) < _CHANGE_PROBABILITY
            changes[rng.integers(len(EDGES))] = True
            steps = rng.integers(1, len(self._operations), size=len(EDGES)).tolist()
            edges = zip(genotype.operations, changes, steps, strict=True)
            return NasBench201Genotype(tuple(self._stepped(old, step) if new else old for old, new, step in edges))

        return _living(draw) or genotype

    def crossover(
        self, first: NasBench201Genotype, second: NasBench201Genotype, rng: np.random.Generator
    ) -> NasBench201Genotype:
        """Return a child that has each edge from the first or the second parent with equal probability."""

        def draw() -> NasBench201Genotype:
            edges = zip(first.operations, second.operations, rng.random(len(EDGES)) < 0.5, strict=True)
            return NasBench201Genotype(tuple(theirs if swap else ours for ours, theirs, swap in edges))

        return _living(draw) or first

    def lower(self, genotype: NasBench201Genotype) -> Network:
        """Return the network: stem, stages of cells with reductions between them, logits; dead edges are left out."""
        return _lowering.lower(self.params, genotype)

    def input_parts(self, genotype: NasBench201Genotype) -> dict[str, tuple[str, ...]]:
        """Return nothing: no operator of this space reads a concatenation."""
        return {}

    def covering(self) -> Iterator[NasBench201Genotype]:
        """Yield each operation on all edges at once."""
        for operation in self._operations:
            if operation != "none":
                yield self._uniform(operation)

    def largest(self) -> NasBench201Genotype:
        """Return the genotype of most multiply-accumulates: the widest convolution there is on every edge."""
        work: tuple[Operation, ...] = ("nor_conv_3x3", "nor_conv_1x1", "skip_connect", "avg_pool_3x3")
        return self._uniform(next(operation for operation in work if operation in self._operations))

    def features(self, genotypes: Sequence[NasBench201Genotype]) -> npt.NDArray[np.float64]:
        """Return what is live on each edge and on each way from input to output. Shape: (n, 75)."""
        return features(genotypes)

    def encode(self, genotype: NasBench201Genotype) -> dict[str, object]:
        """Return {"arch_str": ...}, the cell as the benchmark writes it."""
        return _genotype.encode(genotype)

    def decode(self, encoded: object) -> NasBench201Genotype:
        """Return the genotype that a JSON value encodes."""
        return _genotype.decode(encoded, self._operations)

    def kernel_counts(
        self, genotypes: Sequence[NasBench201Genotype] | npt.NDArray[Any], rules: FusionRules
    ) -> tuple[tuple[Kernel, ...], KernelCounts]:
        """Return how often the networks of genotypes have each kernel; each function is lowered once.

        Args:
            genotypes: Of this space. Length n.
            rules: What the runtime fuses.

        Returns:
            The kernels that occur, and their counts. Shape: (n, number of kernels).
        """
        known = self._known.setdefault(rules, KnownCounts(rules))
        return known.count(list(genotypes), self.lower)

    def _stepped(self, operation: Operation, step: int) -> Operation:
        return self._operations[(self._operations.index(operation) + step) % len(self._operations)]

    def _uniform(self, operation: Operation) -> NasBench201Genotype:
        return NasBench201Genotype((operation,) * len(EDGES))


def _living(draw: Callable[[], NasBench201Genotype]) -> NasBench201Genotype | None:
    """Return the first draw that is alive, or None when there is none among the tries."""
    drawn = (draw() for _ in range(_TRIES))
    return next((genotype for genotype in drawn if genotype.alive), None)
