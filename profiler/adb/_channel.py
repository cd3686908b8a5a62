"""A stream of bytes to a service on a device; what carries it is the transport's part."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

from profiler.adb._deadline import Deadline

ENDED_EARLY = "the device ended in the middle of an answer"
_LARGE_BYTES = 32 * 1024


class ServiceRefusedError(Exception):
    """The device, or the server before it, does not offer a service; carries its reason, perhaps empty."""


class DeviceAwayError(ServiceRefusedError, ConnectionError):
    """The server has no connection to the device just now: so it is for a second after it was started anew."""


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
        self._buffer = bytearray()

    @abstractmethod
    def _receive(self) -> bytes:
        """Take the next bytes in; b"" when the other side has ended."""

    @abstractmethod
    def write(self, data: bytes) -> None:
        """Send bytes."""

    @abstractmethod
    def has_input(self) -> bool:
        """Say whether the other side has sent something already."""

    @abstractmethod
    def close(self) -> None:
        """Close it; may be called again."""

    def read(self) -> bytes:
        """Return the next bytes; b"" when the other side has ended."""
        if not self._buffer:
            return self._receive()
        data = bytes(self._buffer)
        self._buffer.clear()
        return data

    def read_exactly(self, count: int) -> bytes | bytearray:
        """Return the next `count` bytes.

        Raises:
            ConnectionError: The other side ended before.
        """
        while len(self._buffer) < count:
            if count >= _LARGE_BYTES:
                return self._read_large(count)
            self._buffer += self._receive_some()
        taken = bytes(memoryview(self._buffer)[:count])
        del self._buffer[:count]
        return taken

    def _read_large(self, count: int) -> bytearray:
        """Return the next bytes without sending them through the buffer."""
        taken = bytearray(count)
        have = len(self._buffer)
        taken[:have] = self._buffer
        self._buffer.clear()
        with memoryview(taken) as view:
            while have < count:
                have += self._receive_into(view[have:])
        return taken

    def _receive_into(self, view: memoryview) -> int:
        """Take bytes in to where they belong, and return how many."""
        data = self._receive_some()
        fits = min(len(data), len(view))
        view[:fits] = data[:fits]
        self._buffer += data[fits:]
        return fits

    def _receive_some(self) -> bytes:
        data = self._receive()
        if not data:
            raise ConnectionAbortedError(ENDED_EARLY)
        return data

    def at_end(self) -> bool:
        """Wait for the next bytes; True when there are none any more."""
        if not self._buffer:
            self._buffer += self._receive()
        return not self._buffer

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
