"""The host backend: this machine's processor, with models in a worker process that may die."""

from __future__ import annotations

import contextlib
import platform
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, cast, get_args

import numpy as np
import numpy.typing as npt

from profiler.backends.base import Backend, BlockRequest, BlockResult, Check, DeviceFacts, Failure, FailureReason
from profiler.backends.host_machine import HostMachine
from profiler.backends.lease import DeviceLease, Fence
from profiler.devices import HostDevice
from profiler.errors import (
    ConfigError,
    DeviceError,
    MeasurementError,
    RuntimeNotSupportedError,
    WorkloadFailedError,
)
from profiler.runtimes import (
    RUNTIMES,
    ModelFile,
    ModelFiles,
    Runtime,
    WorkerProcess,
    WorkerSettings,
    write_model_file,
)
from profiler.workload import Source, Workload

_WORKER_CACHE_BYTES = 512 * 2**20
"""Loaded models the worker may keep; with the parent's files it leaves a whole run below 3 GiB."""
_FILES_CACHE_BYTES = 128 * 2**20
_LONGEST_SAMPLE_NS = 24 * 3600 * 10**9
_LEASED = f"host machine {platform.node()}"
"""What every host device leases, whatever its name: jobs beside each other would spoil each other's latencies."""

Array = npt.NDArray[Any]


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
        self._runtime: Runtime = RUNTIMES[device.runtime]
        self._machine = HostMachine()
        self._files = ModelFiles(self._runtime, _FILES_CACHE_BYTES)
        self._lease = DeviceLease(device.name, shared=_LEASED, wait_s=wait_s)
        self._open = contextlib.ExitStack()
        self._worker: WorkerProcess | None = None

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as opening:
            opening.enter_context(self._lease)
            opening.callback(self._drop_worker)
            self._ready_worker()
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
        """Process id of the worker that runs models now, or ran the last one.

        Raises:
            DeviceError: The backend is not open.
        """
        if self._worker is None:
            raise DeviceError(self.name, "has no worker; use the backend in a `with` block")
        return self._worker.pid

    def facts(self) -> DeviceFacts:
        """Ask the machine and the worker what they are."""
        return DeviceFacts(
            processor=self._machine.processor(),
            cores=len(self._machine.allowed_cpus()),
            memory_bytes=self._machine.memory_bytes(),
            system=f"{platform.system()} {platform.release()}",
            runtime=self._runtime.name,
            runtime_version=str(self._ready_worker().hello["version"]),
            threads=self._device.threads,
            accelerator=self._device.accelerator,
        )

    def checks(self) -> tuple[Check, ...]:
        """Return NOT-PINNED, LOAD, GOVERNOR, LOW-MEMORY and LOW-STORAGE where they hold; takes 0.2 s."""
        pinned = self._ready_worker().hello["cpus"]
        found = self._machine.checks(pinned or self._machine.allowed_cpus())
        if pinned is None:
            advice = "set `cpus: auto`, and no more threads than processors, in devices.yaml (Linux only)"
            return (Check("NOT-PINNED", f"the runtime may move between processors; {advice}"), *found)
        return found

    def run_blocks(self, requests: Sequence[BlockRequest]) -> Iterator[BlockResult]:
        """Run blocks one by one in the worker."""
        for request in requests:
            yield self._run_block(request)

    def compute(self, workload: Workload, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Return the outputs of a network, with the weights it has, on given inputs.

        Args:
            workload: The network; with weights, or its outputs are those of seeded random ones.
            inputs: An array for each of the network's inputs, by tensor name, of its shape and type.

        Returns:
            An array for each output, by tensor name.

        Raises:
            WorkloadFailedError: The runtime refused the network or the inputs, died, or took too long.
        """
        return self.compute_model(write_model_file(self._runtime, workload).content, inputs)

    def compute_model(self, model: bytes, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Return the outputs of a model file on given inputs.

        Args:
            model: Bytes of a .tflite or .onnx file, as the runtime takes it.
            inputs: An array for each of the model's inputs, by name, of its shape and type.

        Raises:
            WorkloadFailedError: As for compute.
        """
        given = {name: np.ascontiguousarray(array) for name, array in inputs.items()}
        specs = [{"name": name, "dtype": array.dtype.name, "shape": array.shape} for name, array in given.items()]
        reply = self._ready_worker().call_on_model(
            {"request": "compute", "inputs": specs},
            ModelFile(model),
            [array.tobytes() for array in given.values()],
            self._device.timeout_s,
        )
        return {
            spec["name"]: np.frombuffer(part, dtype=spec["dtype"]).reshape(spec["shape"])
            for spec, part in zip(reply.fields["outputs"], reply.parts, strict=True)
        }

    def _run_block(self, request: BlockRequest) -> BlockResult:
        if request.profiled:
            return self._profile_block(request)
        header = {"request": "run", "warmup_runs": request.warmup_runs, "runs": request.runs}
        asked_unix_s = time.time()
        try:
            model = self._files.file(request.workload)
            reply = self._ready_worker().call_on_model(header, model, [], self._device.timeout_s)
            samples_ms = _samples_ms(reply.parts[0], request.runs)
        except WorkloadFailedError as err:
            return BlockResult(request, (), _failure(err), asked_unix_s)
        return BlockResult(request, samples_ms, None, float(reply.fields["started_unix_s"]))

    def _profile_block(self, request: BlockRequest) -> BlockResult:
        """Time each operator, in a worker of its own that ends afterwards."""
        problem = self._runtime.profiler_problem(str(self._ready_worker().hello["version"]))
        if problem:
            raise RuntimeNotSupportedError(self.name, self._runtime.name, problem)
        header = {"request": "profile", "warmup_runs": request.warmup_runs, "runs": request.runs}
        started_unix_s = time.time()
        try:
            with (
                tempfile.TemporaryDirectory(prefix="pocketnas-") as scratch,
                contextlib.closing(WorkerProcess(self._settings("profiler"))) as worker,
            ):
                model = self._files.file(request.workload)
                reply = worker.call({**header, "scratch": scratch}, [model.content], self._device.timeout_s)
            profile = self._runtime.read_profile(reply.parts[0], warmup_runs=request.warmup_runs, runs=request.runs)
        except WorkloadFailedError as err:
            return BlockResult(request, (), _failure(err), started_unix_s)
        except MeasurementError as err:
            return BlockResult(request, (), Failure("INVALID_OUTPUT", str(err)), started_unix_s)
        return BlockResult(
            request,
            (profile.end_to_end_ms,),
            None,
            started_unix_s,
            runs_per_sample=request.runs,
            operators=profile.operators,
        )

    def _ready_worker(self) -> WorkerProcess:
        """Return the worker, a new one when the last has died."""
        self._lease.ensure_held()
        if self._worker is None or not self._worker.usable:
            self._drop_worker()
            self._worker = WorkerProcess(self._settings("runner"))
        return self._worker

    def _drop_worker(self) -> None:
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.close()

    def _settings(self, service: str) -> WorkerSettings:
        return WorkerSettings(
            device=self.name,
            python=self._device.python or sys.executable,
            service=service,
            runtime=self._runtime.name,
            threads=self._device.threads,
            accelerator=self._device.accelerator,
            cpus=self._cpus(),
            cache_bytes=_WORKER_CACHE_BYTES,
        )

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


def _samples_ms(samples: bytes, runs: int) -> tuple[float, ...]:
    """Return the latencies that a worker sent (int64, in ns), in ms."""
    samples_ns = np.frombuffer(samples, dtype=np.int64)
    if len(samples_ns) != runs or not ((samples_ns > 0) & (samples_ns < _LONGEST_SAMPLE_NS)).all():
        raise WorkloadFailedError("INVALID_OUTPUT", f"the worker sent {samples_ns[:5].tolist()} … ns for {runs} runs")
    return tuple((samples_ns / 1e6).tolist())


def _failure(error: WorkloadFailedError) -> Failure:
    known = get_args(FailureReason)
    reason = cast(FailureReason, error.reason) if error.reason in known else "INVALID_OUTPUT"
    return Failure(reason, error.detail, error.signal)
