"""Owns what is measured to learn from: kernels and whole networks of a space or of model files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from pocketnas._observer import Observer
from profiler.kernels import FUSION_RULES, FusionRules, Kernel, sample_kernels
from profiler.measure import Measurement, Progress, Protocol, measure
from profiler.workload import Dtype, Workload

if TYPE_CHECKING:
    from profiler.backends import Backend
    from profiler.network import Network
    from profiler.store import Store
    from search.space import SearchSpace

# Random architectures whose kernels are looked at: enough that a kernel of one in twenty is not missed.
_SAMPLED_ARCHITECTURES = 60


def space_workloads(
    space: SearchSpace[Any],
    runtime: str,
    *,
    kernels: int,
    networks: int,
    dtype: Dtype,
    rng: np.random.Generator,
    rules: FusionRules | None = None,
) -> list[Workload]:
    """Choose what to measure so that networks of a space can be predicted.

    Args:
        space: The search space.
        runtime: Whose fusion rules cut networks into kernels.
        kernels: Most kernels; those that every architecture may have come first, then those around them.
        networks: Whole networks, drawn at random, that the kernels' sum is corrected by.
        dtype: Numeric type to run them in.
        rng: Source of the draws; the caller owns the seed.
        rules: What was found to fuse on the device, instead of the runtime's built-in rules.
    """
    drawn = [space.lower(space.sample(rng)) for _ in range(max(networks, _SAMPLED_ARCHITECTURES))]
    covering = [space.lower(genotype) for genotype in space.covering()]
    chosen = sample_kernels([*covering, *drawn], kernels, rng, rules=rules or FUSION_RULES[runtime])
    whole = {network.key: network for network in drawn}
    return [*_of_kernels(chosen, dtype), *(Workload(network, dtype) for network in islice(whole.values(), networks))]


def sampled_networks(space: SearchSpace[Any], rng: np.random.Generator, *, count: int = 96) -> list[Network]:
    """Return networks that stand for a space: those that together hold all its choices, then random ones.

    Args:
        space: The search space.
        rng: Source of the draws; the caller owns the seed.
        count: How many to draw; those that are alike count once.
    """
    covering = [space.lower(genotype) for genotype in space.covering()]
    drawn = [space.lower(space.sample(rng)) for _ in range(count)]
    return list({network.key: network for network in (*covering, *drawn)}.values())


def network_workloads(
    networks: Sequence[Network],
    runtime: str,
    *,
    kernels: int,
    dtype: Dtype,
    rng: np.random.Generator,
    rules: FusionRules | None = None,
) -> list[Workload]:
    """Choose what to measure of given networks: each as a whole, and at most `kernels` of their kernels."""
    chosen = sample_kernels(networks, kernels, rng, rules=rules or FUSION_RULES[runtime]) if kernels else []
    return [*_of_kernels(chosen, dtype), *(Workload(network, dtype) for network in networks)]


def measure_workloads(
    backend: Backend,
    workloads: Sequence[Workload],
    protocol: Protocol,
    store: Store,
    observer: Observer,
    *,
    title: str,
    label: str = "",
) -> tuple[Measurement, ...]:
    """Measure workloads in one campaign, with progress, and warn when the device was not quiet.

    Args:
        backend: The device, opened.
        workloads: What to measure.
        protocol: How.
        store: Where every block goes as soon as it is there.
        observer: Who is told.
        title: What is being done, for the observer.
        label: Tells repeats of the same campaign apart.

    Raises:
        DeviceError: The device is gone; what was measured is in the store.
    """
    for check in backend.checks():
        observer.warn(f"{check.id}: {check.detail}")
    with observer.progress(title) as advance:

        def on_block(progress: Progress) -> None:
            advance(progress.blocks_done, progress.blocks_planned)

        return measure(backend, workloads, protocol, store, label=label, progress=on_block)


def verdict_counts(measurements: Iterable[Measurement]) -> dict[str, int]:
    """Return how many measurements got each verdict, in the order VALID, SEMI_VALID, INVALID."""
    found = Counter(measurement.verdict for measurement in measurements)
    return {verdict: found[verdict] for verdict in ("VALID", "SEMI_VALID", "INVALID")}


def _of_kernels(kernels: Sequence[Kernel], dtype: Dtype) -> list[Workload]:
    return [Workload(kernel.network, dtype, kernel.kind) for kernel in kernels]
