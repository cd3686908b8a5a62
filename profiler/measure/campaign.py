"""Campaigns: many workloads measured in interleaved, shuffled rounds, resumable at every block.

A campaign holds no state of its own: what to do next follows from the protocol and the rows in the
store.  So one that was killed goes on, when it is called again, exactly where the rows end.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from profiler.backends.base import PASSING_REASONS, Backend, BlockRequest, BlockResult, Check, Failure
from profiler.errors import ConfigError, MeasurementError
from profiler.measure.measurement import Measurement, estimate, level_of
from profiler.measure.protocol import Protocol
from profiler.measure.records import Block, CampaignRecord, Configuration, WorkloadRecord
from profiler.measure.references import REFERENCE_RUNS, REFERENCE_WARMUP_RUNS, reference_workloads
from profiler.measure.verdicts import given_up, timed_seconds
from profiler.workload import Workload

if TYPE_CHECKING:
    from profiler.store import Store

MAX_LATENCY_MS = 3.6e6
"""An hour for one run: a latency above it is a broken clock or a misread unit."""

CHECK_EVERY_S = 10.0
"""How old the last look at the device's condition may be: looking takes a moment of its own."""

_CONFIRMING_ROUNDS = 3
"""Rounds that follow when a workload was imprecise and then is not.  Whoever stops at the first narrow
interval stops on a lucky one: it covers the truth in 88-93 % of the cases, and in 93-95 % after three more."""

_CHUNK = 8
"""Blocks sent to the backend at once; the time budget is looked at in between."""


@dataclass(frozen=True)
class Progress:
    """How far a campaign is, after a block.

    Attributes:
        blocks_done: Blocks measured, those of an earlier call included.
        blocks_planned: Blocks known to be needed; grows while rounds are added for precision.
        round: The current round, from 0.
        active: Workloads in this round.
        elapsed_s: Seconds since this call began.
        remaining_s: Seconds that the planned blocks still take at the pace of this call.
    """

    blocks_done: int
    blocks_planned: int
    round: int
    active: int
    elapsed_s: float
    remaining_s: float


