"""The seam between algorithms and search spaces.

An algorithm moves genotypes about and never looks inside them; a space makes, changes, encodes and
lowers them.  What a genotype lowers to is a `Network`, and that is all the rest of the project sees.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from profiler.kernels import Fuser, FusionRules, Kernel
from profiler.network import Network

KernelCounts = npt.NDArray[np.unsignedinteger[Any]]


class Genotype(Protocol):
    """Encoding of one architecture: a frozen, hashable value that only its space understands."""

    def __hash__(self) -> int: ...

    def __eq__(self, other: object, /) -> bool: ...

    @property
    def key(self) -> str:
        """Short hexadecimal name of the function that is encoded.

        Genotypes that differ only in what never reaches the output (branches that are cut off) share a
        key, so algorithms compare keys where they look for duplicates.
        """
        ...


G = TypeVar("G", bound=Genotype)


class SearchSpace(ABC, Generic[G]):
    """A set of architectures, and the moves within it.

    Every genotype that `sample`, `mutate`, `crossover` and `decode` return can be lowered.  Randomness
    comes from the generator that is passed, and from nowhere else.
    """

    @property
    @abstractmethod
    def name(self) -> str:
        """Which space it is, such as "cars": one word, whatever the settings."""

    @property
    @abstractmethod
    def identity(self) -> str:
        """One line that names the space and all its settings; checkpoints and files compare it."""

    @property
    @abstractmethod
    def size(self) -> int:
        """Exact number of different genotypes that `sample` can return."""

    @abstractmethod
    def sample(self, rng: np.random.Generator) -> G:
        """Return a genotype, each of the space's with equal probability."""

    @abstractmethod
    def mutate(self, genotype: G, rng: np.random.Generator) -> G:
        """Return a copy of a genotype with some random choices drawn anew."""

    @abstractmethod
    def crossover(self, first: G, second: G, rng: np.random.Generator) -> G:
        """Return a genotype each part of which comes from one of two parents."""

    @abstractmethod
    def lower(self, genotype: G) -> Network:
        """Return the architecture that a genotype stands for, without weights.

        Operators are named after their place in the space: two genotypes that make the same choice at
        the same place have an operator of the same name and shape there.  The supernet shares weights
        by these names.  What cannot reach the output is left out.
        """

    @abstractmethod
    def input_parts(self, genotype: G) -> Mapping[str, tuple[str, ...]]:
        """Return which parts make up the input of operators that read a choice-dependent concatenation.

        By the name of an operator of the lowered network: stable names of the parts, in the order of its
        input channels, which they divide equally.  The supernet keeps one block of the kernel for each
        part, so that parts that are left out neither act nor learn.  Operators that are not named read
        their input whole; names that the lowered network does not have are allowed.
        """

    @abstractmethod
    def covering(self) -> Iterator[G]:
        """Yield a few genotypes that together use every operator that any genotype can lower to."""

    @abstractmethod
    def largest(self) -> G:
        """Return a genotype with the most multiply-accumulate operations: the one that may teach the others."""

    @abstractmethod
    def features(self, genotypes: Sequence[G]) -> npt.NDArray[np.float64]:
        """Return genotypes as numbers that a model can learn from; always the same for the same genotype.

        Returns:
            One row a genotype: one column for each choice that it may make, and what else helps.
            Shape: (len(genotypes), features).
        """

    @abstractmethod
    def encode(self, genotype: G) -> dict[str, object]:
        """Return a genotype as a JSON object."""

    @abstractmethod
    def decode(self, encoded: object) -> G:
        """Return the genotype that a JSON value encodes.

        Raises:
            GenotypeError: The value is anything else than what `encode` makes.
        """

    def kernel_counts(
        self, genotypes: Sequence[G] | npt.NDArray[Any], rules: FusionRules
    ) -> tuple[tuple[Kernel, ...], KernelCounts]:
        """Return how often the networks of genotypes have each kernel.

        A space that can tell this without lowering answers for many genotypes at once; the answer is the same.

        Args:
            genotypes: Of this space, or an array of them where it has such. Length n.
            rules: What the runtime fuses.

        Returns:
            The kernels that occur, and their counts. Shape: (n, number of kernels).
        """
        fuser = Fuser(rules)
        columns: dict[Kernel, int] = {}
        executed = [[columns.setdefault(kernel, len(columns)) for kernel in fuser(self.lower(g))] for g in genotypes]
        counts = np.zeros((len(executed), len(columns)), dtype=np.uint32)
        for row, own in zip(counts, executed, strict=True):
            np.add.at(row, own, 1)
        return tuple(columns), counts
