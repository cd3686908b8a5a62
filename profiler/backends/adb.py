"""The adb backend: a phone over ADB; what runs the models there is a runner's part.

How a phone is made ready and left, and what can happen on it, is profiler.backends.android's part.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self, cast

from profiler.adb import Transport, open_transport
from profiler.backends.android import (
    HEALTH_PROBES,
    Patience,
    PhoneFacts,
    PhoneHealth,
    PhoneSession,
    phone_checks,
)
from profiler.backends.base import Backend, BlockRequest, BlockResult, Check, DeviceFacts
from profiler.backends.lease import DeviceLease, Fence
from profiler.backends.phone_agent_runner import PhoneAgentRunner
from profiler.backends.phone_runner import PhoneRunner
from profiler.backends.tool_runner import ToolRunner
from profiler.devices import AdbDevice, PhoneDevice
from profiler.errors import (
    ConfigError,
    DeviceError,
)
from profiler.runtimes import AGENT_RUNTIMES
from profiler.workload import Source

_AUTHORIZE_S = 5.0


class AdbBackend(Backend):
    """A phone under one runtime; while one is open, no other job has the phone.

    Args:
        device: Its settings.
        wait_s: How long to wait for another job that holds the phone.
        patience: How long to wait for the phone where it went away, boots or is hot.

    Raises:
        DeviceBusyError: On entry: another job holds the phone.
        RuntimeNotSupportedError: On entry: the program is none for this phone.
        ConfigError: On entry: there is no program, or cores are named that the phone does not have.
        DeviceError: On entry: the phone cannot be reached or made ready.

    Attributes:
        files_bytes: Model files kept here, so that a round does not write again what the last one wrote.
        shelf_bytes: Models that stay on the phone; a round of small kernels fits in, and no phone misses as much.
    """

    files_bytes: ClassVar[int] = 128 * 2**20
    shelf_bytes: ClassVar[int] = 256 * 2**20

    def __init__(self, device: PhoneDevice, *, wait_s: float = 0.0, patience: Patience | None = None) -> None:
        self.name = device.name
        self._device = device
        self._patience = patience or Patience()
        self._runner = self._make_runner()
        self.kernels_per_process = self._runner.kernels_per_process
        self.blocks_at_once = self._runner.blocks_at_once
        self._wait_s = wait_s
        self._lease = self._make_lease(wait_s)
        self._open = contextlib.ExitStack()
        self._opened: PhoneSession | None = None
        self._running: Generator[BlockResult] | None = None

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as opening:
            opening.enter_context(self._lease)
            payload = self._runner.payload()
            transport = self._connect(opening)
            session = PhoneSession(
                transport,
                self._device,
                payload,
                folder=self._folder(),
                patience=self._patience,
                ensure_held=self._lease.ensure_held,
                shelf_bytes=self.shelf_bytes,
            )
            self._opened = opening.enter_context(session)
            opening.callback(self._close_session)
            self.source: Source = self.source_on(session.facts)
            self._open = opening.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, error, trace)

    @property
    def fence(self) -> Fence | None:
        """The lease on the phone."""
        return self._lease.fence

    @property
    def holder(self) -> str | None:
        """The other job that has it."""
        return self._lease.holder

    def facts(self) -> DeviceFacts:
        """Return what the phone said when it was opened."""
        session, device = self._session, self._device
        found = session.facts
        chip = f":{device.nnapi_accelerator}" if device.nnapi_accelerator else ""
        return DeviceFacts(
            processor=found.processor,
            cores=len(found.cores) or len(session.cores or (0,)),
            memory_bytes=found.memory_bytes or 0,
            system=found.system,
            runtime=device.runtime,
            runtime_version=self._runner.version,
            threads=device.threads,
            accelerator=device.accelerator + chip,
            cpus=",".join(map(str, session.cores or ())),
        )

    def source_on(self, facts: PhoneFacts) -> Source:
        """Return what latencies are on a phone that says this of itself."""
        return self._runner.emulated_source if facts.emulated else "measured"

    def phone_facts(self) -> PhoneFacts:
        """Return all that the phone said of itself when it was opened, or when it last booted."""
        return self._session.facts

    def health(self) -> PhoneHealth:
        """Ask the phone how it is.

        Raises:
            DeviceError: It cannot be reached.
        """
        return self._session.health(HEALTH_PROBES)

    def checks(self) -> tuple[Check, ...]:
        """Return what speaks against measuring now: the ids of profiler.backends.CHECK_IDS, and EMULATED."""
        session = self._session
        return phone_checks(session.facts, self.health(), cores=session.cores, now_unix_s=time.time())

    def run_blocks(self, requests: Sequence[BlockRequest]) -> Iterator[BlockResult]:
        """Run blocks as the runtime does: one process each, or all in one job of the agent."""
        with contextlib.closing(self._runner.run_blocks(self._session, requests)) as results:
            self._running = results
            yield from results

    @property
    def _session(self) -> PhoneSession:
        if self._opened is None:
            raise DeviceError(self.name, "not open; use the backend in a `with` block")
        return self._opened

    def _close_session(self) -> None:
        # Results that nobody took to their end hold the connection to the phone.
        if self._running is not None:
            self._running.close()
        self._opened = self._running = None

    # What another kind of phone does differently.

    def _make_lease(self, wait_s: float) -> DeviceLease:
        """Return the lease; two names of one phone share it."""
        return DeviceLease(self.name, shared=f"phone {self._adb_device.serial}", wait_s=wait_s)

    def _connect(self, opening: contextlib.ExitStack) -> Transport:
        """Return the way to the phone, open until the stack is closed."""
        # Who waits for the phone also waits for somebody to accept our key on it.
        transport = open_transport(self._adb_device.serial, authorize_timeout_s=max(_AUTHORIZE_S, self._wait_s))
        return opening.enter_context(transport)

    def _make_runner(self) -> PhoneRunner:
        if self._device.runtime in AGENT_RUNTIMES:
            return PhoneAgentRunner(self._device, self.files_bytes)
        return ToolRunner(self._device, self.files_bytes, self._read_program)

    def _read_program(self) -> bytes:
        """Return the program that the user brings."""
        path = Path(self._adb_device.program or "")
        try:
            return path.read_bytes()
        except OSError as err:
            raise ConfigError(f"cannot be read: {err.strerror}", path=path, key=f"{self.name}.program") from err

    def _folder(self) -> str:
        """Return our folder on the phone."""
        return self._adb_device.remote_directory

    @property
    def _adb_device(self) -> AdbDevice:
        return cast(AdbDevice, self._device)
