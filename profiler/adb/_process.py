"""A command that runs on a device: its output, its exit code, and its end when it should not run on."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self

from profiler.adb._channel import Channel
from profiler.adb._deadline import Deadline
from profiler.adb._seam import device_errors
from profiler.errors import DeviceError, DeviceTimeoutError

if TYPE_CHECKING:
    from profiler.adb.transport import Transport

Output = Literal["stdout", "stderr"]

_PACKET = struct.Struct("<BI")
_STDOUT, _STDERR, _EXIT = 1, 2, 3
_MAX_PACKET_BYTES = 16 << 20
_KILL_TIMEOUT_S = 10.0
_KILL_TRIES = 5
_MARK_BYTES = 64
"""Longer than a marker line: as much is held back of a stream in which one may come."""


def wrap_command(command: str, nonce: str, *, v2: bool) -> str:
    """Return the text that runs a command so that its process is known, and its exit code where adbd tells none.

    The first line printed is the nonce and the shell's process id, which is its group's too: adbd gives each
    command a session.  The last line keeps the shell from being replaced by its last command, so that the nonce
    stays in its command line; on a v1 device it prints the exit code.
    """
    if v2:
        return f"echo {nonce} $$\n{command}\nexit $?"
    return f"echo {nonce} $$\n(\n{command}\n)\necho {nonce} $?"


class RemoteProcess:
    """A command on a device.  Leaving its `with` block ends it there if it still runs.

    Iterating yields ("stdout" or "stderr", bytes) as they come.

    Attributes:
        pid: Number of its process on the device; None until it has said it.
        exit_code: How it ended; None before, and when the device lost it.
    """

    def __init__(self, transport: Transport, channel: Channel, action: str, nonce: str, *, v2: bool) -> None:
        self._transport, self._channel, self._action, self._v2 = transport, channel, action, v2
        self._mark = nonce.encode()
        self._head: bytes | None = b""
        self._carriage_returns = False
        self._over = False
        self.pid: int | None = None
        self.exit_code: int | None = None

    def __iter__(self) -> Iterator[tuple[Output, bytes]]:
        deadline = self._channel.deadline
        try:
            with device_errors(self._transport.serial, self._action, deadline.timeout_s):
                yield from self._packets() if self._v2 else self._raw()
        except DeviceTimeoutError as err:
            if not self.kill():
                problem = f"{err.action} (process {self.pid or 'unknown'} may still run on the phone)"
                raise DeviceTimeoutError(err.serial, err.timeout_s, problem) from err
            raise

    def kill(self) -> bool:
        """End the command on the device, with all that it started; True when it is known to be gone."""
        self._over = True
        self._channel.close()
        if self.pid is None:
            return False
        deadline = Deadline.after(_KILL_TIMEOUT_S)
        try:
            with device_errors(self._transport.serial, f"end of process {self.pid}", _KILL_TIMEOUT_S):
                return any(self._kill_once(self.pid, deadline) for _ in range(_KILL_TRIES))
        except DeviceError:
            return False  # it cannot be reached now; whoever comes back to the device looks again

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._over and self.pid is not None:
            self.kill()
        self._channel.close()

    def _kill_once(self, pid: int, deadline: Deadline) -> bool:
        # A number may be another process's by now: only one with our nonce, or a group without its leader, is ours.
        foreign = f"[ -d /proc/{pid} ] && ! grep -q {self._mark.decode()} /proc/{pid}/cmdline"
        kill = f"{{ {foreign}; }} || kill -9 -{pid} 2>/dev/null"
        look = f"kill -0 -{pid} 2>/dev/null && echo it runs || echo it is gone"
        # Not by way of Transport.shell, which would watch this command in turn.
        with self._transport._open_channel(f"shell:{kill}; sleep 0.05; {look}", deadline) as channel:
            printed = b""
            while data := channel.read():
                printed += data
        return b"it is gone" in printed

    def _packets(self) -> Iterator[tuple[Output, bytes]]:
        """Read shell v2: packets of output, and one with the exit code at the end."""
        while not self._channel.at_end():
            kind, length = _PACKET.unpack(self._channel.read_exactly(_PACKET.size))
            if length > _MAX_PACKET_BYTES:
                raise ValueError(f"a shell packet of {length} bytes")
            data = bytes(self._channel.read_exactly(length))
            if kind == _EXIT and data:
                self.exit_code = data[0]
                break
            if kind == _STDOUT:
                data = self._without_head(data)
            if data and kind in (_STDOUT, _STDERR):
                yield ("stdout" if kind == _STDOUT else "stderr"), data
        # An end without an exit code may be the connection's: then the command may still run.
        self._over = self.exit_code is not None
        if self._head:
            yield "stdout", self._head

    def _raw(self) -> Iterator[tuple[Output, bytes]]:
        """Read a v1 shell: output alone, ended by the line with the exit code."""
        held = b""
        while data := self._channel.read():
            held += self._without_head(data)
            if self._carriage_returns:
                held = held.replace(b"\r\n", b"\n")
            # The last line may be the one with the exit code, and come in pieces.
            if len(held) > _MARK_BYTES:
                yield "stdout", held[:-_MARK_BYTES]
                held = held[-_MARK_BYTES:]
        held = (self._head or b"") + held
        before, mark, after = held.rpartition(self._mark)
        if mark and after.endswith(b"\n") and after.strip().isdigit():
            self.exit_code, held = int(after), before
        self._over = self.exit_code is not None
        if held:
            yield "stdout", held

    def _without_head(self, data: bytes) -> bytes:
        """Take the first line, which names the process, off what was printed."""
        if self._head is None:
            return data
        head = self._head + data
        start = self._mark + b" "
        if b"\n" not in head and len(head) < _MARK_BYTES and start.startswith(head[: len(start)]):
            self._head = head
            return b""
        self._head = None
        line, _, rest = head.partition(b"\n")
        number = line.removeprefix(start).strip()
        if not (line.startswith(start) and number.isdigit()):
            return head
        self.pid = int(number)
        self._carriage_returns = line.endswith(b"\r")  # before Android 7, adbd's shells had a terminal
        return rest
