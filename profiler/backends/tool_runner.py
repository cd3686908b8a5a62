"""Models on a phone in a benchmark program that the user brings: one process a block."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from typing import ClassVar

from profiler.backends.android import PhoneBlock, PhoneProgram, PhoneSession
from profiler.backends.base import BlockRequest, BlockResult, Failure
from profiler.backends.phone_runner import PhoneRunner
from profiler.devices import PhoneDevice
from profiler.errors import WorkloadFailedError
from profiler.runtimes import ModelFiles
from profiler.runtimes.phone_tools import PHONE_TOOLS
from profiler.workload import Source


class ToolRunner(PhoneRunner):
    """A benchmark program.

    Args:
        device: Which runtime, and how.
        files_bytes: Most memory that model files may take here.
        read_program: Gives the program.
    """

    emulated_source: ClassVar[Source] = "emulated"

    def __init__(self, device: PhoneDevice, files_bytes: int, read_program: Callable[[], bytes]) -> None:
        super().__init__(device)
        self._tool = PHONE_TOOLS[device.runtime]
        self.kernels_per_process = self._tool.kernels_per_process(device.accelerator)
        self._files = ModelFiles(self._tool.model_runtime, files_bytes)
        self._read_program = read_program
        self._program: PhoneProgram
        self._blocks = 0

    def payload(self) -> PhoneProgram:
        """Read the program.

        Raises:
            ConfigError: It cannot be read.
        """
        self._program = PhoneProgram(self._tool, self._read_program())
        return self._program

    @property
    def version(self) -> str:
        """The program's version."""
        return self._program.version

    def run_blocks(self, session: PhoneSession, requests: Sequence[BlockRequest]) -> Generator[BlockResult]:
        """Run blocks one by one, each in a process of its own on the phone."""
        for request in requests:
            yield self._run_block(session, request)

    def _run_block(self, session: PhoneSession, request: BlockRequest) -> BlockResult:
        """Run one block; whatever the workload did is its result."""
        started_unix_s = time.time()
        self._blocks += 1
        try:
            session.ensure_held()
            model = self._files.file(request.workload).content
            occasion = request.occasion or f"block {self._blocks}"
            return PhoneBlock(session, self._device, self._tool, self._program, request, occasion).run(model)
        except WorkloadFailedError as err:
            return BlockResult(request, (), Failure.of(err), started_unix_s)
