"""One stream of an ADB connection, seen from the device: bytes both ways under the protocol's flow control."""

from __future__ import annotations

import asyncio
import struct
from collections import deque
from collections.abc import Awaitable, Callable

from profiler.phone._packets import CLSE, OKAY, WRTE, Packet

RECEIVE_WINDOW_BYTES = 32 << 20
"""What a client may send ahead when both sides know delayed_ack; Google's adbd has the same figure."""
_WINDOW = struct.Struct("<i")


class Stream:
    """A service's end of a stream.

    Args:
        send: Sends a packet over the connection.
        local_id: Our number for the stream.
        remote_id: The client's.
        max_payload: Most bytes of one packet.
        window: Bytes that the client takes unacknowledged; None without delayed_ack, where each packet is
            acknowledged before the next.
    """

    def __init__(
        self,
        send: Callable[[Packet], Awaitable[None]],
        local_id: int,
        remote_id: int,
        *,
        max_payload: int,
        window: int | None,
    ) -> None:
        self._send, self._ids, self._max_payload = send, (local_id, remote_id), max_payload
        self._window, self._unacknowledged = window, False
        self._arrived: deque[bytes] = deque()
        self._begun = memoryview(b"")
        self._changed = asyncio.Event()
        self._write_lock = asyncio.Lock()
        self.closed = False

    # What the connection tells the stream.

    def on_data(self, data: bytes) -> None:
        self._arrived.append(data)
        self._changed.set()

    def on_okay(self, payload: bytes) -> None:
        if self._window is not None and len(payload) == _WINDOW.size:
            self._window += _WINDOW.unpack(payload)[0]
        self._unacknowledged = False
        self._changed.set()

    def on_close(self) -> None:
        self.closed = True
        self._changed.set()

    # What a service does with it.

    async def accept(self) -> None:
        """Tell the client that its stream is open."""
        payload = b"" if self._window is None else _WINDOW.pack(RECEIVE_WINDOW_BYTES)
        await self._send(Packet(OKAY, *self._ids, payload))

    async def read(self) -> bytes:
        """Return the next bytes that arrived; b"" when the client has closed."""
        return bytes(await self._some(self._max_payload))

    async def read_exactly(self, count: int) -> bytes:
        """Return the next `count` bytes.

        Raises:
            EOFError: The client closed before.
        """
        taken = bytearray()
        while len(taken) < count:
            part = await self._some(count - len(taken))
            if not part:
                raise EOFError
            taken += part
        return bytes(taken)

    async def _some(self, most: int) -> memoryview:
        if not self._begun:
            self._begun = memoryview(await self._next())
        taken, self._begun = self._begun[:most], self._begun[most:]
        return taken

    async def _next(self) -> bytes:
        """Take in what a packet brought, and let the client send the next."""
        while not self._arrived:
            if self.closed:
                return b""
            await self._change()
        data = self._arrived.popleft()
        if not self.closed:
            payload = b"" if self._window is None else _WINDOW.pack(len(data))
            await self._send(Packet(OKAY, *self._ids, payload))
        return data

    async def write(self, data: bytes) -> None:
        """Send bytes, waiting where the client is slow.

        Raises:
            BrokenPipeError: The client has closed.
        """
        view = memoryview(data)
        async with self._write_lock:
            for start in range(0, len(view), self._max_payload):
                await self._write_packet(view[start : start + self._max_payload])

    async def close(self) -> None:
        """Close from our side, after the client has taken what was written."""
        while self._unacknowledged and not self.closed:
            await self._change()
        if not self.closed:
            self.closed = True
            await self._send(Packet(CLSE, *self._ids))

    async def answer_close(self) -> None:
        """Confirm the client's close: some clients wait for it."""
        if not self.closed:
            await self._send(Packet(CLSE, *self._ids))
        self.on_close()

    async def _write_packet(self, payload: memoryview) -> None:
        while not self.closed and (self._unacknowledged if self._window is None else self._window <= 0):
            await self._change()
        if self.closed:
            raise BrokenPipeError
        if self._window is None:
            self._unacknowledged = True
        else:
            self._window -= len(payload)
        await self._send(Packet(WRTE, *self._ids, payload))

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()
