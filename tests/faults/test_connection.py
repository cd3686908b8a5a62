"""Rows 1-4 and 6: the connection is not to be had, or does not last."""

from __future__ import annotations

import inspect
import time
from pathlib import Path

import pytest

from profiler.adb import DirectTransport, RemoteFolder, _backoff, open_transport
from profiler.errors import DeviceError, DeviceOfflineError, DeviceTimeoutError, DeviceUnauthorizedError
from profiler.phone import Fault, Phone, PhoneServer
from tests.adb_programs import free_port

CONTENT = bytes(range(256)) * 8192
FOLDER = "/data/local/tmp/pocketnas"


def test_row_01_unauthorized_fails_soon_and_names_the_step(served: PhoneServer, phone: Phone, key_path: Path) -> None:
    assert inspect.signature(open_transport).parameters["authorize_timeout_s"].default == 5.0
    phone.faults.add(Fault("unauthorized"))
    started = time.monotonic()
    with (
        open_transport(served.address, key_path=key_path, authorize_timeout_s=0.5) as transport,
        pytest.raises(DeviceUnauthorizedError, match="unlock the phone and accept 'Allow USB debugging'") as caught,
    ):
        transport.shell("true", timeout_s=60)
    assert 0.4 < time.monotonic() - started < 1.5
    assert caught.value.exit_code == 75


def test_row_01_unauthorized_twice_is_unauthorized_twice(served: PhoneServer, phone: Phone, key_path: Path) -> None:
    phone.faults.add(Fault("unauthorized", times=2))
    with DirectTransport.tcp(served.address, key_path=key_path, authorize_timeout_s=0.2) as transport:
        for _ in range(2):
            with pytest.raises(DeviceUnauthorizedError):
                transport.shell("true")
        assert transport.shell("echo trusted").stdout == "trusted\n"


def test_row_02_somebody_accepts_after_a_while(served: PhoneServer, phone: Phone, key_path: Path) -> None:
    phone.faults.add(Fault("unauthorized", seconds=0.6, times=1))
    with DirectTransport.tcp(served.address, key_path=key_path, authorize_timeout_s=10) as transport:
        assert transport.shell("echo once >> /data/local/tmp/f; cat /data/local/tmp/f").stdout == "once\n"


def test_row_03_offline_is_given_up(served: PhoneServer, phone: Phone, direct: DirectTransport) -> None:
    phone.faults.add(Fault("offline"))
    started = time.monotonic()
    with pytest.raises(DeviceError) as caught:
        direct.shell("true", timeout_s=1.0)
    assert time.monotonic() - started < 4
    assert caught.value.exit_code == 75


def test_row_03_nobody_listens(key_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(DeviceOfflineError, match=r"^device .*nothing listens.*check cable, network") as caught:
        DirectTransport.tcp(f"127.0.0.1:{free_port()}", key_path=key_path).shell("true")
    assert 2 < time.monotonic() - started < 6
    assert caught.value.exit_code == 75


def test_row_03_a_phone_that_falls_silent_is_back_after_the_next_try(phone: Phone, direct: DirectTransport) -> None:
    phone.faults.add(Fault("offline", match="getprop", times=1))
    with pytest.raises(DeviceTimeoutError):
        direct.shell("getprop ro.product.model", timeout_s=0.5)
    assert direct.shell("getprop ro.product.model").stdout == "Pixel 4\n"


@pytest.mark.parametrize("at_bytes", [1, 65_536, 1_000_000, len(CONTENT)])
def test_row_04_a_cut_push_is_pushed_again_and_verified(phone: Phone, direct: DirectTransport, at_bytes: int) -> None:
    phone.faults.add(Fault("cut_push", at_bytes=at_bytes, times=1))
    path = RemoteFolder(direct).put(CONTENT, executable=True)
    assert direct.read_file(path) == CONTENT
    assert direct.shell(f"ls -A {FOLDER}").stdout.split() == [path.rpartition("/")[2]]


def test_row_04_a_half_file_never_has_a_name_that_is_run(
    phone: Phone, direct: DirectTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_backoff, "PAUSES_S", (0.01, 0.02))
    phone.faults.add(Fault("cut_push", at_bytes=1_000_000))
    phone.faults.add(Fault("reset_on_open", match="rm -f"))  # and what is left cannot be cleaned either
    with pytest.raises(DeviceOfflineError):
        RemoteFolder(direct).put(CONTENT, executable=True)
    phone.faults.clear()
    left = direct.shell(f"ls -A {FOLDER}").stdout.split()
    assert left and all(name.startswith(".part-") for name in left)


def test_row_04_cut_push_then_a_refused_rename(phone: Phone, direct: DirectTransport) -> None:
    phone.faults.add(Fault("cut_push", at_bytes=1000, times=1))
    phone.faults.add(Fault("reset_on_open", match="mv -f", times=1))
    path = RemoteFolder(direct).put(CONTENT)
    assert direct.read_file(path) == CONTENT


def test_row_06_reset_on_every_open_backs_off_and_gives_up(phone: Phone, direct: DirectTransport) -> None:
    phone.faults.add(Fault("reset_on_open"))
    started = time.monotonic()
    with pytest.raises(DeviceOfflineError) as caught:
        direct.shell("true", timeout_s=60)
    assert 2 < time.monotonic() - started < 8, "pauses grow up to a cap"
    assert caught.value.exit_code == 75


def test_row_06_the_deadline_is_earlier_than_the_last_pause(phone: Phone, direct: DirectTransport) -> None:
    phone.faults.add(Fault("reset_on_open"))
    started = time.monotonic()
    with pytest.raises(DeviceError):
        direct.shell("true", timeout_s=0.5)
    assert time.monotonic() - started < 1


def test_row_06_a_command_that_may_have_begun_unseen_is_begun_again_only_if_it_may(
    phone: Phone, direct: DirectTransport
) -> None:
    phone.faults.add(Fault("reset_after_open", match="sleep 44", times=1))
    with pytest.raises(DeviceOfflineError):
        direct.shell("sleep 44", again=False)
    assert direct.shell("pidof sleep").stdout.count(" ") == 0, "the first runs unseen, and no second beside it"
    phone.faults.add(Fault("reset_after_open", match="echo", times=1))
    assert direct.shell("echo twice").stdout == "twice\n"
