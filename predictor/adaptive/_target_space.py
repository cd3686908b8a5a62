"""The networks whose latencies are wanted, as counts of kernels that they share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from predictor._features import FloatArray
from predictor.adaptive._configurations import Configurations
from profiler.kernels import Fuser, FusionRules, Kernel
from profiler.network import Network


@dataclass(frozen=True, eq=False)
class TargetSpace:
    """Networks of a space, or a sample of them.

    Attributes:
        kernels: All different kernels of the networks.
        counts: How often each network executes each kernel. Shape: (n_networks, len(kernels)).
    """

    kernels: Configurations
    counts: FloatArray

    @classmethod
    def of(cls, networks: Iterable[Network], rules: FusionRules) -> Self:
        """Cut networks into kernels by the rules of a runtime."""
        fuser = Fuser(rules)
        return cls.of_kernels([fuser(network) for network in networks])

    @classmethod
    def of_kernels(cls, networks: Sequence[Sequence[Kernel]]) -> Self:
        """Return the space of networks that are kernels already."""
        positions = {kernel: index for index, kernel in enumerate(dict.fromkeys(k for own in networks for k in own))}
        counts = np.zeros((len(networks), len(positions)))
        for row, own in enumerate(networks):
            for kernel, count in Counter(own).items():
                counts[row, positions[kernel]] = count
        return cls(Configurations.of(positions), counts)

    def shares(self, latency_ms: FloatArray) -> FloatArray:
        """Return each kernel's share of each network's latency, and so what its log error counts for.

        Args:
            latency_ms: Expected latency of each kernel. Shape: (len(kernels),).

        Returns:
            Shape: (n_networks, len(kernels)); rows sum to 1.
        """
        parts = self.counts * latency_ms
        return np.asarray(parts / parts.sum(axis=1, keepdims=True))
