"""Model files of workloads, written once and kept while they are in use."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Generic, TypeVar

from profiler.errors import NetworkError, WorkloadFailedError
from profiler.runtimes._worker_process import ModelFile
from profiler.runtimes.runtime import Runtime
from profiler.workload import Workload

Written = TypeVar("Written")


class WrittenModels(Generic[Written]):
    """Models of recent workloads, so that a round does not write again what the last one wrote.

    Args:
        write: Writes a workload as a model.
        size_bytes: Says how much memory that takes.
        limit_bytes: Most memory that all may take together; the latest is always kept.
    """

    def __init__(
        self, write: Callable[[Workload], Written], size_bytes: Callable[[Written], int], limit_bytes: int
    ) -> None:
        self._write, self._size_bytes, self._limit_bytes = write, size_bytes, limit_bytes
        self._models: OrderedDict[tuple[str, bool], Written] = OrderedDict()
        self._used_bytes = 0

    def model(self, workload: Workload) -> Written:
        """Return the workload's model; of networks that differ in weights alone, the first one's.

        Raises:
            WorkloadFailedError: No model can be written of it.
        """
        key = workload.key, workload.is_kernel
        if key in self._models:
            self._models.move_to_end(key)
            return self._models[key]
        model = self._write(workload)
        self._models[key] = model
        self._used_bytes += self._size_bytes(model)
        while self._used_bytes > self._limit_bytes and len(self._models) > 1:
            _, dropped = self._models.popitem(last=False)
            self._used_bytes -= self._size_bytes(dropped)
        return model


class ModelFiles(WrittenModels[ModelFile]):
    """Model files of recent workloads.

    Args:
        runtime: Whose file format it is.
        limit_bytes: Most memory the files may take together; the latest is always kept.
    """

    def __init__(self, runtime: Runtime, limit_bytes: int) -> None:
        super().__init__(partial(write_model_file, runtime), lambda file: len(file.content), limit_bytes)

    def file(self, workload: Workload) -> ModelFile:
        """Return the workload's model file; of networks that differ in weights alone, the first one's.

        Raises:
            WorkloadFailedError: The file format cannot hold the workload.
        """
        return self.model(workload)


def write_model_file(runtime: Runtime, workload: Workload) -> ModelFile:
    """Return the workload as the runtime's model file, with the weights it has.

    Raises:
        WorkloadFailedError: The file format cannot hold the workload.
    """
    try:
        return ModelFile(runtime.write_model(workload))
    except NetworkError as err:
        raise WorkloadFailedError("UNSUPPORTED", str(err)) from err
