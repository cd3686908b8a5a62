"""An emulated phone's file system: folders, owners, permissions, mounts with a size, and files made when read.

Errors are the system's own (OSError with errno), as commands on a phone print them.
"""

from __future__ import annotations

import errno
import itertools
import os
import posixpath
import stat as stat_bits
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from profiler.phone.content_pool import Content, ContentPool

_MAX_LINKS = 40
"""Linux gives up with ELOOP after as many symbolic links."""
BLOCK_BYTES = 4096


@dataclass(frozen=True)
class User:
    """Who asks: a user id and the groups it belongs to."""

    uid: int
    groups: frozenset[int]


ROOT_USER = User(0, frozenset({0}))
SHELL_USER = User(2000, frozenset({2000, 1004, 1007, 1011, 1015, 1028, 3001, 3002, 3003, 3006, 3009, 9997}))
"""What adb runs commands as; the groups are those that `id` prints on a phone."""


@dataclass
class Mount:
    """A file system that hangs in the tree.

    Attributes:
        path: Where.
        device: What `df` calls it.
        size_bytes: How much it holds.
        used_bytes: How much is in it.
        noexec: Whether nothing in it can be run.
        read_only: Whether nothing in it can be changed.
    """

    path: str
    device: str
    size_bytes: int
    used_bytes: int = 0
    noexec: bool = False
    read_only: bool = False

    @property
    def free_bytes(self) -> int:
        """What can still be written."""
        return max(0, self.size_bytes - self.used_bytes)

    def charge(self, count: int) -> None:
        """Take `count` bytes more (or, negative, less).

        Raises:
            OSError: They do not fit (ENOSPC).
        """
        if count > self.free_bytes:
            raise _error(errno.ENOSPC)
        self.used_bytes = max(0, self.used_bytes + count)


@dataclass
class Node:
    """What every entry has: permission bits, owner, group, time of change."""

    mode: int
    uid: int
    gid: int
    modified_s: int
    mount: Mount
    inode: int = field(default_factory=itertools.count(100_000).__next__)


@dataclass
class File(Node):
    """A file with its bytes, or with what makes them whenever it is read."""

    content: bytearray | bytes = field(default_factory=bytearray)
    source: Callable[[], bytes] | None = None
    shared: Content | None = None

    def read(self) -> bytes | bytearray:
        """Return its bytes."""
        return self.content if self.source is None else self.source()


@dataclass
class Folder(Node):
    """A folder; `live` gives entries that come and go by themselves, such as processes."""

    entries: dict[str, Node] = field(default_factory=dict)
    live: Callable[[], Mapping[str, Node]] | None = None

    def children(self) -> Mapping[str, Node]:
        """Return its entries by name."""
        return self.entries if self.live is None else {**self.entries, **self.live()}


@dataclass
class Link(Node):
    """A symbolic link."""

    target: str = ""


@dataclass(frozen=True)
class FileStat:
    """What stat says of a file; mode has the bits of its type too."""

    mode: int
    size: int
    uid: int
    gid: int
    modified_s: int
    inode: int
    device: int


