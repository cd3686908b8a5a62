"""The shell services: a command's output raw (shell, exec), or in packets with its exit code (shell v2)."""

from __future__ import annotations

import asyncio
import struct

from profiler.phone._io import ByteInput, ClientSink, Pipes
from profiler.phone._stream import Stream
from profiler.phone.phone import Phone
from profiler.phone.shell import run_script

_PACKET = struct.Struct("<BI")
_STDIN, _STDOUT, _STDERR, _EXIT, _CLOSE_STDIN = range(5)
_MAX_PACKET_BYTES = 1 << 20
_OUTPUT_BYTES = 64 * 1024
"""What adbd reads from a command at a time."""


async def serve_shell(phone: Phone, stream: Stream, command: str, *, name: str, v2: bool) -> None:
    """Run a command, or without one the lines of standard input, and send what it prints.

    Args:
        phone: Where it runs.
        stream: The client's.
        command: Text for the phone's shell.
        name: The service's whole name, by which faults choose.
        v2: Whether output goes in packets that end with the exit code.

    Raises:
        ConnectionAbortedError: A fault cuts the connection here.
    """
    output = _Output(phone, stream, name, v2=v2)
    stdin = ByteInput()
    feeding = asyncio.ensure_future(_feed(stream, stdin, output.gone, v2=v2))
    pipes = Pipes(stdin, output.sink(_STDOUT), output.sink(_STDERR))
    hang = phone.faults.take("hang", name) is not None
    running = asyncio.ensure_future(run_script(phone, command, pipes, hang=hang))
    cutting = asyncio.ensure_future(output.cut.wait())
    try:
        await asyncio.wait({running, cutting}, return_when=asyncio.FIRST_COMPLETED)
        if output.cut.is_set():
            # What really runs goes on without its client; how it ends is nobody's business then.
            running.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
            raise ConnectionAbortedError
        await output.end(running.result())
    finally:
        feeding.cancel()
        cutting.cancel()


async def _feed(stream: Stream, stdin: ByteInput, gone: asyncio.Event, *, v2: bool) -> None:
    """Hand the client's input on, until the client closes it or goes."""
    try:
        while True:
            if not v2:
                data = await stream.read()
                if not data:
                    gone.set()
                    return
                stdin.feed(data)
                continue
            kind, length = _PACKET.unpack(await stream.read_exactly(_PACKET.size))
            if length > _MAX_PACKET_BYTES:
                return
            data = await stream.read_exactly(length)
            if kind == _CLOSE_STDIN:
                stdin.end()
            elif kind == _STDIN:
                stdin.feed(data)
    except (EOFError, BrokenPipeError):
        gone.set()
    finally:
        stdin.end()


class _Output:
    """A command's way to its client, where faults lie in wait."""

    def __init__(self, phone: Phone, stream: Stream, name: str, *, v2: bool) -> None:
        faults = phone.faults
        self._stream, self._v2, self._sent = stream, v2, 0
        self._cut = faults.take("cut_output", name)
        self._truncated = faults.take("truncate_output", name)
        self._damaged = faults.take("damage_output", name)
        self._slow = faults.take("slow_output", name)
        self._lost = faults.take("lose_exit_status", name)
        self.cut, self.gone = asyncio.Event(), asyncio.Event()

    def sink(self, kind: int) -> ClientSink:
        async def write(data: bytes) -> None:
            await self._write(kind, data)

        return ClientSink(write, self.gone)

    async def end(self, code: int) -> None:
        if self._v2 and not self._lost:
            await self._stream.write(_PACKET.pack(_EXIT, 1) + bytes([code & 0xFF]))

    async def _write(self, kind: int, data: bytes) -> None:
        limit = self._cut or self._truncated
        if limit:
            data = data[: max(0, limit.at_bytes - self._sent)]
        if self._damaged:
            data = _damaged(data, self._damaged.at_bytes - self._sent)
        self._sent += len(data)
        if self._slow:
            for byte in data:
                await self._write_plain(kind, bytes([byte]))
                await asyncio.sleep(1.0 if self._slow.seconds is None else self._slow.seconds)
        elif data:
            await self._write_plain(kind, data)
        if self._cut and self._sent >= self._cut.at_bytes:
            self.cut.set()
            raise ConnectionAbortedError

    async def _write_plain(self, kind: int, data: bytes) -> None:
        for start in range(0, len(data), _OUTPUT_BYTES):
            part = data[start : start + _OUTPUT_BYTES]
            await self._stream.write(_PACKET.pack(kind, len(part)) + part if self._v2 else part)


def _damaged(data: bytes, place: int) -> bytes:
    """Return bytes with the lowest bit at a place turned over, if the place is in them."""
    inside = 0 <= place < len(data)
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :] if inside else data
