"""Owns how fusion is found on a device: pairs first, then what grows out of those that fuse."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pocketnas._observer import Observer
from profiler.errors import MergedProfileError, RuntimeNotSupportedError, WorkloadFailedError
from profiler.fusion import (
    SIZES,
    Chain,
    FusionEvidence,
    FusionFindings,
    FusionRecord,
    How,
    Size,
    first_chains,
    grown,
    measure_pairs,
    profile_chains,
)
from profiler.measure import Configuration, Progress, Protocol
from profiler.network import Network
from profiler.workload import Dtype, require_times

if TYPE_CHECKING:
    from profiler.backends import Backend
    from profiler.store import Store

WAYS: frozenset[How] = frozenset({"operator profile", "pair test"})


@dataclass(frozen=True)
class FusionPlan:
    """What is looked for, and how.

    Attributes:
        protocol: How pairs are measured, from profiler.fusion.pair_protocol.
        ways: How to look. Of both, one that the device does not offer is left out with a warning.
        networks: Where chains have to occur to be tested; empty for all that are worth it.
        dtype: Numeric type.
        sizes: The shapes that chains are tested on; profiles look at the first.
        label: Tells repeats of the same campaign apart.
    """

    protocol: Protocol
    ways: frozenset[How] = WAYS
    networks: Collection[Network] = ()
    dtype: Dtype = "float32"
    sizes: tuple[Size, ...] = field(default=SIZES)
    label: str = ""


def find_fusion(backend: Backend, store: Store, plan: FusionPlan, observer: Observer) -> FusionFindings:
    """Find out what a runtime runs as one step on a device; each round is in the store when it ends.

    Args:
        backend: The device, opened.
        store: Where rows and findings go.
        plan: What is looked for, and how.
        observer: Who is told.

    Returns:
        The findings of this call; the store may know more of the same configuration.

    Raises:
        RuntimeNotSupportedError: Profiles are the only way asked for, and the device's runtime has none.
        MergedProfileError: The same, and its profile shows no operators.
        DeviceError: The device is gone; the same call goes on from the stored rows.
        FunctionOnlyError: The device emulates instructions, so that its latencies mean nothing.
    """
    require_times(backend.name, backend.source, "finding out what is fused")
    for check in backend.checks():
        observer.warn(f"{check.id}: {check.detail}")
    search = _Search(backend, store, plan, observer)
    configuration = Configuration(backend.name, backend.source, backend.facts())
    findings = FusionRecord(configuration, plan.dtype, ()).findings
    chains: Sequence[Chain] = first_chains(plan.networks)
    while chains:
        evidence = (*search.profiled(chains), *search.measured(chains))
        store.add_fusion(FusionRecord(configuration, plan.dtype, evidence), fence=backend.fence)
        findings = findings.with_evidence(evidence)
        chains = grown(
            {found.chain for found in findings.chains if found.chain in chains and found.fused}, plan.networks
        )
    return findings


class _Search:
    """The ways of looking on one device."""

    def __init__(self, backend: Backend, store: Store, plan: FusionPlan, observer: Observer) -> None:
        self._backend, self._store, self._plan, self._observer = backend, store, plan, observer
        self._profiles = "operator profile" in plan.ways

    def profiled(self, chains: Sequence[Chain]) -> tuple[FusionEvidence, ...]:
        """Return what profiles say; nothing, from the first time on, where the device gives none."""
        if not self._profiles:
            return ()
        try:
            with self._observer.progress(f"profiling {len(chains)} chains") as advance:
                return profile_chains(
                    self._backend, chains, dtype=self._plan.dtype, size=self._plan.sizes[0], progress=advance
                )
        except (RuntimeNotSupportedError, MergedProfileError, WorkloadFailedError) as error:
            if self._plan.ways == {"operator profile"}:
                raise
            self._profiles = False
            self._observer.warn(f"no evidence from operator profiles: {error}")
            return ()

    def measured(self, chains: Sequence[Chain]) -> tuple[FusionEvidence, ...]:
        """Return what pair tests say."""
        if "pair test" not in self._plan.ways:
            return ()
        with self._observer.progress(f"measuring {len(chains)} chains and their parts") as advance:

            def on_block(step: Progress) -> None:
                advance(step.blocks_done, step.blocks_planned)

            return measure_pairs(
                self._backend,
                chains,
                self._plan.protocol,
                self._store,
                dtype=self._plan.dtype,
                sizes=self._plan.sizes,
                label=self._plan.label,
                progress=on_block,
            )
