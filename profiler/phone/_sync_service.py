"""The sync service: how clients look at, send and fetch files.

Source: AOSP packages/modules/adb, SYNC.TXT and file_sync_protocol.h; the second version of a request adds
64-bit sizes and an error number.
"""

from __future__ import annotations

import errno
import os
import stat as stat_bits
import struct
from contextlib import suppress

from profiler.phone._stream import Stream
from profiler.phone.files import SHELL_USER, File, FileStat
from profiler.phone.phone import Phone

MAX_DATA_BYTES = 64 * 1024
_MAX_PATH_BYTES = 1024
_REQUEST = struct.Struct("<4sI")
_STAT_V1 = struct.Struct("<4s3I")
_STAT_V2 = struct.Struct("<4sI2Q4IQ3q")
_ENTRY_V1 = struct.Struct("<4s4I")
_ENTRY_V2 = struct.Struct("<4sI2Q4IQ3qI")
_SEND_V2 = struct.Struct("<4s2I")
_RECEIVE_V2 = struct.Struct("<4sI")
_U32 = 0xFFFFFFFF
_BATCH_BYTES = 512 * 1024
_OPEN_S, _BYTES_PER_S = 0.002, 40e6
"""What a pushed file costs on the phone's clock: making it, and USB 2 with its storage behind."""


class _RefusedError(Exception):
    """A request that the service ends with after saying why."""


class _FileRefusedError(_RefusedError):
    """A file that cannot be had; what is still sent of it is read, for clients that first send all."""


async def serve_sync(phone: Phone, stream: Stream) -> None:
    """Answer sync requests until the client quits.

    Raises:
        EOFError: The client left in the middle of a request.
        ConnectionAbortedError: A fault cuts the connection here.
    """
    session = _Session(phone, stream)
    try:
        while await session.answer():
            pass
    except _RefusedError as err:
        await session.fail(str(err))
        if isinstance(err, _FileRefusedError):
            await session.skip_file()


