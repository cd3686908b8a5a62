"""A small target space of the invented device, and what measuring it gives."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from predictor.adaptive import Configurations, KernelBelief, TargetSpace
from profiler.kernels import FUSION_RULES, Kernel, fuse
from profiler.network import Network
from tests.predictor._synthetic import noisy, some_networks, true_ms

RULES = FUSION_RULES["litert"]


def targets(count: int = 40, seed: int = 0) -> list[Network]:
    found = {network.key: network for network in some_networks(count, np.random.default_rng(seed))}
    return list(found.values())


def space_of(networks: Sequence[Network]) -> TargetSpace:
    return TargetSpace.of(networks, RULES)


def belief_on(kernels: Sequence[Kernel], seed: int = 0) -> KernelBelief:
    rng = np.random.default_rng(seed)
    return KernelBelief.fit(Configurations.of(kernels), np.array([noisy(true_ms(kernel), rng) for kernel in kernels]))


def kernels_of(networks: Sequence[Network]) -> list[Kernel]:
    return list(dict.fromkeys(kernel for network in networks for kernel in fuse(network, RULES)))
