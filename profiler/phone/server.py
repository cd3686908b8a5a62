"""Serves an emulated phone on this computer's loopback address, from a thread of its own."""

from __future__ import annotations

import asyncio
import socket
import threading
from concurrent.futures import Future
from types import TracebackType
from typing import Self

from profiler.errors import DeviceError
from profiler.phone._connection import Connection
from profiler.phone._peer import is_our_user
from profiler.phone.phone import Phone

LOOPBACK = "127.0.0.1"
_READ_AHEAD_BYTES = 4 << 20
_GOODBYE_TURNS, _GOODBYE_TURN_S = 50, 0.005


class PhoneServer:
    """A listening phone inside a `with` block; adb and every other client can connect to it.

    Args:
        phone: Which one.
        port: Where it listens; 0 for any free port.

    Attributes:
        host: Address it listens on: this computer's own, which no other can reach.
        port: Port it listens on.

    Raises:
        DeviceError: On entry: the port cannot be had.
    """

    host = LOOPBACK

    def __init__(self, phone: Phone, *, port: int = 0) -> None:
        self.phone, self.port = phone, port
        self._started: Future[int] = Future()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=f"phone {phone.description.serial}", daemon=True)
        self._connections: set[Connection] = set()

    @property
    def address(self) -> str:
        """Address and port, as `adb connect` takes them."""
        return f"{self.host}:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            # Without a deadline: the thread always says how it went, however busy the computer is.
            self.port = self._started.result()
        except OSError as err:
            self._thread.join()
            problem = f"cannot listen on {self.host}:{self.port}: {err.strerror}; choose another --port, or 0 for any"
            raise DeviceError(self.phone.description.serial, problem) from err
        self.phone.on_cut.append(self.drop_connections)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.phone.on_cut.remove(self.drop_connections)
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def wait(self) -> None:
        """Return when the server has ended; an interrupt is let through."""
        while self._thread.is_alive():
            self._thread.join(1.0)

    def drop_connections(self) -> None:
        """Cut every connection, as a pulled cable does; the phone goes on."""
        self._loop.call_soon_threadsafe(self._abort_all)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        except OSError as err:
            self._started.set_exception(err)
        finally:
            self._started.cancel()  # of no account once the server has started
            self._loop.close()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        server = await asyncio.start_server(self._connect, self.host, self.port, limit=_READ_AHEAD_BYTES)
        self._started.set_result(server.sockets[0].getsockname()[1])
        await self._stop.wait()
        server.close()
        self.phone.processes.end_all()
        self._abort_all()
        # Let them see their end first: cancelled, asyncio's streams complain of it on stderr.
        for _ in range(_GOODBYE_TURNS):
            if not self._connections:
                break
            await asyncio.sleep(_GOODBYE_TURN_S)
        # Everything that still runs belongs to this phone alone.
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    def _abort_all(self) -> None:
        for connection in list(self._connections):
            connection.abort()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # What is pushed may run as a program of the user's.
        if not self.phone.present or not is_our_user(writer.get_extra_info("socket")):
            writer.transport.abort()
            return
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = Connection(self.phone, reader, writer)
        self._connections.add(connection)
        try:
            await connection.run()
        finally:
            self._connections.discard(connection)
