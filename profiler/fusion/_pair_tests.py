"""Pair tests: the parts of chains and the chains themselves measured in one campaign, and what follows from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from typing import TYPE_CHECKING

from profiler.backends.base import Backend
from profiler.fusion._probes import SIZES, Probe, Size, call_network, kind_of
from profiler.fusion._verdict import PairTimes, saved_share
from profiler.fusion.evidence import Chain, FusionEvidence
from profiler.measure.campaign import Progress, measure
from profiler.measure.measurement import Measurement
from profiler.measure.protocol import PAIR_TESTS, Protocol
from profiler.measure.statistics import Interval
from profiler.network import Network
from profiler.workload import Dtype, Workload

if TYPE_CHECKING:
    from profiler.store import Store

_MOST_ROUNDS = 12
_TARGET_RELATIVE_HALF_WIDTH = 0.04
"""Both are looser than for kernels: a verdict needs one side of one half, not a latency to the percent."""


def pair_protocol(protocol: Protocol) -> Protocol:
    """Return the protocol of a campaign of pair tests, with the other numbers of one for kernels."""
    return replace(
        protocol,
        name=PAIR_TESTS,
        max_rounds=max(protocol.rounds, _MOST_ROUNDS),
        target_relative_half_width=_TARGET_RELATIVE_HALF_WIDTH,
    )


def measure_pairs(
    backend: Backend,
    chains: Sequence[Chain],
    protocol: Protocol,
    store: Store,
    *,
    dtype: Dtype = "float32",
    sizes: Sequence[Size] = SIZES,
    label: str = "",
    progress: Callable[[Progress], None] | None = None,
) -> tuple[FusionEvidence, ...]:
    """Measure chains and their parts, and say of each chain whether its last operator joins the others.

    Args:
        backend: The device, opened.
        chains: What to test.
        protocol: How to measure, from pair_protocol.
        store: Where the rows go; latency tables leave them out.
        dtype: Numeric type.
        sizes: The shapes that each chain is tested on.
        label: Tells repeats of the same campaign apart.
        progress: Called after each block.

    Raises:
        DeviceError: The device is gone; the same call goes on from the stored rows.
    """
    probes = {chain: [Probe(chain, size) for size in sizes] for chain in chains}
    if not probes:
        return ()
    networks = [call_network()]
    for probe in (probe for found in probes.values() for probe in found):
        networks += (probe.before, probe.last, probe.whole)
    workloads = {work.key: work for work in (_workload(network, dtype) for network in networks)}
    measured = measure(backend, list(workloads.values()), protocol, store, label=label, progress=progress)
    by_key = {found.workload.key: found for found in measured}
    return tuple(_evidence(chain, found, by_key, dtype) for chain, found in probes.items())


def _workload(network: Network, dtype: Dtype) -> Workload:
    return Workload(network, dtype, kind_of(network))


def _evidence(
    chain: Chain, probes: Sequence[Probe], measured: Mapping[str, Measurement], dtype: Dtype
) -> FusionEvidence:
    usable: list[PairTimes] = []
    problems: dict[str, None] = {}
    for probe in probes:
        parts = [measured[_workload(network, dtype).key] for network in (probe.before, probe.last, probe.whole)]
        found = _times(parts, measured[_workload(call_network(), dtype).key])
        if isinstance(found, str):
            problems[found] = None
        else:
            usable.append(found)
    saved = saved_share(usable)
    if usable and saved is None:
        problems["no part takes longer than a call"] = None
    detail = "; ".join(problems)[:400]
    if saved is None:
        return FusionEvidence(chain=chain, how="pair test", verdict="unclear", detail=detail)
    return FusionEvidence(
        chain=chain,
        how="pair test",
        verdict=saved.verdict,
        a_ms=fmean(times.a.value for times in usable),
        b_ms=fmean(times.b.value for times in usable),
        ab_ms=fmean(times.ab.value for times in usable),
        call_ms=usable[0].call_ms,
        saved=saved.value,
        saved_low=saved.low,
        saved_high=saved.high,
        shapes=len(usable),
        detail=detail,
    )


def _times(parts: Sequence[Measurement], call: Measurement) -> PairTimes | str:
    """Return the latencies of one shape, or why they cannot be compared."""
    intervals = [part.interval for part in parts if part.verdict != "INVALID" and part.interval]
    if len(intervals) < len(parts):
        bad = next(part for part in parts if part.verdict == "INVALID" or not part.interval)
        return f"{bad.workload.kind}: {bad.reasons[0] if bad.reasons else 'no latency'}"
    ways = {block.block.way for part in parts for block in part.used}
    if len(ways) > 1:
        return f"{parts[-1].workload.kind}: the parts were measured in different ways"
    a, b, ab = intervals
    return PairTimes(a, b, ab, _call(call) if ways == {"alone"} else None)


def _call(call: Measurement) -> Interval | None:
    """Return the latency of a call; None where it is not known, which makes chains look more apart than they are."""
    alone = bool(call.used) and call.used[0].block.way == "alone"
    return call.interval if alone and call.verdict != "INVALID" else None
