"""The seam between what measures and what is measured on: the abstract backend and its nouns.

A backend runs workloads on one device and gives back raw latencies.  It knows nothing of rounds,
statistics or tables (profiler.measure), and nothing above it knows how a device is reached.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self

from profiler.errors import ConfigError
from profiler.runtimes.operator_profile import OperatorProfile
from profiler.workload import Source, Workload

FailureReason = Literal["CRASHED", "TIMEOUT", "OUT_OF_MEMORY", "INVALID_MODEL", "UNSUPPORTED", "INVALID_OUTPUT"]


@dataclass(frozen=True)
class Failure:
    """Why a block of runs gave no latencies.  It is a result about the workload, not an exception.

    Attributes:
        reason: What kind of failure it was.
        detail: One line from the runtime or the system, for a person.
        signal: Number of the signal that ended the process, for CRASHED.
    """

    reason: FailureReason
    detail: str
    signal: int | None = None


@dataclass(frozen=True)
class BlockRequest:
    """A block: consecutive runs of one workload, after its own warm-up.

    Attributes:
        workload: What to run.
        warmup_runs: Runs before the timed ones; not reported.
        runs: Timed runs, >= 1.

    Raises:
        ConfigError: A number of runs is too small.
    """

    workload: Workload
    warmup_runs: int
    runs: int

    def __post_init__(self) -> None:
        if self.warmup_runs < 0 or self.runs < 1:
            raise ConfigError(f"a block has runs >= 1 and warmup_runs >= 0, not {self.runs} and {self.warmup_runs}")


@dataclass(frozen=True)
class BlockResult:
    """What a block gave: raw latencies, or a failure.

    Attributes:
        request: The block that was asked for.
        samples_ms: Latency of each timed run in order; empty exactly when failure is set.
        failure: Why there are no samples.
        started_unix_s: When the block's timed runs began.
    """

    request: BlockRequest
    samples_ms: tuple[float, ...]
    failure: Failure | None
    started_unix_s: float


@dataclass(frozen=True)
class DeviceFacts:
    """What a device is, as found by asking it.

    Attributes:
        processor: Name of the processor or SoC.
        cores: Number of cores that may be used.
        memory_bytes: Physical memory.
        system: Operating system and version.
        runtime: Runtime that runs the models.
        runtime_version: Its version.
        threads: Threads the runtime uses.
        accelerator: Delegate or execution provider.
    """

    processor: str
    cores: int
    memory_bytes: int
    system: str
    runtime: str
    runtime_version: str
    threads: int
    accelerator: str


@dataclass(frozen=True)
class Check:
    """A condition that makes measurements doubtful.

    Attributes:
        id: All-caps name, such as "NOT-PINNED"; the user may suppress it by this name.
        detail: What was found and how to mend it.
        suppressible: False for conditions that always travel with the rows, such as "EMULATED".
    """

    id: str
    detail: str
    suppressible: bool = True


class Backend(ABC):
    """One opened device.  Use it as a context manager; it is open inside the `with` block only.

    Attributes:
        name: Name of the device, as devices.yaml gives it; goes into every row.
        source: Whether its latencies are "measured" or "emulated".
    """

    name: str
    source: Source

    @abstractmethod
    def __enter__(self) -> Self: ...

    @abstractmethod
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    @abstractmethod
    def facts(self) -> DeviceFacts:
        """Ask the device what it is.

        Raises:
            DeviceError: The device cannot be reached.
        """

    @abstractmethod
    def checks(self) -> tuple[Check, ...]:
        """Return the conditions, at this moment, that make measurements doubtful; empty when all is well."""

    @abstractmethod
    def run_blocks(self, requests: Sequence[BlockRequest]) -> Iterator[BlockResult]:
        """Run blocks in the order given and yield each result as soon as it is there.

        A workload that crashes, hangs or is refused yields a result with a failure, and the blocks after
        it still run.

        Args:
            requests: Blocks to run; a backend may send several to the device at once.

        Yields:
            One result a request, in the same order.

        Raises:
            DeviceError: The device itself is gone; blocks not yielded were not measured.
        """

    @abstractmethod
    def profile_operators(self, workload: Workload, *, warmup_runs: int, runs: int) -> OperatorProfile:
        """Return the latency of each operator inside the network.

        Raises:
            RuntimeNotSupportedError: The device's runtime has no operator profiler that we can read.
            MeasurementError: The workload failed, or the profile could not be understood.
        """
