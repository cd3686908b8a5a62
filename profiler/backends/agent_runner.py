"""Models in our agent on this computer: a list of blocks is one job, and no Python runs between the runs."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Generator, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from profiler.agent import AgentJob, JobRun, LocalAgent, built_agent
from profiler.agent.build import engine_version
from profiler.backends._agent_builds import host_target
from profiler.backends.agent_blocks import BLOCKS_AT_ONCE, AgentBatches, run_batches
from profiler.backends.base import BlockRequest, BlockResult
from profiler.backends.host_runner import HostRunner
from profiler.devices import HostDevice
from profiler.runtimes import AGENT_RUNTIMES

_FILES_CACHE_BYTES = 128 * 2**20
_WARMUP_MOST_S = 0.2
"""A warm-up ends when runs get no faster; a computer's clocks have risen long before this."""


class AgentRunner(HostRunner):
    """The agent on this computer; it is built where it is not yet."""

    blocks_at_once: ClassVar[int] = BLOCKS_AT_ONCE

    def __init__(self, device: HostDevice, cpus: tuple[int, ...] | None, ensure_held: Callable[[], None]) -> None:
        super().__init__(device, cpus, ensure_held)
        self._runtime = AGENT_RUNTIMES[device.runtime]
        self._batches = AgentBatches(self._runtime, _FILES_CACHE_BYTES)
        self._open = contextlib.ExitStack()
        self._target = host_target(device)
        self._folder: Path
        self._agent: LocalAgent | None = None

    def __enter__(self) -> Self:
        self._folder = Path(self._open.enter_context(tempfile.TemporaryDirectory(prefix="pocketnas-")))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    @property
    def version(self) -> str:
        """The engine's version that the agent was built with."""
        return engine_version(self._runtime.engine)

    @property
    def pid(self) -> int | None:
        """Number of the agent's process."""
        return self._agent.pid if self._agent else None

    @property
    def bound_cpus(self) -> Sequence[int] | None:
        """Processors that the agent binds itself to, or does not start."""
        return self._cpus

    def run_blocks(self, requests: Sequence[BlockRequest]) -> Generator[BlockResult]:
        """Run all blocks in one job, or in few where models are large."""
        self._ensure_held()
        agent = self._ready_agent()
        make_job = partial(
            AgentJob,
            self._runtime.engine,
            self._device.accelerator,
            threads=self._device.threads,
            mask=sum(1 << cpu for cpu in self._cpus or ()),
            warmup_most_s=_WARMUP_MOST_S,
        )
        yield from run_batches(
            self._batches.of(requests),
            make_job,
            lambda job: JobRun(agent, job, block_timeout_s=self._device.timeout_s).outcomes(),
        )

    def _ready_agent(self) -> LocalAgent:
        """Return the agent, which is built first where it is not yet: not before, for a look needs none."""
        if self._agent is None:
            build = built_agent(self._runtime.engine, self._target)
            options = ("--library", str(build.library)) if build.library else ()
            self._agent = LocalAgent(self._device.name, (str(build.path),), self._folder, options=options)
        return self._agent
