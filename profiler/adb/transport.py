"""What every way to a device offers: commands with their exit codes, and files; each with a deadline."""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from profiler.adb._channel import Channel
from profiler.adb._deadline import Deadline
from profiler.adb._process import RemoteProcess, wrap_command
from profiler.adb._seam import device_errors
from profiler.adb._sync import RemoteStat, SyncRefusedError, receive, remote_stat, send
from profiler.errors import CommandFailedError, ConfigError, DeviceError, TransferError

MAX_OUTPUT_BYTES = 16 << 20
"""Most that a command's output may be; what is longer is not read into memory but ended."""
_READ_BYTES = 1 << 20
_SHOWN_CHARS = 100


@dataclass(frozen=True)
class ShellResult:
    """What a command gave.

    Attributes:
        exit_code: Its exit code; 128 + the signal that ended it.
        stdout: What it printed; bytes that are no UTF-8 are shown as escapes.
        stderr: What it printed to standard error; empty on a device from before Android 7, where it is in stdout.
    """

    exit_code: int
    stdout: str
    stderr: str


class Transport(ABC):
    """A way to one device.  It may be used from several threads, which then wait for one another.

    Args:
        serial: The device, as errors name it.
    """

    def __init__(self, serial: str) -> None:
        self.serial = serial

    @abstractmethod
    def _open_channel(self, service: str, deadline: Deadline, *, again: bool = True) -> Channel:
        """Open a service by its ADB name; see Channel for what may be raised.

        With `again` it may be asked for anew where the connection broke before the device had answered.
        """

    @abstractmethod
    def _features(self, deadline: Deadline) -> frozenset[str]:
        """Return what the device offers; connects if need be."""

    @abstractmethod
    def close(self) -> None:
        """Free what it holds; it may be used again."""

    def features(self, *, timeout_s: float = 10.0) -> frozenset[str]:
        """Return the names of what the device's adbd offers, such as "shell_v2".

        Raises:
            DeviceError: It cannot be reached, does not trust us, or did not answer in time.
        """
        with device_errors(self.serial, "connect", timeout_s):
            return self._features(Deadline.after(timeout_s))

    def shell(self, command: str, *, timeout_s: float = 30.0, check: bool = False, again: bool = True) -> ShellResult:
        """Run a command and wait for its end; when time is up it is killed on the device.

        Args:
            command: Text for the device's shell; build it with command_line where words come from elsewhere.
            timeout_s: How long it may take.
            check: Whether an exit code other than 0 is an error.
            again: Whether it may be started a second time where the connection broke at its start, and the first
                may run unseen; not for what must not run beside itself.

        Raises:
            CommandFailedError: It ended without an exit code, or with check, with another than 0.
            DeviceError: The device could not be reached, or time was up.
        """
        output = {"stdout": bytearray(), "stderr": bytearray()}
        with self.stream(command, timeout_s=timeout_s, again=again) as process:
            for name, data in process:
                output[name] += data
                if sum(map(len, output.values())) > MAX_OUTPUT_BYTES:
                    problem = f"{command[:_SHOWN_CHARS]!r} printed more than {MAX_OUTPUT_BYTES >> 20} MiB; it was ended"
                    raise DeviceError(self.serial, problem)
        stdout, stderr = (bytes(output[name]).decode(errors="backslashreplace") for name in ("stdout", "stderr"))
        code = process.exit_code
        if code is None or (check and code != 0):
            raise CommandFailedError(self.serial, command, code, stdout, stderr)
        return ShellResult(code, stdout, stderr)

    def stream(self, command: str, *, timeout_s: float, again: bool = True) -> RemoteProcess:
        """Start a command whose output is to be read as it comes, in a `with` block.

        Args:
            command: Text for the device's shell.
            timeout_s: How long it may take in all, however much it prints.
            again: As for shell.

        Raises:
            DeviceError: The device could not be reached.
        """
        action, deadline = f"command {command[:_SHOWN_CHARS]!r}", Deadline.after(timeout_s)
        nonce = f"pocketnas-{secrets.token_hex(8)}"
        with device_errors(self.serial, action, timeout_s):
            v2 = "shell_v2" in self._features(deadline)
            service = "shell,v2,raw:" if v2 else "shell:"
            channel = self._open_channel(service + wrap_command(command, nonce, v2=v2), deadline, again=again)
        return RemoteProcess(self, channel, action, nonce, v2=v2)

    def push(self, source: Path | bytes, path: str, *, mode: int = 0o644, timeout_s: float = 300.0) -> None:
        """Write a file to the device just so; RemoteFolder does it safely.

        Args:
            source: A file here, or its content.
            path: Where it goes.
            mode: Its permission bits there; devices give the owner's to group and others, too.
            timeout_s: How long it may take.

        Raises:
            TransferError: The device refused it.
            DeviceError: The connection failed or time was up.
        """
        with self._sync(path, "push", timeout_s) as channel:
            send(channel, _blocks(source), path, mode)

    def pull(self, path: str, target: Path, *, timeout_s: float = 300.0) -> None:
        """Fetch a file; the target appears when all of it is there.

        Raises:
            TransferError: The device refused it.
            DeviceError: The connection failed or time was up.
        """
        partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
        try:
            with (
                _local(target),
                partial.open("wb", buffering=_READ_BYTES) as file,
                self._sync(path, "pull", timeout_s) as channel,
            ):
                for block in receive(channel, path):
                    with _local(target):
                        file.write(block)
            with _local(target):
                partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)

    def read_file(self, path: str, *, timeout_s: float = 30.0, max_bytes: int = MAX_OUTPUT_BYTES) -> bytes:
        """Return a file's content.

        Raises:
            TransferError: The device refused it, or it is larger than max_bytes.
            DeviceError: The connection failed or time was up.
        """
        content = bytearray()
        with self._sync(path, "pull", timeout_s) as channel:
            for block in receive(channel, path):
                content += block
                if len(content) > max_bytes:
                    raise TransferError(self.serial, path, f"larger than {max_bytes} bytes")
        return bytes(content)

    def stat(self, path: str, *, timeout_s: float = 10.0) -> RemoteStat | None:
        """Return what is at a path; None when nothing can be seen there.

        Raises:
            TransferError: The device refused to look.
            DeviceError: The connection failed or time was up.
        """
        v2 = "stat_v2" in self.features(timeout_s=timeout_s)
        with self._sync(path, "stat", timeout_s) as channel:
            return remote_stat(channel, path, v2=v2)

    @contextmanager
    def _sync(self, path: str, action: str, timeout_s: float) -> Iterator[Channel]:
        try:
            with (
                device_errors(self.serial, f"{action} of {path[:_SHOWN_CHARS]!r}", timeout_s),
                self._open_channel("sync:", Deadline.after(timeout_s)) as channel,
            ):
                yield channel
        except SyncRefusedError as err:
            raise TransferError(self.serial, path, f"{action} refused: {str(err)[:200]}") from err

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _blocks(source: Path | bytes) -> Iterator[bytes]:
    if isinstance(source, bytes):
        yield source
        return
    with _local(source), source.open("rb") as file:
        while block := file.read(_READ_BYTES):
            yield block


@contextmanager
def _local(path: Path) -> Iterator[None]:
    """Name the file here that could not be used, before its error is taken for the connection's."""
    try:
        yield
    except OSError as err:
        raise ConfigError(f"cannot be used: {err.strerror}", path=path) from err
