"""A stream of bytes to a service on a device; what carries it is the transport's part."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

from profiler.adb._deadline import Deadline

ENDED_EARLY = "the device ended in the middle of an answer"
_READ_BYTES = 1 << 20


class ServiceRefusedError(Exception):
    """The device, or the server before it, does not offer a service; carries its reason, perhaps empty."""


class DeviceAwayError(ServiceRefusedError, ConnectionError):
    """The server does not have the device just now: so it is for a second or two after it was started anew."""


def says_unauthorized(reason: str) -> bool:
    """Say whether a server refused because the device does not trust it, or does not yet."""
    return "unauthorized" in reason or "authorizing" in reason


def says_away(reason: str) -> bool:
    """Say whether a server refused because it cannot reach the device."""
    return "offline" in reason or "not found" in reason or reason.startswith("no devices")


class Channel(ABC):
    """An open service.  Leaving its `with` block closes it.

    Each method may raise TimeoutError (the deadline) and ConnectionError (it broke).

    Args:
        deadline: By when everything on it must have ended.
    """

    def __init__(self, deadline: Deadline) -> None:
        self.deadline = deadline
        self._arrived = memoryview(b"")

    @abstractmethod
    def _receive(self) -> bytes:
        """Take the next bytes in; b"" when the other side has ended."""

    @abstractmethod
    def write(self, data: bytes) -> None:
        """Send bytes."""

    @abstractmethod
    def has_input(self) -> bool:
        """Say whether the other side has sent something already."""

    def extend(self, deadline: Deadline) -> None:
        """Set another moment by which everything on it must have ended."""
        self.deadline = deadline

    @abstractmethod
    def close(self) -> None:
        """Close it; may be called again."""

    def read_some(self, most: int) -> memoryview:
        """Return the next bytes, up to `most` > 0; none when the other side has ended."""
        if not self._arrived:
            self._arrived = memoryview(self._receive())
        taken, self._arrived = self._arrived[:most], self._arrived[most:]
        return taken

    def read(self) -> bytes:
        """Return the next bytes; b"" when the other side has ended."""
        return bytes(self.read_some(_READ_BYTES))

    def read_exactly(self, count: int) -> bytes:
        """Return the next `count` bytes.

        Raises:
            ConnectionError: The other side ended before.
        """
        taken = bytearray()
        while len(taken) < count:
            part = self.read_some(count - len(taken))
            if not part:
                raise ConnectionAbortedError(ENDED_EARLY)
            taken += part
        return bytes(taken)

    def at_end(self) -> bool:
        """Wait for the next bytes; True when there are none any more."""
        if not self._arrived:
            self._arrived = memoryview(self._receive())
        return not self._arrived

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
