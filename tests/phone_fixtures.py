"""Fixtures of a phone on the wire, which a folder's conftest takes over by importing them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from profiler.adb import DirectTransport, load_or_create_key
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
def served(phone: Phone) -> Iterator[PhoneServer]:
    with PhoneServer(phone) as server:
        yield server


@pytest.fixture
def direct(served: PhoneServer, key_path: Path) -> Iterator[DirectTransport]:
    with DirectTransport.tcp(served.address, key_path=key_path) as transport:
        yield transport
