"""What a backend knows of a program that runs models on a phone."""

from __future__ import annotations

import re
import signal
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from profiler.errors import RuntimeNotSupportedError, WorkloadFailedError
from profiler.runtimes.operator_profile import OperatorTime
from profiler.runtimes.runtime import Runtime

_SIGNALLED = 128
"""What a shell adds to the number of the signal that ended a program."""
_OUT_OF_MEMORY = _SIGNALLED + signal.SIGKILL
"""Android's low memory killer sends SIGKILL; ours is sent only after the exit code is of no account."""
_VERSION_CHARS = 12


@dataclass(frozen=True)
class ToolRun:
    """One run of a program: a model, so many times.

    Attributes:
        serial: The phone, as errors name it.
        program: Path of the program there.
        model: Path of the model there.
        results: Where result files go there: a path that no other run has, to which the tool adds endings.
        threads: Threads that the runtime uses.
        accelerator: What computes: one of the tool's accelerators.
        nnapi_accelerator: NNAPI's name of the chip, for the accelerator "nnapi"; None for its own choice.
        warmup_runs: Least runs before the timed ones.
        warmup_s: Least seconds before the timed ones.
        runs: Timed runs.
        timeout_s: When the tool itself is to stop.
        profiled: Whether each operator is timed.
        operators: Operators of the model.
    """

    serial: str
    program: str
    model: str
    results: str
    threads: int
    accelerator: str
    nnapi_accelerator: str | None
    warmup_runs: int
    warmup_s: float
    runs: int
    timeout_s: float
    profiled: bool
    operators: int


@dataclass(frozen=True)
class ToolEnd:
    """How a run ended.

    Attributes:
        exit_code: As the phone's shell gives it: 128 + the signal that ended it.
        log: What it printed.
        files: Content of the result files that were there, by path.
    """

    exit_code: int
    log: str
    files: Mapping[str, bytes]


@dataclass(frozen=True)
class ToolReading:
    """What a run tells.

    Attributes:
        latency_ms: Latency of an inference: the median where the tool gives one, else the mean; of a profiled run
            the mean, which is what operators' means add up to.
        operators: Latency of each executed operator in order; empty unless profiled.
    """

    latency_ms: float
    operators: tuple[OperatorTime, ...] = ()


class PhoneTool(ABC):
    """A program.  It runs one model a process and tells no single runs.

    Attributes:
        name: Its name in devices.yaml and in rows.
        model_runtime: The host's runtime that takes the same model files.
        accelerator_option: The key of devices.yaml that chooses what computes.
        default_accelerator: What computes when nothing is chosen.
        accelerators: What may be chosen.
        version_pattern: Finds the version in the program, in one of its groups.
        flags: Flags that we give and old versions do not know; each stands in the program as it is written.
    """

    name: ClassVar[str]
    model_runtime: ClassVar[Runtime]
    accelerator_option: ClassVar[str]
    default_accelerator: ClassVar[str]
    accelerators: ClassVar[tuple[str, ...]]
    version_pattern: ClassVar[re.Pattern[bytes]]
    flags: ClassVar[tuple[bytes, ...]] = ()

    @abstractmethod
    def kernels_per_process(self, accelerator: str) -> int:
        """Return how many kernels had best share a process."""

    @abstractmethod
    def words(self, run: ToolRun) -> tuple[str, ...]:
        """Return program and arguments."""

    @abstractmethod
    def result_files(self, run: ToolRun) -> tuple[str, ...]:
        """Return paths of the files that the run writes."""

    def after(self, run: ToolRun) -> str:
        """Return what the phone's shell does after the run, so that result files have the names promised."""
        return ""

    @abstractmethod
    def read(self, run: ToolRun, end: ToolEnd) -> ToolReading:
        """Return what a run tells that no signal ended.

        Raises:
            WorkloadFailedError: The model was refused, or what came out cannot be relied on.
            RuntimeNotSupportedError: The tool does not know a flag, or the phone has no such accelerator.
        """

    def version(self, program: bytes, digest: str) -> str:
        """Return the version that a program carries, else one made of its hash.

        Args:
            program: The program.
            digest: Its SHA-256, in hexadecimal.
        """
        found = self.version_pattern.search(program)
        version = found[found.lastindex or 0].decode("ascii", "replace") if found else ""
        return version or f"sha256:{digest[:_VERSION_CHARS]}"

    def require_flags(self, serial: str, program: bytes) -> None:
        """Refuse a program that is not the tool, or one too old for the flags that we give.

        Raises:
            RuntimeNotSupportedError: A flag is missing.
        """
        missing = [flag.decode() for flag in self.flags if flag not in program]
        if missing:
            problem = f"the program does not know --{missing[0]}; give the path of a newer {self.name}"
            raise RuntimeNotSupportedError(serial, self.name, problem)

    def reading(self, run: ToolRun, end: ToolEnd) -> ToolReading:
        """Return what a run tells, however it ended.

        Raises:
            WorkloadFailedError: It was ended by a signal, or as for `read`.
            RuntimeNotSupportedError: As for `read`.
        """
        if end.exit_code == _OUT_OF_MEMORY:
            raise WorkloadFailedError("OUT_OF_MEMORY", "killed by the phone (SIGKILL), most likely for lack of memory")
        number = end.exit_code - _SIGNALLED
        # 255 is what a program says that returns -1.
        if number in {one.value for one in signal.Signals}:
            name = signal.Signals(number).name
            raise WorkloadFailedError("CRASHED", f"the runtime was ended by {name}", signal=number)
        return self.read(run, end)


def line_of(pattern: re.Pattern[str], log: str) -> str:
    """Return the first line of a log that a pattern is in, short; empty when there is none."""
    found = next((line for line in log.splitlines() if pattern.search(line)), "")
    return " ".join(found.split())[:200]
