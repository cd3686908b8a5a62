"""The phone's file system: permissions, links, and an account of every byte."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from profiler.phone import ContentPool
from profiler.phone.files import SHELL_USER, FileSystem, Mount

_SIZE = 200
NAMES = st.sampled_from(["/w/a", "/w/b", "/w/d/a", "/w/d/b"])


def _files() -> FileSystem:
    files = FileSystem([Mount("/", "x", _SIZE)], lambda: 1e9, ContentPool())
    files.place("/w", mode=0o777)
    files.place("/w/d", mode=0o777)
    files.place("/secret/file", b"", mode=0o600)
    files.place("/link", link="/w/d")
    files.place("/loop", link="/loop")
    return files


class Account(RuleBasedStateMachine):
    """Whatever is done, the space taken is that of the files that are there."""

    def __init__(self) -> None:
        super().__init__()
        self.files = _files()
        self.model: dict[str, bytes] = {}

    @rule(path=NAMES, data=st.binary(max_size=80))
    def write(self, path: str, data: bytes) -> None:
        file = self.files.create(path, SHELL_USER)
        self.model[path] = b""
        try:
            self.files.append(file, data)
            self.model[path] = data
        except OSError:
            assert sum(map(len, self.model.values())) + len(data) > _SIZE

    @rule(path=NAMES)
    def remove(self, path: str) -> None:
        if path in self.model:
            self.files.remove(path, SHELL_USER)
            del self.model[path]
        else:
            with pytest.raises(FileNotFoundError):
                self.files.remove(path, SHELL_USER)

    @rule(source=NAMES, to=NAMES)
    def rename(self, source: str, to: str) -> None:
        if source in self.model:
            self.files.rename(source, to, SHELL_USER)
            self.model[to] = self.model.pop(source)

    @invariant()
    def same(self) -> None:
        assert {path: bytes(self.files.read(path, SHELL_USER)) for path in self.model} == self.model
        assert self.files.mounts[0].used_bytes == sum(map(len, self.model.values()))


TestAccount: Any = Account.TestCase
TestAccount.settings = settings(max_examples=30, stateful_step_count=15, deadline=None)


def test_links_are_followed_and_rings_end() -> None:
    files = _files()
    files.append(files.create("/link/f", SHELL_USER), b"x")
    assert bytes(files.read("/w/d/f", SHELL_USER)) == b"x"
    with pytest.raises(OSError, match="Too many levels"):
        files.read("/loop", SHELL_USER)


def test_what_is_not_ours_is_refused() -> None:
    files = _files()
    with pytest.raises(PermissionError):
        files.read("/secret/file", SHELL_USER)
    with pytest.raises(PermissionError):
        files.create("/new", SHELL_USER)
    with pytest.raises(PermissionError):
        files.chmod("/w", SHELL_USER, 0o777)
    assert not files.may("/secret/file", SHELL_USER, 4)
