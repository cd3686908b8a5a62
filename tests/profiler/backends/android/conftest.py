"""A phone on the wire, for what asks or changes one."""

from __future__ import annotations

import pytest

from profiler.adb import DirectTransport, RemoteFolder, Transport
from tests.phone_fixtures import direct, key_path, phone, served

__all__ = ["direct", "key_path", "phone", "served"]


@pytest.fixture
def transport(direct: DirectTransport) -> Transport:
    return direct


@pytest.fixture
def folder(transport: Transport) -> RemoteFolder:
    made = RemoteFolder(transport)
    made.make()
    return made
