"""Model files of workloads, written once and kept while they are in use."""

from __future__ import annotations

from collections import OrderedDict

from profiler.errors import NetworkError, WorkloadFailedError
from profiler.runtimes._worker_process import ModelFile
from profiler.runtimes.runtime import Runtime
from profiler.workload import Workload


class ModelFiles:
    """Model files of recent workloads, so that a round does not write again what the last one wrote.

    Args:
        runtime: Whose file format it is.
        limit_bytes: Most memory the files may take together; the latest is always kept.
    """

    def __init__(self, runtime: Runtime, limit_bytes: int) -> None:
        self._runtime, self._limit_bytes = runtime, limit_bytes
        self._files: OrderedDict[tuple[str, bool], ModelFile] = OrderedDict()
        self._used_bytes = 0

    def file(self, workload: Workload) -> ModelFile:
        """Return the workload's model file; of networks that differ in weights alone, the first one's.

        Raises:
            WorkloadFailedError: The file format cannot hold the workload.
        """
        key = workload.key, workload.is_kernel
        if key in self._files:
            self._files.move_to_end(key)
            return self._files[key]
        file = write_model_file(self._runtime, workload)
        self._files[key] = file
        self._used_bytes += len(file.content)
        while self._used_bytes > self._limit_bytes and len(self._files) > 1:
            _, dropped = self._files.popitem(last=False)
            self._used_bytes -= len(dropped.content)
        return file


def write_model_file(runtime: Runtime, workload: Workload) -> ModelFile:
    """Return the workload as the runtime's model file, with the weights it has.

    Raises:
        WorkloadFailedError: The file format cannot hold the workload.
    """
    try:
        return ModelFile(runtime.write_model(workload))
    except NetworkError as err:
        raise WorkloadFailedError("UNSUPPORTED", str(err)) from err
