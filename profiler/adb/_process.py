"""A command that runs on a device: its output, its exit code, and its end when it should not run on."""

from __future__ import annotations

import re
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
"""Longer than a marker line: as much is looked at for one."""
_AFTER_MARK = re.compile(rb" [0-9]{0,3}\r?\n?")


def wrap_command(command: str, nonce: str, *, v2: bool) -> str:
    """Return the text that runs a command so that its process, its end and its exit code are known.

    The first line printed is the nonce and the shell's process id, which is its group's too: adbd gives each
    command a session.  The last one is the nonce and the exit code: an old adbd tells none, and with a new one it
    shows that nothing of the output was lost.  The command stands in a subshell, for it may end its shell.
    """
    last = "\nexit $code" if v2 else ""
    return f"echo {nonce} $$\n(\n{command}\n)\ncode=$?; echo {nonce} $code{last}"


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
        self._held = b""
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

    def extend(self, timeout_s: float) -> None:
        """Give it so many seconds from now, whatever it was given before."""
        self._channel.extend(Deadline.after(timeout_s))

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
        code = None
        while code is None and not self._channel.at_end():
            kind, length = _PACKET.unpack(self._channel.read_exactly(_PACKET.size))
            if length > _MAX_PACKET_BYTES:
                raise ValueError(f"a shell packet of {length} bytes")
            data = bytes(self._channel.read_exactly(length))
            if kind == _EXIT and data:
                code = data[0]
            elif kind == _STDERR and data:
                yield "stderr", data
            elif kind == _STDOUT and (passed := self._without_tail(self._without_head(data))):
                yield "stdout", passed
        rest, marked = self._rest()
        # Without its mark an output that ended well is not whole; one that failed may have ended before the mark.
        self.exit_code = None if code == 0 and marked is None else code
        # An end without an exit code may be the connection's: then the command may still run.
        self._over = code is not None
        if rest:
            yield "stdout", rest

    def _raw(self) -> Iterator[tuple[Output, bytes]]:
        """Read a v1 shell: output alone, ended by the line with the exit code."""
        while data := self._channel.read():
            if passed := self._without_tail(self._without_head(data)):
                yield "stdout", passed
        rest, self.exit_code = self._rest()
        self._over = self.exit_code is not None
        if rest:
            yield "stdout", rest

    def _without_tail(self, data: bytes) -> bytes:
        """Hold back of what was printed what may be the last line, which can come in pieces."""
        text = self._held + data
        if self._carriage_returns:
            text = text.replace(b"\r\n", b"\n")
        first = max(0, len(text) - _MARK_BYTES)
        starts = (place for place in range(first, len(text)) if self._may_be_mark(text[place:]))
        end = next(starts, len(text))
        # Half of a line's end is no text yet.
        end -= int(self._carriage_returns and end == len(text) and text.endswith(b"\r"))
        self._held = text[end:]
        return text[:end]

    def _may_be_mark(self, text: bytes) -> bool:
        start, after = text[: len(self._mark)], text[len(self._mark) :]
        return self._mark.startswith(start) and (not after or bool(_AFTER_MARK.fullmatch(after)))

    def _rest(self) -> tuple[bytes, int | None]:
        """Return what is left of the output at its end, and the exit code that it told."""
        held = (self._head or b"") + self._held
        before, mark, after = held.rpartition(self._mark)
        if mark and after.endswith(b"\n") and after.strip().isdigit():
            return before, int(after)
        return held, None

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
