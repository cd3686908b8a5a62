"""Rows 9 and 10: other tools end or replace the adb server, or it is another version."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path

import pytest

from profiler.adb import AdbServer, ServerTransport, open_transport
from profiler.errors import CommandFailedError, DeviceOfflineError, DeviceProtocolError
from profiler.phone import PhoneServer
from tests.adb_programs import AdbProgram, adb_client

needs_adb = pytest.mark.adb_client("debian")


@needs_adb
def test_row_09_a_server_that_another_tool_restarts_is_found_again(served: PhoneServer, adb_server: AdbProgram) -> None:
    adb_server.connect(served.address)
    with ServerTransport(served.address, AdbServer(port=adb_server.port)) as transport:
        assert transport.shell("echo one").stdout == "one\n"
        adb_server("kill-server")
        restarting = threading.Thread(target=adb_server.connect, args=(served.address,))
        restarting.start()
        assert transport.shell("echo two").stdout == "two\n"
        restarting.join()


@needs_adb
def test_row_09_a_command_that_dies_with_the_server_is_an_error_and_ended_on_the_phone(
    served: PhoneServer, adb_server: AdbProgram
) -> None:
    adb_server.connect(served.address)

    def restart() -> None:
        adb_server("kill-server")
        adb_server.connect(served.address)

    with ServerTransport(served.address, AdbServer(port=adb_server.port)) as transport:
        timer = threading.Timer(0.3, restart)
        timer.start()
        started = time.monotonic()
        with pytest.raises((DeviceOfflineError, CommandFailedError)) as caught:
            transport.shell("sleep 30", timeout_s=20)
        assert time.monotonic() - started < 15
        assert caught.value.exit_code == 75
        timer.join()
        assert transport.shell("pidof sleep").stdout == ""


@needs_adb
def test_row_09_a_server_that_has_not_found_the_phone_yet_is_asked_again(
    served: PhoneServer, adb_server: AdbProgram
) -> None:
    adb_server.connect(served.address)
    with ServerTransport(served.address, AdbServer(port=adb_server.port)) as transport:
        assert transport.shell("echo one").stdout == "one\n"
        adb_server("disconnect", served.address)
        timer = threading.Timer(0.4, adb_server.connect, [served.address])
        timer.start()
        assert transport.shell("echo two").stdout == "two\n"
        timer.join()


@needs_adb
def test_row_09_without_its_server_the_phone_is_reached_directly(
    served: PhoneServer, adb_server: AdbProgram, key_path: Path
) -> None:
    adb_server.connect(served.address)
    adb_server("kill-server")
    with open_transport(served.address, server=AdbServer(port=adb_server.port), key_path=key_path) as transport:
        assert transport.shell("echo direct").stdout == "direct\n"


@needs_adb
def test_row_09_a_foreign_server_outlives_us(served: PhoneServer, adb_server: AdbProgram) -> None:
    adb_server.connect(served.address)
    with ServerTransport(served.address, AdbServer(port=adb_server.port)) as transport:
        transport.shell("true")
        with pytest.raises(DeviceOfflineError):
            ServerTransport("nobody", AdbServer(port=adb_server.port)).shell("true", timeout_s=0.5)
    listed = adb_server("devices").stdout.decode()
    assert f"{served.address}\tdevice" in listed, "a server that was started anew would not know the phone"


@needs_adb
@pytest.mark.adb_client("adbutils")
def test_row_10_no_fight_with_clients_of_another_version(served: PhoneServer, adb_server: AdbProgram) -> None:
    """Google's clients of two versions and ours take turns at one server."""
    newer = adb_client("adbutils")
    assert newer is not None
    adb_server.connect(served.address)
    with ServerTransport(served.address, AdbServer(port=adb_server.port)) as transport:
        for _ in range(2):
            assert transport.shell("echo ours").stdout == "ours\n"
            other = AdbProgram(newer, adb_server.port, adb_server.environment)
            assert other("-s", served.address, "shell", "echo theirs").stdout == b"theirs\n"
    assert f"{served.address}\tdevice" in adb_server("devices").stdout.decode()


def test_row_10_a_server_of_another_version_is_named_and_left_alone(key_path: Path) -> None:
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_serve_version, args=(listener, b"001f", asked), daemon=True).start()
        server = AdbServer(port=listener.getsockname()[1])
        with pytest.raises(DeviceProtocolError, match=r"version 31.*version 41.*never stops") as caught:
            open_transport("R5CT", server=server, key_path=key_path)
    assert caught.value.exit_code == 75
    assert asked == [b"host:version"]


def _serve_version(listener: socket.socket, version: bytes, asked: list[bytes]) -> None:
    """Be an adb server that knows its version and nothing else."""
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection:
            asked.append(connection.recv(4096)[4:])
            connection.sendall(b"OKAY0004" + version)
