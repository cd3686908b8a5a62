"""Blocks as jobs of an agent: what goes into one job, and what its outcomes say as results."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from profiler.agent import AgentJob, AgentModel, BlockRecord, FailedBlock, Outcome, PlannedBlock
from profiler.backends.base import BlockRequest, BlockResult, Check, Failure
from profiler.errors import MeasurementError, WorkloadFailedError
from profiler.runtimes import AgentRuntime, OperatorProfile, WrittenModels, write_agent_model
from profiler.runtimes.operator_profile import summarise_runs
from profiler.workload import Workload

BLOCKS_AT_ONCE = 256
"""A job's start costs as much as some blocks; of so many it is a small part, and they are over in a minute or two."""
_JOB_BYTES = 64 * 2**20
"""Most that the models of one job may take together, but for one that is larger by itself."""
_NS_PER_MS = 1e6
_NS_PER_US = 1e3
_NS_PER_S = 1e9
_LONGEST_RUN_NS = 24 * 3600 * 10**9


@dataclass
class AgentBatch:
    """Requests that one job answers.

    Attributes:
        runtime: What runs the models.
        requests: All of them, in order.
        refused: Why some are not in the job, by their index.
        models: The job's models.
        blocks: The job's plan: one block a request that is not refused.
    """

    runtime: AgentRuntime
    requests: list[BlockRequest] = field(default_factory=list)
    refused: dict[int, Failure] = field(default_factory=dict)
    models: list[AgentModel] = field(default_factory=list)
    blocks: list[PlannedBlock] = field(default_factory=list)

    def results(self, outcomes: Iterator[Outcome]) -> Iterator[BlockResult]:
        """Yield one result a request, in order.

        Args:
            outcomes: What comes of the job; may be fewer than its blocks.
        """
        for index, request in enumerate(self.requests):
            if index in self.refused:
                yield BlockResult(request, (), self.refused[index], time.time())
                continue
            outcome = next(outcomes, None)
            if outcome is None:
                return
            yield block_result(request, outcome, self.runtime)


class AgentBatches:
    """Cuts requests into batches.

    Args:
        runtime: What runs the models.
        files_bytes: Models kept here, so that a round does not write again what the last one wrote.
    """

    def __init__(self, runtime: AgentRuntime, files_bytes: int) -> None:
        def write(workload: Workload) -> AgentModel:
            return write_agent_model(runtime, workload)

        self._runtime = runtime
        self._models = WrittenModels(write, lambda model: model.sent_bytes, files_bytes)

    def of(self, requests: Sequence[BlockRequest]) -> Iterator[AgentBatch]:
        """Yield batches whose models are not too large to be sent together."""
        batch, numbers, size_bytes = AgentBatch(self._runtime), dict[tuple[str, bool], int](), 0
        for request in requests:
            key = request.workload.key, request.workload.is_kernel
            if key not in numbers:
                try:
                    model = self._models.model(request.workload)
                except WorkloadFailedError as err:
                    batch.refused[len(batch.requests)] = Failure.of(err)
                    batch.requests.append(request)
                    continue
                if batch.models and size_bytes + model.sent_bytes > _JOB_BYTES:
                    yield batch
                    batch, numbers, size_bytes = AgentBatch(self._runtime), {}, 0
                numbers[key] = len(batch.models)
                batch.models.append(model)
                size_bytes += model.sent_bytes
            batch.requests.append(request)
            batch.blocks.append(PlannedBlock(numbers[key], request.warmup_runs, request.runs, request.profiled))
        if batch.requests:
            yield batch


def run_batches(
    batches: Iterator[AgentBatch],
    make_job: Callable[[Sequence[AgentModel], Sequence[PlannedBlock]], AgentJob],
    run_job: Callable[[AgentJob], Iterator[Outcome]],
) -> Iterator[BlockResult]:
    """Yield the results of all requests, in order.

    Args:
        batches: The requests.
        make_job: Makes the job of models and plan.
        run_job: Runs it.
    """
    for batch in batches:
        outcomes = run_job(make_job(batch.models, batch.blocks)) if batch.blocks else iter(())
        yield from batch.results(outcomes)


def block_result(request: BlockRequest, outcome: Outcome, runtime: AgentRuntime) -> BlockResult:
    """Return an outcome as the result of the request that it is of.

    Args:
        request: What was asked for.
        outcome: What came of it.
        runtime: What ran the model.
    """
    if isinstance(outcome, FailedBlock):
        error = WorkloadFailedError(outcome.reason, outcome.detail, signal=outcome.signal)
        return BlockResult(request, (), Failure.of(error), time.time())
    started_unix_s = outcome.started_unix_ns / _NS_PER_S
    if max(outcome.samples_ns) > _LONGEST_RUN_NS:
        failure = Failure("INVALID_OUTPUT", f"a run of {max(outcome.samples_ns)} ns")
        return BlockResult(request, (), failure, started_unix_s)
    checks = tuple(_checks(outcome))
    if not request.profiled:
        samples_ms = tuple(sample / _NS_PER_MS for sample in outcome.samples_ns)
        return BlockResult(request, samples_ms, None, started_unix_s, checks=checks)
    try:
        profile = _profile(outcome, runtime)
    except MeasurementError as err:
        return BlockResult(request, (), Failure("INVALID_OUTPUT", str(err)), started_unix_s)
    # As other profiles: what operators' means add up to stands for all runs.
    return BlockResult(
        request,
        (profile.end_to_end_ms,),
        None,
        started_unix_s,
        runs_per_sample=request.runs,
        operators=profile.operators,
        checks=checks,
    )


def _profile(record: BlockRecord, runtime: AgentRuntime) -> OperatorProfile:
    """Return the profile of a block's calm runs.

    Raises:
        MeasurementError: There are no operators, not as many latencies of each as runs, or one that is too long.
    """
    runs = len(record.samples_ns)
    if not record.operators or any(len(operator.ns) != runs for operator in record.operators):
        raise MeasurementError(f"the agent told {len(record.operators)} operators, or not each in {runs} runs")
    per_run = [[operator.ns[run] / _NS_PER_US for operator in record.operators] for run in range(runs)]
    whole_us = [sample / _NS_PER_US for sample in record.samples_ns]
    # A profiler's clock may round up by 1 us.
    if any(duration > whole_us[run] + 1 for run, durations in enumerate(per_run) for duration in durations):
        raise MeasurementError("the agent told of an operator that takes longer than the network that it is in")
    named = [(operator.name, operator.kind or operator.name) for operator in record.operators]
    return summarise_runs(named, per_run, whole_us, [runtime.cut_us(kind) for _, kind in named])


def _checks(record: BlockRecord) -> Iterator[Check]:
    if record.cooled_ns:
        slept_s = math.ceil(record.cooled_ns / _NS_PER_S)
        yield Check("THERMAL-STATUS", f"the device was hot or slow; it cooled down for {slept_s} s before the block")
