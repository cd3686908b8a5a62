"""Models on a phone in our agent: a list of blocks is one job, with a look at the phone every few seconds.

The agent keeps an eye on clocks and temperatures beside each block; what only Android knows (its thermal status, the
screen, the battery) is looked at between stretches of a job, and a stretch that it speaks against is done again.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import ClassVar

from profiler.agent import AgentJob, JobRun, Outcome
from profiler.backends.agent_blocks import BLOCKS_AT_ONCE, AgentBatch, AgentBatches
from profiler.backends.android import (
    BLOCK_PROBES,
    BRIEF_PROBES,
    LEAST_STORAGE_BYTES,
    PhoneAgent,
    PhoneAgentSite,
    PhoneHealth,
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

_MOST_COOLINGS = 2
"""How often a stretch that throttled is cooled down for and done again.  Source: AndroidX benchmark."""
_LOOK_EVERY_S = 15.0
"""How long a stretch is: as much is lost at most when the phone goes away, or throttles."""


class PhoneAgentRunner(PhoneRunner):
    """The agent.

    Args:
        device: Which runtime, and how.
        files_bytes: Most memory that models may take here.
    """

    emulated_source: ClassVar[Source] = EMULATED_ISA
    blocks_at_once = BLOCKS_AT_ONCE

    def __init__(self, device: PhoneDevice, files_bytes: int) -> None:
        super().__init__(device)
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
        """Run blocks job by job; what a look at the phone speaks against is done again before anybody sees it."""
        left = list(requests)
        while left:
            batch = next(self._batches.of(left))
            done = self._calm_stretch(session, batch)
            left = left[len(done) :]
            yield from done

    def _calm_stretch(self, session: PhoneSession, batch: AgentBatch) -> list[BlockResult]:
        """Return results of a batch's first blocks, as many as there were until it was time for a look.

        Raises:
            DeviceError: The phone is gone, or does not run the agent.
        """
        cooled_s = 0.0
        try:
            for _ in range(_MOST_COOLINGS + 1):
                cooled_s += self._make_ready(session)
                results = self._stretch(session, batch)
                health = session.health(BLOCK_PROBES)
                if health.awake is False or health.idle:
                    session.settings.wake()
                    detail = "the screen went off, or the phone dozed, beside the block"
                    return [_without_samples(result, Failure("INTERRUPTED", detail)) for result in results]
                if not health.throttles:
                    return _with_checks(results, tuple(_beside(health, cooled_s)))
        except WorkloadFailedError as err:
            return [BlockResult(request, (), Failure.of(err), time.time()) for request in batch.requests]
        detail = f"throttled by heat ({health.thermal_status}) each time, with {cooled_s:g} s of cooling between"
        return [_without_samples(result, Failure("THROTTLED", detail)) for result in results]

    def _make_ready(self, session: PhoneSession) -> float:
        """Have a phone that is cool, and that has not booted since it was made ready; return the seconds slept.

        Raises:
            WorkloadFailedError: It does not cool down.
            DeviceError: It cannot be reached, or is another job's by now.
        """
        session.ensure_held()
        health = session.health(BRIEF_PROBES)
        if session.has_booted_anew(health.boot_id):
            session.recover()
        return cool_down(session) if health.throttles else 0.0

    def _stretch(self, session: PhoneSession, batch: AgentBatch) -> list[BlockResult]:
        """Run a batch until its end or the next look.

        Raises:
            WorkloadFailedError: Its only model is too large for the phone.
            DeviceError: The phone is gone.
        """
        site = PhoneAgentSite(session, self._agent, self._device.name, self._runtime.name)
        ends_s = time.monotonic() + _LOOK_EVERY_S
        results: list[BlockResult] = []
        try:
            run = JobRun(site, self._job(session, batch), block_timeout_s=self._device.timeout_s)
            with contextlib.closing(run.outcomes() if batch.blocks else _nothing()) as outcomes:
                for result in batch.results(outcomes):
                    results.append(result)
                    if time.monotonic() > ends_s:
                        break
        except DeviceStorageError as err:
            if len(batch.models) > 1 or err.free_bytes is None or err.free_bytes < LEAST_STORAGE_BYTES:
                raise
            raise WorkloadFailedError("UNSUPPORTED", f"the model is too large for the phone: {err.problem}") from err
        return results

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


def _nothing() -> Generator[Outcome]:
    yield from ()


def _without_samples(result: BlockResult, failure: Failure) -> BlockResult:
    """Return a result that does not count; what the workload did itself stays its result."""
    return result if result.failure else BlockResult(result.request, (), failure, result.started_unix_s)


def _with_checks(results: list[BlockResult], checks: tuple[Check, ...]) -> list[BlockResult]:
    return [replace(result, checks=(*result.checks, *checks)) for result in results]


def _beside(health: PhoneHealth, cooled_s: float) -> Iterator[Check]:
    """Yield what was seen beside blocks that count all the same."""
    low = battery_check(health)
    if low:
        yield low
    if cooled_s:
        yield Check("THERMAL-STATUS", f"the phone throttled; it cooled down for {cooled_s:g} s before the block")
