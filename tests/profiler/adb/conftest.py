from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from profiler.adb import AdbServer, DirectTransport, ServerTransport, Transport, load_or_create_key
from profiler.phone import FEATURES, Phone, PhoneServer, load_phone
from tests.adb_programs import AdbProgram, adb_client, own_adb, own_adbd
from tests.phone_fixtures import direct, key_path, phone, served

__all__ = ["direct", "key_path", "phone", "served"]


@pytest.fixture(scope="session")
def adb_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AdbProgram]:
    """A running server of Debian's adb; only for tests marked adb_client("debian")."""
    path = adb_client("debian")
    assert path is not None
    with own_adb(path, tmp_path_factory.mktemp("home")) as program:
        program("start-server")
        yield program


_SERVER = pytest.mark.adb_client("debian")
_ADBD = (pytest.mark.slow, pytest.mark.adbd)
WAYS = [
    "phone, direct",
    "phone, direct, v1",
    "phone, direct, no key asked",
    pytest.param("phone, server", marks=_SERVER),
    pytest.param("phone, server, v1", marks=_SERVER),
    pytest.param("adbd, direct", marks=_ADBD),
    pytest.param("adbd, direct, no key asked", marks=_ADBD),
    pytest.param("adbd, server, no key asked", marks=[*_ADBD, _SERVER]),
]


@dataclass(frozen=True)
class Reached:
    """A way to a device, and the folder there that is free for all."""

    transport: Transport
    folder: str


@pytest.fixture(params=WAYS)
def reached(request: pytest.FixtureRequest, key_path: Path) -> Iterator[Reached]:
    """Every way to our phone, old and new, and to Google's daemon."""
    way: str = request.param
    secure = "no key" not in way
    with ExitStack() as stack:
        if way.startswith("phone"):
            features = () if "v1" in way else FEATURES
            phone = PhoneServer(Phone(load_phone("pixel4"), features=features, secure=secure))
            address, folder = stack.enter_context(phone).address, "/data/local/tmp"
        else:
            daemon = stack.enter_context(own_adbd(request.getfixturevalue("adbd_path"), secure=secure))
            daemon.trust(load_or_create_key(key_path).GetPublicKey())
            address, folder = daemon.address, str(daemon.folder)
        if "direct" in way:
            yield Reached(stack.enter_context(DirectTransport.tcp(address, key_path=key_path)), folder)
            return
        program: AdbProgram = request.getfixturevalue("adb_server")
        program.connect(address)
        stack.callback(program, "disconnect", address)
        yield Reached(stack.enter_context(ServerTransport(address, AdbServer(port=program.port))), folder)


@pytest.fixture
def transport(reached: Reached) -> Transport:
    return reached.transport


@pytest.fixture
def here(reached: Reached) -> str:
    return reached.folder


@pytest.fixture
def ours(here: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A path for a folder of ours; outside a phone the rule where that may be does not hold."""
    if here != "/data/local/tmp":
        monkeypatch.setattr("profiler.adb.remote_folder.remote_folder_path", str)
    return f"{here}/pocketnas-ci"
