"""Where a command on the phone reads from and writes to."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

Sink = Callable[[bytes], Awaitable[None]]
"""Takes a command's output, waiting where the reader is slow."""


class ClientSink:
    """Sends output to the client that started a command.

    Args:
        write: Sends bytes.
        gone: Set once the client has gone.
    """

    def __init__(self, write: Sink, gone: asyncio.Event) -> None:
        self._write, self.gone = write, gone

    async def __call__(self, data: bytes) -> None:
        """Send bytes, waiting where the client is slow."""
        await self._write(data)


class ByteInput:
    """Standard input: bytes as they arrive, until an end.

    Args:
        data: What is there already; given, it is all there is.
    """

    def __init__(self, data: bytes | None = None) -> None:
        self._data, self._ended = bytearray(data or b""), data is not None
        self._changed = asyncio.Event()

    def feed(self, data: bytes) -> None:
        """Let more bytes arrive."""
        self._data += data
        self._changed.set()

    def end(self) -> None:
        """Say that nothing more will come."""
        self._ended = True
        self._changed.set()

    async def read_all(self) -> bytes:
        """Return everything up to the end."""
        while not self._ended:
            await self._change()
        data = bytes(self._data)
        self._data.clear()
        return data

    async def read_line(self) -> bytes:
        """Return the next line with its newline; b"" at the end."""
        while b"\n" not in self._data and not self._ended:
            await self._change()
        end = self._data.find(b"\n")
        line = bytes(self._data if end < 0 else self._data[: end + 1])
        del self._data[: len(line)]
        return line

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()


@dataclass(frozen=True)
class Pipes:
    """A command's three standard streams."""

    stdin: ByteInput
    stdout: Sink
    stderr: Sink
