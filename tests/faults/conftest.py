"""A phone that is served with whatever a test lets go wrong, and the ways to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.adb_programs import AdbProgram, adb_client, own_adb
from tests.phone_fixtures import direct, key_path, phone, served

__all__ = ["direct", "key_path", "phone", "served"]


@pytest.fixture
def adb_server(tmp_path: Path) -> Iterator[AdbProgram]:
    """A running server of Debian's adb that tests may end; only for tests marked adb_client("debian")."""
    path = adb_client("debian")
    assert path is not None
    with own_adb(path, tmp_path) as program:
        program("start-server")
        yield program
