"""What else goes wrong on the wire than what tests/faults asks for row by row, and what must come of it."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path

import pytest

from profiler.adb import AdbServer, DirectTransport, RemoteFolder, ServerTransport, open_transport
from profiler.errors import (
    DeviceError,
    DeviceOfflineError,
    DeviceProtocolError,
    DeviceStorageError,
    DeviceUnauthorizedError,
    TransferError,
)
from profiler.phone import Fault, Phone, PhoneServer
from tests.adb_programs import AdbProgram, free_port

CONTENT = bytes(range(256)) * 8192
FOLDER = "/data/local/tmp/pocketnas"


def test_a_connection_that_was_dropped_is_made_again(served: PhoneServer, direct: DirectTransport) -> None:
    direct.shell("true")
    served.drop_connections()
    assert direct.shell("echo back").stdout == "back\n"


@pytest.mark.parametrize("kind", ["reset_on_open", "drop_connection"])
def test_resets_end_when_they_end(served: PhoneServer, phone: Phone, direct: DirectTransport, kind: str) -> None:
    phone.faults.add(Fault(kind, times=2))  # type: ignore[arg-type]
    assert direct.shell("echo third").stdout == "third\n"


def test_end_in_the_middle_of_a_command_is_seen_at_once(phone: Phone, direct: DirectTransport) -> None:
    phone.faults.add(Fault("cut_output", match="getprop", at_bytes=500, times=1))
    started, busy = time.monotonic(), time.process_time()
    with pytest.raises(DeviceOfflineError):
        direct.shell("getprop; sleep 30", timeout_s=20)
    assert time.monotonic() - started < 3
    assert time.process_time() - busy < 1
    assert direct.shell("pidof sleep").stdout == "", "the command was ended on return"


def test_a_push_that_is_always_cut_is_given_up(phone: Phone, direct: DirectTransport) -> None:
    phone.faults.add(Fault("cut_push", at_bytes=1_000_000))
    with pytest.raises(DeviceOfflineError):
        RemoteFolder(direct).put(CONTENT)
    assert direct.shell(f"ls -A {FOLDER}").stdout == ""


def test_damage_on_the_way_is_found(direct: DirectTransport, phone: Phone, monkeypatch: pytest.MonkeyPatch) -> None:
    push = DirectTransport.push
    damaged = iter([b"x", b""])

    def once_damaged(self: DirectTransport, source: bytes, path: str, *, mode: int, timeout_s: float) -> None:
        push(self, source + next(damaged), path, mode=mode, timeout_s=timeout_s)

    monkeypatch.setattr(DirectTransport, "push", once_damaged)
    assert direct.read_file(RemoteFolder(direct).put(CONTENT)) == CONTENT


def test_a_rejected_service_fails_at_once(phone: Phone, direct: DirectTransport) -> None:
    phone.faults.add(Fault("reject_service", match="sync:", times=1))
    started = time.monotonic()
    with pytest.raises(DeviceProtocolError, match=r"push of .* refused"):
        direct.push(b"x", "/data/local/tmp/x")
    assert time.monotonic() - started < 1
    direct.push(b"x", "/data/local/tmp/x")


def test_a_full_phone_is_found_before_the_push(phone: Phone, direct: DirectTransport) -> None:
    data = phone.files.mount_of("/data")
    data.used_bytes = data.size_bytes - 5_000_000
    with pytest.raises(DeviceStorageError, match="free some on the phone") as caught:
        RemoteFolder(direct).put(CONTENT)
    assert caught.value.needed_bytes == len(CONTENT)
    data.used_bytes = data.size_bytes - 10
    with pytest.raises(TransferError, match="No space left"):
        direct.push(CONTENT, "/data/local/tmp/x")


@pytest.mark.parametrize("greeting", [b"SSH-2.0-OpenSSH_9.6\r\n" + bytes(40), b"STLS" + bytes(20)])
def test_what_is_no_adb_device_is_said_so(greeting: bytes, key_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_greet, args=(listener, greeting))
        thread.start()
        port = listener.getsockname()[1]
        with pytest.raises(DeviceProtocolError, match="adb pair"):
            DirectTransport.tcp(f"127.0.0.1:{port}", key_path=key_path).shell("true", timeout_s=5)
        with pytest.raises(DeviceError, match=f"adb server 127.0.0.1:{port}"):
            AdbServer(port=port).devices(timeout_s=2)
        thread.join()


def _greet(listener: socket.socket, greeting: bytes) -> None:
    for _ in range(2):
        connection, _ = listener.accept()
        with connection:
            connection.sendall(greeting)
            connection.recv(100)


def test_no_server_is_no_error() -> None:
    assert AdbServer(port=free_port()).devices() is None


@pytest.mark.adb_client("debian")
def test_the_servers_refusals_are_ours(served: PhoneServer, phone: Phone, adb_server: AdbProgram) -> None:
    server = AdbServer(port=adb_server.port)
    with pytest.raises(DeviceOfflineError, match="not found"):
        ServerTransport("nobody", server).shell("true")
    phone.faults.add(Fault("unauthorized"))
    adb_server("connect", served.address)
    with pytest.raises(DeviceUnauthorizedError, match="Allow USB debugging"):
        ServerTransport(served.address, server).shell("true")
    adb_server("disconnect", served.address)


@pytest.mark.adb_client("debian")
def test_a_server_that_has_the_phone_is_gone_through(
    served: PhoneServer, adb_server: AdbProgram, key_path: Path
) -> None:
    server = AdbServer(port=adb_server.port)
    with open_transport(served.address, server=server, key_path=key_path) as transport:
        assert isinstance(transport, DirectTransport)
    adb_server.connect(served.address)
    with open_transport(served.address, server=server, key_path=key_path) as transport:
        assert isinstance(transport, ServerTransport)
        assert transport.shell("echo through").stdout == "through\n"
    adb_server("disconnect", served.address)
