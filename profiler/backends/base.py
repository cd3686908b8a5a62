"""The seam between what measures and what is measured on: the abstract backend and its nouns.

A backend runs workloads on one device and gives back raw latencies.  It knows nothing of rounds,
statistics or tables (profiler.measure), and nothing above it knows how a device is reached.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self, cast, get_args

from profiler.backends.lease import Fence
from profiler.errors import ConfigError, MeasurementError, WorkloadFailedError
from profiler.runtimes.operator_profile import OperatorProfile, OperatorTime
from profiler.workload import Source, Workload

FailureReason = Literal[
    "CRASHED",
    "TIMEOUT",
    "OUT_OF_MEMORY",
    "INVALID_MODEL",
    "UNSUPPORTED",
    "THROTTLED",
    "INVALID_OUTPUT",
    "INTERRUPTED",
    "UNEXPECTED_REBOOT",
]

PASSING_REASONS: frozenset[FailureReason] = frozenset({"INVALID_OUTPUT", "INTERRUPTED", "UNEXPECTED_REBOOT"})
"""Failures that may be the moment's and not the workload's: the block does not count, and others of it follow."""


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

    @classmethod
    def of(cls, error: WorkloadFailedError) -> Self:
        """Return what a workload's error says; reasons that nobody knows are of outputs that nobody understands."""
        known = error.reason in get_args(FailureReason)
        return cls(cast(FailureReason, error.reason) if known else "INVALID_OUTPUT", error.detail, error.signal)


@dataclass(frozen=True)
class Check:
    """A condition that makes measurements doubtful.

    Attributes:
        id: All-caps name, such as "NOT-PINNED"; the user may suppress it by this name.
        detail: What was found and how to mend it.
        suppressible: False for conditions that always travel with the rows, such as "EMULATED".
        stops: Whether a campaign is to end at the next block boundary, unless the user suppressed it.
    """

    id: str
    detail: str
    suppressible: bool = True
    stops: bool = False


@dataclass(frozen=True)
class BlockRequest:
    """A block: consecutive runs of one workload, after its own warm-up.

    Attributes:
        workload: What to run.
        warmup_runs: Least runs before the timed ones; not reported.
        runs: Timed runs, >= 1.
        profiled: Whether the runtime's own profiler is to time each operator in these runs.
        occasion: Names this block among all others of its campaign, the same when an interrupted campaign
            asks for it again.  An emulated device draws its noise by it; a real one has no use for it.

    Raises:
        ConfigError: A number of runs is too small.
    """

    workload: Workload
    warmup_runs: int
    runs: int
    profiled: bool = False
    occasion: str = ""

    def __post_init__(self) -> None:
        if self.warmup_runs < 0 or self.runs < 1:
            raise ConfigError(f"a block has runs >= 1 and warmup_runs >= 0, not {self.runs} and {self.warmup_runs}")


@dataclass(frozen=True)
class BlockResult:
    """What a block gave: raw latencies, or a failure.

    Attributes:
        request: The block that was asked for.
        samples_ms: Latency of each timed run in order; empty exactly when failure is set.  Where a tool tells
            no single runs, one latency stands for `runs_per_sample` of them.
        failure: Why there are no samples.
        started_unix_s: When the block's timed runs began.
        runs_per_sample: Timed runs that each sample stands for; 1 where samples are single runs.
        operators: Latency of each executed operator in order, of a profiled block.
        checks: Conditions seen beside this very block that make it doubtful.
    """

    request: BlockRequest
    samples_ms: tuple[float, ...]
    failure: Failure | None
    started_unix_s: float
    runs_per_sample: int = 1
    operators: tuple[OperatorTime, ...] = ()
    checks: tuple[Check, ...] = ()


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
        cpus: Cores that the runtime is bound to, such as "4,5", where cores differ; empty where they do not, or
            where it is not bound.
    """

    processor: str
    cores: int
    memory_bytes: int
    system: str
    runtime: str
    runtime_version: str
    threads: int
    accelerator: str
    cpus: str = ""


class Backend(ABC):
    """One opened device.  Use it as a context manager; it is open inside the `with` block only.

    Attributes:
        name: Name of the device, as devices.yaml gives it; goes into every row.
        source: Whether its latencies are "measured" or "emulated"; known once it is open.
        kernels_per_process: How many kernels had best share one process, as branches of one model, because
            starting a process costs far more than running a kernel; 1 where it does not, or where the
            runtime's profiler cannot tell the branches apart.
        blocks_at_once: How many blocks of a campaign `run_blocks` had best get at once: many where one process
            runs them all.
    """

    name: str
    source: Source
    kernels_per_process: int = 1
    blocks_at_once: int = 8

    @property
    def fence(self) -> Fence | None:
        """The proof, shown to the store with each row, that this job has the device; None where no other could."""
        return None

    @property
    def holder(self) -> str | None:
        """The other job that has the device, as it wrote itself down; None when it is free."""
        return None

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
            RuntimeNotSupportedError: A block is to be profiled, and there is no operator profiler to read.
            DeviceError: The device itself is gone; blocks not yielded were not measured.
        """

    def profile_operators(
        self, workload: Workload, *, warmup_runs: int, runs: int, resolved: bool = True
    ) -> OperatorProfile:
        """Return the latency of each operator inside the network.

        Args:
            workload: What to profile.
            warmup_runs: Runs before those that count.
            runs: Runs that count.
            resolved: Whether latencies matter; False where only the rows do, however short they are.

        Raises:
            RuntimeNotSupportedError: The device's runtime has no operator profiler that we can read.
            WorkloadFailedError: The workload failed, or the profile could not be understood.
            MeasurementError: Latencies matter, and most operators are shorter than the microseconds that the profiler
                counts in.
            DeviceError: The device is gone.
        """
        result = next(self.run_blocks([BlockRequest(workload, warmup_runs, runs, profiled=True)]), None)
        if result is None:
            raise MeasurementError("the backend gave no result for the block that it was asked for")
        if result.failure:
            raise WorkloadFailedError(result.failure.reason, result.failure.detail, signal=result.failure.signal)
        profile = OperatorProfile(result.operators, sum(result.samples_ms) / len(result.samples_ms))
        if resolved:
            profile.check_resolved()
        return profile
