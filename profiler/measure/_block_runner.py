"""Runs the blocks of a campaign on a backend, one by one or as packs, and turns results into rows.

It knows the device's answers and nothing of rounds, precision or the store.
"""

from __future__ import annotations

import math
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from profiler.backends.base import PASSING_REASONS, Backend, BlockRequest, BlockResult, Failure
from profiler.errors import MeasurementError, MergedProfileError, WorkloadFailedError
from profiler.measure.pack import Pack, PackReading
from profiler.measure.protocol import Protocol
from profiler.measure.records import Block, Way
from profiler.measure.references import REFERENCE_RUNS, REFERENCE_WARMUP_RUNS, reference_workloads
from profiler.workload import Dtype, Workload

MAX_LATENCY_MS = 3.6e6
"""An hour for one run: a latency above it is a broken clock or a misread unit."""

_MOST_OF_WHOLE = 1.1
"""Kernels of a pack over the pack as a whole, above which rows were misread; rows are means of the calmer runs."""

_PACKED: Mapping[Dtype, Way] = {"float32": "packed-float32", "int8": "packed-int8"}


@dataclass(frozen=True)
class Slot:
    """A block that is to be run.

    Attributes:
        round: Round of the campaign.
        position: Place within the round.
        workload: What is run.
        runs: Least timed runs.
    """

    round: int
    position: int
    workload: Workload
    runs: int


class BlockRunner:
    """Runs blocks on an open device.

    Args:
        backend: The device.
        protocol: How to measure.
        campaign_id: Names the blocks among those of other campaigns.
    """

    def __init__(self, backend: Backend, protocol: Protocol, campaign_id: str) -> None:
        self._backend, self._protocol, self._id = backend, protocol, campaign_id

    def run_alone(self, slots: Sequence[Slot]) -> Iterator[Block]:
        """Run blocks one by one with a reading of the references before, between and after them.

        Yields:
            One block a slot, in order.
        """
        requests = self._gap(slots[0].round, slots[0].position)
        between = len(requests)
        for slot in slots:
            occasion = f"{self._id}/{slot.round}/{slot.position}"
            requests.append(BlockRequest(slot.workload, self._protocol.warmup_runs, slot.runs, occasion=occasion))
            requests += self._gap(slot.round, slot.position + 1)
        results = self._backend.run_blocks(requests)
        before_ms = _reading(_take(results, between))
        for slot in slots:
            (result,) = _take(results, 1)
            after_ms = _reading(_take(results, between))
            yield self._alone(slot, result, before_ms, after_ms)
            before_ms = after_ms

    def run_pack(
        self, slots: Sequence[Slot], name: str, known: Container[str] = frozenset()
    ) -> Iterator[tuple[Block, ...]]:
        """Run blocks as branches of one model.

        What cannot be told apart or does not run is halved, down to kernels that run by themselves, so that
        a kernel that fails does not take others with it.

        Args:
            slots: Blocks of one numeric type.
            name: Names the pack among those of its round.
            known: Keys of workloads whose blocks are stored.  They are still run in a pack with others, whose
                latencies depend on what it holds.

        Yields:
            Blocks that ended together; in all, at least one for each slot that is not known.
        """
        if all(slot.workload.key in known for slot in slots):
            return
        try:
            pack = Pack(tuple(slot.workload for slot in slots), references=self._protocol.references)
        except MeasurementError:
            yield from self._in_parts(slots, name, known)
            return
        result = self._profile(pack, slots, name)
        try:
            reading = _told(pack, result)
        except MergedProfileError:
            yield from self._one_by_one(slots, known)
        except WorkloadFailedError as err:
            if err.reason in PASSING_REASONS and err.reason != "INVALID_OUTPUT":
                yield tuple(_rejected(slot, result, str(err)) for slot in slots)
            else:
                yield from self._in_parts(slots, name, known)
        except MeasurementError:
            yield from self._in_parts(slots, name, known)
        else:
            told = list(zip(slots, reading.latencies_ms, strict=True))
            yield tuple(_packed(slot, result, ms, reading) for slot, ms in told if ms is not None)
            yield from self._one_by_one([slot for slot, ms in told if ms is None], known)

    def _profile(self, pack: Pack, slots: Sequence[Slot], name: str) -> BlockResult:
        occasion = f"{self._id}/{slots[0].round}/{name}"
        runs = max(slot.runs for slot in slots)
        request = BlockRequest(pack.workload, self._protocol.warmup_runs, runs, profiled=True, occasion=occasion)
        (result,) = _take(self._backend.run_blocks([request]), 1)
        return result

    def _in_parts(self, slots: Sequence[Slot], name: str, known: Container[str]) -> Iterator[tuple[Block, ...]]:
        if len(slots) == 1:
            yield from self._one_by_one(slots, known)
            return
        middle = len(slots) // 2
        for index, part in enumerate((slots[:middle], slots[middle:])):
            yield from self.run_pack(part, f"{name}/{index}", known)

    def _one_by_one(self, slots: Sequence[Slot], known: Container[str]) -> Iterator[tuple[Block, ...]]:
        left = [slot for slot in slots if slot.workload.key not in known]
        if left:
            for block in self.run_alone(left):
                yield (block,)

    def _gap(self, round_: int, position: int) -> list[BlockRequest]:
        """Return the reading of the references before a position."""
        if not self._protocol.references:
            return []
        occasion = f"{self._id}/{round_}/gap-{position}"
        return [
            BlockRequest(work, REFERENCE_WARMUP_RUNS, REFERENCE_RUNS, occasion=f"{occasion}/{work.network.name}")
            for work in reference_workloads()
        ]

    def _alone(
        self, slot: Slot, result: BlockResult, before_ms: tuple[float, ...], after_ms: tuple[float, ...]
    ) -> Block:
        problem = _problem(result)
        if not problem and self._protocol.references and not (before_ms or after_ms):
            problem = "the reference kernels beside it gave no latency"
        # What may be a hiccup is tried again; other failures are the workload's own.
        failure = result.failure if result.failure and result.failure.reason not in PASSING_REASONS else None
        return Block(
            workload_key=slot.workload.key,
            round=slot.round,
            position=slot.position,
            started_unix_s=result.started_unix_s,
            status="failed" if failure else "rejected" if problem else "ok",
            reason=f"{failure.reason}: {failure.detail}" if failure else problem,
            samples_ms=() if failure or problem else result.samples_ms,
            before_ms=before_ms,
            after_ms=after_ms,
            checks=result.checks,
            runs_per_sample=result.runs_per_sample,
        )


