"""Campaigns: many workloads measured in interleaved, shuffled rounds, resumable at every block.

A campaign holds no state of its own: what to do next follows from the protocol and the rows in the
store.  So one that was killed goes on, when it is called again, exactly where the rows end.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from profiler.backends.base import Backend, Check
from profiler.errors import ConfigError, DeviceNotReadyError, MeasurementError
from profiler.measure._block_runner import BlockRunner, Slot
from profiler.measure.measurement import Levels, Measurement, estimate, levels_of
from profiler.measure.pack import cut_packs
from profiler.measure.protocol import Protocol
from profiler.measure.records import Block, CampaignRecord, Configuration, WorkloadRecord
from profiler.measure.verdicts import given_up, timed_seconds
from profiler.workload import EMULATED_ISA, Workload

if TYPE_CHECKING:
    from profiler.store import Store

CHECK_EVERY_S = 10.0
"""How old the last look at the device's condition may be: looking takes a moment of its own."""

_CONFIRMING_ROUNDS = 3
"""Rounds that follow when a workload was imprecise and then is not.  Whoever stops at the first narrow
interval stops on a lucky one: it covers the truth in 88-93 % of the cases, and in 93-95 % after three more."""


@dataclass(frozen=True)
class Turn:
    """What a round runs in one go.

    Attributes:
        slots: The blocks, in order.
        pack: Number of the pack in its round; None for blocks that run one by one.
    """

    slots: list[Slot]
    pack: int | None = None


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
        DeviceNotReadyError: A condition of the device, such as an empty battery, ends the campaign for now.
        DeviceError: The device is gone; what was measured is in the store.
        MeasurementError: There is nothing to measure, or the backend broke its contract.
    """
    campaign = Campaign(backend, workloads, protocol, store, label=label, clock=clock)
    for step in campaign.run():
        if progress is not None:
            progress(step)
    # Campaigns that began later move no number of this one: who asks again, after these, is told the same.
    levels = usual_levels(store, campaign.record.configuration, until=campaign.record)
    measured = load_measurements(store, campaign.record, levels=levels)
    found = {measurement.workload.key: measurement for measurement in measured}
    return tuple(found[key] for key in dict.fromkeys(workload.key for workload in workloads))


def usual_levels(store: Store, configuration: Configuration, *, until: CampaignRecord | None = None) -> Levels:
    """Return the usual latency of each reference kernel, over all campaigns on a configuration.

    Args:
        store: Where their rows are.
        configuration: Which campaigns.
        until: The last of them that counts, of those in the order in which they began; None for all.
    """
    own = [record.id for record in store.campaigns() if record.configuration == configuration]
    if until is not None:
        own = own[: own.index(until.id) + 1]
    return levels_of(block for id_ in own for block in store.blocks(id_))


def load_measurements(
    store: Store, campaign: CampaignRecord, *, levels: Levels | None = None
) -> tuple[Measurement, ...]:
    """Return what a campaign found so far, by the rows in the store, in order of the workloads' keys.

    Drift is corrected to the usual speed of the device over all campaigns on the same configuration,
    so that what was measured today and yesterday can stand in one table.

    Args:
        store: Where the rows are.
        campaign: Which of them.
        levels: What usual_levels gave, when many campaigns of one configuration are loaded: it reads
            the rows of all of them.
    """
    if levels is None:
        levels = usual_levels(store, campaign.configuration)
    blocks = _by_workload(store.blocks(campaign.id))
    return tuple(
        estimate(campaign, workload, blocks[workload.key], levels) for workload in store.workloads(campaign.id)
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
        self._runner = BlockRunner(backend, protocol, id_)
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
            DeviceNotReadyError: A condition of the device ends the campaign for now.
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
        left = len(order) - len(known)
        for turn in self._turns(round_, order):
            if all(slot.workload.key in known for slot in turn.slots):
                continue
            if self._out_of_time():
                return
            self._look()
            # Closed at once, for what a turn has on the device must not run on when nobody waits for it any more.
            with contextlib.closing(self._run_turn(turn, known)) as running:
                for blocks in running:
                    for block in (block for block in blocks if block.workload_key not in known):
                        left -= 1
                        yield self._keep(block, len(order), left)
                    self._stop_on(tuple(check for block in blocks for check in block.checks))
                    if self._out_of_time():
                        return

    def _run_turn(self, turn: Turn, known: set[str]) -> Generator[tuple[Block, ...]]:
        if turn.pack is not None:
            yield from self._runner.run_pack(turn.slots, f"pack-{turn.pack}", known)
            return
        left = [slot for slot in turn.slots if slot.workload.key not in known]
        for block in self._runner.run_alone(left):
            yield (block,)

    def _keep(self, block: Block, active: int, left: int) -> Progress:
        block = replace(block, checks=_merged(self._checks, block.checks))
        self._store.add(self.record.id, block, fence=self._backend.fence)
        self._blocks[block.workload_key].append(block)
        self._measured += 1
        return self._progress(block.round, active, left)

    def _turns(self, round_: int, order: list[str]) -> list[Turn]:
        """Return what is run together: packs where their first kernel stood, and chunks of what runs alone."""
        sharing = [self._workloads[key] for key in order if self._may_share(round_, key)]
        groups = enumerate(cut_packs(sharing, self._protocol.kernels_per_pack))
        packs = {group[0].key: (index, group) for index, group in groups}
        shared = {work.key for work in sharing}
        turns: list[Turn] = []
        position = 0
        for key in order:
            if key in shared and key not in packs:
                continue
            pack, members = packs.get(key, (None, (self._workloads[key],)))
            slots = [Slot(round_, position + at, work, self._runs(round_, work.key)) for at, work in enumerate(members)]
            position += len(slots)
            if pack is not None:
                turns.append(Turn(slots, pack))
            elif turns and turns[-1].pack is None and len(turns[-1].slots) < self._backend.blocks_at_once:
                turns[-1].slots.extend(slots)
            else:
                turns.append(Turn(slots))
        return turns

    def _may_share(self, round_: int, key: str) -> bool:
        """Return whether a workload may be in a pack: a kernel that no earlier pack failed to tell."""
        work = self._workloads[key]
        return (
            self._protocol.kernels_per_pack > 1
            and work.kind != "network"
            and all(operator.kind != "opaque" for operator in work.network.operators)
            and not any(block.way == "alone" for block in self._blocks[key] if block.round < round_)
        )

    def _order(self, round_: int) -> list[str]:
        """Return the keys of a round in its shuffled order; it follows from the rows of earlier rounds."""
        earlier = {key: [block for block in self._blocks[key] if block.round < round_] for key in self._workloads}
        levels = levels_of(block for blocks in earlier.values() for block in blocks)
        rng = np.random.default_rng([self._protocol.seed, round_])
        keys = list(self._workloads)
        shuffled = [keys[index] for index in rng.permutation(len(keys))]
        return [key for key in shuffled if self._wants_round(round_, key, earlier[key], levels)]

    def _wants_round(self, round_: int, key: str, blocks: list[Block], levels: Levels) -> bool:
        if given_up(blocks) or timed_seconds(blocks) >= self._protocol.most_seconds:
            return False
        if round_ < self._protocol.rounds:
            return True
        if self.record.configuration.source == EMULATED_ISA:
            return False  # no number of rounds makes such times a phone's
        missing = {reason.id for reason in estimate(self.record, self._records[key], blocks, levels).missing}
        if missing == {"TARGET-MISSED"}:
            self._imprecise.add(key)
        if not missing and key not in self._ends:
            self._ends[key] = round_ + (_CONFIRMING_ROUNDS if key in self._imprecise else 0)
        return round_ < self._ends.get(key, self._protocol.max_rounds)

    def _runs(self, round_: int, key: str) -> int:
        runs = self._protocol.runs_per_block
        pilot = next((block for block in self._blocks[key] if block.status == "ok" and block.round < round_), None)
        if pilot is None:
            return runs
        return max(runs, math.ceil(self._protocol.block_ms / float(np.median(pilot.samples_ms))))

    def _look(self) -> None:
        """Ask for the device's condition when the last answer is old."""
        if self._clock() - self._checked_s < CHECK_EVERY_S:
            return
        self._checks, self._checked_s = self._backend.checks(), self._clock()
        suppressed = [check for check in self._checks if check.id in self._protocol.suppress]
        firm = sorted(check.id for check in suppressed if not check.suppressible)
        if firm:
            raise ConfigError(f"{', '.join(firm)} cannot be suppressed", key="suppress")
        self._stop_on(self._checks)

    def _stop_on(self, checks: tuple[Check, ...]) -> None:
        """Raise when one of the conditions ends the campaign."""
        for check in checks:
            if check.stops and check.id not in self._protocol.suppress:
                raise DeviceNotReadyError(self._backend.name, check.id, check.detail)

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


def _merged(*found: tuple[Check, ...]) -> tuple[Check, ...]:
    """Return conditions of several looks, each id once, the latest word on it."""
    return tuple({check.id: check for checks in found for check in checks}.values())
