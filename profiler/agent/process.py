"""Where an agent runs, as its jobs see it: this computer or a phone, each with a process that tells its records."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from profiler.errors import DeviceError


@dataclass(frozen=True)
class ProcessEnd:
    """How a process of an agent ended.

    Attributes:
        exit_code: Its exit code; None where a signal ended it, or where the device lost it.
        signal: Number of the signal that ended it.
        said: What it said for people, short.
    """

    exit_code: int | None
    signal: int | None = None
    said: str = ""

    def __str__(self) -> str:
        """How it ended, in words."""
        how = f"signal {self.signal}" if self.signal else f"exit code {self.exit_code}"
        return how + (f", saying {self.said!r}" if self.said else "")


class AgentProcess(ABC):
    """A process of an agent.  Leaving its `with` block ends it, if it still runs."""

    @abstractmethod
    def read(self, timeout_s: float) -> bytes:
        """Return the next bytes of what it tells; b"" when it has ended.

        Raises:
            TimeoutError: There were none in time.
            DeviceError: The device went away, or does not run our program.
        """

    @abstractmethod
    def end(self) -> ProcessEnd:
        """Return how it ended, after `read` gave b""."""

    @abstractmethod
    def close(self) -> None:
        """End it, unless it has ended.

        Raises:
            DeviceError: It cannot be ended.
        """

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AgentSite(ABC):
    """Where one job runs.

    Attributes:
        serial: The device, as errors name it.
    """

    serial: str

    @abstractmethod
    def put(self, job: bytes) -> None:
        """Have the job there.

        Raises:
            DeviceError: It cannot be had there.
        """

    @abstractmethod
    def start(self, *arguments: str) -> AgentProcess:
        """Start the agent on the job.

        Args:
            arguments: Further arguments of `pocketnas-agent run JOB OUT`.

        Raises:
            DeviceError: The device is away, or does not run our program.
        """

    @abstractmethod
    def stored(self) -> bytes:
        """Return the file of records that the agent has written; b"" when there is none.

        No process of the agent may run.
        """

    def come_back(self, error: DeviceError) -> bool:
        """Come back to a device that went away, with nothing of ours running on it.

        Returns:
            Whether it has booted anew.

        Raises:
            DeviceError: It does not come back.
        """
        raise error
