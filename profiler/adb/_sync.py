"""The client's side of ADB's sync service: stat, send and receive over an open channel.

Source: AOSP packages/modules/adb, SYNC.TXT and file_sync_protocol.h.
"""

from __future__ import annotations

import errno
import os
import stat as stat_bits
import struct
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from profiler.adb._channel import ENDED_EARLY, Channel

_BLOCK_BYTES = 64 * 1024
"""Most bytes of one DATA message: devices refuse more."""
_BATCH_BYTES = 512 * 1024
"""Messages that travel together; each batch waits for one acknowledgement."""
_MESSAGE = struct.Struct("<4sI")
_STAT_V1 = struct.Struct("<3I")
_STAT_V2 = struct.Struct("<I2Q4IQ3q")
_MAX_REASON_BYTES = 4096


class SyncRefusedError(Exception):
    """The device refused a transfer; carries its reason."""


@dataclass(frozen=True)
class RemoteStat:
    """What a file on a device is.

    Attributes:
        mode: Type and permission bits, as in stat(2).
        size_bytes: Its size; of an old device only the lower 32 bits.
        modified_unix_s: When it was last written.
    """

    mode: int
    size_bytes: int
    modified_unix_s: int

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return stat_bits.S_ISDIR(self.mode)


def remote_stat(channel: Channel, path: str, *, v2: bool) -> RemoteStat | None:
    """Return what is at a path, links followed where the device can; None when nothing can be seen there."""
    identity = b"STA2" if v2 else b"STAT"
    _request(channel, identity, path)
    answer = channel.read_exactly(4)
    if answer == b"FAIL":
        raise SyncRefusedError(_reason(channel, struct.unpack("<I", channel.read_exactly(4))[0]))
    if answer != identity:
        raise SyncRefusedError(f"answered {answer!r} to {identity!r}")
    if v2:
        error, _, _, mode, _, _, _, size, _, modified, _ = _STAT_V2.unpack(channel.read_exactly(_STAT_V2.size))
        if error and error != errno.ENOENT:
            raise SyncRefusedError(os.strerror(error))
    else:
        mode, size, modified = _STAT_V1.unpack(channel.read_exactly(_STAT_V1.size))
    return RemoteStat(mode, size, modified) if mode else None


def send(channel: Channel, blocks: Iterable[bytes], path: str, mode: int) -> None:
    """Write a file.

    Args:
        channel: An open sync service.
        blocks: Its content.
        path: Where.
        mode: Its permission bits.

    Raises:
        SyncRefusedError: The device cannot write it there.
    """
    _request(channel, b"SEND", f"{path},{stat_bits.S_IFREG | mode}")
    for batch in _batches(blocks):
        channel.write(batch)
        if channel.has_input():
            break  # it never speaks before the end unless it refuses
    else:
        channel.write(_MESSAGE.pack(b"DONE", int(time.time())))
    answer, length = _MESSAGE.unpack(channel.read_exactly(_MESSAGE.size))
    if answer != b"OKAY":
        raise SyncRefusedError(_reason(channel, length) if answer == b"FAIL" else f"answered {answer!r}")


def receive(channel: Channel, path: str) -> Iterator[memoryview]:
    """Yield a file's content.

    Raises:
        SyncRefusedError: The device cannot read it.
    """
    _request(channel, b"RECV", path)
    while True:
        answer, length = _MESSAGE.unpack(channel.read_exactly(_MESSAGE.size))
        if answer == b"DONE":
            return
        if answer != b"DATA" or length > _BLOCK_BYTES:
            raise SyncRefusedError(_reason(channel, length) if answer == b"FAIL" else f"answered {answer!r}")
        while length:
            part = channel.read_some(length)
            if not part:
                raise ConnectionAbortedError(ENDED_EARLY)
            yield part
            length -= len(part)


def _request(channel: Channel, identity: bytes, path: str) -> None:
    name = path.encode("utf-8", "surrogateescape")
    channel.write(_MESSAGE.pack(identity, len(name)) + name)


def _batches(blocks: Iterable[bytes]) -> Iterator[bytes]:
    batch: list[bytes | memoryview] = []
    size = 0
    for block in blocks:
        view = memoryview(block)
        for start in range(0, len(view), _BLOCK_BYTES):
            part = view[start : start + _BLOCK_BYTES]
            batch += (_MESSAGE.pack(b"DATA", len(part)), part)
            size += len(part)
            if size >= _BATCH_BYTES:
                yield b"".join(batch)
                batch, size = [], 0
    if batch:
        yield b"".join(batch)


def _reason(channel: Channel, length: int) -> str:
    return channel.read_exactly(min(length, _MAX_REASON_BYTES)).decode(errors="backslashreplace")
