"""Models of a runtime of the host in a worker process that may die."""

from __future__ import annotations

import contextlib
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from types import TracebackType
from typing import Self

import numpy as np

from profiler.backends.base import BlockRequest, BlockResult, Failure
from profiler.backends.host_runner import Array, HostRunner
from profiler.devices import HostDevice
from profiler.errors import MeasurementError, RuntimeNotSupportedError, WorkloadFailedError
from profiler.runtimes import RUNTIMES, ModelFile, ModelFiles, WorkerProcess, WorkerSettings, write_model_file
from profiler.workload import Workload

_WORKER_CACHE_BYTES = 512 * 2**20
"""Loaded models the worker may keep; with the parent's files it leaves a whole run below 3 GiB."""
_FILES_CACHE_BYTES = 128 * 2**20
_LONGEST_SAMPLE_NS = 24 * 3600 * 10**9


class WorkerRunner(HostRunner):
    """A worker process, replaced when it dies."""

    def __init__(self, device: HostDevice, cpus: tuple[int, ...] | None, ensure_held: Callable[[], None]) -> None:
        super().__init__(device, cpus, ensure_held)
        self._runtime = RUNTIMES[device.runtime]
        self._files = ModelFiles(self._runtime, _FILES_CACHE_BYTES)
        self._worker: WorkerProcess | None = None

    def __enter__(self) -> Self:
        self._ready_worker()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._drop_worker()

    @property
    def version(self) -> str:
        """The version that the worker found."""
        return str(self._ready_worker().hello["version"])

    @property
    def pid(self) -> int | None:
        """Number of the worker."""
        return self._worker.pid if self._worker else None

    @property
    def bound_cpus(self) -> Sequence[int] | None:
        """Processors that the worker is bound to, by its own word."""
        cpus: Sequence[int] | None = self._ready_worker().hello["cpus"]
        return cpus

    def run_blocks(self, requests: Sequence[BlockRequest]) -> Generator[BlockResult]:
        """Run blocks one by one in the worker."""
        for request in requests:
            yield self._profile_block(request) if request.profiled else self._run_block(request)

    def model(self, workload: Workload) -> bytes:
        """Return the workload as the runtime's model file.

        Raises:
            WorkloadFailedError: The file format cannot hold it.
        """
        return write_model_file(self._runtime, workload).content

    def compute(self, model: bytes, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Return the outputs of a model file on given inputs.

        Raises:
            WorkloadFailedError: The runtime refused the model or the inputs, died, or took too long.
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
        header = {"request": "run", "warmup_runs": request.warmup_runs, "runs": request.runs}
        asked_unix_s = time.time()
        try:
            model = self._files.file(request.workload)
            reply = self._ready_worker().call_on_model(header, model, [], self._device.timeout_s)
            samples_ms = _samples_ms(reply.parts[0], request.runs)
        except WorkloadFailedError as err:
            return BlockResult(request, (), Failure.of(err), asked_unix_s)
        return BlockResult(request, samples_ms, None, float(reply.fields["started_unix_s"]))

    def _profile_block(self, request: BlockRequest) -> BlockResult:
        """Time each operator, in a worker of its own that ends afterwards."""
        problem = self._runtime.profiler_problem(self.version)
        if problem:
            raise RuntimeNotSupportedError(self._device.name, self._runtime.name, problem)
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
            return BlockResult(request, (), Failure.of(err), started_unix_s)
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
        self._ensure_held()
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
            device=self._device.name,
            python=self._device.python or sys.executable,
            service=service,
            runtime=self._runtime.name,
            threads=self._device.threads,
            accelerator=self._device.accelerator,
            cpus=self._cpus,
            cache_bytes=_WORKER_CACHE_BYTES,
        )


def _samples_ms(samples: bytes, runs: int) -> tuple[float, ...]:
    """Return the latencies that a worker sent (int64, in ns), in ms."""
    samples_ns = np.frombuffer(samples, dtype=np.int64)
    if len(samples_ns) != runs or not ((samples_ns > 0) & (samples_ns < _LONGEST_SAMPLE_NS)).all():
        raise WorkloadFailedError("INVALID_OUTPUT", f"the worker sent {samples_ns[:5].tolist()} … ns for {runs} runs")
    return tuple((samples_ns / 1e6).tolist())