class FileSystem:
    """A tree of nodes.

    Args:
        mounts: The file systems in it; one of them at `/`.
        now_s: Tells the time, in seconds since 1970.
        contents: Where large contents are shared with other phones.
    """

    def __init__(self, mounts: list[Mount], now_s: Callable[[], float], contents: ContentPool) -> None:
        self.mounts = mounts
        self._now_s, self._contents = now_s, contents
        self._root = Folder(0o755, 0, 0, int(now_s()), self.mount_of("/"))

    def mount_of(self, path: str) -> Mount:
        """Return the mount that a path lies in."""
        inside = [one for one in self.mounts if path == one.path or path.startswith(one.path.rstrip("/") + "/")]
        return max(inside, key=lambda one: len(one.path))

    def place(
        self,
        path: str,
        content: bytes | Callable[[], bytes] | None = None,
        *,
        mode: int = 0o644,
        owner: tuple[int, int] = (0, 0),
        live: Callable[[], Mapping[str, Node]] | None = None,
        link: str | None = None,
    ) -> Node:
        """Put a file, folder or link into the tree that the phone is delivered with, with folders above it.

        Args:
            path: Absolute path.
            content: A file's bytes or their maker; None for a folder.
            mode: Permission bits.
            owner: Ids of user and group.
            live: A folder's entries that come and go.
            link: A link's target.
        """
        folder = self._root
        *above, name = _names(path)
        for part in above:
            below = folder.entries.get(part)
            if not isinstance(below, Folder):
                below = folder.entries[part] = Folder(0o755, 0, 0, int(self._now_s()), folder.mount)
            folder = below
        fields = (mode, *owner, int(self._now_s()), self.mount_of(path))
        node: Node
        if link is not None:
            node = Link(0o777, *fields[1:], target=link)
        elif content is None:
            node = Folder(*fields, live=live)
        elif callable(content):
            node = File(*fields, source=content)
        else:
            node = File(*fields, content=bytearray(content))
        folder.entries[name] = node
        return node

    # What a user does; each may raise OSError.

    def find(self, path: str, user: User, *, follow: bool = True) -> Node:
        """Return the node at a path.

        Raises:
            OSError: There is none, or a folder on the way may not be entered.
        """
        return self._walk(path, user, follow=follow, links=0)

    def stat(self, path: str, user: User, *, follow: bool = True) -> FileStat:
        """Return what is known of a path."""
        return stat_of(self.find(path, user, follow=follow))

    def read(self, path: str, user: User) -> bytes | bytearray:
        """Return a file's bytes."""
        node = self.find(path, user)
        if isinstance(node, Folder):
            raise _error(errno.EISDIR)
        _require(node, user, 4)
        if not isinstance(node, File):
            raise _error(errno.EINVAL)
        return node.read()

    def names(self, path: str, user: User) -> list[str]:
        """Return the names in a folder, sorted."""
        node = self.find(path, user)
        if not isinstance(node, Folder):
            raise _error(errno.ENOTDIR)
        _require(node, user, 4)
        return sorted(node.children())

    def may(self, path: str, user: User, bits: int) -> bool:
        """Say whether a user may read (4), write (2) or execute (1) a path."""
        try:
            _require(self.find(path, user), user, bits)
        except OSError:
            return False
        return True

    def create(self, path: str, user: User, mode: int = 0o644) -> File:
        """Make an empty file, or empty the one that is there."""
        folder, name = self._parent(path, user)
        found = folder.children().get(name)
        if isinstance(found, Link):
            return self.create(posixpath.join(posixpath.dirname(path), found.target), user, mode)
        if isinstance(found, Folder):
            raise _error(errno.EISDIR)
        if isinstance(found, File):
            _require(found, user, 2)
            if found.source is not None or found.mount.read_only:
                raise _error(errno.EACCES if found.source else errno.EROFS)
            found.mount.charge(-len(found.content))
            found.content, found.shared = bytearray(), None
            found.modified_s = int(self._now_s())
            return found
        _require_writable(folder, user)
        # The folder's own, for the path may lead through a link to another file system.
        file = File(mode & 0o777, user.uid, min(user.uid, 2000), int(self._now_s()), folder.mount)
        folder.entries[name] = file
        return file

    def open_to_append(self, path: str, user: User) -> File:
        """Return a file to append to, made if there is none."""
        try:
            node = self.find(path, user)
        except FileNotFoundError:
            return self.create(path, user)
        if not isinstance(node, File) or node.source is not None:
            raise _error(errno.EISDIR if isinstance(node, Folder) else errno.EACCES)
        _require(node, user, 2)
        return node

    def append(self, file: File, data: bytes) -> None:
        """Write at a file's end."""
        file.mount.charge(len(data))
        if not isinstance(file.content, bytearray):
            file.content, file.shared = bytearray(file.content), None
        file.content += data
        file.modified_s = int(self._now_s())

    def settle(self, file: File) -> None:
        """Say that a file is written: what other files have as well is kept once."""
        file.shared = self._contents.shared(file.content)
        if file.shared is not None:
            file.content = file.shared.data

    def make_folder(self, path: str, user: User, *, parents: bool = False, mode: int = 0o771) -> None:
        """Make a folder; with parents, also those above it, and one that is there is no error."""
        if parents:
            try:
                if isinstance(self.find(path, user), Folder):
                    return
            except FileNotFoundError:
                self.make_folder(posixpath.dirname(path.rstrip("/")), user, parents=True)
        folder, name = self._parent(path, user)
        if name in folder.children():
            raise _error(errno.EEXIST)
        _require_writable(folder, user)
        made = Folder(mode, user.uid, min(user.uid, 2000), int(self._now_s()), folder.mount)
        folder.entries[name] = made

    def remove(self, path: str, user: User, *, folder_too: bool = False) -> None:
        """Remove a file or link, or an empty folder where asked."""
        folder, name = self._parent(path, user)
        node = folder.children().get(name)
        if node is None:
            raise _error(errno.ENOENT)
        if isinstance(node, Folder) and not folder_too:
            raise _error(errno.EISDIR)
        if isinstance(node, Folder) and node.children():
            raise _error(errno.ENOTEMPTY)
        _require_writable(folder, user)
        if isinstance(node, File):
            node.mount.charge(-len(node.content))
        folder.entries.pop(name, None)

    def rename(self, source: str, target: str, user: User) -> None:
        """Move an entry; a file that is at the target goes."""
        folder, name = self._parent(source, user)
        node = folder.children().get(name)
        if node is None:
            raise _error(errno.ENOENT)
        into, new_name = self._parent(target, user)
        _require_writable(folder, user)
        _require_writable(into, user)
        there = into.children().get(new_name)
        if there is node:
            return
        if isinstance(there, Folder):
            raise _error(errno.EISDIR)
        if isinstance(there, File):
            self.remove(target, user)
        into.entries[new_name] = folder.entries.pop(name)

    def chmod(self, path: str, user: User, mode: int) -> None:
        """Set the permission bits; only the owner may."""
        node = self.find(path, user)
        if user.uid not in (0, node.uid):
            raise _error(errno.EPERM)
        if node.mount.read_only:
            raise _error(errno.EROFS)
        node.mode = mode & 0o7777

    def _parent(self, path: str, user: User) -> tuple[Folder, str]:
        names = _names(path)
        if not names:
            raise _error(errno.EBUSY)
        folder = self.find("/" + "/".join(names[:-1]), user)
        if not isinstance(folder, Folder):
            raise _error(errno.ENOTDIR)
        _require(folder, user, 1)
        return folder, names[-1]

    def _walk(self, path: str, user: User, *, follow: bool, links: int) -> Node:
        if links > _MAX_LINKS:
            raise _error(errno.ELOOP)
        names = _names(path)
        node: Node = self._root
        for place, name in enumerate(names):
            if not isinstance(node, Folder):
                raise _error(errno.ENOTDIR)
            _require(node, user, 1)
            below = node.children().get(name)
            if below is None:
                raise _error(errno.ENOENT)
            rest = names[place + 1 :]
            if isinstance(below, Link) and (rest or follow):
                target = posixpath.join("/", *names[:place], below.target, *rest)
                return self._walk(target, user, follow=follow, links=links + 1)
            node = below
        return node


def stat_of(node: Node) -> FileStat:
    """Return a node's stat."""
    kind, size = stat_bits.S_IFDIR, BLOCK_BYTES
    if isinstance(node, File):
        # What is made when read has no size before, as everything in /proc and /sys.
        kind, size = stat_bits.S_IFREG, len(node.content)
    elif isinstance(node, Link):
        kind, size = stat_bits.S_IFLNK, len(node.target)
    return FileStat(kind | node.mode, size, node.uid, node.gid, node.modified_s, node.inode, _device(node))


def _device(node: Node) -> int:
    return 0xFD00 + len(node.mount.path)


def _names(path: str) -> list[str]:
    return [name for name in posixpath.normpath("/" + path).split("/") if name]


def _require(node: Node, user: User, bits: int) -> None:
    """Refuse what a node's permission bits do not give to a user."""
    shift = 6 if user.uid == node.uid else 3 if node.gid in user.groups else 0
    if user.uid != 0 and (node.mode >> shift) & bits != bits:
        raise _error(errno.EACCES)


def _require_writable(folder: Folder, user: User) -> None:
    _require(folder, user, 3)
    if folder.live is not None or folder.mount.read_only:
        raise _error(errno.EACCES if folder.live else errno.EROFS)


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))