class _Session:
    def __init__(self, phone: Phone, stream: Stream) -> None:
        self._phone, self._files, self._stream = phone, phone.files, stream

    async def answer(self) -> bool:
        """Answer one request; False when there are no more."""
        kind, length = _REQUEST.unpack(await self._stream.read_exactly(_REQUEST.size))
        if kind == b"QUIT":
            return False
        if length > _MAX_PATH_BYTES:
            raise _RefusedError("path too long")
        path = (await self._stream.read_exactly(length)).decode("utf-8", "surrogateescape")
        match kind:
            case b"STAT":
                await self._stat(path)
            case b"STA2" | b"LST2":
                await self._stat_v2(kind, path)
            case b"LIST" | b"LIS2":
                await self._list(path, v2=kind == b"LIS2")
            case b"SEND":
                path, comma, mode = path.rpartition(",")
                if not comma:
                    raise _RefusedError("missing , in ID_SEND")
                await self._take(path, _mode_of(mode))
            case b"SND2":
                _, mode_bits, flags = _SEND_V2.unpack(await self._stream.read_exactly(_SEND_V2.size))
                self._refuse_compression(flags)
                await self._take(path, mode_bits)
            case b"RECV":
                await self._give(path)
            case b"RCV2":
                self._refuse_compression(_RECEIVE_V2.unpack(await self._stream.read_exactly(_RECEIVE_V2.size))[1])
                await self._give(path)
            case _:
                raise _RefusedError(f"unknown command {int.from_bytes(kind, 'little'):08x}")
        return True

    async def fail(self, reason: str) -> None:
        text = reason.encode()
        await self._stream.write(_REQUEST.pack(b"FAIL", len(text)) + text)

    @staticmethod
    def _refuse_compression(flags: int) -> None:
        if flags:
            raise _RefusedError(f"unknown flags {flags:#x}: nothing but plain data was advertised")

    async def _stat(self, path: str) -> None:
        try:
            found = self._files.stat(path, SHELL_USER, follow=False)
        except OSError:
            await self._stream.write(_STAT_V1.pack(b"STAT", 0, 0, 0))
            return
        await self._stream.write(_STAT_V1.pack(b"STAT", found.mode, found.size & _U32, found.modified_s & _U32))

    async def _stat_v2(self, kind: bytes, path: str) -> None:
        try:
            found = self._files.stat(path, SHELL_USER, follow=kind == b"STA2")
        except OSError as err:
            await self._stream.write(_STAT_V2.pack(kind, err.errno or errno.EIO, *[0] * 10))
            return
        await self._stream.write(_STAT_V2.pack(kind, 0, *_numbers(found)))

    async def _list(self, path: str, *, v2: bool) -> None:
        reply = bytearray()
        for name in self._names(path):
            found = self._files.stat(f"{path}/{name}", SHELL_USER, follow=False)
            text = name.encode("utf-8", "surrogateescape")
            if v2:
                reply += _ENTRY_V2.pack(b"DNT2", 0, *_numbers(found), len(text)) + text
            else:
                size, time_s = found.size & _U32, found.modified_s & _U32
                reply += _ENTRY_V1.pack(b"DENT", found.mode, size, time_s, len(text)) + text
        end = _ENTRY_V2 if v2 else _ENTRY_V1
        await self._stream.write(bytes(reply) + b"DONE" + bytes(end.size - 4))

    def _names(self, path: str) -> list[str]:
        try:
            return [".", "..", *self._files.names(path, SHELL_USER)]
        except OSError:
            return []  # the protocol has no words for it: an empty list

    async def skip_file(self) -> None:
        """Read and drop what is left of a file."""
        while True:
            kind, length = _REQUEST.unpack(await self._stream.read_exactly(_REQUEST.size))
            if kind != b"DATA" or length > MAX_DATA_BYTES:
                return
            await self._stream.read_exactly(length)

    async def _take(self, path: str, mode: int) -> None:
        fault = self._phone.faults.take("cut_push", path)
        file = self._created(path, mode)
        try:
            file.modified_s = await self._fill(file, cut_at_bytes=fault.at_bytes if fault else None)
        except (EOFError, _RefusedError):
            with suppress(OSError):
                self._files.remove(path, SHELL_USER)
            raise
        self._files.settle(file)
        await self._phone.clock.spend(_OPEN_S + len(file.content) / _BYTES_PER_S)
        await self._stream.write(_REQUEST.pack(b"OKAY", 0))

    def _created(self, path: str, mode: int) -> File:
        # What the owner may, everybody may: adbd takes over no more than the owner's permissions.
        mode = 0o111 * (mode >> 6 & 7) | mode & 0o077
        with suppress(OSError):
            self._files.remove(path, SHELL_USER)
        try:
            return self._files.create(path, SHELL_USER, mode)
        except OSError as err:
            if err.errno != errno.ENOENT:
                raise _FileRefusedError(f"couldn't create file: {err.strerror}") from err
        try:
            self._files.make_folder(os.path.dirname(path), SHELL_USER, parents=True)  # noqa: PTH120 - it is a path there
            return self._files.create(path, SHELL_USER, mode)
        except OSError as err:
            raise _FileRefusedError(f"secure_mkdirs failed: {err.strerror}") from err

    async def _fill(self, file: File, *, cut_at_bytes: int | None) -> int:
        """Write what comes to a file, and return the time that it is to have been written at."""
        received = 0
        while True:
            kind, length = _REQUEST.unpack(await self._stream.read_exactly(_REQUEST.size))
            if kind == b"DONE":
                return int(length)
            if kind != b"DATA" or length > MAX_DATA_BYTES:
                raise _RefusedError("oversize data message" if kind == b"DATA" else "invalid data message")
            data = await self._stream.read_exactly(length)
            received += length
            if cut_at_bytes is not None and received >= cut_at_bytes:
                raise ConnectionAbortedError
            try:
                self._files.append(file, data)
            except OSError as err:
                raise _FileRefusedError(f"write failed: {err.strerror}") from err

    async def _give(self, path: str) -> None:
        try:
            content = memoryview(self._files.read(path, SHELL_USER))
        except OSError as err:
            # Folders can be opened, and only then not be read.
            action = "read" if err.errno == errno.EISDIR else "open"
            raise _RefusedError(f"{action} failed: {err.strerror}") from err
        batch = bytearray()
        for start in range(0, len(content), MAX_DATA_BYTES):
            data = content[start : start + MAX_DATA_BYTES]
            batch += _REQUEST.pack(b"DATA", len(data)) + data
            if len(batch) >= _BATCH_BYTES:
                await self._stream.write(bytes(batch))
                batch.clear()
        await self._stream.write(bytes(batch) + _REQUEST.pack(b"DONE", 0))


def _numbers(found: FileStat) -> tuple[int, ...]:
    links = 2 if stat_bits.S_ISDIR(found.mode) else 1
    times = (found.modified_s,) * 3
    return (found.device, found.inode, found.mode, links, found.uid, found.gid, found.size, *times)


def _mode_of(text: str) -> int:
    """Read a number as C's strtoul does: octal after a zero, and 0 where there is none."""
    try:
        return int(text, 8 if text.startswith("0") else 10)
    except ValueError:
        return 0
