"""A folder of this computer that shows what a phone has in /data/local/tmp, to programs that really run.

What the phone's files and the folder say of a path is compared with what both said last: whichever changed is taken
over by the other.  Processes of one phone share the folder, so that they see each other's files and locks.
"""

from __future__ import annotations

import contextlib
import os
import posixpath
import shutil
import stat as stat_bits
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from profiler.phone.files import SHELL_USER, File, FileSystem, Folder, Node

PUSHED = "/data/local/tmp"
"""Where clients may push what is to be executed."""
SHOWN = ("/proc/cpuinfo", "/proc/meminfo", "/sys/devices/system/cpu", "/sys/class/thermal")
"""What else of the phone a program may look at."""
_BESIDE = "/new"
"""Where a file is written before it is put in its place."""

_DiskState = tuple[int, int, int]
_FOLDER: _DiskState = (0, 0, 0)


@dataclass(frozen=True)
class _Same:
    """What a path was when phone and folder agreed: the phone's content by identity, which appending keeps."""

    node: Node
    content: bytes | bytearray
    size: int
    disk: _DiskState


class Mirror:
    """The folder of one phone; it is there while somebody holds it.

    Args:
        files: The phone's.
    """

    def __init__(self, files: FileSystem) -> None:
        self._files = files
        self._root: Path | None = None
        self._holders = 0
        self._known: dict[str, _Same] = {}
        self._shown: dict[str, bytes] = {}

    @contextlib.contextmanager
    def held(self) -> Iterator[Path]:
        """Give the folder that stands for `/` inside a `with` block, with what the phone has now.

        Raises:
            OSError: This computer has no room for it.
        """
        if self._root is None:
            self._root = Path(tempfile.mkdtemp(prefix="pocketnas-phone-"))
        self._holders += 1
        try:
            self.show()
            self.agree()
            yield self._root
            self.agree()
        finally:
            self._holders -= 1
            if not self._holders:
                shutil.rmtree(self._root, ignore_errors=True)
                self._root, self._known, self._shown = None, {}, {}

    def path_of(self, path: str) -> Path:
        """Return where a path of the phone is in the folder, which must be held."""
        if self._root is None:
            raise RuntimeError("nobody holds the mirror")
        return self._root.joinpath(*posixpath.normpath(path).strip("/").split("/"))

    def most_file_bytes(self) -> int:
        """Return how large a file may get that a program writes: as the largest that is no program, and what is free.

        It is too much for smaller files, and right for the one that grows.
        """
        data = (same.size for same in self._known.values() if not same.node.mode & 0o111)
        return max(data, default=0) + self._files.mount_of(PUSHED).free_bytes

    def show(self) -> None:
        """Bring what the system says, such as temperatures, up to the present."""
        for path in SHOWN:
            with contextlib.suppress(OSError):
                for name, node in _below(self._files.find(path, SHELL_USER), path):
                    if isinstance(node, File) and node.mode & 0o004:
                        content = bytes(node.read())
                        if self._shown.get(name) != content:
                            self._replace(name, content, 0o644)
                            self._shown[name] = content

    def agree(self) -> None:
        """Take over on both sides what has changed on the other; the program's word counts where both have."""
        try:
            phone = dict(_below(self._files.find(PUSHED, SHELL_USER), PUSHED))
        except OSError:
            phone = {}
        disk = dict(_on_disk(self.path_of(PUSHED), PUSHED))
        paths = sorted(phone.keys() | disk.keys() | self._known.keys())
        gone = {path for path in self._known if path not in phone or path not in disk}
        # What lies deepest goes first, and comes last.
        for path in (
            *reversed([path for path in paths if path in gone]),
            *(path for path in paths if path not in gone),
        ):
            known = self._known.get(path)
            phone_changed = not _is_same(phone.get(path), known)
            if disk.get(path) != (known.disk if known else None) and (path in disk or not phone_changed):
                self._take(path, disk.get(path))
            elif phone_changed:
                self._give(path, phone.get(path))

    def _give(self, path: str, node: Node | None) -> None:
        """Bring a path of the phone into the folder, or take away what it no longer has."""
        place = self.path_of(path)
        if node is None:
            self._known.pop(path, None)
            _remove(place)
        elif isinstance(node, Folder):
            place.mkdir(parents=True, exist_ok=True)
            self._known[path] = _Same(node, b"", 0, _FOLDER)
        elif isinstance(node, File) and node.source is None:
            disk = self._replace(path, bytes(node.content), node.mode & 0o777 | 0o600)
            self._known[path] = _Same(node, node.content, len(node.content), disk)

    def _take(self, path: str, disk: _DiskState | None) -> None:
        """Bring what a program did to a path onto the phone."""
        if disk is None:
            self._known.pop(path, None)
            with contextlib.suppress(OSError):
                self._files.remove(path, SHELL_USER, folder_too=True)
        elif disk == _FOLDER:
            self._files.make_folder(path, SHELL_USER, parents=True)
            self._known[path] = _Same(self._files.find(path, SHELL_USER), b"", 0, _FOLDER)
        else:
            self._take_file(path, disk)

    def _take_file(self, path: str, disk: _DiskState) -> None:
        try:
            content = _read(self.path_of(path))
            mode = stat_bits.S_IMODE(self.path_of(path).stat().st_mode)
            file = self._files.create(path, SHELL_USER, mode)
        except OSError:
            return  # gone meanwhile, or no place for a file on the phone: looked at again next time
        room = file.mount.free_bytes
        # A full phone keeps what fits.
        self._files.append(file, content[:room])
        self._known[path] = _Same(file, file.content, len(file.content), disk)

    def _replace(self, path: str, content: bytes, mode: int) -> _DiskState:
        """Put a file in its place as a whole, so that nobody reads half of it."""
        place = self.path_of(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        beside = self.path_of(_BESIDE)
        beside.write_bytes(content)
        beside.chmod(mode)
        beside.replace(place)
        return _state(place.lstat())


def _is_same(node: Node | None, known: _Same | None) -> bool:
    if node is None or known is None:
        return node is None and known is None
    if not isinstance(node, File):
        return node is known.node
    return node is known.node and node.content is known.content and len(node.content) == known.size


def _below(node: Node, path: str) -> Iterator[tuple[str, Node]]:
    """Yield a node and all that is below it, by path; links are left out."""
    yield path, node
    if isinstance(node, Folder):
        children: Mapping[str, Node] = node.children()
        for name in sorted(children):
            yield from _below(children[name], f"{path}/{name}")


def _on_disk(place: Path, path: str) -> Iterator[tuple[str, _DiskState]]:
    """Yield the state of every file and folder below a place; what is neither is left out, and no link is followed."""
    try:
        entries = sorted(os.scandir(place), key=lambda entry: entry.name)
    except OSError:
        return
    yield path, _FOLDER
    for entry in entries:
        below = f"{path}/{entry.name}"
        if entry.is_dir(follow_symlinks=False):
            yield from _on_disk(place / entry.name, below)
        elif entry.is_file(follow_symlinks=False):
            with contextlib.suppress(FileNotFoundError):
                yield below, _state(entry.stat(follow_symlinks=False))


def _state(found: os.stat_result) -> _DiskState:
    return found.st_ino, found.st_size, found.st_mtime_ns


def _read(place: Path) -> bytes:
    with os.fdopen(os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        return file.read()


def _remove(place: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place, ignore_errors=True)
        else:
            place.unlink()
