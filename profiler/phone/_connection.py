"""One client's connection to an emulated phone: handshake, authentication, and streams to services."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable

from profiler.phone._keys import TOKEN_BYTES
from profiler.phone._packets import (
    AUTH,
    CLSE,
    CNXN,
    MAX_PAYLOAD_BYTES,
    OKAY,
    OPEN,
    VERSION,
    VERSION_WITH_CHECKSUMS,
    WRTE,
    Packet,
    PacketError,
    read_packet,
)
from profiler.phone._services import service_of
from profiler.phone._stream import Stream
from profiler.phone._strikes import strike
from profiler.phone.phone import Phone

_TOKEN, _SIGNATURE, _PUBLIC_KEY = 1, 2, 3


class Connection:
    """The phone's end of a connection; `run` serves it until the client leaves."""

    def __init__(self, phone: Phone, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._phone, self._reader, self._writer = phone, reader, writer
        self._version, self._max_payload = VERSION_WITH_CHECKSUMS, MAX_PAYLOAD_BYTES
        self._delayed_ack, self._online, self._silent = False, False, False
        self._token = b""
        self._streams: dict[int, Stream] = {}
        self._last_id = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Answer packets until the client goes or breaks the protocol."""
        try:
            while True:
                verify = self._version == VERSION_WITH_CHECKSUMS
                await self._handle(await read_packet(self._reader, verify=verify))
        except (asyncio.IncompleteReadError, ConnectionError, PacketError):
            pass
        finally:
            for stream in self._streams.values():
                stream.on_close()
            self._writer.close()

    def abort(self) -> None:
        """End the connection at once, as a pulled cable does."""
        self._writer.transport.abort()

    async def _send(self, packet: Packet) -> None:
        # Header and payload go out without an await between them, so packets of several streams never mix.
        self._writer.write(packet.header(with_checksum=self._version == VERSION_WITH_CHECKSUMS))
        if len(packet.payload):
            self._writer.write(packet.payload)
        try:
            await self._writer.drain()
        except ConnectionError as err:
            raise BrokenPipeError from err

    async def _handle(self, packet: Packet) -> None:
        if self._silent:
            return
        if packet.command == CNXN:
            await self._greet(packet)
        elif packet.command == AUTH:
            await self._authenticate(packet)
        elif not self._online:
            return
        elif packet.command == OPEN:
            await self._open(packet)
        elif stream := self._streams.get(packet.arg1):
            await self._hand_on(stream, packet)
        elif packet.command == OKAY and packet.arg0 and packet.arg1:
            # A stream that has ended here; what else comes for one is dropped.
            await self._send(Packet(CLSE, packet.arg1, packet.arg0))

    async def _greet(self, packet: Packet) -> None:
        if self._phone.faults.take("drop_connection"):
            self.abort()
            return
        if self._phone.faults.take("offline"):
            self._silent = True
            return
        self._version = min(packet.arg0, VERSION)
        self._max_payload = min(packet.arg1, MAX_PAYLOAD_BYTES)
        banner = bytes(packet.payload).rstrip(b"\0").decode(errors="replace")
        features = banner.partition("features=")[2].partition(";")[0].split(",")
        self._delayed_ack = "delayed_ack" in features and "delayed_ack" in self._phone.features
        await self._challenge()

    async def _challenge(self) -> None:
        if not self._phone.secure:
            await self._go_online()
            return
        self._token = secrets.token_bytes(TOKEN_BYTES)
        await self._send(Packet(AUTH, _TOKEN, 0, self._token))

    async def _authenticate(self, packet: Packet) -> None:
        payload = bytes(packet.payload)
        if packet.arg0 == _SIGNATURE:
            if self._token and self._phone.keyring.verifies(payload, self._token):
                await self._go_online()
            else:
                await self._challenge()
        elif packet.arg0 == _PUBLIC_KEY:
            self._run(self._ask_owner(payload))

    async def _ask_owner(self, key: bytes) -> None:
        """Do what the person holding the phone does when it asks whether to trust a computer."""
        refused = self._phone.faults.take("unauthorized")
        if refused and refused.seconds is None:
            return
        if refused and refused.seconds:
            await asyncio.sleep(refused.seconds)
        if self._phone.keyring.add(key):
            await self._go_online()

    async def _go_online(self) -> None:
        if not self._online:
            self._online = True
            await self._send(
                Packet(CNXN, VERSION, MAX_PAYLOAD_BYTES, self._phone.banner().encode(errors="surrogateescape"))
            )

    async def _open(self, packet: Packet) -> None:
        has_window = packet.arg1 != 0
        if packet.arg0 == 0 or (has_window and "delayed_ack" not in self._phone.features):
            return  # older daemons say nothing to what is no proper request
        name = bytes(packet.payload).rstrip(b"\0").decode("utf-8", "surrogateescape")
        if self._phone.faults.take("reset_on_open", name):
            self.abort()
            return
        if self._phone.faults.take("offline", name):
            self._silent = True
            return
        service = None if self._phone.faults.take("reject_service", name) else service_of(self._phone, name)
        if service is None or has_window != self._delayed_ack:
            await self._send(Packet(CLSE, 0, packet.arg0))
            return
        if strike(self._phone, name):
            return
        self._last_id += 1
        window = packet.arg1 if self._delayed_ack else None
        stream = Stream(self._send, self._last_id, packet.arg0, max_payload=self._max_payload, window=window)
        self._streams[self._last_id] = stream
        if self._phone.faults.take("reset_after_open", name):
            self.abort()
        else:
            await stream.accept()
        self._run(self._serve(stream, self._last_id, service))

    async def _serve(self, stream: Stream, local_id: int, service: Callable[[Stream], Awaitable[None]]) -> None:
        try:
            await service(stream)
        except ConnectionAbortedError:
            self.abort()
        except (EOFError, BrokenPipeError):
            pass
        finally:
            try:
                await stream.close()
            except BrokenPipeError:
                stream.on_close()
            self._streams.pop(local_id, None)

    async def _hand_on(self, stream: Stream, packet: Packet) -> None:
        if packet.command == WRTE:
            stream.on_data(bytes(packet.payload))
        elif packet.command == OKAY:
            stream.on_okay(bytes(packet.payload))
        elif packet.command == CLSE:
            self._streams.pop(packet.arg1, None)
            await stream.answer_close()

    def _run(self, work: Awaitable[None]) -> None:
        # What serves a stream may outlive the connection: a process on the phone does.
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