def measure(
    backend: Backend,
    workloads: Sequence[Workload],
    protocol: Protocol,
    store: Store,
    *,
    label: str = "",
    progress: Callable[[Progress], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[Measurement, ...]:
    """Measure workloads on an open device and store every block as soon as it is there.

    The same call after an interruption goes on with the same schedule, and after the end measures
    nothing more: give another label or seed to measure again.

    Args:
        backend: The device, opened.
        workloads: What to measure; the same workload given twice is measured once.
        protocol: How to measure.
        store: Where the rows go.
        label: Tells repeats of the same campaign apart.
        progress: Called after each block.
        clock: Seconds, for the time budget and the progress.

    Returns:
        One measurement a workload, in the order in which they were given.

    Raises:
        ConfigError: The protocol suppresses a check that cannot be suppressed.
        DeviceError: The device is gone; what was measured is in the store.
        MeasurementError: There is nothing to measure, or the backend broke its contract.
    """
    campaign = Campaign(backend, workloads, protocol, store, label=label, clock=clock)
    for step in campaign.run():
        if progress is not None:
            progress(step)
    found = {measurement.workload.key: measurement for measurement in load_measurements(store, campaign.record)}
    return tuple(found[key] for key in dict.fromkeys(workload.key for workload in workloads))


def usual_level_ms(store: Store, configuration: Configuration) -> tuple[float, ...]:
    """Return the usual latency of each reference kernel, over all campaigns on a configuration."""
    own = [record.id for record in store.campaigns() if record.configuration == configuration]
    return level_of(block for id_ in own for block in store.blocks(id_))


def load_measurements(
    store: Store, campaign: CampaignRecord, *, level_ms: tuple[float, ...] | None = None
) -> tuple[Measurement, ...]:
    """Return what a campaign found so far, by the rows in the store, in order of the workloads' keys.

    Drift is corrected to the usual speed of the device over all campaigns on the same configuration,
    so that what was measured today and yesterday can stand in one table.

    Args:
        store: Where the rows are.
        campaign: Which of them.
        level_ms: What usual_level_ms gave, when many campaigns of one configuration are loaded: it reads
            the rows of all of them.
    """
    if level_ms is None:
        level_ms = usual_level_ms(store, campaign.configuration)
    blocks = _by_workload(store.blocks(campaign.id))
    return tuple(
        estimate(campaign, workload, blocks[workload.key], level_ms) for workload in store.workloads(campaign.id)
    )


class Campaign:
    """One campaign on an open device; `measure` is the short way to run it.

    Args:
        backend: The device, opened.
        workloads: What to measure.
        protocol: How to measure.
        store: Where the rows go.
        label: Tells repeats of the same campaign apart.
        clock: Seconds, for the time budget and the progress.

    Attributes:
        record: The campaign as the store knows it.
    """

    record: CampaignRecord

    def __init__(
        self,
        backend: Backend,
        workloads: Sequence[Workload],
        protocol: Protocol,
        store: Store,
        *,
        label: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not workloads:
            raise MeasurementError("there is nothing to measure: the list of workloads is empty")
        self._backend, self._protocol, self._store, self._clock = backend, protocol, store, clock
        # Sorted, so that the order in which workloads are given does not change the schedule.
        self._workloads = {work.key: work for work in sorted(workloads, key=lambda work: work.key)}
        self._records = {key: WorkloadRecord.of(work) for key, work in self._workloads.items()}
        configuration = Configuration(backend.name, backend.source, backend.facts())
        id_ = _campaign_id(configuration, protocol, label, list(self._workloads))
        record = CampaignRecord(id_, label, configuration, protocol, time.time())
        self.record = store.begin(record, self._records.values(), fence=backend.fence)
        self._blocks = _by_workload(store.blocks(id_))
        # Rebuilt from the rows as `run` goes through the rounds again after an interruption.
        self._imprecise: set[str] = set()
        self._ends: dict[str, int] = {}
        self._started_s = clock()
        self._checks: tuple[Check, ...] = ()
        self._checked_s = -math.inf
        self._measured = 0

    def run(self) -> Iterator[Progress]:
        """Measure what is still to be measured, and yield after each stored block.

        Raises:
            ConfigError: The protocol suppresses a check that cannot be suppressed.
            DeviceError: The device is gone.
            MeasurementError: The backend gave fewer results than it was asked for.
        """
        if self.record.finished_unix_s is not None:
            return
        for round_ in range(self._protocol.max_rounds):
            order = self._order(round_)
            if not order:
                break
            yield from self._run_round(round_, order)
            if self._out_of_time():
                break
        self._store.finish(self.record.id, time.time(), fence=self._backend.fence)

    def _run_round(self, round_: int, order: list[str]) -> Iterator[Progress]:
        known = {key for key in order if any(block.round == round_ for block in self._blocks[key])}
        todo = [(position, key) for position, key in enumerate(order) if key not in known]
        for start in range(0, len(todo), _CHUNK):
            if self._out_of_time():
                return
            chunk = todo[start : start + _CHUNK]
            for done, block in enumerate(self._run_chunk(round_, chunk), 1):
                self._store.add(self.record.id, block, fence=self._backend.fence)
                self._blocks[block.workload_key].append(block)
                self._measured += 1
                yield self._progress(round_, len(order), left=len(todo) - start - done)

    def _run_chunk(self, round_: int, chunk: list[tuple[int, str]]) -> Iterator[Block]:
        """Run blocks with a reading of the references before, between and after them."""
        self._look()
        between = self._reference_requests()
        requests = list(between)
        for _, key in chunk:
            requests += [self._request(key), *between]
        results = self._backend.run_blocks(requests)
        before_ms = _reading(_take(results, len(between)))
        for position, key in chunk:
            (result,) = _take(results, 1)
            after_ms = _reading(_take(results, len(between)))
            yield self._block(result, key, round_, position, before_ms, after_ms)
            before_ms = after_ms

    def _block(
        self,
        result: BlockResult,
        key: str,
        round_: int,
        position: int,
        before_ms: tuple[float, ...],
        after_ms: tuple[float, ...],
    ) -> Block:
        problem = _problem(result)
        if not problem and self._protocol.references and not (before_ms or after_ms):
            problem = "the reference kernels beside it gave no latency"
        # What may be a hiccup is tried again; other failures are the workload's own.
        failure = result.failure if result.failure and result.failure.reason not in PASSING_REASONS else None
        return Block(
            workload_key=key,
            round=round_,
            position=position,
            started_unix_s=result.started_unix_s,
            status="failed" if failure else "rejected" if problem else "ok",
            reason=f"{failure.reason}: {failure.detail}" if failure else problem,
            samples_ms=() if failure or problem else result.samples_ms,
            before_ms=before_ms,
            after_ms=after_ms,
            checks=_merged(self._checks, result.checks),
            runs_per_sample=result.runs_per_sample,
        )

    def _order(self, round_: int) -> list[str]:
        """Return the keys of a round in its shuffled order; it follows from the rows of earlier rounds."""
        earlier = {key: [block for block in self._blocks[key] if block.round < round_] for key in self._workloads}
        level_ms = level_of(block for blocks in earlier.values() for block in blocks)
        rng = np.random.default_rng([self._protocol.seed, round_])
        keys = list(self._workloads)
        shuffled = [keys[index] for index in rng.permutation(len(keys))]
        return [key for key in shuffled if self._wants_round(round_, key, earlier[key], level_ms)]

    def _wants_round(self, round_: int, key: str, blocks: list[Block], level_ms: tuple[float, ...]) -> bool:
        if given_up(blocks) or timed_seconds(blocks) >= self._protocol.most_seconds:
            return False
        if round_ < self._protocol.rounds:
            return True
        missing = {reason.id for reason in estimate(self.record, self._records[key], blocks, level_ms).missing}
        if missing == {"TARGET-MISSED"}:
            self._imprecise.add(key)
        if not missing and key not in self._ends:
            self._ends[key] = round_ + (_CONFIRMING_ROUNDS if key in self._imprecise else 0)
        return round_ < self._ends.get(key, self._protocol.max_rounds)

    def _request(self, key: str) -> BlockRequest:
        runs = self._protocol.runs_per_block
        pilot = next((block for block in self._blocks[key] if block.status == "ok"), None)
        if pilot is not None:
            runs = max(runs, math.ceil(self._protocol.block_ms / float(np.median(pilot.samples_ms))))
        return BlockRequest(self._workloads[key], self._protocol.warmup_runs, runs)

    def _reference_requests(self) -> tuple[BlockRequest, ...]:
        if not self._protocol.references:
            return ()
        return tuple(BlockRequest(work, REFERENCE_WARMUP_RUNS, REFERENCE_RUNS) for work in reference_workloads())

    def _look(self) -> None:
        """Ask for the device's condition when the last answer is old."""
        if self._clock() - self._checked_s < CHECK_EVERY_S:
            return
        self._checks, self._checked_s = self._backend.checks(), self._clock()
        suppressed = [check for check in self._checks if check.id in self._protocol.suppress]
        firm = sorted(check.id for check in suppressed if not check.suppressible)
        if firm:
            raise ConfigError(f"{', '.join(firm)} cannot be suppressed", key="suppress")

    def _out_of_time(self) -> bool:
        return self._clock() - self._started_s >= self._protocol.time_budget_s

    def _progress(self, round_: int, active: int, left: int) -> Progress:
        left += active * max(self._protocol.rounds - round_ - 1, 0)
        elapsed_s = self._clock() - self._started_s
        done = sum(len(blocks) for blocks in self._blocks.values())
        return Progress(done, done + left, round_, active, elapsed_s, elapsed_s / self._measured * left)


def _campaign_id(configuration: Configuration, protocol: Protocol, label: str, keys: list[str]) -> str:
    text = json.dumps([asdict(configuration), protocol.to_json(), label, keys], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _by_workload(blocks: Sequence[Block]) -> defaultdict[str, list[Block]]:
    found: defaultdict[str, list[Block]] = defaultdict(list)
    for block in blocks:
        found[block.workload_key].append(block)
    return found


def _take(results: Iterator[BlockResult], count: int) -> list[BlockResult]:
    """Take the next results off a backend's answer."""
    taken = []
    for _ in range(count):
        result = next(results, None)
        if result is None:
            raise MeasurementError("the backend gave fewer results than it was asked for")
        taken.append(result)
    return taken


def _reading(results: list[BlockResult]) -> tuple[float, ...]:
    """Return the median of each reference kernel; empty when one of them is not to be believed."""
    if any(result.failure or _problem(result) for result in results):
        return ()
    return tuple(float(np.median(result.samples_ms)) for result in results)


def _problem(result: BlockResult) -> str:
    """Return why latencies cannot be true; empty when they can."""
    if result.failure:
        return _passing(result.failure)
    samples = np.asarray(result.samples_ms, dtype=np.float64)
    if len(samples) * result.runs_per_sample != result.request.runs:
        return f"{len(samples) * result.runs_per_sample} latencies for {result.request.runs} runs"
    wrong = samples[~(np.isfinite(samples) & (samples > 0.0) & (samples <= MAX_LATENCY_MS))]
    return f"a latency of {wrong[0]:g} ms" if len(wrong) else ""


def _passing(failure: Failure) -> str:
    """Return why a block does not count, when that may pass; empty for failures of the workload itself."""
    if failure.reason not in PASSING_REASONS:
        return ""
    return failure.detail if failure.reason == "INVALID_OUTPUT" else f"{failure.reason}: {failure.detail}"


def _merged(*found: tuple[Check, ...]) -> tuple[Check, ...]:
    """Return conditions of several looks, each id once, the latest word on it."""
    return tuple({check.id: check for checks in found for check in checks}.values())
