"""A phone that is served with whatever a test lets go wrong, and the ways to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from profiler.adb import DirectTransport, load_or_create_key
from profiler.phone import Phone, PhoneServer, load_phone
from tests.adb_programs import AdbProgram, adb_client, own_adb


@pytest.fixture(scope="session")
def key_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "adbkey"
    load_or_create_key(path)
    return path


@pytest.fixture
def phone() -> Phone:
    return Phone(load_phone("pixel4"))


@pytest.fixture
def served(phone: Phone) -> Iterator[PhoneServer]:
    with PhoneServer(phone) as server:
        yield server


@pytest.fixture
def direct(served: PhoneServer, key_path: Path) -> Iterator[DirectTransport]:
    with DirectTransport.tcp(served.address, key_path=key_path) as transport:
        yield transport


@pytest.fixture
def adb_server(tmp_path: Path) -> Iterator[AdbProgram]:
    """A running server of Debian's adb that tests may end; only for tests marked adb_client("debian")."""
    path = adb_client("debian")
    assert path is not None
    with own_adb(path, tmp_path) as program:
        program("start-server")
        yield program
