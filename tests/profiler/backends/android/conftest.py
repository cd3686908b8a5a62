"""A phone on the wire, for what asks or changes one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from profiler.adb import DirectTransport, RemoteFolder, Transport, load_or_create_key
from profiler.phone import Phone, PhoneServer, load_phone


@pytest.fixture(scope="session")
def key_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "adbkey"
    load_or_create_key(path)
    return path


@pytest.fixture
def phone() -> Phone:
    return Phone(load_phone("pixel4"))


@pytest.fixture
def server(phone: Phone) -> Iterator[PhoneServer]:
    with PhoneServer(phone) as served:
        yield served


@pytest.fixture
def transport(server: PhoneServer, key_path: Path) -> Iterator[Transport]:
    with DirectTransport.tcp(server.address, key_path=key_path) as opened:
        yield opened


@pytest.fixture
def folder(transport: Transport) -> RemoteFolder:
    made = RemoteFolder(transport)
    made.make()
    return made
