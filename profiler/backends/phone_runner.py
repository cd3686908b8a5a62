"""What runs models on a phone for the adb backend: the seam between programs that the user brings and our agent."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Sequence
from typing import ClassVar

from profiler.backends.android import Payload, PhoneSession
from profiler.backends.base import BlockRequest, BlockResult
from profiler.devices import PhoneDevice
from profiler.workload import Source


class PhoneRunner(ABC):
    """Runs models on a phone that is ready.

    Args:
        device: Which runtime, and how.

    Attributes:
        emulated_source: What latencies on a phone are that does not exist.
        kernels_per_process: As for profiler.backends.Backend.
        blocks_at_once: As for profiler.backends.Backend.
    """

    emulated_source: ClassVar[Source]
    kernels_per_process: int = 1
    blocks_at_once: int = 8

    def __init__(self, device: PhoneDevice) -> None:
        self._device = device

    @abstractmethod
    def payload(self) -> Payload:
        """Return what has to be on the phone.

        Raises:
            ConfigError: It cannot be had.
        """

    @property
    @abstractmethod
    def version(self) -> str:
        """The runtime's version; known once there is a payload."""

    @abstractmethod
    def run_blocks(self, session: PhoneSession, requests: Sequence[BlockRequest]) -> Generator[BlockResult]:
        """Run blocks, as profiler.backends.Backend says it."""
