"""Models on a phone in our agent: a list of blocks is one job, between two looks at the phone."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import ClassVar

from profiler.agent import AgentJob, JobRun
from profiler.backends.agent_blocks import BLOCKS_AT_ONCE, AgentBatch, AgentBatches
from profiler.backends.android import (
    BLOCK_PROBES,
    BRIEF_PROBES,
    LEAST_STORAGE_BYTES,
    PhoneAgent,
    PhoneAgentSite,
    PhoneSession,
    battery_check,
    cool_down,
)
from profiler.backends.base import BlockRequest, BlockResult, Check, Failure
from profiler.backends.phone_runner import PhoneRunner
from profiler.devices import PhoneDevice
from profiler.errors import DeviceStorageError, WorkloadFailedError
from profiler.runtimes import AGENT_RUNTIMES
from profiler.workload import EMULATED_ISA, Source


class PhoneAgentRunner(PhoneRunner):
    """The agent."""

    emulated_source: ClassVar[Source] = EMULATED_ISA
    blocks_at_once = BLOCKS_AT_ONCE

    def __init__(self, device: PhoneDevice, files_bytes: int) -> None:
        super().__init__(device, files_bytes)
        self._runtime = AGENT_RUNTIMES[device.runtime]
        self._batches = AgentBatches(self._runtime, files_bytes)
        self._agent = PhoneAgent(self._runtime)

    def payload(self) -> PhoneAgent:
        """Return the agent; it is built when a phone is there for it."""
        return self._agent

    @property
    def version(self) -> str:
        """The version of the engine."""
        return self._agent.version

    def run_blocks(self, session: PhoneSession, requests: Sequence[BlockRequest]) -> Generator[BlockResult]:
        """Run all blocks in one job, or in few where models are large."""
        for batch in self._batches.of(requests):
            session.ensure_held()
            try:
                self._make_ready(session)
                yield from _looked_after(session, self._run(session, batch))
            except WorkloadFailedError as err:
                failure = Failure.of(err)
                yield from (BlockResult(request, (), failure, time.time()) for request in batch.requests)

    def _make_ready(self, session: PhoneSession) -> None:
        """Have a phone that is cool, and that has not booted since it was made ready.

        Raises:
            WorkloadFailedError: It does not cool down.
            DeviceError: It cannot be reached.
        """
        health = session.health(BRIEF_PROBES)
        if session.has_booted_anew(health.boot_id):
            session.recover()
        if health.throttles:
            cool_down(session)

    def _run(self, session: PhoneSession, batch: AgentBatch) -> Iterator[BlockResult]:
        site = PhoneAgentSite(session, self._agent, self._device.name, self._runtime.name)
        if not batch.blocks:
            yield from batch.results(iter(()))
            return
        try:
            run = JobRun(site, self._job(session, batch), block_timeout_s=self._device.timeout_s)
            yield from batch.results(run.outcomes())
        except DeviceStorageError as err:
            if len(batch.models) > 1 or err.free_bytes is None or err.free_bytes < LEAST_STORAGE_BYTES:
                raise
            raise WorkloadFailedError("UNSUPPORTED", f"the model is too large for the phone: {err.problem}") from err

    def _job(self, session: PhoneSession, batch: AgentBatch) -> AgentJob:
        device = self._device
        limits = device.temperature_limit_c or 0.0, device.frequency_share or 0.0
        make = partial(AgentJob, self._runtime.engine, device.accelerator, batch.models, batch.blocks)
        # The cores of a phone that does not exist are in its books alone, where taskset finds them.
        cores = () if session.facts.emulated else session.cores or ()
        return make(
            threads=device.threads,
            mask=sum(1 << core for core in cores),
            warmup_most_s=device.warmup_s,
            temperature_limit_c=limits[0],
            frequency_share=limits[1],
            cooldown_s=session.patience.cooldown_s if any(limits) else 0.0,
        )


def _looked_after(session: PhoneSession, results: Iterator[BlockResult]) -> Iterator[BlockResult]:
    """Yield results; the last one with what a look at the phone says after it."""
    last: BlockResult | None = None
    for result in results:
        if last is not None:
            yield last
        last = result
    if last is not None:
        yield _seen_after(session, last)


def _seen_after(session: PhoneSession, result: BlockResult) -> BlockResult:
    health = session.health(BLOCK_PROBES)
    if health.awake is False or health.idle:
        session.settings.wake()
        detail = "the screen went off, or the phone dozed, in the job"
        return replace(result, samples_ms=(), operators=(), failure=result.failure or Failure("INTERRUPTED", detail))
    found = [battery_check(health)]
    if health.throttles:
        detail = f"the phone throttled because of heat ({health.thermal_status}) at the end of the job"
        found.append(Check("THERMAL-STATUS", detail))
    return replace(result, checks=(*result.checks, *(check for check in found if check)))