def _told(pack: Pack, result: BlockResult) -> PackReading:
    """Return what the profile of a pack says.

    Raises:
        WorkloadFailedError: The pack did not run.
        MeasurementError: Its latencies cannot be true, or its rows cannot be told apart.
    """
    if result.failure:
        raise WorkloadFailedError(result.failure.reason, result.failure.detail, signal=result.failure.signal)
    problem = _problem(result)
    if problem:
        raise MeasurementError(problem)
    reading = pack.read(result.operators)
    kernels_ms = math.fsum(ms for ms in (*reading.latencies_ms, *reading.references_ms) if ms is not None)
    if not kernels_ms <= _MOST_OF_WHOLE * max(result.samples_ms):
        raise MeasurementError(f"kernels of {kernels_ms:.3g} ms in a pack of {max(result.samples_ms):.3g} ms")
    return reading


def _packed(slot: Slot, result: BlockResult, latency_ms: float, reading: PackReading) -> Block:
    return Block(
        workload_key=slot.workload.key,
        round=slot.round,
        position=slot.position,
        started_unix_s=result.started_unix_s,
        status="ok",
        samples_ms=(latency_ms,),
        before_ms=reading.references_ms,
        after_ms=reading.references_ms,
        checks=result.checks,
        runs_per_sample=result.request.runs,
        way=_PACKED[slot.workload.dtype],
    )


def _rejected(slot: Slot, result: BlockResult, reason: str) -> Block:
    return Block(
        workload_key=slot.workload.key,
        round=slot.round,
        position=slot.position,
        started_unix_s=result.started_unix_s,
        status="rejected",
        reason=reason,
        checks=result.checks,
        way=_PACKED[slot.workload.dtype],
    )


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
