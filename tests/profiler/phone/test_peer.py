"""Who may connect to a phone on which programs of the user's run: the user, and root."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from profiler.adb import DirectTransport
from profiler.errors import DeviceError
from profiler.phone import Phone, PhoneServer, load_phone
from profiler.phone._peer import is_our_user


def test_a_user_is_told_by_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        accepted, _ = server.accept()
        with accepted:
            assert is_our_user(accepted)
            monkeypatch.setattr(os, "getuid", lambda: 4242)
            assert is_our_user(accepted) == (os.geteuid() == 0), "root may, others may not"
            client.close()


def test_another_users_program_is_not_let_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("profiler.phone.server.is_our_user", lambda connection: connection.fileno() < 0)
    with (
        PhoneServer(Phone(load_phone("pixel4"))) as served,
        DirectTransport.tcp(served.address, key_path=tmp_path / "key") as transport,
        pytest.raises(DeviceError),
    ):
        transport.shell("true", timeout_s=3.0)
