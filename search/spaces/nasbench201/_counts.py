"""Remembers how many of each kernel a genotype's network has: the space is so small that searches meet all of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from profiler.kernels import Fuser, FusionRules, Kernel
from profiler.network import Network
from search.space import KernelCounts
from search.spaces.nasbench201._genotype import NasBench201Genotype, Operation

Columns = npt.NDArray[np.intp]


class KnownCounts:
    """The kernels of the functions that were met so far, under one set of rules.

    Args:
        rules: What the runtime fuses.
    """

    def __init__(self, rules: FusionRules) -> None:
        self._fuser = Fuser(rules)
        self._columns: dict[Kernel, int] = {}
        self._rows: dict[tuple[Operation, ...], tuple[Columns, Columns]] = {}

    def count(
        self, genotypes: Sequence[NasBench201Genotype], lower: Callable[[NasBench201Genotype], Network]
    ) -> tuple[tuple[Kernel, ...], KernelCounts]:
        """Return the kernels of the genotypes' networks, and how often each network has each.

        Args:
            genotypes: Length n.
            lower: Lowers one that was not met before.

        Returns:
            The kernels that occur, and their counts. Shape: (n, len(kernels)).
        """
        rows = [self._row(genotype, lower) for genotype in genotypes]
        counts = np.zeros((len(rows), len(self._columns)), dtype=np.uint16)
        for row, (columns, times) in zip(counts, rows, strict=True):
            row[columns] = times
        kernels, occurring = tuple(self._columns), np.flatnonzero(counts.any(axis=0))
        return tuple(kernels[column] for column in occurring.tolist()), counts[:, occurring]

    def _row(
        self, genotype: NasBench201Genotype, lower: Callable[[NasBench201Genotype], Network]
    ) -> tuple[Columns, Columns]:
        """Return the columns of a network's kernels, and how often it has each."""
        row = self._rows.get(genotype.live)
        if row is None:
            kernels = self._fuser(lower(genotype))
            times = Counter(self._columns.setdefault(kernel, len(self._columns)) for kernel in kernels)
            row = self._rows[genotype.live] = np.array(list(times)), np.array(list(times.values()))
        return row
