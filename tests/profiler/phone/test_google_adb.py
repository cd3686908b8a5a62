"""Google's own adb, old and new, against the emulated phone."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from profiler.phone import FEATURES, Fault, Phone, PhoneServer, load_phone
from tests.adb_programs import AdbProgram, adb_client, own_adb
from tests.served_phone import phone_served

CLIENTS = [pytest.param(name, marks=pytest.mark.adb_client(name)) for name in ("debian", "adbutils")]


@pytest.fixture(scope="module", params=CLIENTS)
def adb(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AdbProgram]:
    path = adb_client(request.param)
    assert path is not None
    with own_adb(path, tmp_path_factory.mktemp("home")) as program:
        yield program


def test_the_served_phone_does_what_a_phone_does(adb: AdbProgram, tmp_path: Path) -> None:
    with phone_served("--phone", "pixel4", "--port", "0") as serial:
        _use(adb, serial, tmp_path)


def _use(adb: AdbProgram, serial: str, folder: Path) -> None:
    adb.connect(serial)
    assert adb("-s", serial, "shell", "getprop", "ro.product.model").stdout == b"Pixel 4\n"
    assert adb("-s", serial, "shell", "exit 7").returncode == 7
    content = np.random.default_rng(0).bytes(50 << 20)
    (folder / "big").write_bytes(content)
    assert adb("-s", serial, "push", str(folder / "big"), "/data/local/tmp/big").returncode == 0
    there = adb("-s", serial, "shell", "sha256sum", "/data/local/tmp/big").stdout.split()[0].decode()
    assert there == hashlib.sha256(content).hexdigest()
    assert adb("-s", serial, "pull", "/data/local/tmp/big", str(folder / "back")).returncode == 0
    assert (folder / "back").read_bytes() == content


@pytest.mark.parametrize("features", [FEATURES, ("shell_v2", "cmd"), ()], ids=["new", "without_delayed_ack", "old"])
def test_shells_and_files_by_features(adb: AdbProgram, tmp_path: Path, features: tuple[str, ...]) -> None:
    with PhoneServer(Phone(load_phone("pixel4"), features=features)) as server:
        adb.connect(server.address)
        phone = ("-s", server.address)
        ran = adb(*phone, "shell", "echo out; echo err >&2; exit 3")
        assert b"out" in ran.stdout
        assert b"err" in (ran.stderr if "shell_v2" in features else ran.stdout)
        assert ran.returncode == (3 if "shell_v2" in features else 0)
        assert adb(*phone, "exec-out", "cat /proc/sys/kernel/random/boot_id").stdout.count(b"-") == 4
        if "shell_v2" in features:
            assert adb(*phone, "shell", "cat", stdin=b"from here\n").stdout == b"from here\n"
        content = os.urandom(300_000)
        (tmp_path / "file").write_bytes(content)
        assert adb(*phone, "push", str(tmp_path), "/data/local/tmp/folder").returncode == 0
        assert b"file" in adb(*phone, "ls", "/data/local/tmp/folder").stdout
        assert adb(*phone, "pull", "/data/local/tmp/folder", str(tmp_path / "back")).returncode == 0
        assert (tmp_path / "back" / "file").read_bytes() == content
        refused = adb(*phone, "push", str(tmp_path / "file"), "/system/file")
        assert refused.returncode == 1
        assert b"Permission denied" in refused.stdout + refused.stderr
        adb("disconnect", server.address)


def test_a_phone_that_is_not_unlocked_is_unauthorized(adb: AdbProgram) -> None:
    with PhoneServer(Phone(load_phone("pixel4"), faults=[Fault("unauthorized")])) as server:
        adb("connect", server.address)
        assert f"{server.address}\tunauthorized" in adb("devices").stdout.decode()
        adb("disconnect", server.address)
