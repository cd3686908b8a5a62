from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from profiler.adb import AdbServer, DirectTransport, ServerTransport, Transport, load_or_create_key
from profiler.phone import FEATURES, Phone, PhoneServer, load_phone
from tests.adb_programs import AdbProgram, own_adb
from tests.conftest import adb_client

Connect = Callable[..., Transport]


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


@pytest.fixture(scope="session")
def adb_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AdbProgram]:
    """A running server of Debian's adb; only for tests marked adb_client("debian")."""
    path = adb_client("debian")
    assert path is not None
    with own_adb(path, tmp_path_factory.mktemp("home")) as program:
        program("start-server")
        yield program


WAYS = [
    "direct",
    "direct, v1",
    "direct, no key asked",
    pytest.param("server", marks=pytest.mark.adb_client("debian")),
    pytest.param("server, v1", marks=pytest.mark.adb_client("debian")),
]


@pytest.fixture(params=WAYS)
def transport(request: pytest.FixtureRequest, key_path: Path) -> Iterator[Transport]:
    """Every way to a phone, old and new."""
    way: str = request.param
    features = () if "v1" in way else FEATURES
    with PhoneServer(Phone(load_phone("pixel4"), features=features, secure="no key" not in way)) as phone:
        if way.startswith("direct"):
            with DirectTransport.tcp(phone.address, key_path=key_path) as opened:
                yield opened
            return
        program: AdbProgram = request.getfixturevalue("adb_server")
        program.connect(phone.address)
        with ServerTransport(phone.address, AdbServer(port=program.port)) as through:
            yield through
        program("disconnect", phone.address)
