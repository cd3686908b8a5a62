"""Our folder on a phone: files under the hash of their content, whole or not there, and no room left behind."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path

from profiler.adb.quoting import DEFAULT_FOLDER, command_line, remote_folder_path
from profiler.adb.transport import Transport
from profiler.errors import (
    CommandFailedError,
    ConfigError,
    DeviceOfflineError,
    DeviceStorageError,
    ToolOutputError,
    TransferError,
)
from profiler.tool_outputs import parse_df

_TRIES = 3
"""A cable that fails three times in a row on one file needs a person."""
_SPARE_BYTES = 4 << 20
"""What a phone's system needs to go on when the file is there."""
_NAME_CHARS = 32
_READ_BYTES = 1 << 20
_NOT_FOUND = 127


class RemoteFolder:
    """A folder on a device that is ours alone.

    Args:
        transport: The way to the device.
        path: The folder; below /data/local/tmp, with a name that starts with "pocketnas".

    Attributes:
        path: The folder in its shortest form.

    Raises:
        ConfigError: The folder is not ours to write to.
    """

    def __init__(self, transport: Transport, path: str = DEFAULT_FOLDER) -> None:
        self.path = remote_folder_path(path)
        self._transport = transport
        self._made = False
        self._verified: set[str] = set()

    def put(self, source: Path | bytes, *, executable: bool = False, timeout_s: float = 300.0) -> str:
        """Have a file on the device, and return its path there.

        It goes under a temporary name, is compared by its hash, and only then gets its own name; what is there
        already is not sent again.

        Args:
            source: A file here, or its content.
            executable: Whether it is to be run.
            timeout_s: How long one try may take.

        Raises:
            DeviceStorageError: There is no room for it; nothing was sent.
            TransferError: It arrived damaged, or was refused, each time.
            DeviceError: The connection failed each time, or time was up.
        """
        hashes = _Hashes(source)
        target = f"{self.path}/{hashes.sha256[:_NAME_CHARS]}{'.x' if executable else ''}"
        return self._put_at(target, source, hashes, executable=executable, timeout_s=timeout_s)

    def put_bundle(self, files: Mapping[str, bytes], key: str, *, timeout_s: float = 300.0) -> str:
        """Have executable files on the device under their own names, in a folder of theirs; return that folder.

        Each goes as with `put`; what is there already is not sent again.

        Args:
            files: Content by name.
            key: What tells this bundle from all others, such as a hash of names and contents; names the folder.
            timeout_s: How long one try of one file may take.

        Raises:
            DeviceStorageError, TransferError, DeviceError: As for put.
        """
        folder = f"{self.path}/{key}"
        targets = {f"{folder}/{name}": content for name, content in files.items()}
        if not self._verified.issuperset(targets):
            self._transport.shell(command_line("mkdir", "-p", folder), check=True)
        for target, content in targets.items():
            if target not in self._verified:
                self._put_at(target, content, _Hashes(content), executable=True, timeout_s=timeout_s)
        return folder

    def _put_at(self, target: str, source: Path | bytes, hashes: _Hashes, *, executable: bool, timeout_s: float) -> str:
        if target in self._verified or self._is_there(target, hashes):
            return target
        self._require_room(hashes.size_bytes)
        for attempt in range(1, _TRIES + 1):
            try:
                self._put_once(source, target, hashes, executable=executable, timeout_s=timeout_s)
                break
            except (DeviceOfflineError, TransferError) as err:
                if attempt == _TRIES or "No space left" in str(err):
                    self._raise_if_full(err, hashes.size_bytes)
                    raise
        self._verified.add(target)
        return target

    def make(self) -> None:
        """Have the folder there.

        Raises:
            CommandFailedError: The device refused it.
            DeviceError: It cannot be reached.
        """
        if not self._made:
            self._transport.shell(command_line("mkdir", "-p", self.path), check=True)
            self._made = True

    def drop(self, *paths: str) -> None:
        """Take files that `put` gave off the device.

        Raises:
            CommandFailedError: The device refused it.
            DeviceError: It cannot be reached.
        """
        self._transport.shell(command_line("rm", "-f", "--", *paths), check=True)
        self._verified.difference_update(paths)

    def forget(self) -> None:
        """Take nothing for granted that was seen there: somebody else may have changed it."""
        self._made = False
        self._verified.clear()

    def remove(self) -> None:
        """Take the folder and all in it off the device.

        Raises:
            CommandFailedError: The device refused it.
            DeviceError: It cannot be reached.
        """
        self._transport.shell(command_line("rm", "-rf", "--", self.path), check=True)
        self.forget()

    def free_bytes(self) -> int | None:
        """Return what can still be written to; None when the device does not say."""
        result = self._transport.shell("df -k /data/local/tmp")
        try:
            rows = parse_df(result.stdout.encode()).filesystems
        except ToolOutputError:
            return None
        return rows[0].available_bytes if len(rows) == 1 else None

    def _put_once(
        self, source: Path | bytes, target: str, hashes: _Hashes, *, executable: bool, timeout_s: float
    ) -> None:
        self.make()
        partial = f"{self.path}/.part-{secrets.token_hex(8)}"
        mode = 0o755 if executable else 0o644
        renamed = False
        try:
            self._transport.push(source, partial, mode=mode, timeout_s=timeout_s)
            if not self._has(partial, hashes):
                raise TransferError(self._transport.serial, target, "arrived damaged")
            words = command_line("chmod", f"{mode:o}", partial) + " && " + command_line("mv", "-f", partial, target)
            self._transport.shell(words, check=True)
            renamed = True
        finally:
            if not renamed:
                self._forget(partial)

    def _forget(self, path: str) -> None:
        """Remove what did not become a file of ours, as far as the device can be reached."""
        try:
            self._transport.shell(command_line("rm", "-f", "--", path), timeout_s=10.0)
        except (DeviceOfflineError, CommandFailedError):
            self._made = False  # what is wrong with the device is told by the error on its way

    def _is_there(self, path: str, hashes: _Hashes) -> bool:
        found = self._transport.stat(path)
        there = found is not None and found.size_bytes == hashes.size_bytes & 0xFFFFFFFF and self._has(path, hashes)
        if there:
            self._verified.add(path)
        return there

    def _has(self, path: str, hashes: _Hashes) -> bool:
        """Compare a file there with what it should be; old devices know MD5 only."""
        for tool, expected in (("sha256sum", hashes.sha256), ("md5sum", hashes.md5)):
            result = self._transport.shell(command_line(tool, path), timeout_s=120.0)
            if result.exit_code != _NOT_FOUND:
                return result.exit_code == 0 and result.stdout.split()[:1] == [expected]
        raise TransferError(self._transport.serial, path, "the device has neither sha256sum nor md5sum to check it")

    def _require_room(self, size_bytes: int) -> None:
        free = self.free_bytes()
        if free is not None and free < size_bytes + _SPARE_BYTES:
            raise DeviceStorageError(self._transport.serial, size_bytes, free)

    def _raise_if_full(self, error: Exception, size_bytes: int) -> None:
        if "No space left" in str(error):
            raise DeviceStorageError(self._transport.serial, size_bytes, None) from error


class _Hashes:
    """What a file here is known by."""

    def __init__(self, source: Path | bytes) -> None:
        sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
        self.size_bytes = 0
        for block in _read(source):
            sha256.update(block)
            md5.update(block)
            self.size_bytes += len(block)
        self.sha256, self.md5 = sha256.hexdigest(), md5.hexdigest()


def _read(source: Path | bytes) -> Iterator[bytes]:
    if isinstance(source, bytes):
        yield source
        return
    try:
        with source.open("rb") as file:
            while block := file.read(_READ_BYTES):
                yield block
    except OSError as err:
        raise ConfigError(f"cannot be read: {err.strerror}", path=source) from err
