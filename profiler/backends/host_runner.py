"""What runs models on this computer for the host backend: the seam between worker processes and our agent."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Mapping, Sequence
from types import TracebackType
from typing import Any, ClassVar, Self

import numpy.typing as npt

from profiler.backends.base import BlockRequest, BlockResult
from profiler.devices import HostDevice
from profiler.errors import RuntimeNotSupportedError
from profiler.workload import Workload

Array = npt.NDArray[Any]


class HostRunner(ABC):
    """Runs models on this computer, inside a `with` block.

    Args:
        device: Which runtime, and how.
        cpus: Processors to be bound to; None for no binding.
        ensure_held: Raises DeviceError when the machine is not ours, or not any more.

    Attributes:
        blocks_at_once: As for profiler.backends.Backend.
    """

    blocks_at_once: ClassVar[int] = 8

    def __init__(self, device: HostDevice, cpus: tuple[int, ...] | None, ensure_held: Callable[[], None]) -> None:
        self._device, self._cpus, self._ensure_held = device, cpus, ensure_held

    @abstractmethod
    def __enter__(self) -> Self: ...

    @abstractmethod
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    @property
    @abstractmethod
    def version(self) -> str:
        """The runtime's version."""

    @property
    @abstractmethod
    def pid(self) -> int | None:
        """Number of the process that runs models now, or ran the last one; None before the first."""

    @property
    @abstractmethod
    def bound_cpus(self) -> Sequence[int] | None:
        """Processors that models are bound to; None when they are not."""

    @abstractmethod
    def run_blocks(self, requests: Sequence[BlockRequest]) -> Generator[BlockResult]:
        """Run blocks, as profiler.backends.Backend says it."""

    def model(self, workload: Workload) -> bytes:
        """Return a workload's model file, for `compute`."""
        raise self._no_outputs()

    def compute(self, model: bytes, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Return a model's outputs; a runner that only tells latencies refuses it."""
        raise self._no_outputs()

    def _no_outputs(self) -> RuntimeNotSupportedError:
        problem = "it tells latencies and no outputs; take the runtime litert, onnxruntime or ncnn for them"
        return RuntimeNotSupportedError(self._device.name, self._device.runtime, problem)
