"""The host backend: this machine's processor under one runtime; what runs the models there is a runner's part."""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Generator, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Self

from profiler.backends.agent_runner import AgentRunner
from profiler.backends.base import Backend, BlockRequest, BlockResult, Check, DeviceFacts
from profiler.backends.host_machine import HostMachine
from profiler.backends.host_runner import Array, HostRunner
from profiler.backends.lease import DeviceLease, Fence
from profiler.backends.worker_runner import WorkerRunner
from profiler.devices import HostDevice
from profiler.errors import ConfigError, DeviceError
from profiler.runtimes import AGENT_RUNTIMES
from profiler.workload import Source, Workload

_LEASED = f"host machine {platform.node()}"
"""What every host device leases, whatever its name: jobs beside each other would spoil each other's latencies."""


class HostBackend(Backend):
    """This machine under one runtime; while one is open, no other host device of the machine opens.

    Args:
        device: Its settings.
        wait_s: How long to wait for another job that holds the machine.

    Raises:
        DeviceBusyError: On entry: another job holds the machine, under this device's name or another.
        RuntimeNotSupportedError: On entry: the interpreter has no such runtime or accelerator.
        ConfigError: On entry: processors are named that this process may not use.
    """

    source: Source = "measured"

    def __init__(self, device: HostDevice, *, wait_s: float = 0.0) -> None:
        self.name = device.name
        self._device = device
        self._runner_kind: type[HostRunner] = AgentRunner if device.runtime in AGENT_RUNTIMES else WorkerRunner
        self.blocks_at_once = self._runner_kind.blocks_at_once
        self._machine = HostMachine()
        self._lease = DeviceLease(device.name, shared=_LEASED, wait_s=wait_s)
        self._open = contextlib.ExitStack()
        self._opened: HostRunner | None = None
        self._running: Generator[BlockResult] | None = None

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as opening:
            opening.enter_context(self._lease)
            runner = self._runner_kind(self._device, self._cpus(), self._lease.ensure_held)
            self._opened = opening.enter_context(runner)
            opening.callback(self._close_runner)
            self._open = opening.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, error, trace)

    @property
    def fence(self) -> Fence | None:
        """The lease on the machine."""
        return self._lease.fence

    @property
    def holder(self) -> str | None:
        """The other job that has it."""
        return self._lease.holder

    @property
    def worker_pid(self) -> int:
        """Process id of the worker, or of the agent, that runs models now, or ran the last one.

        Raises:
            DeviceError: The backend is not open, or its agent has run nothing yet.
        """
        pid = self._runner.pid
        if pid is None:
            raise DeviceError(self.name, "has run nothing yet")
        return pid

    def facts(self) -> DeviceFacts:
        """Ask the machine and the runtime what they are."""
        return DeviceFacts(
            processor=self._machine.processor(),
            cores=len(self._machine.allowed_cpus()),
            memory_bytes=self._machine.memory_bytes(),
            system=f"{platform.system()} {platform.release()}",
            runtime=self._device.runtime,
            runtime_version=self._runner.version,
            threads=self._device.threads,
            accelerator=self._device.accelerator,
        )

    def checks(self) -> tuple[Check, ...]:
        """Return NOT-PINNED, LOAD, GOVERNOR, LOW-MEMORY and LOW-STORAGE where they hold; takes 0.2 s."""
        pinned = self._runner.bound_cpus
        found = self._machine.checks(pinned or self._machine.allowed_cpus())
        if pinned is None:
            advice = "set `cpus: auto`, and no more threads than processors, in devices.yaml (Linux only)"
            return (Check("NOT-PINNED", f"the runtime may move between processors; {advice}"), *found)
        return found

    def run_blocks(self, requests: Sequence[BlockRequest]) -> Iterator[BlockResult]:
        """Run blocks as the runtime does: one by one in a worker, or all in one job of the agent."""
        with contextlib.closing(self._runner.run_blocks(requests)) as results:
            self._running = results
            yield from results

    def compute(self, workload: Workload, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Return the outputs of a network, with the weights it has, on given inputs.

        Args:
            workload: The network; with weights, or its outputs are those of seeded random ones.
            inputs: An array for each of the network's inputs, by tensor name, of its shape and type.

        Returns:
            An array for each output, by tensor name.

        Raises:
            WorkloadFailedError: The runtime refused the network or the inputs, died, or took too long.
            RuntimeNotSupportedError: The runtime only tells latencies.
        """
        return self.compute_model(self._runner.model(workload), inputs)

    def compute_model(self, model: bytes, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Return the outputs of a model file on given inputs.

        Args:
            model: Bytes of a .tflite or .onnx file, as the runtime takes it.
            inputs: An array for each of the model's inputs, by name, of its shape and type.

        Raises:
            WorkloadFailedError: As for compute.
            RuntimeNotSupportedError: As for compute.
        """
        return self._runner.compute(model, inputs)

    def _cpus(self) -> tuple[int, ...] | None:
        """Return the processors to bind to; None for no binding."""
        allowed = self._machine.allowed_cpus()
        if self._device.cpus == "any":
            return None
        if self._device.cpus == "auto":
            # The first processors serve most interrupts.
            return allowed[-self._device.threads :] if len(allowed) >= self._device.threads else None
        if not set(self._device.cpus) <= set(allowed):
            raise ConfigError(f"cpus {list(self._device.cpus)}: only {list(allowed)} may be used", key=self.name)
        return self._device.cpus

    @property
    def _runner(self) -> HostRunner:
        if self._opened is None:
            raise DeviceError(self.name, "not open; use the backend in a `with` block")
        return self._opened

    def _close_runner(self) -> None:
        # Results that nobody took to their end may have a process at work.
        if self._running is not None:
            self._running.close()
        self._opened = self._running = None
